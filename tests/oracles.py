"""What the package must agree with, written without it: plain torch, NumPy and integers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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


def hash_word(seed: int, layer: int, sample: int, epoch: int, unit: int) -> int:
    """Return the documented 32-bit word of a coordinate, unsigned, in Python's own integers."""
    key = 0
    for coordinate in (seed, layer, sample, epoch):
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


def forward(parameters: list[Floats], x: Floats, factors: Any = None) -> list[Floats]:
    """Return the inputs of every layer and the outputs of one network, `(N, width)` each."""
    activations = [x]
    for layer in range(len(parameters) // 2):
        values = activations[-1] @ parameters[2 * layer].T + parameters[2 * layer + 1]
        if layer < len(parameters) // 2 - 1:
            values = np.maximum(values, 0)
            if factors is not None:
                values = values * factors[layer]
        activations.append(values)
    return activations


def sgd_step(
    parameters: list[Floats],
    momenta: list[Floats] | None,
    x: Floats,
    y: Floats,
    factors: Any,
    weight_decay: float,
    lr: float,
    momentum: float,
) -> tuple[list[Floats], list[Floats]]:
    """Return parameters and momenta after a step: the first buffer is the first gradient."""
    activations = forward(parameters, x, factors)
    delta = 2 * (activations[-1] - y) / len(y)
    gradients: list[Floats] = []
    for layer in reversed(range(len(parameters) // 2)):
        gradients[:0] = [delta.T @ activations[layer], delta.sum(axis=0)]
        if layer:
            delta = delta @ parameters[2 * layer]
            if factors is not None:
                delta = delta * factors[layer - 1]
            delta = delta * (activations[layer] > 0)
    decayed = [g + weight_decay * p for g, p in zip(gradients, parameters, strict=True)]
    if momenta is None:
        momenta = decayed
    else:
        momenta = [momentum * b + g for b, g in zip(momenta, decayed, strict=True)]
    return [p - lr * b for p, b in zip(parameters, momenta, strict=True)], momenta
