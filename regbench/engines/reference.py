"""The article's program: one network at a time, `nn.Module` and `torch.optim`, on the CPU.

This is the specification that the other engines are held against: short and slow. Weight decay is
torch's own, and dropout with independent pairing; all else is the regularizer's hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from regbench.analysis.history import History, concatenate
from regbench.engines.base import (
    Measurement,
    Start,
    assemble,
    draw_starts,
    gather_data,
    torch_dtype,
)
from regbench.engines.threads import one_thread_each
from regbench.model.randomness import Noise, noise_keys
from regbench.model.task import expand
from regbench.regularizers import Arm
from regbench.regularizers.dropout import Dropout
from regbench.regularizers.weight_decay import WeightDecay

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from regbench.analysis.batch import Batch
    from regbench.engines.base import Listener
    from regbench.regularizers import Regularizer
    from regbench.settings.study import Training

EPOCHS_PER_REPORT = 50


def train_reference(
    batch: Batch, device: torch.device, threads: int, listener: Listener
) -> History:
    """Train a batch, on the CPU with one thread; see `engines.base.Engine`."""
    del device, threads
    with one_thread_each():
        return concatenate([train_replicate(alone, listener.advance) for alone in batch.cut(1)])


def train_replicate(batch: Batch, advance: Callable[[int], None]) -> History:
    """Train all arms of a batch of one replicate, one after the other."""
    network_settings, training = batch.study.network, batch.study.training
    (start,) = draw_starts(batch)
    data = gather_data(batch.study, [start.data])
    x, test_x, grid_x = (
        expand(torch.from_numpy(values).reshape(-1, 1), network_settings.input_size)
        for values in (data.train_x, data.test_x, data.grid_x)
    )
    y, test_y = (torch.from_numpy(values).reshape(-1, 1) for values in (data.train_y, data.test_y))
    loss_function = nn.MSELoss()
    names = network_settings.parameter_names if batch.has_snapshots else []
    logged = set(training.logged_epochs)
    by_arm: list[list[Measurement]] = []
    for arm_index, arm in enumerate(batch.arms):
        network = build_network(batch, start, arm_index)
        optimizer = make_optimizer(training, arm, network)
        by_arm.append([])
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(start.generator_states[arm_index])
            for epoch in range(1, training.epochs + 1):
                loss = loss_function(network(x), y)
                optimizer.zero_grad()
                loss.backward()
                gradients = [parameter.grad for parameter in network.parameters()]
                add_penalty_gradient_(arm, network)
                optimizer.step()
                after_step_(arm, network, optimizer, training.lr)
                if epoch in logged:
                    network.eval()
                    with torch.no_grad():
                        by_arm[-1].append(
                            {"train_loss": loss.detach()[None]}
                            | evaluate(network, x, y, test_x, test_y)
                            | {"fits": network(grid_x).mT[: batch.fitted_count]}
                            | snapshot(network, gradients, names)
                        )
                    network.train()
                if epoch % EPOCHS_PER_REPORT == 0:
                    advance(EPOCHS_PER_REPORT)
        advance(training.epochs % EPOCHS_PER_REPORT)
    by_epoch = [list(arms) for arms in zip(*by_arm, strict=True)]
    return assemble(data, training.logged_epochs, by_epoch)


def make_optimizer(training: Training, arm: Arm, network: nn.Module) -> torch.optim.Optimizer:
    """Return torch's optimizer of a network, with the arm's weight decay in it."""
    weight_decay = sum(part.strength for part in arm.parts if isinstance(part, WeightDecay))
    if training.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=training.lr, weight_decay=weight_decay)
    return torch.optim.SGD(
        network.parameters(),
        lr=training.lr,
        momentum=training.momentum,
        weight_decay=weight_decay,
    )


@torch.no_grad()
def add_penalty_gradient_(arm: Arm, network: nn.Module) -> None:
    """Put gradients with the arm's penalties, but for torch's own, in the loss's own's place."""
    others = Arm(tuple(part for part in arm.active if not isinstance(part, WeightDecay)))
    for index, parameter in enumerate(network.parameters() if others.parts else ()):
        assert parameter.grad is not None
        gradient = parameter.grad.clone()
        others.add_penalty_gradient_(gradient[None], parameter[None], index % 2 == 1)
        parameter.grad = gradient


@torch.no_grad()
def after_step_(arm: Arm, network: nn.Module, optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Let the arm change the parameters, and SGD's momentum where there is one, after a step."""
    for index, parameter in enumerate(network.parameters() if arm.active else ()):
        buffer = optimizer.state[parameter].get("momentum_buffer")
        momentum = None if buffer is None else buffer[None]
        arm.after_step_(parameter[None], momentum, lr, index % 2 == 1)


def build_network(batch: Batch, start: Start, arm_index: int) -> nn.Sequential:
    """Return the network of one arm of a replicate, with its initial parameters.

    What multiplies hidden activations stands before every layer but the first, or before the only
    one. With independent pairing dropout is torch's own and goes on with the random numbers after
    the arm's weights, as in the article; with shared pairing its masks are those of the other
    engines.
    """
    arm = batch.arms[arm_index]
    parameters, dtype = start.parameters[arm_index], torch_dtype(batch.study)
    layers: list[nn.Module] = []
    for layer, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        if layer > 0:
            layers.append(nn.ReLU())
        if layer > 0 or batch.study.network.depth == 0:
            layers.extend(factor_layers(batch, arm, max(layer - 1, 0)))
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # draws nothing
        linear.weight = nn.Parameter(weight.to(dtype, copy=True))
        linear.bias = nn.Parameter(bias.to(dtype, copy=True))
        layers.append(linear)
    return nn.Sequential(*layers)


def factor_layers(batch: Batch, arm: Arm, layer: int) -> list[nn.Module]:
    """Return what multiplies a layer of activations in training, one module after the other."""
    is_torch_s = batch.study.pairing == "independent"
    return [
        nn.Dropout(part.strength)
        if is_torch_s and isinstance(part, Dropout)
        else HiddenFactor(part, batch.noise_seeds[0], layer)
        for part in arm.parts
        if part.acts_on_hidden
    ]


class HiddenFactor(nn.Module):
    """A regularizer's `factor`, from noise by seed, layer, sample, unit and epoch.

    The epoch is the number of forward passes in training mode.
    """

    def __init__(self, regularizer: Regularizer, seed: int, layer: int) -> None:
        super().__init__()
        self.regularizer = regularizer
        self.seed = seed
        self.layer = layer
        self.epoch = torch.tensor(0)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return hidden activations `(N, H)`, multiplied in training mode."""
        if not self.training:
            return hidden
        self.epoch += 1
        samples, units = hidden.shape
        stream = self.regularizer.stream
        keys = noise_keys(torch.tensor([self.seed]), self.layer + 1, samples, stream)[self.layer :]
        factor = self.regularizer.factor(Noise(keys, self.epoch, units, hidden.dtype))
        return hidden if factor is None else hidden * factor[0, 0]


def evaluate(
    network: nn.Module, x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor
) -> Measurement:
    """Return what one network shows in evaluation mode, as R = 1 replicates."""
    predictions = network(test_x)
    theta = nn.utils.parameters_to_vector(network.parameters())
    return {
        "train_loss_eval": nn.functional.mse_loss(network(x), y)[None],
        "test_loss": nn.functional.mse_loss(predictions, test_y)[None],
        "predictions": predictions.mT,
        "weight_norm": theta.norm()[None],
        "zero_share": (theta == 0).to(theta.dtype).mean()[None],
    }


def snapshot(network: nn.Module, gradients: list[Tensor | None], names: list[str]) -> Measurement:
    """Return copies of the parameters and the loss's gradients."""
    copies: Measurement = {}
    for name, parameter, gradient in zip(names, network.parameters(), gradients, strict=False):
        copies[f"parameters/{name}"] = parameter.detach().clone()
        assert gradient is not None
        copies[f"gradients/{name}"] = gradient.clone()
    return copies
