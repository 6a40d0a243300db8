"""What cases are made of: studies, the weights of a run as NumPy arrays, tolerances.

Knows nothing about what a case says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.engines.base import draw_start
from regbench.regularizers import REGULARIZERS, Arm
from regbench.settings.command import settings_of
from regbench.settings.parse import build
from regbench.settings.study import Study
from regbench.verify import closed_forms as theory

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.verify.numpy_network import Parameters

ROUNDING = 1e-10
"""Relative; of float64 through hundreds of steps of a network."""
FORMULA_ROUNDING = 1e-12
"""Relative; of a formula in float64."""
LINEAR: dict[str, Any] = {"depth": 0, "x_min": -0.5, "lr": 0.3, "momentum": 0.5}
"""Quick to converge, and its columns (1, x) are not orthogonal."""
BASELINE, REGULARIZED = 0, 1
"""The arms of a run with one strength."""


def study_of(command: str, *strengths: float, **values: Any) -> Study:
    """Return a study in float64 that logs the last epoch only, unless told otherwise, by key."""
    kind = REGULARIZERS[command]
    more = {"dtype": "float64", "log_every": values["epochs"]} | values
    study = build(Study, more, arms=[Arm((kind(strength),)) for strength in strengths])
    unknown = set(more) - {key for key, _ in settings_of((Study,))}
    assert not unknown, unknown
    return study


def strength_of(result: Result) -> float:
    """Return the strength of the regularized arm."""
    return result.study.arms[REGULARIZED].parts[0].strength


def initial_parameters(result: Result, replicate: int) -> Parameters:
    """Return a replicate's initial weights and biases, which all arms share."""
    start = draw_start(result.study, result.study.seeds[replicate])
    return [parameter.double().numpy() for parameter in start.parameters[0]]


def final_parameters(result: Result, arm: int) -> Array:
    """Return the first replicate's parameters after the last epoch, in one row `(P,)`."""
    return np.concatenate([p[-1, arm].ravel() for p in result.history.named("parameters").values()])


def design_matrices(result: Result) -> tuple[Array, Array]:
    """Return the design matrix of a linear model at the training inputs and on the grid."""
    powers = range(1, result.study.network.input_size + 1)
    at_train, at_grid = (
        theory.with_bias(np.stack([x**power for power in powers], axis=1))
        for x in (result.history.train_x, result.history.grid_x)
    )
    return at_train, at_grid


def descended(result: Result, penalty: Array) -> Array:
    """Return what descent with penalty ½wᵀCw predicts at the kept epochs: `(K, R, G)`."""
    (at_train, at_grid), history = design_matrices(result), result.history
    starts = [initial_parameters(result, r) for r in range(result.study.replicates)]
    start = np.array([np.append(bias, weight) for weight, bias in starts]).T
    step, epochs = (result.study.training.lr, result.study.training.momentum), history.kept_epochs
    weights = theory.momentum_descent(at_train, history.train_y.T, start, penalty, *step, epochs)
    return (at_grid @ weights).transpose(0, 2, 1)
