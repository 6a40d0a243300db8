"""Cases of what is measured: bias² and variance, the risk, stopping early, and a sum.

A prediction starts from the data and the initial weights of a run and goes through
`closed_forms.py` and `numpy_network.py` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.decomposition import split
from regbench.regularizers.l1 import L1
from regbench.regularizers.weight_decay import WeightDecay
from regbench.verify import closed_forms as theory
from regbench.verify.base import (
    BASELINE,
    DEEP,
    FIXED_DESIGN,
    FORMULA_ROUNDING,
    LASSO,
    LINEAR,
    REGULARIZED,
    ROUNDING,
    case,
    case_of_arms,
    design_matrices,
    initial_parameters,
)
from regbench.verify.runner import Agreement, compare_means, compare_values

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result

RIDGE_STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
PLAIN = LINEAR | {"momentum": 0.0, "lr": 0.05}
STOPPED = 20
"""An epoch at which the model is far from converged."""

# Bias² and variance: their identity, and an estimator whose bias is known.


def parts_of(predictions: Array, truth: Array) -> tuple[float, float]:
    """Return bias² and variance of predictions `(R, T)`, as every report has them."""
    parts = split(predictions, truth)
    assert parts is not None
    return float(parts.values[0]), float(parts.values[1])


@case("Geman, Bienenstock & Doursat 1992", "dropout", 0.5, **DEEP)
def decomposition(result: Result) -> Agreement:
    """Whether bias² + variance is the mean squared distance from the truth."""
    predictions, truth = result.history.predictions[-1], result.history.grid_truth
    sums = [sum(parts_of(arm, truth)) for arm in predictions]
    expected = np.square(predictions - truth).mean(axis=(1, 2))
    return compare_values(expected, sums, FORMULA_ROUNDING)


@case("Hastie, Tibshirani & Friedman 2009, §3.2", "wdecay", 0.3, **FIXED_DESIGN)
def least_squares_bias(result: Result) -> Agreement:
    """Whether bias² of least squares, from 10 replicates at a time, is 0 on average."""
    truth = result.history.grid_truth
    groups = result.history.predictions[-1, BASELINE].reshape(-1, 10, len(truth))
    return compare_means(0.0, [parts_of(group, truth)[0] for group in groups])


# The risk.


@case("midpoint rule", "wdecay", 0.3, replicates=20, epochs=40, **LINEAR)
def risk(result: Result) -> Agreement:
    """Whether the risk is the integral of (fit − truth)² over the range, plus test noise²."""
    task, (_, at_grid) = result.study.task, design_matrices(result)
    away = result.history.predictions[-1].swapaxes(0, 1) - result.history.grid_truth
    intercept, slope = np.linalg.lstsq(at_grid, away.reshape(-1, len(at_grid)).T)[0]
    ends = intercept + slope * task.x_min, intercept + slope * task.x_max
    mean_square = (ends[0] ** 2 + ends[0] * ends[1] + ends[1] ** 2) / 3
    measured = result.history.risk[-1].T.ravel()
    return compare_values(mean_square + task.test_noise**2, measured, 1e-4)


@case("Krogh & Hertz 1992", "wdecay", *RIDGE_STRENGTHS, **FIXED_DESIGN)
def ridge_risk(result: Result) -> Agreement:
    """Whether the mean risk of ridge is bias² + variance + noise of P = (XᵀX+αI)⁻¹, λ by λ."""
    (at_train, at_grid), task = design_matrices(result), result.study.task
    truth = np.linalg.lstsq(at_grid, result.history.grid_truth)[0]
    predicted = []
    for arm in result.study.arms[1:]:
        decay = arm.parts[0].strength
        bias = at_grid @ theory.ridge_bias(at_train, truth, decay)
        covariance = theory.ridge_covariance(at_train, task.noise, decay)
        variance = np.einsum("gi,ij,gj->g", at_grid, covariance, at_grid)
        predicted.append(np.mean(bias**2 + variance) + task.test_noise**2)
    return compare_means(predicted, result.history.risk[-1, 1:].T)


# Stopping early, and a sum of regularizers.


@case("Bishop 1995", "early-stopping", STOPPED, replicates=1, epochs=60, **PLAIN)
def early_stopping(result: Result) -> Agreement:
    """Whether stopping at epoch t is ridge towards the start: λ = h/((1−ηh)⁻ᵗ−1), curvature h."""
    at_train, at_grid = design_matrices(result)
    lr = result.study.training.lr
    hessian = 2 * at_train.T @ at_train / len(at_train)
    curvatures, axes = np.linalg.eigh(hessian)
    strengths = curvatures / ((1 - lr * curvatures) ** -STOPPED - 1)
    penalty = axes * strengths @ axes.T
    weight, bias = initial_parameters(result)
    start = np.append(bias, weight)
    pulled = 2 * at_train.T @ result.history.train_y[0] / len(at_train) + penalty @ start
    predicted = at_grid @ np.linalg.solve(hessian + penalty, pulled)
    return compare_values(predicted, result.history.predictions[-1, REGULARIZED, 0], ROUNDING)


@case_of_arms("Zou & Hastie 2005", [L1(0.2) + WeightDecay(0.3)], **LASSO)
def elastic_net(result: Result) -> Agreement:
    """Whether a converged linear model with L1 and decay is the elastic net."""
    (at_train, at_grid), (decay, l1) = design_matrices(result), result.study.arms[1].parts
    count, columns = at_train.shape
    design = np.vstack([at_train, np.sqrt(count * decay.strength / 2) * np.eye(columns)])
    strength = l1.strength * count / (count + columns)
    targets = [np.append(y, np.zeros(columns)) for y in result.history.train_y]
    weights = np.array([theory.lasso(design, y, strength) for y in targets])
    predicted = weights @ at_grid.T
    return compare_values(predicted, result.history.predictions[-1, REGULARIZED], ROUNDING)
