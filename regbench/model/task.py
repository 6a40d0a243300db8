"""The synthetic regression task: a known truth, its inputs, and the noise on the targets.

Knows nothing about networks or training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from regbench.settings.truths import TRUTHS

if TYPE_CHECKING:
    from regbench.settings.study import Task


@dataclass(frozen=True)
class Dataset:
    """One replicate's data, float32: `(N, 1)` for training, `(T, 1)` for the test."""

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor


def truth(task: Task, x: Tensor) -> Tensor:
    """Return the noise-free target f(x), of the shape of `x`: the slope times a fixed shape."""
    return task.slope * TRUTHS[task.truth].shape(x)


def inputs(task: Task, count: int) -> Tensor:
    """Return `count` evenly spaced inputs `(count, 1)` from `x_min` to `x_max`, float32."""
    return torch.linspace(task.x_min, task.x_max, count, dtype=torch.float32).unsqueeze(1)


def expand(x: Tensor, degree: int) -> Tensor:
    """Return the powers 1 to K of inputs: `(..., 1)` to `(..., K)`, rounded once from float64."""
    if degree == 1:
        return x
    return x.double().pow(torch.arange(1, degree + 1, device=x.device)).to(x.dtype)


def draw_dataset(task: Task, generator: torch.Generator) -> Dataset:
    """Draw the training noise, then the test noise, both normal, from `generator`."""
    train_x, test_x = inputs(task, task.points), inputs(task, task.test_points)
    train_noise, test_noise = torch.empty_like(train_x), torch.empty_like(test_x)
    train_noise.normal_(0.0, task.noise, generator=generator)
    test_noise.normal_(0.0, task.test_noise, generator=generator)
    train_y, test_y = truth(task, train_x) + train_noise, truth(task, test_x) + test_noise
    return Dataset(train_x, train_y, test_x, test_y)
