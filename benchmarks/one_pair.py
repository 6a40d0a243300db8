"""One pair in plain PyTorch, with pictures and TensorBoard: what users write by hand.

python benchmarks/one_pair.py FOLDER [--epochs 2000]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import itertools

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

LOG_EVERY, HIDDEN = 200, 200


def build_network() -> nn.Sequential:
    """Return a ReLU network with three hidden layers."""
    sizes = [1, HIDDEN, HIDDEN, HIDDEN]
    layers: list[nn.Module] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nn.Linear(fan_in, fan_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(HIDDEN, 1))


def main() -> None:
    """Train both networks in turn; at every logged epoch write histograms and a picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=2000)
    given = parser.parse_args()
    torch.manual_seed(1)
    x = torch.linspace(-1, 1, 10).unsqueeze(1)
    y, test_y = (1.5 * x + torch.normal(0, sd, x.shape) for sd in (0.5, 0.3))
    networks = {"plain": build_network(), "decay": build_network()}
    optimizers = {
        name: torch.optim.SGD(
            network.parameters(),
            lr=0.01,
            momentum=0.9,
            weight_decay=0.01 if name == "decay" else 0.0,
        )
        for name, network in networks.items()
    }
    loss_function = nn.MSELoss()
    writer = SummaryWriter(str(given.folder))
    for epoch in range(1, given.epochs + 1):
        losses = {name: loss_function(network(x), y) for name, network in networks.items()}
        for name, loss in losses.items():
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
        if epoch % LOG_EVERY and epoch < given.epochs:
            continue
        plt.scatter(x, y, c="blue", alpha=0.3, label="train")
        plt.scatter(x, test_y, c="red", alpha=0.3, label="test")
        for name, network in networks.items():
            for parameter, values in network.named_parameters():
                writer.add_histogram(f"{parameter}_{name}", values, epoch)
                writer.add_histogram(f"{parameter}_grad_{name}", values.grad, epoch)
            plt.plot(x, network(x).detach(), label=f"{name}, loss {losses[name].item():.6f}")
        plt.ylim(-2.5, 2.5)
        plt.legend(loc="upper left")
        plt.title(f"epoch {epoch}")
        plt.savefig(given.folder / f"{epoch}.png")
        plt.close()
    writer.close()


if __name__ == "__main__":
    main()
