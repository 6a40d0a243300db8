"""The synthetic regression task: a known line, its inputs, and the noise on the targets.

Knows nothing about networks or training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from regbench.config import TaskSettings


@dataclass(frozen=True)
class Dataset:
    """One replicate's data, float32.

    **Shape:** `train_x`, `train_y`: `(N, 1)`; `test_x`, `test_y`: `(T, 1)`.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def truth(task: TaskSettings, x: Tensor) -> Tensor:
    """Return the noise-free target f(x) = slope · x, of the shape of `x`."""
    return task.slope * x


def inputs(task: TaskSettings, count: int) -> Tensor:
    """Return `count` evenly spaced inputs `(count, 1)` from `x_min` to `x_max`, float32."""
    return torch.linspace(task.x_min, task.x_max, count).unsqueeze(1)


def draw_dataset(task: TaskSettings, generator: torch.Generator) -> Dataset:
    """Draw the training noise, then the test noise, both normal, from `generator`."""
    train_x = inputs(task, task.points)
    test_x = inputs(task, task.test_points)
    train_noise = torch.normal(0.0, task.noise, train_x.shape, generator=generator)
    test_noise = torch.normal(0.0, task.test_noise, test_x.shape, generator=generator)
    return Dataset(
        train_x, truth(task, train_x) + train_noise, test_x, truth(task, test_x) + test_noise
    )
