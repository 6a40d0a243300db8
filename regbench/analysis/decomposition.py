"""The expected test error and its three parts: bias², variance and noise.

Works on arrays and knows nothing about how they came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.statistics import t_interval

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.statistics import Interval


@dataclass(frozen=True)
class Part:
    """One part of the expected test error, averaged over the test inputs.

    Attributes:
        value: The estimate; NaN where a prediction is not finite, or its square.
        ci: Its jackknife interval, or None.
    """

    value: float
    ci: Interval | None


@dataclass(frozen=True)
class Decomposition:
    """What the expected test error of one arm at one epoch is made of.

    Attributes:
        bias_squared: (E f − truth)², without what R replicates add to it by chance: it may be
            negative.
        variance: Of the predictions.
        noise_variance: Of the test targets; known, not estimated.
        expected_test_error: The sum of the three.
        residual: How far bias² + variance is from the mean of (f − truth)², relative to it.
    """

    bias_squared: Part
    variance: Part
    noise_variance: float
    expected_test_error: Part
    residual: float


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def decompose(
    predictions: Array, truth: Array, noise_variance: float, confidence: float
) -> Decomposition | None:
    """Decompose the expected squared error at T test inputs over R replicates.

    With the mean f̄ and the variance s² (R - 1 degrees of freedom) of the predictions at an input:
    variance = s² and bias² = (f̄ − truth)² − s²/R, each unbiased, and exactly
    bias² + variance = mean over replicates of (f − truth)² (Geman, Bienenstock & Doursat 1992,
    Neural Computation 4). Intervals are those of the jackknife over replicates (Efron & Tibshirani
    1993, ch. 11), with Student's t.

    `predictions` are `(R, T)`, and `truth`, which is without noise, `(T,)`. None where R = 1.
    """
    count = len(predictions)
    if count == 1:
        return None
    # Replicates last, (T, R): there NumPy sums in pairs, with an error that does not grow with R.
    errors = np.ascontiguousarray(predictions.T, dtype=np.float64) - truth[:, None]
    error = float(np.square(errors).mean())
    if not np.isfinite(error):
        lost = Part(np.nan, None)
        return Decomposition(lost, lost, noise_variance, lost, np.nan)
    mean = errors.mean(axis=1, keepdims=True)
    squares = np.square(errors - mean)
    variances = squares.sum(axis=1, keepdims=True) / (count - 1)
    bias_squared = float((mean**2 - variances / count).mean())
    variance = float(variances.mean())
    residual = abs(bias_squared + variance - error) / max(error, np.finfo(float).tiny)

    # Without replicate r: mean_r = mean − (e_r − mean)/(R − 1), and the sum of squares around it
    # loses R/(R − 1) (e_r − mean)². Of R = 2 no variance is left: it is divided by 0.
    left = count - 1
    means = mean - (errors - mean) / left
    variances_without = (variances * left - squares * count / left) / (left - 1)
    squared_errors = np.square(errors).mean(axis=0)
    errors_without = (squared_errors.sum() - squared_errors) / left

    def part(value: float, without: Array) -> Part:
        return Part(value, jackknife_interval(value, without, confidence))

    return Decomposition(
        bias_squared=part(bias_squared, (means**2 - variances_without / left).mean(axis=0)),
        variance=part(variance, variances_without.mean(axis=0)),
        noise_variance=noise_variance,
        expected_test_error=part(error + noise_variance, errors_without + noise_variance),
        residual=residual,
    )


def jackknife_interval(value: float, without: Array, confidence: float) -> Interval | None:
    """Return the interval of an estimate from what it is without each replicate, `(R,)`.

    The standard error is √((R − 1)/R Σ (θ₋ᵣ − θ̄)²).
    """
    if not np.isfinite(without).all():
        return None
    count = len(without)
    error = np.sqrt((count - 1) / count * np.square(without - without.mean()).sum())
    return t_interval(value, float(error), count, confidence)
