"""Every measure against a formula of its own, in every engine; and which epochs are measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import integrate
from training import make_study, train

from regbench.engines import ENGINES
from regbench.settings.study import Network, Task, Training
from regbench.tasks.measures import Outcome, measure
from regbench.tasks.synthetic import Synthetic

LAYERS = ("hidden1", "hidden2", "output")


def forward(parameters: list[Any], x: Any) -> Any:
    """Return the outputs of a ReLU network at inputs `(N,)`."""
    values = x[:, None]
    for layer in range(len(parameters) // 2):
        values = values @ parameters[2 * layer].T + parameters[2 * layer + 1]
        if layer < len(parameters) // 2 - 1:
            values = np.maximum(values, 0)
    return values[:, 0]


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("epochs", [1, 40])
def test_measures_are_those_of_the_network_whose_parameters_are_kept(
    engine: str, epochs: int
) -> None:
    study = make_study("l1", (0.05,), dtype="float64", epochs=epochs, log_every=20)
    history = train(study, engine)
    for arm_index in (0, 1):
        parameters = [values[arm_index] for values in history.named("parameters").values()]
        measured = {
            name: values[-1, arm_index, 0] for name, values in history.named("measures").items()
        }
        width = 2 / 200
        fits = {
            name: forward(parameters, getattr(history, f"{name}_x"))
            for name in ("train", "test", "grid")
        }
        theta = np.concatenate([p.ravel() for p in parameters])
        expected = {
            "train_loss_eval": np.mean((fits["train"] - history.train_y[0]) ** 2),
            "test_loss": np.mean((fits["test"] - history.test_y[0]) ** 2),
            "risk": np.mean(
                (fits["grid"] - np.float32(1.5) * history.grid_x.astype(np.float32)) ** 2
            )
            + 0.3**2,
            "weight_norm": np.linalg.norm(np.concatenate([w.ravel() for w in parameters[::2]])),
            "zero_share": np.mean(theta == 0),
            "rms_slope": np.sqrt(np.mean((np.diff(fits["grid"]) / width) ** 2)),
        }
        for layer, weight in zip(LAYERS, parameters[::2], strict=True):
            expected[f"rms_{layer}"] = np.sqrt(np.mean(weight**2))
        assert measured.keys() == expected.keys() | {"train_loss"}
        for name, value in expected.items():
            # The slopes of the fit are small differences of predictions.
            close = 1e-8 if name == "rms_slope" else 1e-10
            assert measured[name] == pytest.approx(value, rel=close, abs=1e-14), name
        np.testing.assert_allclose(
            history.predictions[-1, arm_index, 0], fits["grid"], rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("engine", list(ENGINES))
def test_before_the_first_step_nothing_has_been_trained(engine: str) -> None:
    history = train(make_study("dropout", (0.5,), epochs=4, log_every=2), engine)
    assert history.epochs[0] == history.kept_epochs[0] == 0
    for values in history.named("measures").values():
        np.testing.assert_array_equal(values[0, 0], values[0, 1])  # arms begin alike
    np.testing.assert_array_equal(history.train_loss[0], history.train_loss_eval[0])
    assert np.isfinite(history.train_loss).all()


@pytest.mark.parametrize("engine", list(ENGINES))
def test_what_is_measured_does_not_depend_on_what_is_logged(engine: str) -> None:
    seldom = train(make_study("dropout", (0.5,), epochs=40, log_every=40), engine)
    often = train(make_study("dropout", (0.5,), epochs=40, log_every=1), engine)
    for name, values in seldom.named("measures").items():
        np.testing.assert_array_equal(values[-1], getattr(often, name)[-1], err_msg=name)
    np.testing.assert_array_equal(seldom.predictions[-1], often.predictions[-1])


def test_linear_model_has_no_slope_of_its_own() -> None:
    history = train(make_study(depth=0, epochs=2), "batched")
    assert np.isnan(history.rms_slope).all()
    assert np.isfinite(history.rms_output).all()


def test_slope_of_one_kink_is_that_of_its_two_sides() -> None:
    # A single ReLU unit: its slope is 0 before the kink, and the product of both weights after it.
    study = make_study(hidden=1, depth=1, epochs=60, log_every=60, replicates=20, dtype="float64")
    history = train(study, "batched")
    first, bias, last = (
        history.named("parameters")[name][0].item()
        for name in ("hidden1.weight", "hidden1.bias", "output.weight")
    )
    end = 1 - 1 / 200  # the outermost midpoints
    slope, _ = integrate.quad(
        lambda x: (first * last * (first * x + bias > 0)) ** 2, -end, end, points=[-bias / first]
    )
    expected = math.sqrt(slope / (2 * end))
    assert history.rms_slope[-1, 0, 0] == pytest.approx(expected, rel=0.005)


def test_rms_slope_does_not_depend_on_the_number_of_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = np.interp(np.linspace(-1, 1, 10**5), [-1, -0.31, 0.2, 1], [0, 2.0, -1.0, 0.5])
    found = []
    for cells in (200, 10**4):
        middles = np.linspace(-1, 1, 2 * cells + 1)[1::2]
        grid = np.interp(middles, np.linspace(-1, 1, 10**5), fit)
        none, task = np.zeros(()), Synthetic(Task())
        y = np.zeros((1, 1))
        arrays = {"test_y": np.zeros((1, 1)), "grid_truth": grid}
        monkeypatch.setattr("regbench.tasks.synthetic.GRID_POINTS", cells)
        outcome = Outcome(
            *(
                none,
                np.pad(grid, (2, 0))[None],
                none,
                np.zeros((1, 2, 2)),
                np.ones(1, np.int64),
                y,
                arrays,
            ),
            Network(hidden=1, depth=1),
        )
        found.append(float(measure(task.measures, outcome)["rms_slope"][0]))
    exact = math.sqrt((2.0**2 / 0.69 + 3.0**2 / 0.51 + 1.5**2 / 0.8) / 2)
    assert found == pytest.approx([exact, exact], rel=7e-3)


def test_measured_epochs_are_even_over_decades_and_then_the_logged_ones() -> None:
    found = Training(epochs=2000, log_every=200).measured_epochs
    assert found[:8] == [0, 1, 2, 3, 4, 6, 7, 10]
    early = np.array([epoch for epoch in found if 10 <= epoch <= 178])
    assert np.ptp(np.diff(np.log10(early))) < 0.03
    assert found[-10:] == list(range(200, 2001, 200))
    assert Training(epochs=3, log_every=1).measured_epochs == [0, 1, 2, 3]
    assert Training(epochs=5, log_every=200).measured_epochs == [0, 1, 2, 3, 4, 5]


def test_kept_epochs_are_few_and_in_about_equal_ratios_however_many_are_logged() -> None:
    for epochs in (1, 2, 7, 150, 2000, 12345):
        for every in (1, 3, 10, 200, 5000):
            training = Training(epochs=epochs, log_every=every)
            kept, measured = training.kept_epochs, training.measured_epochs
            assert kept == sorted(set(kept)), (epochs, every)
            assert set(kept) <= set(measured)
            assert (kept[0], kept[-1]) == (0, epochs)
            assert len(kept) <= 20
    often = np.array(Training(epochs=100_000, log_every=1).kept_epochs[8:])
    assert np.ptp(np.log(often[1:] / often[:-1])) < 0.05
    assert Training(epochs=8, log_every=1).kept_epochs == [*range(9)]
