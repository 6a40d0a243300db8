"""Paired differences of arms, with intervals and p values that hold together over arms.

One law, that of the largest |t|, is behind both. Works on arrays and knows nothing about how they
came about. `docs/statistics.md` says why these statistics and how often their intervals hold the
truth.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from regbench.tasks.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regbench.analysis.history import Array

DRAWS = 9999
"""Random draws of the largest |t| of several arms."""
MOST_NUMBERS = 20_000_000
"""Most random numbers for one law; with very many arms this lowers the number of draws."""
MANY_REPLICATES = 200
"""Above this number of replicates, a mean is treated as normal."""
Interval = tuple[float, float]
Verdict = Literal[
    "better", "worse", "lower", "higher", "equal", "inconclusive", "diverged", "did nothing"
]
Requirement = Literal["better", "not-worse", "equal"]
Judgement = Literal["met", "not met", "inconclusive"]

AT_BEST = "risk_at_best"
"""The risk at best epochs, among measures. Each half of its replicates chose the other's epoch."""
SURE_OF_WIDTH = 0.9
"""The probability that an interval that was planned is no wider than asked."""
OF_A_LOSS: dict[Verdict, Verdict] = {"lower": "better", "higher": "worse"}


@dataclass(frozen=True)
class Law:
    """The law of the largest |t| over arms, where no arm differs from the baseline.

    Attributes:
        largest: Draws of it, ascending; empty for one arm, whose law is known.
        freedom: Degrees of freedom of one arm's t.
    """

    largest: Array
    freedom: float

    def critical(self, confidence: float) -> float:
        """Return what |t| exceeds where, and only where, its p is at most 1 − `confidence`."""
        if not len(self.largest):
            from scipy import special

            return float(special.stdtrit(self.freedom, (1 + confidence) / 2))
        tail = max(1, int((1 - confidence) * (len(self.largest) + 1) + 1e-9))
        return float(self.largest[-tail])

    def probability(self, t: float) -> float:
        """Return the two-sided p of one arm's t, corrected for the number of arms."""
        if not len(self.largest):
            from scipy import special

            return float(2 * special.stdtr(self.freedom, -abs(t)))
        beyond = len(self.largest) - np.searchsorted(self.largest, abs(t))
        return float((1 + beyond) / (1 + len(self.largest)))


def draws_for(confidence: float, least: int) -> int:
    """Return how many draws a critical value takes: ten beyond it, or `least`."""
    return max(least, round(10 / (1 - confidence)) - 1)


def law_of(differences: Array, draws: int = DRAWS, replicates: int | None = None) -> Law:
    """Return the law for paired differences `(A, R)` that vary, R ≥ 2, or as many `replicates`."""
    correlations = np.atleast_2d(np.corrcoef(differences))
    return law_for(correlations, (replicates or differences.shape[1]) - 1, draws)


def law_for(correlations: Array, freedom: float, draws: int = DRAWS) -> Law:
    """Return the law for mean differences that have these correlations, `(A, A)`.

    By parametric bootstrap of the max-t of Hothorn, Bretz & Westfall (2008, Biometrical Journal
    50): t of normal draws that have these correlations, each arm with its own standard deviation.
    Of `MANY_REPLICATES` and more, of the normal limit. Draws are always the same ones.
    """
    arms = len(correlations)
    if arms == 1:
        return Law(np.empty(0), freedom)
    values, vectors = np.linalg.eigh(correlations)
    root = vectors * np.sqrt(values.clip(0))
    # The sum of squares around the mean is L W Lᵀ with W = G Gᵀ a Wishart matrix: of Bartlett's
    # (1933) triangular G, or of a column for each degree of freedom where these are fewer.
    columns = 0 if freedom >= MANY_REPLICATES else min(int(freedom), arms)
    draws = min(draws, max(999, MOST_NUMBERS // (arms * (columns + 1))))
    generator = np.random.default_rng(0)
    largest = np.empty(draws)
    step = max(1, 1_000_000 // (arms * (columns + 1)))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        means = generator.standard_normal((size, arms)) @ root.T
        if columns:
            mixed = generator.standard_normal((size, arms, columns))
            if columns == arms:
                mixed = np.tril(mixed, -1)
                diagonal = generator.chisquare(freedom - np.arange(arms), (size, arms))
                mixed[:, range(arms), range(arms)] = np.sqrt(diagonal)
            means /= np.sqrt(np.square(root @ mixed).sum(axis=2) / freedom)
        largest[start : start + size] = np.abs(means).max(axis=1)
    return Law(np.sort(largest), freedom)


@dataclass(frozen=True)
class Difference:
    """A measure of an arm against the baseline's on the same R replicates.

    A difference is arm − baseline. Where a value is not finite, numbers are NaN and the others
    None; where there are too few replicates, None.

    Attributes:
        arm: The arm's name.
        measure: The measure's.
        replicates: R.
        confidence: Of the intervals, in (0, 1).
        baseline, value: Means over replicates of the baseline's measure, and of the arm's.
        mean_difference: Mean over replicates.
        ci: Its interval, which holds together with those of all other arms; see `law_of`. With one
            arm it is Student's t interval. Its standard error is that of `Sample`.
        p_value: Two-sided, of no difference, from the same law: at most 1 − confidence where `ci`
            leaves 0 out, and only there.
        wins: In how many replicates the arm's measure is the lower one.
        verdict: What `ci` says.
    """

    arm: str
    measure: str
    replicates: int
    confidence: float
    baseline: float
    value: float
    mean_difference: float
    ci: Interval | None
    p_value: float | None
    wins: int | None
    verdict: Verdict


@dataclass(frozen=True)
class Comparison(Difference):
    """The difference of the measure by which arms are judged, with its details.

    Attributes:
        ci_alone: The t interval of this arm alone.
        median_difference: Median over replicates.
        median_ci: Its interval from order statistics.
        win_probability_ci: Clopper-Pearson interval of the probability of a win; a tie is no win.
        p_value_sign_flip: Of the sign-flip permutation test of no difference in this arm alone.
        correlation: Of the pairs' values.
        pairing_gain: Variance that the difference would have without pairing, over what it has.
        skewness: Of the differences.
    """

    ci_alone: Interval | None = None
    median_difference: float = math.nan
    median_ci: Interval | None = None
    win_probability_ci: Interval | None = None
    p_value_sign_flip: float | None = None
    correlation: float | None = None
    pairing_gain: float | None = None
    skewness: float | None = None


@np.errstate(over="ignore", invalid="ignore")
def paired_differences(
    names: Sequence[str],
    measure: str,
    values: Sample | Array,
    confidence: float,
    draws: int = DRAWS,
) -> list[Difference]:
    """Compare a measure of every arm with the baseline's.

    Values are a sample, or those of independent replicates, `(A, R)`; the baseline is the first,
    which `names` leaves out.
    """
    sample = sample_of(values)
    differences, count = sample.differences, sample.values.shape[1]
    is_finite = np.asarray(np.isfinite(differences).all(axis=1))
    errors = np.zeros(len(differences))
    varied = is_finite & (np.ptp(differences, axis=1) > 0)
    law = None
    if varied.any():
        errors = sample.errors
        law = law_for(sample.correlations(varied), sample.freedom, draws_for(confidence, draws))
    found = []
    for index, name in enumerate(names):
        mean, error, fine = float(sample.means[index]), float(errors[index]), is_finite[index]
        ci, p_value = None, None
        if fine and count > 1:
            half = law.critical(confidence) * error if law and error else 0.0
            ci = (mean - half, mean + half)
            p_value = law.probability(mean / error) if law and error else float(mean == 0)
        numbers = float(sample.levels[0]), float(sample.levels[index + 1])
        wins = int((differences[index] < 0).sum()) if fine else None
        verdict = verdict_of(ci) if fine else "diverged"
        made = *numbers, mean if fine else math.nan, ci, p_value, wins, verdict
        found.append(Difference(name, measure, count, confidence, *made))
    return found


def compare_arms(
    names: Sequence[str],
    measure: str,
    losses: Sample | Array,
    confidence: float,
    draws: int = DRAWS,
    margin: float = 0.0,
) -> list[Comparison]:
    """Compare a loss of every arm with the baseline's, in detail; see `paired_differences`.

    An arm whose interval lies within a margin around 0 is called equal.
    """
    sample = sample_of(losses)
    found = paired_differences(names, measure, sample, confidence, draws)
    return [detailed(told, sample, index, draws, margin) for index, told in enumerate(found, 1)]


@np.errstate(over="ignore", invalid="ignore")
def detailed(
    difference: Difference, sample: Sample, index: int, draws: int, margin: float
) -> Comparison:
    """Return a difference with all that is said of it; `index` is the arm's in the sample.

    What takes replicates as independent is None where they are not.
    """
    verdict = OF_A_LOSS.get(difference.verdict, difference.verdict)
    verdict = "equal" if margin and is_within(difference.ci, margin) else verdict
    stated = asdict(replace(difference, verdict=verdict))
    baseline, arm = sample.values[0], sample.values[index]
    differences, confidence, wins = arm - baseline, difference.confidence, difference.wins
    if wins is None:
        return Comparison(**stated)
    spread, is_free = [float(v.var()) for v in (differences, baseline, arm)], sample.is_independent
    chance = probability_interval(wins, len(differences), confidence) if is_free else None
    return Comparison(
        **stated,
        ci_alone=interval_alone(sample, index, confidence),
        median_difference=float(np.median(differences)),
        median_ci=median_interval(differences, confidence) if is_free else None,
        win_probability_ci=chance,
        p_value_sign_flip=sign_flip_probability(differences, draws) if is_free else None,
        correlation=float(np.corrcoef(baseline, arm)[0, 1]) if min(spread[1:]) > 0 else None,
        pairing_gain=(spread[1] + spread[2]) / spread[0] if spread[0] > 0 else None,
        skewness=skewness(differences) if spread[0] > 0 and is_free else None,
    )


def verdict_of(ci: Interval | None) -> Verdict:
    """Return what the interval of a difference says; None, of one replicate, says nothing."""
    if ci is not None and ci[1] < 0:
        return "lower"
    return "higher" if ci is not None and ci[0] > 0 else "inconclusive"


def judge(ci: Interval | None, requirement: Requirement, margin: float) -> Judgement:
    """Return whether the interval of a difference meets a requirement.

    `better`: the loss is lower by more than the margin. `not-worse`: it is higher by the margin at
    most. `equal`: it differs by the margin at most, either way.
    """
    if ci is None:
        return "inconclusive"
    if requirement == "equal":
        is_apart = ci[1] < -margin or ci[0] > margin
        return "met" if is_within(ci, margin) else "not met" if is_apart else "inconclusive"
    bound = -margin if requirement == "better" else margin
    if ci[1] < bound or (requirement == "not-worse" and ci[1] == bound):
        return "met"
    return "not met" if ci[0] > bound else "inconclusive"


def exit_code_of(judgements: Iterable[Judgement], has_diverged: bool) -> int:
    """Return 1 where an arm diverged, 3 where one does not meet a gate, 4 where one may not."""
    found = {*judgements}
    return 1 if has_diverged else 3 if "not met" in found else 4 * ("inconclusive" in found)


def is_within(ci: Interval | None, margin: float) -> bool:
    """Whether an interval lies within a margin around 0 (Benavoli et al. 2017, JMLR 18)."""
    return ci is not None and -margin <= ci[0] and ci[1] <= margin


def sample_of(values: Sample | Array) -> Sample:
    """Return a sample as it is, or one of the values `(A, R)` of independent replicates."""
    return values if isinstance(values, Sample) else Sample(values.astype(np.float64))


def interval_alone(sample: Sample, index: int, confidence: float) -> Interval | None:
    """Return the interval of one arm's mean difference by itself; None where R = 1."""
    if sample.values.shape[1] == 1:
        return None
    critical = Law(np.empty(0), sample.freedom).critical(confidence)
    mean, half = float(sample.means[index - 1]), critical * float(sample.errors[index - 1])
    return mean - half, mean + half


def mean_interval(values: Array, confidence: float, overlap: float = 0.0) -> Interval | None:
    """Return Student's t interval (1908) of the mean of `values` `(R,)`; None where R = 1.

    For `overlap` see `Sample`.
    """
    pair = Sample(np.stack([np.zeros(len(values)), values]), overlap=overlap)
    return interval_alone(pair, 1, confidence)


def mean_band(values: Array, confidence: float, overlap: float = 0.0) -> tuple[Array, Array]:
    """Return means of `values` `(..., R)` and half the width of their t intervals, pointwise.

    Where a value is not finite both are NaN; of one replicate there is no width. For `overlap` see
    `Sample`.
    """
    numbers = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    mean, number = numbers.mean(axis=-1), numbers.shape[-1]
    if number == 1:
        return mean, np.zeros_like(mean)
    critical = Law(np.empty(0), number - 1).critical(confidence) * math.sqrt(1 + number * overlap)
    return mean, critical * numbers.std(axis=-1, ddof=1) / np.sqrt(number)


def standard_error(values: Array) -> float:
    """Return the standard error of the mean of `values` `(R,)`, R ≥ 2."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def t_interval(value: float, error: float, count: int, confidence: float) -> Interval:
    """Return Student's t interval of an estimate from `count` replicates and its standard error."""
    half = Law(np.empty(0), count - 1).critical(confidence) * error
    return value - half, value + half


def median_interval(values: Array, confidence: float) -> Interval | None:
    """Return the interval of the median between order statistics of `values` `(R,)`.

    The k-th smallest and k-th largest value, with the largest k for which the binomial law with
    probability 1/2 leaves at most (1 - confidence)/2 outside on each side (Hollander, Wolfe &
    Chicken 2014, §3.6). None where R is too small for that.
    """
    from scipy import special

    count, tail = len(values), (1 - confidence) / 2
    below = special.bdtr(np.arange(count), count, 0.5)  # fewer than k + 1 of them below the median
    outside = int(np.searchsorted(below, tail, side="right"))
    ordered = np.sort(values)
    return (float(ordered[outside - 1]), float(ordered[-outside])) if outside else None


def probability_interval(successes: int, trials: int, confidence: float) -> Interval:
    """Return the exact interval of a probability (Clopper & Pearson 1934)."""
    from scipy import special

    tail, failures = (1 - confidence) / 2, trials - successes
    low = special.betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = special.betaincinv(successes + 1, failures, 1 - tail) if failures else 1.0
    return float(low), float(high)


def sign_flip_probability(differences: Array, resamples: int = DRAWS) -> float | None:
    """Return the two-sided p of the sign-flip permutation test of mean 0; None where R = 1.

    Under the null hypothesis the arms of a pair may be swapped (Fisher 1935). All flips are
    counted where there are at most `resamples`; otherwise so many are drawn, always the same ones,
    and the flip that was observed is one more (Phipson & Smyth 2010). Above `MANY_REPLICATES` the
    sum of the flipped differences is taken as normal, with variance Σd².
    """
    count, total = len(differences), abs(float(differences.sum()))
    if count == 1:
        return None
    if count > MANY_REPLICATES:
        from scipy import special

        spread = math.sqrt(float(np.square(differences).sum()))
        return float(2 * special.ndtr(-total / spread)) if spread else 1.0
    is_exact = 2**count <= resamples
    if is_exact:
        signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
    else:
        signs = 2 * np.random.default_rng(0).integers(0, 2, (resamples, count), np.int8) - 1
    beyond = int((np.abs(signs @ differences) >= total * (1 - 1e-12)).sum())
    return beyond / len(signs) if is_exact else (1 + beyond) / (1 + len(signs))


@np.errstate(all="ignore")
def ratio_of_means(
    values: Array, confidence: float, overlap: float = 0.0
) -> list[tuple[float, Interval | None]]:
    """Return every arm's mean over the baseline's, with its interval; `values` are `(A, R)`.

    By the delta method for the logarithm of the ratio of paired means; intervals hold together over
    arms. NaN and None where a mean is not positive and finite. For `overlap` see `Sample`.
    """
    values = values.astype(np.float64)
    means = values.mean(axis=1)
    shares = values / means[:, None]
    differences = shares[1:] - shares[0]
    is_fine = np.isfinite(differences).all(axis=1) & (means[1:] > 0) & (means[0] > 0)
    varied = differences[is_fine & (np.ptp(differences, axis=1) > 0)]
    critical = law_of(varied).critical(confidence) if len(varied) and values.shape[1] > 1 else 0.0
    critical *= math.sqrt(1 + values.shape[1] * overlap)
    found: list[tuple[float, Interval | None]] = []
    for ratio, own, fine in zip(means[1:] / means[0], differences, is_fine, strict=True):
        half = critical * standard_error(own) if fine and len(own) > 1 else math.nan
        ends = float(ratio * math.exp(-half)), float(ratio * math.exp(half))
        found.append((float(ratio) if fine else math.nan, ends if math.isfinite(half) else None))
    return found


def skewness(values: Array) -> float:
    """Return the third standardised moment of `values`, which vary."""
    centred = values - values.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def required_replicates(differences: Array, width: float, confidence: float, most: int) -> int:
    """Return the least number of replicates for which every arm's interval is narrow enough.

    At most `width` wide in nine of ten runs, where `differences` `(A, R)` are a pilot's: for the
    largest standard deviation stands the upper end of its one-sided interval of 90 %, by the χ² law
    of R − 1 degrees of freedom. Where these are more than `most`, `most` + 1.
    """
    from scipy import special

    varied = differences[np.ptp(differences, axis=1) > 0]
    if not len(varied):
        return 2
    left = differences.shape[1] - 1
    upper = math.sqrt(left / special.chdtri(left, SURE_OF_WIDTH))
    spread = float(varied.std(axis=1, ddof=1).max()) * upper

    def is_enough(count: int) -> bool:
        critical = law_of(varied, replicates=count).critical(confidence)
        return 2 * critical * spread / math.sqrt(count) <= width

    return 2 + bisect.bisect_left(range(2, most + 1), True, key=is_enough)
