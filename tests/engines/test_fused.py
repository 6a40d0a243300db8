"""The fused engine against autograd, against the batched engine, and against itself."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from training import assert_close, join, make_batch, make_study, train

from regbench.analysis.history import AXES
from regbench.engines.fused.network import Coefficients, Network, Workspace
from regbench.regularizers import Arm
from regbench.regularizers.noise import Dropout
from regbench.regularizers.penalties import L1, DecoupledDecay, WeightDecay

if TYPE_CHECKING:
    from regbench.analysis.history import Array, History
    from regbench.settings.study import Study

every_optimizer = pytest.mark.parametrize("optimizer", ["sgd", "adam"])
PLANES = {"sgd": 2, "adam": 3}
WIDER: dict[str, Any] = {"points": 10, "hidden": 20, "depth": 3, "dtype": "float64"}
"""A network that fills whole vectors and more, in the article's depth."""


def make_wider(
    command: str = "wdecay", strengths: tuple[float, ...] = (0.1,), **changes: Any
) -> Study:
    return make_study(command, strengths, **WIDER | changes)


def train_wider(
    engine: str = "fused",
    command: str = "wdecay",
    strengths: tuple[float, ...] = (0.1,),
    **changes: Any,
) -> History:
    return train(make_wider(command, strengths, **changes), engine)


def arrays(history: History) -> dict[str, Array]:
    """Return every array that is no data, by name."""
    return {
        name: array
        for name, array in history.arrays.items()
        if AXES[name.partition("/")[0]][0] in "EK"
    }


def assert_same_bytes(a: History, b: History) -> None:
    found, expected = arrays(a), arrays(b)
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.tobytes() == expected[name].tobytes(), name


# The kernel against torch.autograd, torch.optim and masks from Python's own integers.


def mixed(z: int) -> int:
    z ^= z >> 30
    z = z * 0xBF58476D1CE4E5B9 % 2**64
    z ^= z >> 27
    z = z * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def mask(seed: int, epoch: int, layer: int, samples: int, units: int, p: float) -> Array:
    rows = []
    for sample in range(samples):
        key = 0
        for coordinate in (seed, layer, sample, epoch):
            key = mixed((key + 0x9E3779B97F4A7C15 * (coordinate + 1)) % 2**64)
        word = (key + np.arange(units, dtype=np.uint64) * 0x9E3779B9) & 0xFFFFFFFF
        word = ((word ^ word >> 16) * 0x7FEB352D) & 0xFFFFFFFF
        word ^= word >> 15
        word = ((word ^ (key >> 32)) * 0x846CA68B) & 0xFFFFFFFF
        u = word.astype(np.uint32).view(np.int32) / 2**32 + 0.5
        rows.append((u >= p) / (1 - p))
    return np.array(rows)


def draw_task(sizes: list[int], points: int) -> tuple[list[Array], Array, Array]:
    generator = np.random.default_rng(5)
    parameters: list[Array] = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        bound = fan_in**-0.5
        parameters.append(generator.uniform(-bound, bound, (fan_out, fan_in)))
        parameters.append(generator.uniform(-bound, bound, fan_out))
    x = generator.uniform(-1, 1, (points, sizes[0]))
    return parameters, x, np.sin(3 * x.sum(1)) + 0.1 * generator.standard_normal(points)


def train_by_autograd(
    start: list[Array], x: Array, y: Array, c: Coefficients, seed: int, epochs: int, is_adam: bool
) -> tuple[float, list[Array]]:
    """Return the last epoch's loss and the parameters after it."""
    parameters = [torch.tensor(p, requires_grad=True) for p in start]
    optimizer: torch.optim.Optimizer = torch.optim.SGD(parameters, c.lr, c.momentum, 0.0, c.l2)
    if is_adam:
        optimizer = torch.optim.Adam(parameters, c.lr, weight_decay=c.l2)
    for epoch in range(1, epochs + 1):
        hidden = torch.tensor(x)
        for layer in range(0, len(parameters), 2):
            hidden = torch.nn.functional.linear(hidden, parameters[layer], parameters[layer + 1])
            if layer < len(parameters) - 2:
                kept = mask(seed, epoch, layer // 2, len(x), hidden.shape[1], c.p)
                hidden = hidden.relu() * torch.tensor(kept)
        loss = torch.nn.functional.mse_loss(hidden[:, 0], torch.tensor(y))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        before = [parameter.detach().clone() for parameter in parameters]
        optimizer.step()
        with torch.no_grad():
            for parameter, undecayed in zip(parameters, before, strict=True):
                parameter -= c.lr * c.decoupled * undecayed
                whole = parameter.clone()
                parameter.copy_(parameter.sign() * (parameter.abs() - c.lr * c.l1).clamp(min=0))
                if c.momentum and not is_adam:
                    optimizer.state[parameter]["momentum_buffer"] += (whole - parameter) / c.lr
    return loss.item(), [p.detach().numpy() for p in parameters]


def assert_like_autograd(
    sizes: list[int], points: int, c: Coefficients, epochs: int, optimizer: str
) -> None:
    start, x, y = draw_task(sizes, points)
    seed = 2**32 - 1
    network = Network(start, PLANES[optimizer])
    workspace = Workspace(network, x)
    workspace.train(network, y, c, seed, 1, epochs - 1)
    loss = workspace.train(network, y, c, seed, epochs, 1)
    expected = train_by_autograd(start, x, y, c, seed, epochs, optimizer == "adam")
    assert loss == pytest.approx(expected[0], rel=1e-10)
    scale = max(np.abs(array).max() for array in expected[1])
    for one, other in zip(network.views(), expected[1], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10 * scale)
    hidden = x
    for layer in range(0, len(expected[1]), 2):
        hidden = hidden @ expected[1][layer].T + expected[1][layer + 1]
        hidden = np.maximum(hidden, 0) if layer < len(expected[1]) - 2 else hidden
    np.testing.assert_allclose(workspace.ask(network), hidden[:, 0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    "coefficients",
    [
        Coefficients(0.01, 0.9),
        Coefficients(0.01, 0.9, l2=0.1),
        Coefficients(0.01, 0.9, l2=0.1, p=0.2),
        Coefficients(0.01, 0.0, l1=0.01),
        Coefficients(0.01, 0.9, l1=0.01),
        Coefficients(0.01, 0.9, decoupled=0.1),
        Coefficients(0.02, 0.5, l2=0.01, l1=0.003, decoupled=0.2, p=0.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("depth", [0, 1, 3])
@every_optimizer
def test_every_coefficient_acts_as_in_autograd_and_torch_optim(
    optimizer: str, coefficients: Coefficients, depth: int
) -> None:
    if optimizer == "adam":
        coefficients = coefficients._replace(lr=0.002, momentum=0.9)
    assert_like_autograd([1, *[50] * depth, 1], 10, coefficients, 200, optimizer)


@pytest.mark.parametrize("points", [1, 7, 33])
@pytest.mark.parametrize("hidden", [1, 5, 33])
@pytest.mark.parametrize(("depth", "inputs"), [(0, 1), (0, 20), (1, 3), (3, 1)])
@every_optimizer
def test_odd_shapes_train_as_in_autograd_and_torch_optim(
    optimizer: str, points: int, hidden: int, depth: int, inputs: int
) -> None:
    coefficients = Coefficients(0.01, 0.9, l2=0.1, p=0.1)
    assert_like_autograd([inputs, *[hidden] * depth, 1], points, coefficients, 60, optimizer)


@every_optimizer
@pytest.mark.parametrize(("points", "p"), [(1, 0.9), (10, 0.9), (33, 0.95)])
def test_units_that_are_silent_in_most_epochs_train_as_in_autograd_and_torch_optim(
    optimizer: str, points: int, p: float
) -> None:
    coefficients = Coefficients(3e-4, 0.9, l2=0.1, l1=0.001, decoupled=0.2, p=p)
    assert_like_autograd([1, 50, 50, 1], points, coefficients, 200, optimizer)


# The engine against the batched one.


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 300, "log_every": 70},
        {"command": "dropout", "epochs": 50, "log_every": 1},
        {"command": "dropout", "strengths": (0.5, 0.9), "pairing": "independent"},
        {"command": "dropout", "strengths": (1 - 2**-53,), "epochs": 1},  # drops every unit
        {"hidden": 1, "depth": 1, "test_points": 23},
        {"depth": 0, "momentum": 0.0},
        {"replicates": 101, "epochs": 1, "hidden": 1},  # many networks
        {"optimizer": "adam", "momentum": 0.5, "epochs": 100, "log_every": 35},
        {"optimizer": "adam", "points": 33, "test_points": 5, "pairing": "independent"},
        {"optimizer": "adam", "command": "early-stopping", "strengths": (0, 20), "epochs": 50},
    ],
    ids=str,
)
def test_history_is_that_of_the_batched_engine_in_float64(changes: dict[str, Any]) -> None:
    assert_close(train_wider(**changes), train_wider("batched", **changes), 1e-10)


@pytest.mark.parametrize("depth", [1, 3])
@every_optimizer
def test_history_of_a_sum_is_that_of_the_batched_engine_in_float64(
    optimizer: str, depth: int
) -> None:
    parts = WeightDecay(0.1), Dropout(0.3), DecoupledDecay(0.2), L1(0.003)
    arms = Arm(parts), Arm(parts[:1] + parts[2:])
    study = make_wider(depth=depth, epochs=100, optimizer=optimizer).replaced(arms=arms)
    assert_close(train(study, "fused"), train(study, "batched"), 1e-10)


@pytest.mark.parametrize("command", ["wdecay", "dropout"])
@every_optimizer
def test_history_is_that_of_the_batched_engine_in_float32(optimizer: str, command: str) -> None:
    changes: dict[str, Any] = {
        "command": command,
        "dtype": "float32",
        "hidden": 200,
        "epochs": 60,
        "lr": 0.01 if optimizer == "sgd" else 0.001,
        "optimizer": optimizer,
    }
    assert_close(train_wider(**changes), train_wider("batched", **changes), 1e-5)


# What a network's numbers depend on.


@pytest.mark.parametrize("command", ["wdecay", "dropout"])
@every_optimizer
def test_bytes_are_the_same_for_any_threads_and_batches(optimizer: str, command: str) -> None:
    study = make_wider(command, dtype="float32", replicates=30, optimizer=optimizer)
    batch = make_batch(study)
    whole = train(batch, "fused", threads=1)
    for threads, size in itertools.product((1, 2, 3), (1, 7, 30)):
        parts = [train(part, "fused", threads) for part in batch.cut(size)]
        assert_same_bytes(join(parts, "R"), whole)


@every_optimizer
def test_bytes_do_not_depend_on_what_is_logged(optimizer: str) -> None:
    changes: dict[str, Any] = {"command": "dropout", "dtype": "float32", "optimizer": optimizer}
    changes["points"] = 3  # units are silent in many epochs
    often, rarely = (train_wider(log_every=log_every, **changes) for log_every in (1, 30))
    for name, array in arrays(rarely).items():
        clock = "epochs" if AXES[name.partition("/")[0]][0] == "E" else "kept_epochs"
        ours, theirs = getattr(rarely, clock), getattr(often, clock)
        both, at, there = np.intersect1d(ours, theirs, return_indices=True)
        assert {0, 30} <= set(both.tolist())
        np.testing.assert_array_equal(array[at], arrays(often)[name][there], err_msg=name)


@pytest.mark.parametrize("command", ["wdecay", "dropout"])
@every_optimizer
def test_strength_0_is_the_baseline_bit_for_bit(optimizer: str, command: str) -> None:
    changes: dict[str, Any] = {"dtype": "float32", "hidden": 50, "optimizer": optimizer}
    history = train_wider(command=command, strengths=(0.0, 0.3), **changes)
    for name, array in arrays(history).items():
        if not name.endswith("epochs"):
            np.testing.assert_array_equal(array[:, 0], array[:, 1], err_msg=name)
    assert (history.test_loss[1:, 2] != history.test_loss[1:, 0]).all()


@pytest.mark.parametrize("pairing", ["shared", "independent"])
def test_one_more_arm_changes_no_other(pairing: str) -> None:
    one, two = (train_wider(strengths=s, pairing=pairing) for s in ((0.1,), (0.1, 0.3)))
    for name, array in arrays(one).items():
        if not name.endswith("epochs"):
            np.testing.assert_array_equal(array, arrays(two)[name][:, :2], err_msg=name)


def test_squared_gradients_beyond_float32_show_as_a_loss_that_is_not_finite() -> None:
    history = train_wider(optimizer="adam", lr=1e4, dtype="float32")
    assert not np.isfinite(history.train_loss[-1]).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("depth", [0, 3])
def test_divergence_shows_as_a_loss_that_is_not_finite(dtype: str, depth: int) -> None:
    history = train_wider(lr=10.0, epochs=1500, log_every=500, dtype=dtype, depth=depth)
    assert not np.isfinite(history.train_loss[-1]).any()
    assert not np.isfinite(history.test_loss[-1]).any()


@pytest.mark.parametrize("depth", [0, 3])
@pytest.mark.parametrize("planes", PLANES.values())
def test_a_network_that_diverged_leaves_nothing_behind(planes: int, depth: int) -> None:
    start, x, y = draw_task([2, *[20] * depth, 1], 33)
    fresh, used = Workspace(Network(start), x), Workspace(Network(start), x)
    broken = Network([np.full_like(p, np.nan) for p in start], planes)
    used.train(broken, y, Coefficients(0.01, 0.9, p=0.1), seed=1, epoch=1, count=5)
    assert np.isnan(used.ask(broken)).all()
    networks = [Network(start, planes) for _ in range(2)]
    losses = [
        workspace.train(network, y, Coefficients(0.01, 0.9, p=0.1), seed=1, epoch=1, count=50)
        for workspace, network in zip((fresh, used), networks, strict=True)
    ]
    assert losses[0] == losses[1]
    for expected, found in zip(networks[0].views(), networks[1].views(), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_denormal_numbers_are_as_before_after_training() -> None:
    train_wider(replicates=1)  # in threads
    network = Network([np.ones((1, 1)), np.ones(1)])
    Workspace(network, np.ones((10, 1))).train(
        network, np.ones(10), Coefficients(0.01, 0.9), seed=0, epoch=1, count=1
    )  # in this one
    assert np.float64(1e-310) * np.float64(0.5) > 0
