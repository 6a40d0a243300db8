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
LINEAR: dict[str, Any] = {"depth": 0, "x_min": -0.5, "lr": 0.3, "momentum": 0.5, "test_points": 3}
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
    return np.concatenate([p[-1, arm].ravel() for p in result.history.parameters.values()])


def features(study: Study, x: Array) -> Array:
    """Return the inputs of the first layer at x: `(N,)` to `(N, D)`."""
    return theory.polynomial_features(x, study.network.input_size)


def design_matrices(result: Result) -> tuple[Array, Array]:
    """Return the design matrix of a linear model at the training and at the test inputs."""
    data, study = result.history.data, result.study
    return (
        theory.with_bias(features(study, data.train_x)),
        theory.with_bias(features(study, data.test_x)),
    )


def initial_weights(result: Result) -> Array:
    """Return bias and weights that a linear model starts from, for every replicate: `(P, R)`."""
    starts = [initial_parameters(result, r) for r in range(result.study.replicates)]
    return np.array([np.append(bias, weight) for weight, bias in starts]).T


def fitted_weights(result: Result, arm: int) -> Array:
    """Return bias and weights of linear models after the last epoch, `(R, P)`, from predictions."""
    _, at_test = design_matrices(result)
    weights: Array = np.linalg.lstsq(at_test, result.history.predictions[-1, arm].T)[0]
    return weights.T


def descended(result: Result, penalty: Array) -> Array:
    """Return what descent with penalty ½wᵀCw predicts at the logged epochs: `(E, R, T)`."""
    at_train, at_test = design_matrices(result)
    weights = theory.momentum_descent(
        at_train,
        result.history.data.train_y.T,
        initial_weights(result),
        penalty,
        result.study.training.lr,
        result.study.training.momentum,
        result.history.epochs.tolist(),
    )
    return (at_test @ weights).transpose(0, 2, 1)
