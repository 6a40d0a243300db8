"""The article's program: one network at a time, `nn.Module` and `torch.optim`, on the CPU.

This is the specification that the other engines are held against: short and slow. Dropout with
independent pairing is torch's own; all else is the regularizers' hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from regbench.analysis.history import Gathering, History
from regbench.engines.base import Listener, Record, draw_batch, torch_dtype
from regbench.engines.hooks import INPUTS, TARGETS, Hooks, Steps
from regbench.regularizers.noise import Dropout

if TYPE_CHECKING:
    from regbench.analysis.history import Batch
    from regbench.engines.model import Parameters
    from regbench.regularizers import Regularizer
    from regbench.settings.study import Study, Training

EPOCHS_PER_REPORT = 50


def train_reference(
    batch: Batch, device: torch.device, threads: int, listener: Listener
) -> History:
    """Train a batch, on the CPU with one thread; see `engines.base.Engine`."""
    gathering = Gathering(len(batch.arms), len(batch.seeds))
    for replicate, alone in enumerate(batch.cut(1)):
        for arm_index, history in enumerate(train_replicate(alone, device, listener)):
            gathering.add(history, arm_index, replicate)
    return gathering.history(len(batch.seeds))


def train_replicate(batch: Batch, device: torch.device, listener: Listener) -> list[History]:
    """Train the arms of a batch of one replicate, one after the other."""
    training, histories, drawn = batch.study.training, list[History](), draw_batch(batch)
    (rows,), (start,), all_x = drawn.counts, drawn.starts, drawn.all_x[0]
    x, y = drawn.x[0, :rows], torch.from_numpy(drawn.y[0, :rows, None])
    loss_function = nn.MSELoss()
    for arm_index, arm in enumerate(batch.arms):
        hooks, record = Hooks(arm, Steps(batch, device, rows)), Record(batch, drawn, slice(1), arm)
        network = build_network(batch.study, start.parameters[arm_index], hooks)
        optimizer = make_optimizer(training, network)
        measure(record, 0, network, 0.0, all_x)
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(start.generator_states[arm_index])
            for epoch in range(1, record.last + 1):
                hooks.steps.advance()
                seen = hooks.perturb("perturb_inputs", INPUTS, x[None])[0]
                targets = hooks.perturb("perturb_targets", TARGETS, y[None])[0]
                loss = loss_function(network(seen), targets)
                optimizer.zero_grad()
                loss.backward()
                before_step_(hooks, network)
                optimizer.step()
                after_step_(hooks, network, optimizer)
                if epoch in record.epochs:
                    measure(record, epoch, network, loss.item(), all_x)
                if epoch % EPOCHS_PER_REPORT == 0:
                    listener.advance(EPOCHS_PER_REPORT)
        histories.append(record.history())
        listener.finish([arm], batch.seeds, histories[-1])
        listener.advance(training.epochs - record.last // EPOCHS_PER_REPORT * EPOCHS_PER_REPORT)
    return histories


def make_optimizer(training: Training, network: nn.Module) -> torch.optim.Optimizer:
    """Return torch's optimizer of a network."""
    if training.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), training.lr)
    return torch.optim.SGD(network.parameters(), training.lr, training.momentum)


@torch.no_grad()
def before_step_(hooks: Hooks, network: nn.Module) -> None:
    """Let the hooks change copies of the gradients, and then the parameters."""
    for index, parameter in enumerate(network.parameters()):
        assert parameter.grad is not None
        parameter.grad = parameter.grad.clone()
        for hook in ("change_gradient_", "add_penalty_gradient_"):
            hooks.change_(hook, index, parameter.grad[None], parameter[None])
        hooks.change_("before_step_", index, parameter[None])


@torch.no_grad()
def after_step_(hooks: Hooks, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Let the hooks change the parameters, and SGD's momentum where there is one, after a step."""
    for index, parameter in enumerate(network.parameters()):
        buffer = optimizer.state[parameter].get("momentum_buffer")
        momentum = None if buffer is None else buffer[None]
        hooks.change_("after_step_", index, parameter[None], momentum)


def build_network(
    study: Study, parameters: Parameters, hooks: Hooks | None = None
) -> nn.Sequential:
    """Return a network with these parameters; without hooks, the layers alone.

    What multiplies hidden activations stands before every layer but the first, or before the only
    one. With independent pairing dropout is torch's own and goes on with the random numbers after
    the arm's weights, as in the article; otherwise its masks are those of the other engines.
    """
    layers, factors = list[nn.Module](), hooks.parts["factor"] if hooks else ()
    for layer, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        if layer > 0:
            layers.append(nn.ReLU())
        for part in factors if layer > 0 or study.network.depth == 0 else ():
            if study.pairing == "independent" and isinstance(part, Dropout):
                layers.append(nn.Dropout(part.strength))
            elif hooks:
                layers.append(Noisy(part, hooks, max(layer - 1, 0)))
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # draws nothing
        linear.weight = nn.Parameter(weight.to(torch_dtype(study), copy=True))
        linear.bias = nn.Parameter(bias.to(torch_dtype(study), copy=True))
        layers.append(linear)
    return nn.Sequential(*layers)


class Noisy(nn.Module):
    """A regularizer's `factor` of a layer, in training mode."""

    def __init__(self, regularizer: Regularizer, hooks: Hooks, layer: int) -> None:
        super().__init__()
        self.regularizer, self.hooks, self.layer = regularizer, hooks, layer

    def forward(self, values: Tensor) -> Tensor:
        """Return activations `(N, H)`, multiplied in training mode."""
        if not self.training:
            return values
        factor = self.hooks.factor_of(self.regularizer)
        return values if factor is None else values * factor[self.layer, 0]


@torch.no_grad()
def measure(record: Record, epoch: int, network: nn.Module, loss: float, all_x: Tensor) -> None:
    """Put what a network shows in evaluation mode on record."""
    network.eval()
    parameters = [parameter.detach().numpy() for parameter in network.parameters()]
    record.add_network(epoch, loss, network(all_x)[:, 0].numpy(), parameters)
    network.train()
