"""Bias² and variance: their identity, and an estimator whose bias is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.decomposition import decompose
from regbench.verify.base import BASELINE, FORMULA_ROUNDING, study_of
from regbench.verify.linear import FIXED_DESIGN
from regbench.verify.runner import Agreement, Case, compare_means, compare_values

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result

GROUP = 10
"""Replicates of each estimate whose mean must be right."""


def parts_of(predictions: Array, truth: Array) -> tuple[float, float]:
    """Return bias² and variance of predictions `(R, T)`, as every report has them."""
    parts = decompose(predictions, truth, noise_variance=0.0, confidence=0.95)
    assert parts is not None
    return parts.bias_squared.value, parts.variance.value


def adds_up(result: Result) -> Agreement:
    """Compare bias² + variance of each arm with the mean squared distance from the truth."""
    predictions, truth = result.history.predictions[-1], result.history.grid_truth
    sums = [sum(parts_of(arm, truth)) for arm in predictions]
    expected = np.square(predictions - truth).mean(axis=(1, 2))
    return compare_values(expected, sums, FORMULA_ROUNDING)


def has_no_bias(result: Result) -> Agreement:
    """Compare bias² of least squares, by groups of replicates, with 0."""
    truth = result.history.grid_truth
    groups = result.history.predictions[-1, BASELINE].reshape(-1, GROUP, len(truth))
    return compare_means(0.0, [parts_of(group, truth)[0] for group in groups])


DECOMPOSITION = [
    Case(
        "decomposition",
        "bias² + variance is the mean squared distance from the truth",
        "Geman, Bienenstock & Doursat 1992",
        study_of("dropout", 0.5, epochs=50, depth=2, hidden=20, replicates=20),
        adds_up,
    ),
    Case(
        "least-squares-bias",
        f"bias² of least squares, from {GROUP} replicates at a time, is 0 on average",
        "Hastie, Tibshirani & Friedman 2009, §3.2",
        FIXED_DESIGN,
        has_no_bias,
    ),
]
