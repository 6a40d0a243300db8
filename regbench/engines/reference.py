"""The article's program: one network at a time, `nn.Module` and `torch.optim`, on the CPU.

This is the specification that the other engines are held against: short and slow. Weight decay is
torch's own, and dropout with independent pairing; all else is the regularizer's hooks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from regbench.analysis.history import History, join
from regbench.engines.base import Listener, Record, Start, draw_batch, torch_dtype
from regbench.model.randomness import Noise, noise_keys
from regbench.regularizers import Arm, Regularizer
from regbench.regularizers.dropout import Dropout
from regbench.regularizers.weight_decay import WeightDecay

if TYPE_CHECKING:
    from regbench.analysis.batch import Batch
    from regbench.settings.study import Training

EPOCHS_PER_REPORT = 50


def train_reference(
    batch: Batch, device: torch.device, threads: int, listener: Listener
) -> History:
    """Train a batch, on the CPU with one thread; see `engines.base.Engine`."""
    return join([train_replicate(alone, listener) for alone in batch.cut(1)], "R")


def train_replicate(batch: Batch, listener: Listener) -> History:
    """Train all arms of a batch of one replicate, one after the other."""
    training, histories = batch.study.training, []
    (start,), data, (x, all_x) = draw_batch(batch)
    y = torch.from_numpy(data["train_y"]).reshape(-1, 1)
    loss_function = nn.MSELoss()
    for arm_index, arm in enumerate(batch.arms):
        network, record = build_network(batch, start, arm_index), Record(batch, data, slice(1), arm)
        optimizer = make_optimizer(training, arm, network)
        measure(record, 0, network, 0.0, all_x, [])
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(start.generator_states[arm_index])
            for epoch in range(1, record.last + 1):
                loss = loss_function(network(x), y)
                optimizer.zero_grad()
                loss.backward()
                gradients = [parameter.grad for parameter in network.parameters()]
                add_penalty_gradient_(arm, network)
                optimizer.step()
                after_step_(arm, network, optimizer, training.lr)
                if epoch in record.epochs:
                    measure(record, epoch, network, loss.item(), all_x, gradients)
                if epoch % EPOCHS_PER_REPORT == 0:
                    listener.advance(EPOCHS_PER_REPORT)
        histories.append(record.history())
        listener.finish([arm], batch.seeds, histories[-1])
        listener.advance(training.epochs - record.last // EPOCHS_PER_REPORT * EPOCHS_PER_REPORT)
    return join(histories, "A")


def make_optimizer(training: Training, arm: Arm, network: nn.Module) -> torch.optim.Optimizer:
    """Return torch's optimizer of a network, with the arm's weight decay in it."""
    weight_decay = sum(part.strength for part in arm.parts if isinstance(part, WeightDecay))
    parameters, lr = network.parameters(), training.lr
    if training.optimizer == "adam":
        return torch.optim.Adam(parameters, lr, weight_decay=weight_decay)
    return torch.optim.SGD(parameters, lr, training.momentum, weight_decay=weight_decay)


@torch.no_grad()
def add_penalty_gradient_(arm: Arm, network: nn.Module) -> None:
    """Put gradients with the arm's penalties, but for torch's own, in the loss's own's place."""
    others = Arm(tuple(part for part in arm.active if not isinstance(part, WeightDecay)))
    for index, parameter in enumerate(network.parameters() if others.parts else ()):
        assert parameter.grad is not None
        parameter.grad = parameter.grad.clone()
        others.add_penalty_gradient_(parameter.grad[None], parameter[None], index % 2 == 1)


@torch.no_grad()
def after_step_(arm: Arm, network: nn.Module, optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Let the arm change the parameters, and SGD's momentum where there is one, after a step."""
    for index, parameter in enumerate(network.parameters() if arm.active else ()):
        buffer = optimizer.state[parameter].get("momentum_buffer")
        momentum = None if buffer is None else buffer[None]
        arm.after_step_(parameter[None], momentum, lr, index % 2 == 1)


def build_network(batch: Batch, start: Start, arm_index: int) -> nn.Sequential:
    """Return the network of one arm of a replicate, with its initial parameters.

    What perturbs the inputs stands first. What multiplies hidden activations stands before every
    layer but the first, or before the only one. With independent pairing dropout is torch's own and
    goes on with the random numbers after the arm's weights, as in the article; otherwise its masks
    are those of the other engines.
    """
    study, parameters = batch.study, start.parameters[arm_index]
    parts, seed, depth = batch.arms[arm_index].parts, batch.noise_seeds[0], study.network.depth
    noisy = [part for part in parts if part.acts_on_hidden]
    own = max(depth, 1)  # the inputs come after the layers of `factor`
    layers: list[nn.Module] = [Noisy(p, seed, own) for p in parts if p.acts_on_inputs]
    for layer, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        if layer > 0:
            layers.append(nn.ReLU())
        for part in noisy if layer > 0 or depth == 0 else ():
            if study.pairing == "independent" and isinstance(part, Dropout):
                layers.append(nn.Dropout(part.strength))
            else:
                layers.append(Noisy(part, seed, max(layer - 1, 0), is_factor=True))
        linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")  # draws nothing
        linear.weight = nn.Parameter(weight.to(torch_dtype(study), copy=True))
        linear.bias = nn.Parameter(bias.to(torch_dtype(study), copy=True))
        layers.append(linear)
    return nn.Sequential(*layers)


class Noisy(nn.Module):
    """A regularizer's `factor` of a layer, or what it makes of the inputs.

    The epoch is the number of forward passes in training mode.
    """

    def __init__(
        self, regularizer: Regularizer, seed: int, layer: int, is_factor: bool = False
    ) -> None:
        super().__init__()
        self.regularizer, self.seed, self.layer = regularizer, torch.tensor([seed]), layer
        self.epoch, self.is_factor = torch.tensor(0), is_factor

    def forward(self, values: Tensor) -> Tensor:
        """Return hidden activations `(N, H)` or inputs `(N, D)`, changed in training mode."""
        if not self.training:
            return values
        self.epoch += 1
        (samples, units), stream = values.shape, self.regularizer.stream
        keys = noise_keys(self.seed, self.layer + 1, samples, stream)[self.layer :]
        if not self.is_factor:
            noise = Noise(keys[0], self.epoch, units, values.dtype)
            return self.regularizer.perturb_inputs(values[None], noise)[0]
        factor = self.regularizer.factor(Noise(keys, self.epoch, units, values.dtype))
        return values if factor is None else values * factor[0, 0]


@torch.no_grad()
def measure(
    record: Record,
    epoch: int,
    network: nn.Module,
    loss: float,
    all_x: Tensor,
    gradients: list[Tensor | None],
) -> None:
    """Put what a network shows in evaluation mode on record."""
    network.eval()
    parameters = [parameter.detach().numpy() for parameter in network.parameters()]
    found = [gradient.numpy() for gradient in gradients if gradient is not None]
    record.add_network(epoch, loss, network(all_x)[:, 0].numpy(), parameters, found)
    network.train()
