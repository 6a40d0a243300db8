"""All replicates of an arm stacked into one batch of networks, on the CPU or a GPU.

The gradient is written out by hand, so that it goes straight into the momentum buffer. Every arm
has operations of its own, so that what it gives never depends on which others there are. Serves
every regularizer through its hooks, and knows none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from regbench.analysis.history import Array, History, concatenate
from regbench.engines.base import Measurement, assemble, draw_starts, gather_data, torch_dtype
from regbench.engines.threads import in_threads
from regbench.model.network import Parameters, forward
from regbench.model.randomness import Noise, noise_keys
from regbench.model.task import expand

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from regbench.analysis.batch import Batch
    from regbench.engines.base import Listener
    from regbench.regularizers import Arm

CHUNK_REPLICATES = 16
"""Replicates that one CPU thread trains together."""
EPOCHS_PER_REPORT = 20
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's decay of the first and the second moment, and what is added to the denominator."""
EAGER_EPOCHS = 3
"""On a GPU, epochs that run kernel by kernel before one is recorded: libraries set up first."""


@dataclass(frozen=True)
class Stack:
    """The networks of one arm's R replicates, changed in place by training.

    **Shape:** `parameters`, `momenta` and `squares` (second moments, for Adam only): weights
    `(R, out, in)` and biases `(R, out)` in turn.
    """

    arm: Arm
    parameters: Parameters
    momenta: Parameters
    squares: Parameters


def train_batched(batch: Batch, device: torch.device, threads: int, listener: Listener) -> History:
    """Train a batch; see `engines.base.Engine`.

    On the CPU, chunks of replicates are trained by one thread each; the chunks, and with them the
    numbers, do not depend on how many threads there are.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            return train_stacks(batch, listener.advance, device)
    train = partial(train_stacks, device=device)
    chunks = batch.cut(CHUNK_REPLICATES)
    return concatenate(in_threads(train, chunks, threads, listener.advance))


@dataclass(frozen=True)
class Points:
    """The batch's data on the device: inputs `(R, N, D)` and so on, targets `(R, N, 1)`."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    grid_x: Tensor


@dataclass(frozen=True)
class Pass:
    """What one epoch of one arm computed; see `network.forward` and `backward`."""

    activations: list[Tensor]
    deltas: list[Tensor]


@torch.inference_mode()
def train_stacks(batch: Batch, advance: Callable[[int], None], device: torch.device) -> History:
    """Train the replicates of a batch together, epoch by epoch."""
    study, dtype = batch.study, torch_dtype(batch.study)
    network, training = study.network, study.training
    starts = draw_starts(batch)
    data = gather_data(study, [start.data for start in starts])

    def on_device(values: Array, features: int = 1) -> Tensor:
        tensor = torch.from_numpy(values).to(device).unsqueeze(-1)
        return expand(tensor, features).expand(len(starts), -1, -1)

    points = Points(
        on_device(data.train_x, network.input_size),
        on_device(data.train_y),
        on_device(data.test_x, network.input_size),
        on_device(data.test_y),
        on_device(data.grid_x, network.input_size),
    )
    stacks = []
    for arm_index, arm in enumerate(batch.arms):
        drawn = zip(*(start.parameters[arm_index] for start in starts), strict=True)
        parameters = [torch.stack(p).to(device, dtype) for p in drawn]
        momenta = [torch.zeros_like(p) for p in parameters]
        is_adam = training.optimizer == "adam"
        squares = [torch.zeros_like(p) for p in parameters] if is_adam else []
        stacks.append(Stack(arm, parameters, momenta, squares))

    seeds = torch.tensor(batch.noise_seeds, device=device)
    streams = {part.stream for arm in batch.arms for part in arm.parts if part.acts_on_hidden}
    layers, units = len(network.noisy_sizes), network.noisy_sizes[0]
    keys = {stream: noise_keys(seeds, layers, study.task.points, stream) for stream in streams}
    clock = torch.zeros((), dtype=torch.int64, device=device)

    def step() -> list[Pass]:
        clock.add_(1)
        noises = {stream: Noise(keys[stream], clock, units, dtype) for stream in streams}
        passes = []
        for stack in stacks:
            factors = stack.arm.factor(noises.__getitem__)
            activations = forward(stack.parameters, points.train_x, factors)
            deltas = backward(stack.parameters, activations, points.train_y, factors)
            if stack.squares:
                update_by_adam_(stack, activations, deltas, training.lr, clock)
            else:
                update_by_sgd_(stack, activations, deltas, training.lr, training.momentum)
            passes.append(Pass(activations, deltas))
        return passes

    replay = None
    logged = set(training.logged_epochs)
    measurements = []
    networks = len(stacks) * len(starts)
    for epoch in range(1, training.epochs + 1):
        if epoch in logged:
            passes = step()
            measurements.append(
                [
                    measure(batch, points, stack, done)
                    for stack, done in zip(stacks, passes, strict=True)
                ]
            )
        elif device.type != "cuda" or epoch <= EAGER_EPOCHS:
            step()
        else:
            replay = replay or capture(step)
            replay()
        if epoch % EPOCHS_PER_REPORT == 0:
            advance(EPOCHS_PER_REPORT * networks)
    advance(training.epochs % EPOCHS_PER_REPORT * networks)
    return assemble(data, training.logged_epochs, measurements)


def capture(step: Callable[[], list[Pass]]) -> Callable[[], None]:
    """Record an epoch as a CUDA graph, without running it, and return what runs it.

    A replay starts all of the epoch's kernels at once: a few microseconds on the host instead of
    some for each kernel. Nothing in an epoch waits for the device.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


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


def update_by_sgd_(
    stack: Stack, activations: list[Tensor], deltas: list[Tensor], lr: float, momentum: float
) -> None:
    """Take one step of SGD: b ← μb + ∇loss + ∇penalty, θ ← θ - ηb (as `torch.optim.SGD`).

    The buffers start at 0, so that the first step is undamped.
    """
    for layer, delta in enumerate(deltas):
        stack.momenta[2 * layer].baddbmm_(delta.mT, activations[layer], beta=momentum)
        stack.momenta[2 * layer + 1].mul_(momentum).add_(delta.sum(1))
    for index, (parameter, buffer) in enumerate(zip(stack.parameters, stack.momenta, strict=True)):
        is_bias = index % 2 == 1
        stack.arm.add_penalty_gradient_(buffer, parameter, is_bias)
        parameter.add_(buffer, alpha=-lr)
        stack.arm.after_step_(parameter, buffer, lr, is_bias)


def update_by_adam_(
    stack: Stack, activations: list[Tensor], deltas: list[Tensor], lr: float, clock: Tensor
) -> None:
    """Take one step of Adam (Kingma & Ba 2015, algorithm 1), with torch's defaults.

    The penalty's gradient is part of the gradient, as in `torch.optim.Adam(weight_decay=...)`.
    The corrections of the moments come from the epoch on the device, `clock`, in float64 as torch's
    do: in float32, 1 - 0.999 would be off by 1e-5 of itself.
    """
    time = clock.double()
    first, second = 1 - BETA_1**time, (1 - BETA_2**time).sqrt()
    for index, (parameter, momentum, square) in enumerate(
        zip(stack.parameters, stack.momenta, stack.squares, strict=True)
    ):
        delta, is_bias = deltas[index // 2], index % 2 == 1
        gradient = delta.sum(1) if is_bias else torch.bmm(delta.mT, activations[index // 2])
        stack.arm.add_penalty_gradient_(gradient, parameter, is_bias)
        momentum.lerp_(gradient, 1 - BETA_1)
        square.mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        scale = square.sqrt().div_(second).add_(EPSILON)
        parameter.sub_(momentum.div(scale).mul_(lr / first))
        stack.arm.after_step_(parameter, None, lr, is_bias)


def measure(batch: Batch, points: Points, stack: Stack, done: Pass) -> Measurement:
    """Return what an arm shows after an epoch; see `engines.base.Measurement`."""
    parameters = stack.parameters
    predictions = forward(parameters, points.test_x)[-1]
    theta = torch.cat([parameter.flatten(1) for parameter in parameters], dim=1)
    fitted_count = batch.fitted_count
    fitted = [parameter[:fitted_count] for parameter in parameters]
    measurement = {
        "train_loss": mean_squared_error(done.activations[-1], points.train_y),
        "train_loss_eval": mean_squared_error(
            forward(parameters, points.train_x)[-1], points.train_y
        ),
        "test_loss": mean_squared_error(predictions, points.test_y),
        "predictions": predictions.squeeze(-1),
        "fits": forward(fitted, points.grid_x[:fitted_count])[-1].squeeze(-1),
        "weight_norm": theta.norm(dim=1),
        "zero_share": (theta == 0).to(theta.dtype).mean(dim=1),
    }
    if batch.has_snapshots:
        gradients = [
            gradient
            for delta, layer_input in zip(done.deltas, done.activations, strict=False)
            for gradient in (delta[0].mT @ layer_input[0], delta[0].sum(0))
        ]
        for name, parameter, gradient in zip(
            batch.study.network.parameter_names, parameters, gradients, strict=True
        ):
            measurement[f"parameters/{name}"] = parameter[0].clone()
            measurement[f"gradients/{name}"] = gradient
    return measurement


def mean_squared_error(predictions: Tensor, y: Tensor) -> Tensor:
    """Return the mean over points of the squared error: `(R, N, 1)` twice to `(R,)`."""
    return (predictions - y).square().mean(dim=(1, 2))
