"""The network: `nn.Linear`'s initial values, `nn.Sequential`'s outputs."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn
from training import make_study

from regbench.engines.model import draw_parameters, forward


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_initial_parameters_are_those_of_nn_linear_digit_for_digit(depth: int) -> None:
    network = make_study(hidden=30, depth=depth).network
    drawn = draw_parameters(network, torch.Generator().manual_seed(5))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        sizes = [1, *[30] * depth, 1]
        expected = [
            parameter
            for fan_in, fan_out in itertools.pairwise(sizes)
            for parameter in nn.Linear(fan_in, fan_out).parameters()
        ]
    assert len(drawn) == len(expected) == len(network.parameter_names)
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))
    assert network.parameter_count == sum(p.numel() for p in expected)


def test_forward_is_nn_sequential_for_each_network() -> None:
    network = make_study(hidden=8, depth=2).network
    drawn = [draw_parameters(network, torch.Generator().manual_seed(s)) for s in (1, 2)]
    stacked = [torch.stack(pair).double() for pair in zip(*drawn, strict=True)]
    x = torch.linspace(-1, 1, 5, dtype=torch.float64).reshape(1, 5, 1).expand(2, 5, 1)
    activations = forward(stacked, x)
    assert [tuple(a.shape) for a in activations] == [(2, 5, 1), (2, 5, 8), (2, 5, 8), (2, 5, 1)]
    for index, parameters in enumerate(drawn):
        module = nn.Sequential(
            nn.Linear(1, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 1)
        ).double()
        for own, value in zip(module.parameters(), parameters, strict=True):
            own.data = value.double()
        torch.testing.assert_close(activations[-1][index], module(x[index]), rtol=1e-13, atol=1e-13)


def test_factors_multiply_the_activations_after_relu() -> None:
    network = make_study(hidden=4, depth=2).network
    parameters = [p[None] for p in draw_parameters(network, torch.Generator().manual_seed(1))]
    x = torch.ones(1, 3, 1)
    plain = forward(parameters, x)
    doubled = forward(parameters, x, torch.full((2, 1, 3, 4), 2.0))
    torch.testing.assert_close(doubled[1], 2 * plain[1])
    dropped = forward(parameters, x, torch.zeros(2, 1, 3, 4))
    torch.testing.assert_close(dropped[-1], parameters[-1].expand(1, 3, 1))
