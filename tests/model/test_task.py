"""The task's data: NumPy's line, torch's noise."""

from __future__ import annotations

import numpy as np
import torch
from training import make_study

from regbench.model.randomness import replicate_generator
from regbench.model.task import draw_dataset, inputs, truth


def test_inputs_are_evenly_spaced_with_both_ends() -> None:
    task = make_study(x_min=-2.0, x_max=3.0).task
    np.testing.assert_allclose(inputs(task, 11)[:, 0], np.linspace(-2, 3, 11), atol=1e-6)
    assert inputs(task, 1).shape == (1, 1)


def test_truth_is_a_line() -> None:
    task = make_study(slope=-0.5).task
    np.testing.assert_array_equal(truth(task, torch.tensor([[2.0], [4.0]])), [[-1.0], [-2.0]])


def test_noise_is_that_of_torch_train_before_test() -> None:
    task = make_study(points=10, test_points=4, slope=2.0, noise=0.5, test_noise=0.3).task
    data = draw_dataset(task, replicate_generator(9))
    stream = torch.Generator().manual_seed(9)
    train = 2 * data.train_x + torch.normal(0.0, 0.5, (10, 1), generator=stream)
    test = 2 * data.test_x + torch.normal(0.0, 0.3, (4, 1), generator=stream)
    assert torch.equal(data.train_y, train)
    assert torch.equal(data.test_y, test)


def test_noise_of_zero_leaves_the_truth() -> None:
    task = make_study(noise=0.0, test_noise=0.0).task
    data = draw_dataset(task, replicate_generator(0))
    assert torch.equal(data.train_y, truth(task, data.train_x))
    assert torch.equal(data.test_y, truth(task, data.test_x))


def test_noise_has_the_standard_deviation_asked_for() -> None:
    task = make_study(points=100_000, test_points=100_000, noise=0.5, test_noise=0.3).task
    data = draw_dataset(task, replicate_generator(1))
    for y, x, sd in ((data.train_y, data.train_x, 0.5), (data.test_y, data.test_x, 0.3)):
        residual = (y - truth(task, x)).double()
        # A sample variance has a standard error of sd^2 sqrt(2/n).
        z = (residual.square().mean() / sd**2 - 1) / (2 / 100_000) ** 0.5
        assert abs(z) < 5
        assert abs(residual.mean() / sd * 100_000**0.5) < 5
