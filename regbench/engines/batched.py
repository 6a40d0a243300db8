"""All replicates of an arm stacked into one batch of networks, on the CPU or a GPU.

The gradient is written out by hand, so that it goes straight into the momentum buffer. Every arm
has operations of its own, so that what it gives never depends on which others there are. Serves
every regularizer through its hooks, and knows none of them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from regbench.engines.base import Block, Measurement, assemble, draw_start, gather_data
from regbench.engines.threads import in_threads
from regbench.history import FITTED_REPLICATES, History, concatenate
from regbench.network import Parameters, forward
from regbench.randomness import layer_noise, noise_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from regbench.regularizers import Regularizer

CHUNK_REPLICATES = 16
"""Replicates that one CPU thread trains together."""
EPOCHS_PER_REPORT = 20


@dataclass(frozen=True)
class Stack:
    """The networks of one arm's R replicates, changed in place by training.

    **Shape:** `parameters` and `momenta`: weights `(R, out, in)` and biases `(R, out)` in turn.
    """

    arm: Regularizer
    parameters: Parameters
    momenta: Parameters


def train_batched(block: Block, advance: Callable[[int], None]) -> History:
    """Train a block; see `engines.base.Engine`.

    On the CPU, chunks of replicates are trained by one thread each, as many at once as there are
    cores; the chunks, and with them the numbers, do not depend on the number of cores.
    """
    if block.device.type == "cuda":
        return train_stacks(block, advance)
    seeds = block.seeds
    chunks = [
        dataclasses.replace(block, seeds=seeds[first : first + CHUNK_REPLICATES])
        for first in range(0, len(seeds), CHUNK_REPLICATES)
    ]
    return concatenate(in_threads(train_stacks, chunks, advance))


@torch.inference_mode()
def train_stacks(block: Block, advance: Callable[[int], None]) -> History:
    """Train the replicates of a block together, epoch by epoch."""
    settings = block.settings
    starts = [draw_start(settings, seed) for seed in block.seeds]
    data = gather_data(settings, [start.data for start in starts], block.dtype)
    train_x, train_y, test_x, test_y, grid_x = (
        torch.from_numpy(values).to(block.device).expand(len(starts), -1).unsqueeze(-1)
        for values in (data.train_x, data.train_y, data.test_x, data.test_y, data.grid_x)
    )
    stacks = []
    for index, arm in enumerate(block.arms):
        drawn = zip(*(start.parameters[index] for start in starts), strict=True)
        parameters = [torch.stack(p).to(block.device, block.dtype) for p in drawn]
        stacks.append(Stack(arm, parameters, [torch.zeros_like(p) for p in parameters]))

    seeds = torch.tensor(block.seeds, device=block.device)
    keys = noise_keys(seeds, settings.depth, settings.points)
    epoch_on_device = torch.zeros((), dtype=torch.int64, device=block.device)
    is_noisy = settings.depth > 0 and any(arm.strength and arm.acts_on_hidden for arm in block.arms)

    names = settings.parameter_names
    logged = set(settings.logged_epochs)
    measurements: list[list[Measurement]] = []
    networks = len(stacks) * len(starts)
    for epoch in range(1, settings.epochs + 1):
        epoch_on_device += 1
        noise = layer_noise(keys, epoch_on_device, settings.hidden) if is_noisy else None
        measured = []
        for stack in stacks:
            factors = None
            if noise is not None and stack.arm.strength:
                factors = stack.arm.hidden_factor(noise, block.dtype)
            activations = forward(stack.parameters, train_x, factors)
            deltas = backward(stack.parameters, activations, train_y, factors)
            update_(stack, activations, deltas, settings.lr, settings.momentum)
            if epoch in logged:
                gradients = first_gradients(activations, deltas)
                measured.append(
                    {
                        "train_loss": mean_squared_error(activations[-1], train_y),
                        **evaluate(stack.parameters, train_x, train_y, test_x, test_y, grid_x),
                        **{
                            f"parameters/{name}": parameter[0].clone()
                            for name, parameter in zip(names, stack.parameters, strict=True)
                        },
                        **{
                            f"gradients/{name}": gradient
                            for name, gradient in zip(names, gradients, strict=True)
                        },
                    }
                )
        if measured:
            measurements.append(measured)
        if epoch % EPOCHS_PER_REPORT == 0:
            advance(EPOCHS_PER_REPORT * networks)
    advance(settings.epochs % EPOCHS_PER_REPORT * networks)
    return assemble(data, settings.logged_epochs, measurements)


def backward(
    parameters: Parameters, activations: list[Tensor], y: Tensor, factors: Tensor | None
) -> list[Tensor]:
    """Return the gradient of each network's loss by each layer's output before the ReLU.

    Args:
        parameters: Weights `(R, out, in)` and biases `(R, out)` in turn.
        activations: From `network.forward`.
        y: Targets `(R, N, 1)`.
        factors: What multiplied the hidden activations, `(L, R, N, H)`, or None.

    Returns:
        A tensor `(R, N, out)` for each layer.
    """
    deltas = [(activations[-1] - y) * (2 / y.shape[1])]
    for layer in range(len(activations) - 2, 0, -1):
        delta = torch.bmm(deltas[0], parameters[2 * layer])
        if factors is not None:
            delta *= factors[layer - 1]
        delta *= activations[layer].sign().abs_()  # 1 where the ReLU is active: exact and fast
        deltas.insert(0, delta)
    return deltas


def update_(
    stack: Stack, activations: list[Tensor], deltas: list[Tensor], lr: float, momentum: float
) -> None:
    """Take one step of SGD: b ← μb + ∇loss + ∇penalty, θ ← θ - ηb (as `torch.optim.SGD`).

    The buffers start at 0, so that the first step is undamped.
    """
    for layer, delta in enumerate(deltas):
        stack.momenta[2 * layer].baddbmm_(delta.mT, activations[layer], beta=momentum)
        stack.momenta[2 * layer + 1].mul_(momentum).add_(delta.sum(1))
    for parameter, buffer in zip(stack.parameters, stack.momenta, strict=True):
        if stack.arm.strength:
            stack.arm.add_penalty_gradient_(buffer, parameter)
        parameter.add_(buffer, alpha=-lr)


def first_gradients(activations: list[Tensor], deltas: list[Tensor]) -> Parameters:
    """Return the gradient of the first network's loss by its parameters."""
    return [
        gradient
        for delta, layer_input in zip(deltas, activations, strict=False)
        for gradient in (delta[0].mT @ layer_input[0], delta[0].sum(0))
    ]


def evaluate(
    parameters: Parameters,
    train_x: Tensor,
    train_y: Tensor,
    test_x: Tensor,
    test_y: Tensor,
    grid_x: Tensor,
) -> Measurement:
    """Return what R networks show in evaluation mode."""
    fitted = [parameter[:FITTED_REPLICATES] for parameter in parameters]
    predictions = forward(parameters, test_x)[-1]
    return {
        "train_loss_eval": mean_squared_error(forward(parameters, train_x)[-1], train_y),
        "test_loss": mean_squared_error(predictions, test_y),
        "predictions": predictions.squeeze(-1),
        "fits": forward(fitted, grid_x[:FITTED_REPLICATES])[-1].squeeze(-1),
        "weight_norm": torch.cat([p.flatten(1) for p in parameters], dim=1).norm(dim=1),
    }


def mean_squared_error(predictions: Tensor, y: Tensor) -> Tensor:
    """Return the mean over points of the squared error: `(R, N, 1)` twice to `(R,)`."""
    return (predictions - y).square().mean(dim=(1, 2))
