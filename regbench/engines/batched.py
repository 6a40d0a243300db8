"""All replicates of an arm stacked into one batch of networks, on the CPU or a GPU.

The gradient is written out by hand, so that it goes straight into the momentum buffer. Every arm
has operations of its own, so that its numbers never depend on which others there are. Serves every
regularizer through its hooks, and knows none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.optim.adam import adam

from regbench.analysis.history import Gathering, History
from regbench.engines.base import BETA_1, BETA_2, EPSILON, Listener, Record, draw_batch, torch_dtype
from regbench.engines.hooks import INPUTS, TARGETS, Hooks, Steps
from regbench.engines.machine import in_threads
from regbench.engines.model import Parameters, forward

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.analysis.history import Batch
    from regbench.settings.study import Training

CHUNK_REPLICATES = 16
"""Replicates that one CPU thread trains together."""
EPOCHS_PER_REPORT = 20
EAGER_EPOCHS = 3
"""Epochs that a GPU runs kernel by kernel before one is recorded, so that libraries are set up."""
Pass = tuple[list[Tensor], list[Tensor], Tensor]
"""One epoch of one arm: the results of `network.forward` and `backward`, and the targets."""


@dataclass(frozen=True)
class Stack:
    """The networks of one arm's R replicates, changed in place by training.

    **Shape:** `parameters`, `momenta` and `squares` (second moments, for Adam only): weights
    `(R, out, in)` and biases `(R, out)` in turn.
    """

    hooks: Hooks
    parameters: Parameters
    momenta: Parameters
    squares: Parameters


def train_batched(batch: Batch, device: torch.device, threads: int, listener: Listener) -> History:
    """Train a batch, on the CPU in chunks that do not depend on `threads`; see `base.Engine`."""
    gathering = Gathering(len(batch.arms), len(batch.seeds))

    def train(chunk: Batch, advance: Callable[[int], None], drawing: int = 1) -> None:
        replicate = chunk.first_replicate - batch.first_replicate
        for arm_index, history in enumerate(train_stacks(chunk, advance, device, drawing)):
            listener.finish([chunk.arms[arm_index]], chunk.seeds, history)
            gathering.add(history, arm_index, replicate)

    if device.type == "cuda":
        with torch.cuda.device(device):
            train(batch, listener.advance, threads)
    else:
        in_threads(train, batch.cut(CHUNK_REPLICATES), threads, listener.advance)
    return gathering.history(len(batch.seeds))


@torch.no_grad()  # what is recorded in inference mode can break later recordings outside it
def train_stacks(
    batch: Batch, advance: Callable[[int], None], device: torch.device, drawing: int = 1
) -> list[History]:
    """Return by arm what a batch gives, which so many threads draw, trained epoch by epoch."""
    study, dtype = batch.study, torch_dtype(batch.study)
    training = study.training
    drawn = draw_batch(batch, drawing)
    starts, rows = drawn.starts, drawn.y.shape[1]
    all_x = sent(drawn.all_x, device)
    x, y = all_x[:, :rows], torch.from_numpy(drawn.y).to(device)[..., None]
    shares = drawn.shares.to(device)[..., None]
    is_adam, stacks, steps = training.optimizer == "adam", list[Stack](), Steps(batch, device, rows)
    for arm_index, arm in enumerate(batch.arms):
        if stacks and study.pairing == "shared":
            parameters = [p.clone() for p in stacks[0].parameters]
        else:
            by_index = zip(*(start.parameters[arm_index] for start in starts), strict=True)
            parameters = [torch.stack(p).to(device, dtype) for p in by_index]
        momenta = [torch.zeros_like(p) for p in parameters]
        squares = [torch.zeros_like(p) for p in parameters] if is_adam else []
        stacks.append(Stack(Hooks(arm, steps), parameters, momenta, squares))
    del starts  # on a GPU, gigabytes here

    def step() -> list[Pass]:
        steps.advance()
        passes = []
        for stack, _ in running:
            seen = stack.hooks.perturb("perturb_inputs", INPUTS, x)
            targets = stack.hooks.perturb("perturb_targets", TARGETS, y)
            factors = stack.hooks.factor()
            activations = forward(stack.parameters, seen, factors)
            deltas = backward(stack.parameters, activations, targets, shares, factors)
            if stack.squares:
                update_by_adam_(stack, activations, deltas, training, steps.clock)
            else:
                update_by_sgd_(stack, activations, deltas, training)
            passes.append((activations, deltas, targets))
        return passes

    records = [Record(batch, drawn, slice(None), arm) for arm in batch.arms]
    counted = shares if drawn.is_padded else None
    running = list(zip(stacks, records, strict=True))
    for stack, record in running:
        measure(record, 0, stack, ([y], [], y), all_x, counted, batch.kept_index)
    graph, networks, marks = None, len(stacks) * len(batch.seeds), list[torch.cuda.Event]()
    for epoch in range(1, training.epochs + 1):
        if any(record.last < epoch for _, record in running):
            running = [(stack, record) for stack, record in running if record.last >= epoch]
            graph = None
        if any(epoch in record.epochs for _, record in running):
            for (stack, record), done in zip(running, step(), strict=True):
                if epoch in record.epochs:
                    measure(record, epoch, stack, done, all_x, counted, batch.kept_index)
        elif device.type != "cuda" or epoch <= EAGER_EPOCHS:
            step()
        else:
            if graph is None:  # an epoch's kernels, to be started at once; this runs none
                graph = torch.cuda.CUDAGraph()
                own = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # else the first device's
                with torch.cuda.graph(graph, stream=own, capture_error_mode="thread_local"):
                    step()
            graph.replay()
        if epoch % EPOCHS_PER_REPORT == 0:
            if device.type == "cuda":  # what was started may be far from done: wait for the last
                marks.append(torch.cuda.current_stream().record_event())
                if len(marks) > 1:
                    marks.pop(0).synchronize()
            advance(EPOCHS_PER_REPORT * networks)
    advance(training.epochs % EPOCHS_PER_REPORT * networks)
    return [record.history() for record in records]


def sent(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device; what replicates share is sent once."""
    if values.stride(0):
        return values.to(device)
    return values[:1].to(device).expand_as(values)


def backward(
    parameters: Parameters,
    activations: list[Tensor],
    y: Tensor,
    shares: Tensor,
    factors: Tensor | None,
) -> list[Tensor]:
    """Return the gradient of each network's loss by each layer's output before ReLU, `(R, N, out)`.

    Activations are what `network.forward` made of the rest; targets `y` are `(R, N, 1)`, and so is
    what each row counts in the loss.
    """
    deltas = [(activations[-1] - y) * (2 * shares)]
    for layer in range(len(activations) - 2, 0, -1):
        delta = torch.bmm(deltas[0], parameters[2 * layer])
        if factors is not None:
            delta *= factors[layer - 1]
        delta *= activations[layer].sign().abs_()  # 1 where the ReLU is active: exact and fast
        deltas.insert(0, delta)
    return deltas


def update_by_sgd_(
    stack: Stack, activations: list[Tensor], deltas: list[Tensor], training: Training
) -> None:
    """Take one step of SGD, as torch's: b ← μb + ∇loss + ∇penalty, θ ← θ - ηb; b is 0 at first."""
    hooks, momentum = stack.hooks, training.momentum
    for index, (parameter, buffer) in enumerate(zip(stack.parameters, stack.momenta, strict=True)):
        delta, layer_input = deltas[index // 2], activations[index // 2]
        if hooks.parts["change_gradient_"]:
            gradient = gradient_of(parameter, delta, layer_input)
            hooks.change_("change_gradient_", index, gradient, parameter)
            buffer.mul_(momentum).add_(gradient)
        elif index % 2:
            buffer.mul_(momentum).add_(delta.sum(1))
        else:
            buffer.baddbmm_(delta.mT, layer_input, beta=momentum)
        hooks.change_("add_penalty_gradient_", index, buffer, parameter)
        hooks.change_("before_step_", index, parameter)
        parameter.add_(buffer, alpha=-training.lr)
        hooks.change_("after_step_", index, parameter, buffer)


def update_by_adam_(
    stack: Stack,
    activations: list[Tensor],
    deltas: list[Tensor],
    training: Training,
    clock: Tensor,
) -> None:
    """Take one step of Adam (Kingma & Ba 2015, algorithm 1) by torch, with its defaults.

    The penalty's gradient is part of the gradient, as in `torch.optim.Adam(weight_decay=...)`.
    """
    gradients, hooks = list[Tensor](), stack.hooks
    for index, parameter in enumerate(stack.parameters):
        gradients.append(gradient_of(parameter, deltas[index // 2], activations[index // 2]))
        hooks.change_("change_gradient_", index, gradients[index], parameter)
        hooks.change_("add_penalty_gradient_", index, gradients[index], parameter)
        hooks.change_("before_step_", index, parameter)
    steps = [clock.float() - 1 for _ in gradients]  # torch counts this one
    adam(
        stack.parameters, gradients, stack.momenta, stack.squares, [], steps, fused=True,
        capturable=True, amsgrad=False, beta1=BETA_1, beta2=BETA_2, lr=training.lr,
        weight_decay=0.0, eps=EPSILON, maximize=False,
    )  # fmt: skip
    for index, parameter in enumerate(stack.parameters):
        hooks.change_("after_step_", index, parameter, None)


def gradient_of(parameter: Tensor, delta: Tensor, layer_input: Tensor) -> Tensor:
    """Return the gradient of the loss by weights `(R, out, in)` or biases `(R, out)`."""
    return torch.bmm(delta.mT, layer_input) if parameter.dim() == 3 else delta.sum(1)


def measure(
    record: Record,
    epoch: int,
    stack: Stack,
    done: Pass,
    all_x: Tensor,
    shares: Tensor | None,
    kept_index: int,
) -> None:
    """Put what an arm shows after an epoch on record; at epoch 0 nothing was passed back.

    `shares` are what rows count in the loss, where some are padding.
    """
    parameters, (activations, _, y) = stack.parameters, done
    errors = (activations[-1] - y).square()
    squares = torch.stack([p.double().square().flatten(1).sum(1) for p in parameters], dim=1)
    shown = (
        errors.mean(dim=(1, 2)) if shares is None else (errors * shares).sum(dim=(1, 2)),
        forward(parameters, all_x)[-1].squeeze(-1),
        torch.stack([(p == 0).flatten(1).sum(1) for p in parameters]).sum(0),
        squares.reshape(len(y), -1, 2),
    )
    record.add(epoch, tuple(values.cpu().numpy() for values in shown), parameters, kept_index)
