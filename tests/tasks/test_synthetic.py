"""The synthetic task's data: NumPy's line, torch's noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from training import make_study

from regbench.engines.model import replicate_generator
from regbench.tasks.synthetic import GRID_POINTS, Synthetic

if TYPE_CHECKING:
    from regbench.tasks.base import Data


def draw(seed: int, **values: Any) -> tuple[Synthetic, Data]:
    """Return a task, and what it draws from a replicate's seed."""
    task = Synthetic(make_study(**values).task)
    return task, task.draw(replicate_generator(seed), seed)


def test_inputs_are_evenly_spaced_with_both_ends() -> None:
    task, data = draw(0, x_min=-2.0, x_max=3.0, points=11, test_points=1)
    np.testing.assert_allclose(data.x[:, 0], np.linspace(-2, 3, 11), atol=1e-6)
    assert data.asked_x.shape == (1 + GRID_POINTS, 1)
    middles = np.linspace(-2, 3, 2 * GRID_POINTS + 1)[1::2]
    np.testing.assert_allclose(data.asked_x[task.kept, 0], middles, atol=1e-6)


def test_truth_is_a_line() -> None:
    task, _ = draw(0, slope=-0.5)
    np.testing.assert_array_equal(task.target(torch.tensor([2.0, 4.0])), [-1.0, -2.0])


def test_noise_is_that_of_torch_train_before_test() -> None:
    _, data = draw(9, points=10, test_points=4, slope=2.0, noise=0.5, test_noise=0.3)
    stream = torch.Generator().manual_seed(9)
    train = 2 * data.x[:, 0] + torch.normal(0.0, 0.5, (10,), generator=stream)
    test = 2 * data.asked_x[:4, 0] + torch.normal(0.0, 0.3, (4,), generator=stream)
    assert torch.equal(data.y, train)
    assert torch.equal(data.asked_y, test)


def test_noise_of_zero_leaves_the_truth() -> None:
    task, data = draw(0, noise=0.0, test_noise=0.0)
    assert torch.equal(data.y, task.target(data.x[:, 0]))
    assert torch.equal(data.asked_y, task.target(data.asked_x[: len(data.asked_y), 0]))


def test_noise_has_the_standard_deviation_asked_for() -> None:
    values = {"points": 100_000, "test_points": 100_000, "noise": 0.5, "test_noise": 0.3}
    task, data = draw(1, **values)
    for y, x, sd in ((data.y, data.x, 0.5), (data.asked_y, data.asked_x[:100_000], 0.3)):
        residual = (y - task.target(x[:, 0])).double()
        # A sample variance has a standard error of sd^2 sqrt(2/n).
        z = (residual.square().mean() / sd**2 - 1) / (2 / 100_000) ** 0.5
        assert abs(z) < 5
        assert abs(residual.mean() / sd * 100_000**0.5) < 5
