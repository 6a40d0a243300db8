"""The expected test error and its three parts, bias², variance and noise, and why arms differ.

Works on arrays and knows nothing about how they came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.statistics import (
    DRAWS,
    draws_for,
    law_of,
    paired_differences,
    standard_error,
    t_interval,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array
    from regbench.analysis.statistics import Interval
    from regbench.tasks.sample import Sample


@dataclass(frozen=True)
class Part:
    """One part of the expected test error, averaged over the range of inputs, or a difference.

    Attributes:
        value: The estimate; NaN where a prediction is not finite, or its square.
        ci: Its interval, or None.
    """

    value: float
    ci: Interval | None


LOST = Part(np.nan, None)


@dataclass(frozen=True)
class Decomposition:
    """What the expected test error of one arm at one epoch is made of.

    Attributes:
        bias_squared: (E f − truth)², without what R replicates add to it by chance: it may be
            negative.
        variance: Of the predictions.
        noise_variance: Of the test targets; known, not estimated.
        expected_test_error: The sum of the three, which is the mean risk.
        residual: How far bias² + variance is from the mean of (f − truth)², relative to it.
    """

    bias_squared: Part
    variance: Part
    noise_variance: float
    expected_test_error: Part
    residual: float


@dataclass(frozen=True)
class PartDifferences:
    """Why the risk of an arm differs from the baseline's: arm − baseline, paired.

    Intervals hold together with those of all other arms.
    """

    arm: str
    bias_squared: Part
    variance: Part


@dataclass(frozen=True)
class Split:
    """Bias², variance and their sum over R ≥ 2 replicates, and what the jackknife has of them.

    Attributes:
        values: The three, `(3,)`.
        pseudo_values: R times the value less R − 1 times that without replicate r, `(3, R)`. Not
            finite for R = 2, where without one no variance is left.
        bias_error: Standard error of bias² by its moments.
        residual: See `Decomposition`.
    """

    values: Array
    pseudo_values: Array
    bias_error: float
    residual: float


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def split(predictions: Array, truth: Array) -> Split | None:
    """Split the squared error at T test inputs over R replicates; None where R = 1.

    With the mean f̄ and the variance s² (R - 1 degrees of freedom) of the predictions at an input:
    variance = s² and bias² = (f̄ − truth)² − s²/R, each unbiased, and exactly
    bias² + variance = mean over replicates of (f − truth)² (Geman, Bienenstock & Doursat 1992,
    Neural Computation 4). `predictions` are `(R, T)`, and `truth`, which is without noise, `(T,)`.
    """
    count = len(predictions)
    if count == 1:
        return None
    # Replicates last, (T, R): there NumPy sums in pairs, with an error that does not grow with R.
    errors = np.ascontiguousarray(predictions.T, dtype=np.float64) - truth[:, None]
    error = float(np.square(errors).mean())
    if not np.isfinite(error):
        return Split(np.full(3, np.nan), np.full((3, count), np.nan), np.nan, np.nan)
    mean = errors.mean(axis=1, keepdims=True)
    centred = errors - mean
    squares = np.square(centred)
    left = count - 1
    variances = squares.sum(axis=1, keepdims=True) / left
    bias_squared, variance = float((mean**2 - variances / count).mean()), float(variances.mean())
    residual = abs(bias_squared + variance - error) / max(error, np.finfo(float).tiny)

    # Without replicate r: mean_r = mean − (e_r − mean)/(R − 1), and the sum of squares around it
    # loses R/(R − 1) (e_r − mean)².
    means = mean - centred / left
    variances_without = (variances * left - squares * count / left) / (left - 1)
    biases_without = means**2 - variances_without / left
    without = np.array([biases_without.mean(axis=0), variances_without.mean(axis=0)])
    values = np.array([bias_squared, variance, error])
    pseudo_values = np.vstack(
        [values[:2, None] * count - without * left, np.square(errors).mean(0)]
    )

    # Var bias² = 4 μᵀΣμ/R + 2 tr Σ²/(R(R − 1)) of normal predictions, with averages over inputs;
    # what the estimate of μᵀΣμ has too much is tr Σ²/R.
    inputs = len(truth)
    gram = centred.T @ centred if count < inputs else centred @ centred.T
    trace = float(np.square(gram / (inputs * left)).sum())
    slope = float(np.square(mean[:, 0] @ centred / inputs).sum()) / left
    spread = 4 * max(slope - trace / count, 0) / count + 2 * trace / (count * left)
    return Split(values, pseudo_values, float(np.sqrt(spread)), residual)


@np.errstate(over="ignore", invalid="ignore")  # on the way to diverging
def describe(found: Split | None, noise_variance: float, confidence: float) -> Decomposition | None:
    """Return the parts of a split with their intervals, each by Student's t.

    The standard error is the jackknife's (Efron & Tibshirani 1993, ch. 11). For bias² that vanishes
    with the bias: it is at least that by moments. The interval of the variance is that of its
    logarithm.
    """
    if found is None:
        return None
    count = found.pseudo_values.shape[1]
    bias_squared, variance, error = map(float, found.values)
    if not np.isfinite(error):
        return Decomposition(LOST, LOST, noise_variance, LOST, np.nan)
    errors = [standard_error(values) for values in found.pseudo_values]
    bias_ci = variance_ci = None
    if np.isfinite(errors).all():
        bias_error = max(errors[0], found.bias_error)
        bias_ci = t_interval(bias_squared, bias_error, count, confidence)
        low, high = t_interval(0.0, errors[1] / variance if variance else 0.0, count, confidence)
        variance_ci = float(variance * np.exp(low)), float(variance * np.exp(high))
    risk = error + noise_variance
    return Decomposition(
        bias_squared=Part(bias_squared, bias_ci),
        variance=Part(variance, variance_ci),
        noise_variance=noise_variance,
        expected_test_error=Part(risk, t_interval(risk, errors[2], count, confidence)),
        residual=found.residual,
    )


@np.errstate(over="ignore", invalid="ignore")  # on the way to diverging
def part_differences(
    names: Sequence[str], splits: Sequence[Split | None], confidence: float, draws: int = DRAWS
) -> list[PartDifferences]:
    """Return how each arm's parts differ from the baseline's, the first of `splits`.

    By the jackknife of the difference, whose pseudo-values are paired; intervals are from the law
    of all arms. Nothing where R = 1.
    """
    baseline, *arms = splits
    if baseline is None:
        return []
    columns = []
    for part in (0, 1):
        values = [arm.values[part] - baseline.values[part] for arm in arms if arm]
        pseudo = np.array([a.pseudo_values[part] - baseline.pseudo_values[part] for a in arms if a])
        varied = np.isfinite(pseudo).all(axis=1) & (np.ptp(pseudo, axis=1) > 0)
        law = law_of(pseudo[varied], draws_for(confidence, draws)) if varied.any() else None
        critical = law.critical(confidence) if law else 0.0
        column = []
        for value, numbers in zip(values, pseudo, strict=True):
            half = critical * standard_error(numbers)
            ci = (float(value - half), float(value + half)) if np.isfinite(half) else None
            column.append(Part(float(value), ci))
        columns.append(column)
    return [PartDifferences(name, *parts) for name, *parts in zip(names, *columns, strict=True)]


def part_differences_of(
    names: Sequence[str], parts: tuple[Sample, Sample], confidence: float, draws: int = DRAWS
) -> list[PartDifferences]:
    """Return how bias² and variance of each arm differ from the baseline's, by their samples."""
    kinds = zip(("bias_squared", "variance"), parts, strict=True)
    found = [paired_differences(names, kind, part, confidence, draws) for kind, part in kinds]
    return [
        PartDifferences(bias.arm, *(Part(one.mean_difference, one.ci) for one in (bias, variance)))
        for bias, variance in zip(*found, strict=True)
    ]
