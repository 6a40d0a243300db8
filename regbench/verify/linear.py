"""Linear models, whose training is solved: ridge regression and its bias and variance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regbench.verify import closed_forms as theory
from regbench.verify.base import (
    FORMULA_ROUNDING,
    LINEAR,
    REGULARIZED,
    ROUNDING,
    descended,
    design_matrices,
    strength_of,
    study_of,
)
from regbench.verify.runner import Agreement, Case, compare_means, compare_values

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result

CUBIC = LINEAR | {"features": "polynomial:3", "lr": 0.1, "momentum": 0.9}
"""Far from converged after 100 epochs."""
FIXED_DESIGN = study_of("wdecay", 0.3, epochs=40, replicates=1000, **LINEAR)
LASSO = study_of("l1", 0.2, epochs=2000, replicates=5, **CUBIC)


def is_ridge(result: Result) -> Agreement:
    """Compare predictions of every replicate after the last epoch with ridge regression's."""
    at_train, at_grid = design_matrices(result)
    predicted = at_grid @ theory.ridge(at_train, result.history.train_y.T, strength_of(result))
    return compare_values(predicted.T, result.history.predictions[-1, REGULARIZED], ROUNDING)


def is_descent_of_ridge(result: Result) -> Agreement:
    """Compare predictions at all kept epochs with a power of the step's matrix."""
    columns = 1 + result.study.network.input_size
    predicted = descended(result, strength_of(result) * np.eye(columns))
    return compare_values(predicted, result.history.predictions[:, REGULARIZED], FORMULA_ROUNDING)


def errors_of_ridge(result: Result) -> tuple[Array, Array]:
    """Return how far bias and weights are from those of the noise-free line: -αPw, and trained.

    The second is `(R, P)`; weights are those of the line through the predictions.
    """
    at_train, at_grid = design_matrices(result)
    truth = np.linalg.lstsq(at_grid, result.history.grid_truth)[0]
    fitted = np.linalg.lstsq(at_grid, result.history.predictions[-1, REGULARIZED].T)[0]
    return theory.ridge_bias(at_train, truth, strength_of(result)), fitted.T - truth


def has_ridge_bias(result: Result) -> Agreement:
    """Compare the mean error of ridge weights with -αPw."""
    return compare_means(*errors_of_ridge(result))


def has_ridge_covariance(result: Result) -> Agreement:
    """Compare the covariance of ridge weights about their expectation with σ²PXᵀXP."""
    (at_train, _), noise = design_matrices(result), result.study.task.noise
    bias, errors = errors_of_ridge(result)
    products = (errors - bias)[:, :, None] * (errors - bias)[:, None, :]
    return compare_means(theory.ridge_covariance(at_train, noise, strength_of(result)), products)


def lasso_weights(result: Result) -> Array:
    """Return bias and weights of the lasso for every replicate, `(R, P)`."""
    (at_train, _), strength = design_matrices(result), strength_of(result)
    return np.array([theory.lasso(at_train, y, strength) for y in result.history.train_y])


def is_lasso(result: Result) -> Agreement:
    """Compare predictions of every replicate after the last epoch with the lasso's."""
    _, at_grid = design_matrices(result)
    predicted = lasso_weights(result) @ at_grid.T
    return compare_values(predicted, result.history.predictions[-1, REGULARIZED], ROUNDING)


def has_lasso_zeros(result: Result) -> Agreement:
    """Compare the share of weights that are exactly 0, in every replicate, with the lasso's."""
    shares = np.mean(lasso_weights(result) == 0, axis=1)
    return compare_values(shares, result.history.zero_share[-1, REGULARIZED], FORMULA_ROUNDING)


LINEAR_MODELS = [
    Case(
        "ridge",
        "a converged linear model with decay is ridge regression, α = nλ/2, bias too",
        "Hoerl & Kennard 1970",
        study_of("wdecay", 0.3, epochs=200, replicates=4, **LINEAR),
        is_ridge,
    ),
    Case(
        "ridge-descent",
        "on its way to ridge on x, x², x³, epochs 1 to 100 are powers of one matrix",
        "Polyak 1964; Goh 2017",
        study_of("wdecay", 0.3, epochs=100, replicates=4, log_every=1, **CUBIC),
        is_descent_of_ridge,
    ),
    Case(
        "ridge-bias",
        "over draws of the noise, the bias of ridge weights is -αPw, P = (XᵀX+αI)⁻¹",
        "Hoerl & Kennard 1970",
        FIXED_DESIGN,
        has_ridge_bias,
    ),
    Case(
        "ridge-covariance",
        "over draws of the noise, the covariance of ridge weights is σ²PXᵀXP",
        "Hoerl & Kennard 1970",
        FIXED_DESIGN,
        has_ridge_covariance,
    ),
    Case(
        "lasso",
        "a converged linear model with L1 is the lasso, whatever the momentum is (0.9)",
        "Ochs, Chen, Brox & Pock 2014",
        LASSO,
        is_lasso,
    ),
    Case(
        "lasso-zeros",
        "its weights are exactly zero where those of the lasso are",
        "Tibshirani 1996",
        LASSO,
        has_lasso_zeros,
    ),
]
