"""What the package must agree with, written without it: plain torch, NumPy and integers."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class ArticleRun:
    """Losses by epoch of the baseline and the regularized network, `(epochs, 2)`."""

    train_loss: NDArray[np.float32]
    test_loss: NDArray[np.float32]


def run_article_program(
    seed: int, epochs: int, weight_decay: float = 0.0, drop_probability: float = 0.0
) -> ArticleRun:
    """Train as the article does.

    From one global stream of random numbers come the data, one network's weights, then the
    other's; then each network in turn makes a full-batch step.
    """

    def make_network(p: float) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Linear(1, 200)]
        for width in (200, 200, 1):
            layers.append(nn.ReLU())
            if p:
                layers.append(nn.Dropout(p))
            layers.append(nn.Linear(200, width))
        return nn.Sequential(*layers)

    with torch_threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x = torch.linspace(-1, 1, 10).unsqueeze(1)
        train_y = 1.5 * x + torch.normal(0.0, 0.5, x.shape)
        test_y = 1.5 * x + torch.normal(0.0, 0.3, x.shape)
        networks = [make_network(0.0), make_network(drop_probability)]
        optimizers = [
            torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=decay)
            for network, decay in zip(networks, (0.0, weight_decay), strict=True)
        ]
        mean_squared_error = nn.MSELoss()
        train_losses, test_losses = [], []
        for _ in range(epochs):
            losses = []
            for network, optimizer in zip(networks, optimizers, strict=True):
                loss = mean_squared_error(network(x), train_y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            train_losses.append(losses)
            losses = []
            for network in networks:
                network.eval()
                with torch.no_grad():
                    losses.append(mean_squared_error(network(x), test_y).item())
                network.train()
            test_losses.append(losses)
    return ArticleRun(np.array(train_losses, np.float32), np.array(test_losses, np.float32))


MASK_64 = 2**64 - 1


def hash_word(seed: int, layer: int, sample: int, epoch: int, unit: int, stream: int = 0) -> int:
    """Return the documented 32-bit word of a coordinate, unsigned, in Python's own integers."""
    key = 0
    for coordinate in (seed, layer + stream * 2**20, sample, epoch):
        key = (key + (coordinate + 1) * 0x9E3779B97F4A7C15) & MASK_64
        key = ((key ^ (key >> 30)) * 0xBF58476D1CE4E5B9) & MASK_64
        key = ((key ^ (key >> 27)) * 0x94D049BB133111EB) & MASK_64
        key ^= key >> 31
    word = (key + unit * 0x9E3779B9) & 0xFFFFFFFF
    word ^= word >> 16
    word = (word * 0x7FEB352D) & 0xFFFFFFFF
    word ^= word >> 15
    word ^= key >> 32
    return (word * 0x846CA68B) & 0xFFFFFFFF


def keeps(seed: int, layer: int, sample: int, epoch: int, unit: int, p: float) -> bool:
    """Return whether dropout keeps a unit: u >= p, where the word, read as signed, is u - 1/2."""
    word = hash_word(seed, layer, sample, epoch, unit)
    signed = word - 2**32 if word >= 2**31 else word
    return signed / 2**32 + 0.5 >= p


def dropout_factors(
    seed: int, epoch: int, layers: int, samples: int, units: int, p: float
) -> Floats:
    """Return what dropout multiplies hidden activations by in an epoch, `(L, N, H)`."""
    places = itertools.product(range(layers), range(samples), range(units))
    kept = [keeps(seed, layer, sample, epoch, unit, p) for layer, sample, unit in places]
    return np.reshape(kept, (layers, samples, units)) / (1 - p)


def forward(parameters: list[Floats], x: Floats, factors: Floats | None = None) -> list[Floats]:
    """Return the inputs of every layer and the outputs of one network, `(N, width)` each.

    What multiplies hidden activations multiplies the inputs of a linear model.
    """
    last = len(parameters) // 2 - 1
    activations = [x * factors[0] if last == 0 and factors is not None else x]
    for layer in range(last + 1):
        values = activations[-1] @ parameters[2 * layer].T + parameters[2 * layer + 1]
        if layer < last:
            values = np.maximum(values, 0)
            if factors is not None:
                values = values * factors[layer]
        activations.append(values)
    return activations


def loss_gradients(
    parameters: list[Floats], x: Floats, y: Floats, factors: Floats | None
) -> tuple[float, list[Floats]]:
    """Return the mean squared error of one network and its gradients."""
    activations = forward(parameters, x, factors)
    error = activations[-1] - y
    delta = 2 * error / len(y)
    gradients: list[Floats] = []
    for layer in reversed(range(len(parameters) // 2)):
        gradients[:0] = [delta.T @ activations[layer], delta.sum(axis=0)]
        if layer:
            delta = delta @ parameters[2 * layer]
            if factors is not None:
                delta = delta * factors[layer - 1]
            delta = delta * (activations[layer] > 0)
    return float(np.square(error).mean()), gradients


@dataclass(frozen=True)
class Strengths:
    """Of a sum of regularizers, by their commands' names; 0 is none."""

    wdecay: float = 0.0
    dropout: float = 0.0
    decoupled: float = 0.0
    l1: float = 0.0


@dataclass(frozen=True)
class Steps:
    """How a network is trained."""

    optimizer: str
    lr: float
    momentum: float


def train_by_numpy(
    parameters: list[Floats],
    x: Floats,
    y: Floats,
    seed: int,
    steps: Steps,
    strengths: Strengths,
) -> Iterator[tuple[float, list[Floats]]]:
    """Yield the loss before each step and the parameters after it, for ever.

    A step in the documented order: the gradient of loss and penalty, decoupled decay, the
    optimizer's step, and the proximal step of L1, whose cut SGD's momentum takes up.
    """
    lr, layers = steps.lr, len(parameters) // 2
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    noisy = max(layers - 1, 1), len(x), parameters[0].shape[0 if layers > 1 else 1]
    for epoch in itertools.count(1):
        factors = dropout_factors(seed, epoch, *noisy, strengths.dropout)
        loss, gradients = loss_gradients(parameters, x, y, factors)
        stepped = []
        for index, (theta, gradient) in enumerate(zip(parameters, gradients, strict=True)):
            total = gradient + strengths.wdecay * theta
            decayed = theta - lr * strengths.decoupled * theta
            if steps.optimizer == "adam":
                first[index] = 0.9 * first[index] + 0.1 * total
                second[index] = 0.999 * second[index] + 0.001 * total**2
                mean, square = first[index] / (1 - 0.9**epoch), second[index] / (1 - 0.999**epoch)
                moved = decayed - lr * mean / (np.sqrt(square) + 1e-8)
            else:
                first[index] = steps.momentum * first[index] + total
                moved = decayed - lr * first[index]
            proximal = np.sign(moved) * np.maximum(np.abs(moved) - lr * strengths.l1, 0)
            if steps.optimizer == "sgd":
                first[index] = first[index] + (moved - proximal) / lr
            stepped.append(proximal)
        parameters = stepped
        yield loss, parameters


def train_by_torch(
    seed: int, sizes: list[int], points: int, epochs: int, steps: Steps, strengths: Strengths
) -> list[Floats]:
    """Return the parameters of the article's second network, trained in float64 by torch alone.

    From one global stream of random numbers come the data, one network's weights, the other's, and
    then the masks of `nn.Dropout`. The order within a step is that of `train_by_numpy`.
    """

    def make_network() -> nn.Sequential:
        layers: list[nn.Module] = []
        for width, out in itertools.pairwise(sizes):
            layers += [nn.ReLU(), nn.Dropout(strengths.dropout)] if layers else []
            layers.append(nn.Linear(width, out))
        return nn.Sequential(*layers)

    with torch_threads(1), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        x = torch.linspace(-1, 1, points).unsqueeze(1)
        y = 1.5 * x + torch.normal(0.0, 0.5, x.shape)
        torch.normal(0.0, 0.3, x.shape)  # the test data
        make_network()
        network = make_network().double()
        optimizer: torch.optim.Optimizer
        if steps.optimizer == "adam":
            optimizer = torch.optim.Adam(
                network.parameters(), lr=steps.lr, weight_decay=strengths.wdecay
            )
        else:
            optimizer = torch.optim.SGD(
                network.parameters(),
                lr=steps.lr,
                momentum=steps.momentum,
                weight_decay=strengths.wdecay,
            )
        for _ in range(epochs):
            optimizer.zero_grad()
            nn.functional.mse_loss(network(x.double()), y.double()).backward()  # type: ignore[no-untyped-call]
            before = [parameter.detach().clone() for parameter in network.parameters()]
            optimizer.step()
            with torch.no_grad():
                for parameter, undecayed in zip(network.parameters(), before, strict=True):
                    parameter.sub_(steps.lr * strengths.decoupled * undecayed)
                    whole = parameter.clone()
                    parameter.copy_(nn.functional.softshrink(whole, steps.lr * strengths.l1))
                    if "momentum_buffer" in optimizer.state[parameter]:
                        buffer = optimizer.state[parameter]["momentum_buffer"]
                        buffer += (whole - parameter) / steps.lr
        return [parameter.detach().numpy() for parameter in network.parameters()]
