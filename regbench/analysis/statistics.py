"""What replicates say together: paired differences with their uncertainty.

Works on arrays and knows nothing about how they came about. `docs/statistics.md` says why these
statistics and how often their intervals hold the truth.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array

Interval = tuple[float, float]
Verdict = Literal["better", "worse", "inconclusive", "diverged"]
Requirement = Literal["better", "not-worse"]
Judgement = Literal["met", "not met", "inconclusive"]

RESAMPLES = 9999
"""Of a permutation test; where no more sign flips exist, all of them are taken."""
MANY_REPLICATES = 200
"""Above so many, the law of the mean under sign flips is taken as normal."""


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline on the same R replicates, by a loss.

    A difference is arm − baseline; negative means that the arm is better. Where a loss is not
    finite, numbers are NaN and intervals None; where there are too few replicates, None.

    Attributes:
        arm: The arm's name.
        replicates: R.
        confidence: Of the intervals, in (0, 1).
        mean_difference: Mean over replicates.
        ci: Its t interval.
        median_difference: Median over replicates.
        median_ci: Its interval from order statistics.
        wins: In how many replicates the arm's loss is the lower one.
        win_probability_ci: Clopper-Pearson interval of the probability of a win; a tie is no win.
        p_value: Of the sign-flip permutation test of no difference, two-sided.
        p_value_holm: The same, corrected for the run's number of arms.
        correlation: Of the pairs' losses.
        pairing_gain: Variance that the difference would have without pairing, over what it has.
        skewness: Of the differences.
        verdict: What `ci` says.
    """

    arm: str
    replicates: int
    confidence: float
    mean_difference: float
    ci: Interval | None
    median_difference: float
    median_ci: Interval | None
    wins: int
    win_probability_ci: Interval
    p_value: float | None
    p_value_holm: float | None
    correlation: float | None
    pairing_gain: float | None
    skewness: float | None
    verdict: Verdict


def compare_arms(
    names: Sequence[str], losses: Array, confidence: float, resamples: int = RESAMPLES
) -> list[Comparison]:
    """Compare every arm with the baseline, and correct p values by Holm's method.

    `losses` are `(A, R)`, the baseline first, which `names` leaves out.
    """
    alone = [
        compare(name, losses[0], arm, confidence, resamples)
        for name, arm in zip(names, losses[1:], strict=True)
    ]
    corrected = holm([comparison.p_value for comparison in alone])
    return [replace(c, p_value_holm=p) for c, p in zip(alone, corrected, strict=True)]


@np.errstate(over="ignore", invalid="ignore")
def compare(
    arm: str, baseline: Array, losses: Array, confidence: float, resamples: int = RESAMPLES
) -> Comparison:
    """Compare the losses `(R,)` of an arm and of the baseline, replicate by replicate."""
    baseline, losses = baseline.astype(np.float64), losses.astype(np.float64)
    differences = losses - baseline
    is_finite = bool(np.isfinite(differences).all())
    ci = mean_interval(differences, confidence) if is_finite else None
    wins = int((losses < baseline).sum())
    spread = [float(v.var()) for v in (differences, baseline, losses)] if is_finite else [0.0] * 3
    return Comparison(
        arm=arm,
        replicates=len(differences),
        confidence=confidence,
        mean_difference=float(differences.mean()) if is_finite else math.nan,
        ci=ci,
        median_difference=float(np.median(differences)) if is_finite else math.nan,
        median_ci=median_interval(differences, confidence) if is_finite else None,
        wins=wins,
        win_probability_ci=probability_interval(wins, len(differences), confidence),
        p_value=sign_flip_probability(differences, resamples) if is_finite else None,
        p_value_holm=None,
        correlation=float(np.corrcoef(baseline, losses)[0, 1]) if min(spread[1:]) > 0 else None,
        pairing_gain=(spread[1] + spread[2]) / spread[0] if spread[0] > 0 else None,
        skewness=skewness(differences) if spread[0] > 0 else None,
        verdict=verdict_of(ci) if is_finite else "diverged",
    )


def verdict_of(ci: Interval | None) -> Verdict:
    """Return what the interval of a difference says; None, of one replicate, says nothing."""
    if ci is not None and ci[1] < 0:
        return "better"
    return "worse" if ci is not None and ci[0] > 0 else "inconclusive"


def judge(ci: Interval | None, requirement: Requirement, margin: float) -> Judgement:
    """Return whether the interval of a difference meets a requirement.

    `better`: the loss is lower by more than the margin. `not-worse`: it is higher by the margin at
    most.
    """
    if ci is None:
        return "inconclusive"
    bound = -margin if requirement == "better" else margin
    if ci[1] < bound or (requirement == "not-worse" and ci[1] == bound):
        return "met"
    return "not met" if ci[0] > bound else "inconclusive"


def mean_interval(values: Array, confidence: float) -> Interval | None:
    """Return Student's t interval (1908) of the mean of `values` `(R,)`; None where R = 1."""
    if len(values) == 1:
        return None
    from scipy import stats

    return t_interval(float(values.mean()), float(stats.sem(values)), len(values), confidence)


def t_interval(value: float, error: float, count: int, confidence: float) -> Interval:
    """Return Student's t interval of an estimate from `count` replicates and its standard error."""
    from scipy import stats

    half = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return value - half, value + half


def median_interval(values: Array, confidence: float) -> Interval | None:
    """Return the interval of the median between order statistics of `values` `(R,)`.

    The k-th smallest and k-th largest value, with the largest k for which the binomial law with
    probability 1/2 leaves at most (1 - confidence)/2 outside on each side (Hollander, Wolfe &
    Chicken 2014, §3.6). None where R is too small for that.
    """
    if len(values) == 1:
        return None
    from scipy import stats

    found = stats.quantile_test(values, p=0.5).confidence_interval(confidence)
    return None if math.isnan(found.low + found.high) else (float(found.low), float(found.high))


def probability_interval(successes: int, trials: int, confidence: float) -> Interval:
    """Return the exact interval of a probability (Clopper & Pearson 1934)."""
    if trials == 1:  # known without a library: p^1 = (1 - confidence)/2
        tail = (1 - confidence) / 2
        return (tail, 1.0) if successes else (0.0, 1 - tail)
    from scipy import stats

    interval = stats.binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def sign_flip_probability(differences: Array, resamples: int = RESAMPLES) -> float | None:
    """Return the two-sided p of the sign-flip permutation test of mean 0; None where R = 1.

    Under the null hypothesis the arms of a pair may be swapped (Fisher 1935). All flips are
    counted where there are at most `resamples`; otherwise so many are drawn, always the same
    ones. Above `MANY_REPLICATES` the sum of the flipped differences is taken as normal, with
    variance Σd².
    """
    count = len(differences)
    if count == 1:
        return None
    from scipy import stats

    if count > MANY_REPLICATES:
        spread = math.sqrt(float(np.square(differences).sum()))
        return float(2 * stats.norm.sf(abs(differences.sum()) / spread)) if spread else 1.0
    test = stats.permutation_test(
        (differences,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def holm(probabilities: Sequence[float | None]) -> list[float | None]:
    """Return p values corrected for their number (Holm 1979); None stays None and counts not."""
    known = sorted((p, place) for place, p in enumerate(probabilities) if p is not None)
    scaled = (min(1.0, (len(known) - rank) * p) for rank, (p, _) in enumerate(known))
    places = [place for _, place in known]
    corrected = dict(zip(places, itertools.accumulate(scaled, max), strict=True))
    return [corrected.get(place) for place in range(len(probabilities))]


def skewness(values: Array) -> float:
    """Return the third standardised moment of `values`, which vary."""
    centred = values - values.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def required_replicates(differences: Array, width: float, confidence: float, most: int) -> int:
    """Return the least number of replicates whose t interval is at most `width` wide.

    Taking for their standard deviation that of `differences` `(R,)`. Where these are more than
    `most`, `most` + 1.
    """
    from scipy import stats

    spread = float(differences.std(ddof=1))
    tail = (1 + confidence) / 2
    root = 2 * float(stats.norm.ppf(tail)) * spread / width
    count = max(2, math.floor(min(root, most) ** 2))
    while count <= most and 2 * stats.t.ppf(tail, count - 1) * spread / math.sqrt(count) > width:
        count += 1
    return min(count, most + 1)
