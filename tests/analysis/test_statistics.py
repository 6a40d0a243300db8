"""Statistics against scipy, against counting by hand, and against what simulations say."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from regbench.analysis.statistics import (
    Comparison,
    compare_arms,
    judge,
    mean_interval,
    median_interval,
    probability_interval,
    required_replicates,
    sign_flip_probability,
)

losses = st.lists(
    st.tuples(st.floats(0, 10, width=32), st.floats(0, 10, width=32)), min_size=2, max_size=12
)


def normal_pairs(count: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    baseline = generator.normal(5, 1, count)
    return baseline, baseline + generator.normal(-0.1, 0.3, count)


def compare(arm: str, baseline: np.ndarray, losses: np.ndarray, confidence: float) -> Comparison:
    return compare_arms([arm], "test_loss", np.stack([baseline, losses]), confidence)[0]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("count", [2, 3, 13, 30, 150])
def test_comparison_equals_scipy_on_the_same_data(count: int, confidence: float) -> None:
    baseline, arm = normal_pairs(count)
    comparison = compare("a", baseline, arm, confidence)
    differences = arm - baseline
    expected = stats.ttest_rel(arm, baseline).confidence_interval(confidence)
    assert comparison.mean_difference == pytest.approx(differences.mean(), rel=1e-12)
    assert comparison.ci == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert comparison.ci_alone == comparison.ci
    assert comparison.p_value == pytest.approx(stats.ttest_rel(arm, baseline).pvalue, rel=1e-9)
    assert comparison.p_value_sign_flip == sign_flip_probability(differences)
    assert (comparison.baseline, comparison.value) == (baseline.mean(), arm.mean())
    assert comparison.median_difference == np.median(differences)
    wins = int((arm < baseline).sum())
    share = stats.binomtest(wins, count).proportion_ci(confidence, method="exact")
    assert (comparison.wins, comparison.replicates) == (wins, count)
    assert comparison.win_probability_ci == pytest.approx((share.low, share.high))
    assert comparison.skewness == pytest.approx(stats.skew(differences))
    assert comparison.correlation == pytest.approx(stats.pearsonr(baseline, arm).statistic)
    unpaired = baseline.var(ddof=1) + arm.var(ddof=1)
    assert comparison.pairing_gain == pytest.approx(unpaired / differences.var(ddof=1))


def test_better_is_negative_and_the_verdict_follows_the_interval() -> None:
    baseline, arm = normal_pairs(60)
    assert compare("a", baseline, arm, 0.95).verdict == "better"
    assert compare("a", arm, baseline, 0.95).verdict == "worse"
    assert compare("a", *normal_pairs(3), 0.9999).verdict == "inconclusive"


@pytest.mark.parametrize("count", [2, 5, 9, 12])
def test_sign_flip_probability_counts_every_flip_of_few_replicates(count: int) -> None:
    differences = np.random.default_rng(count).normal(0.4, 1, count)
    flips = [abs(np.dot(differences, signs)) for signs in itertools.product([1, -1], repeat=count)]
    expected = np.mean([flip >= abs(differences.sum()) * (1 - 1e-12) for flip in flips])
    assert sign_flip_probability(differences) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("draws", [9, 99])
def test_sign_flip_probability_of_drawn_flips_counts_the_observed_one_too(draws: int) -> None:
    # Each of 30 differences is 1. Of 2^30 flips, two reach their sum: no draw is one of those.
    differences = np.ones(30)
    expected = stats.permutation_test(
        (differences, np.zeros(30)),
        lambda arm, baseline: abs((arm - baseline).sum()),
        permutation_type="samples",
        n_resamples=draws,
        alternative="greater",
        rng=np.random.default_rng(1),
    )
    assert expected.pvalue == 1 / (1 + draws)
    assert sign_flip_probability(differences, draws) == expected.pvalue


def test_sign_flip_probability_is_uniform_where_nothing_differs_in_every_regime() -> None:
    generator = np.random.default_rng(8)
    for count in (10, 40, 300):
        found = [
            sign_flip_probability(generator.normal(0, 1, count), resamples=199) for _ in range(300)
        ]
        assert stats.kstest([p or 0 for p in found], "uniform").pvalue > 1e-4


def test_sign_flip_probability_is_the_same_each_time_and_close_to_normal_above_the_switch() -> None:
    differences = np.random.default_rng(5).normal(0.1, 1, 200)
    drawn = sign_flip_probability(differences)
    assert drawn == sign_flip_probability(differences)
    normal = sign_flip_probability(np.append(differences, 0.0))
    assert drawn == pytest.approx(normal, abs=0.02)


@pytest.mark.parametrize(("count", "tolerance"), [(200, 0.5), (201, 0.05)])
def test_sign_flip_probability_is_that_of_all_flips_on_both_sides_of_the_switch(
    count: int, tolerance: float
) -> None:
    # The mean is so far from 0 that p would be a sixth lower, were the variance taken around it.
    # Drawn flips have a standard error of 17 %.
    differences = np.random.default_rng(5).uniform(0.8, 1.2, count)
    differences[120:] *= -1
    # Of all 2^count by the characteristic function of their sum, Π cos(t d) (Gil-Pelaez 1951).
    t = np.linspace(1e-9, 1, 10_001)
    density = np.sin(t * differences.sum()) / t * np.cos(np.outer(t, differences)).prod(axis=1)
    expected = 1 - 2 / math.pi * np.trapezoid(density, t)
    assert 0.003 < expected < 0.005
    assert sign_flip_probability(differences) == pytest.approx(expected, rel=tolerance)


def test_sign_flip_probability_of_equal_differences_is_that_of_the_normal_law() -> None:
    for count in (201, 1000):
        expected = 2 * stats.norm.sf(math.sqrt(count))
        assert sign_flip_probability(np.ones(count)) == pytest.approx(expected, rel=1e-9)


def test_interval_of_the_mean_covers_as_often_as_it_says() -> None:
    generator = np.random.default_rng(12)
    for count in (5, 30):
        intervals = [mean_interval(generator.normal(0.3, 2, count), 0.95) for _ in range(2000)]
        covered = np.mean([low <= 0.3 <= high for low, high in filter(None, intervals)])
        assert covered == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("count", [6, 20, 51])
def test_interval_of_the_median_covers_at_least_as_often_as_it_says(count: int) -> None:
    generator = np.random.default_rng(13)
    intervals = [median_interval(generator.lognormal(0, 1, count), 0.95) for _ in range(2000)]
    covered = np.mean([low <= 1 <= high for low, high in filter(None, intervals)])
    exact = 1 - 2 * stats.binom.cdf(stats.binom.ppf(0.025, count, 0.5) - 1, count, 0.5)
    assert 0.94 <= covered <= min(1.0, exact + 0.02)


@pytest.mark.parametrize("count", [2, 6, 7, 29, 30, 200])
@pytest.mark.parametrize("confidence", [0.51, 0.9, 0.95, 0.9999])
def test_interval_of_the_median_is_that_of_scipy(count: int, confidence: float) -> None:
    values = np.random.default_rng(count).normal(size=count)
    expected = stats.quantile_test(values, p=0.5).confidence_interval(confidence)
    found = median_interval(values, confidence)
    if found is None:
        assert math.isnan(expected.low + expected.high)
    else:
        assert found == pytest.approx((expected.low, expected.high), abs=0)


def test_interval_of_the_median_has_no_end_where_replicates_are_too_few() -> None:
    values = np.arange(6.0)
    assert median_interval(values, 0.95) == (0.0, 5.0)  # 2/2^6 = .031 outside
    assert median_interval(values[:5], 0.95) is None  # 2/2^5 = .0625
    assert median_interval(values[:1], 0.95) is None


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 30), (22, 30), (30, 30)])
def test_probability_interval_is_that_of_clopper_and_pearson(successes: int, trials: int) -> None:
    low, high = probability_interval(successes, trials, 0.95)
    # By the beta quantiles of their paper, not by what the package calls.
    lowest = stats.beta.ppf(0.025, successes, trials - successes + 1) if successes else 0.0
    highest = stats.beta.ppf(0.975, successes + 1, trials - successes) if successes < trials else 1
    assert (low, high) == pytest.approx((lowest, highest))


@settings(max_examples=100)
@given(losses)
def test_swapping_the_arms_mirrors_the_comparison(pairs: list[tuple[float, float]]) -> None:
    baseline, arm = np.array(pairs).T
    there, back = compare("a", baseline, arm, 0.9), compare("a", arm, baseline, 0.9)
    assert there.mean_difference == -back.mean_difference
    assert there.ci is not None
    assert back.ci is not None
    assert there.ci == pytest.approx((-back.ci[1], -back.ci[0]))
    assert there.p_value == back.p_value
    assert there.p_value_sign_flip == back.p_value_sign_flip
    assert there.wins is not None
    assert back.wins is not None
    assert there.wins + back.wins + int((baseline == arm).sum()) == there.replicates
    assert {there.verdict, back.verdict} in ({"inconclusive"}, {"better", "worse"})


def test_equal_losses_differ_by_nothing_and_warn_of_nothing() -> None:
    comparison = compare("a", np.full(8, 2.5), np.full(8, 2.5), 0.95)
    assert (comparison.mean_difference, comparison.ci) == (0.0, (0.0, 0.0))
    assert (comparison.wins, comparison.p_value) == (0, 1.0)
    assert comparison.correlation is comparison.pairing_gain is comparison.skewness is None
    assert comparison.verdict == "inconclusive"


def test_one_replicate_has_a_difference_and_no_interval() -> None:
    comparison = compare("a", np.array([2.0]), np.array([1.5]), 0.95)
    assert (comparison.mean_difference, comparison.wins) == (-0.5, 1)
    assert comparison.ci is None
    assert comparison.median_ci is None
    assert comparison.p_value is None
    assert comparison.verdict == "inconclusive"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("arm_index", [0, 1])
def test_loss_that_is_not_finite_is_never_averaged_away(bad: float, arm_index: int) -> None:
    baseline, arm = losses = normal_pairs(6)
    losses[arm_index][2] = bad
    comparison = compare("a", baseline, arm, 0.95)
    assert math.isnan(comparison.mean_difference)
    assert math.isnan(comparison.median_difference)
    assert comparison.ci is None
    assert comparison.p_value is None
    assert (comparison.correlation, comparison.win_probability_ci) == (None, None)
    assert comparison.wins is None
    assert comparison.verdict == "diverged"


@pytest.mark.parametrize(
    ("ci", "requirement", "margin", "judgement"),
    [
        ((-0.2, -0.1), "better", 0.0, "met"),
        ((0.1, 0.2), "better", 0.0, "not met"),
        ((-0.1, 0.1), "better", 0.0, "inconclusive"),
        ((-0.2, -0.1), "better", 0.05, "met"),
        ((-0.2, -0.1), "better", 0.15, "inconclusive"),
        ((-0.2, -0.1), "better", 0.3, "not met"),
        ((-0.1, 0.04), "not-worse", 0.05, "met"),
        ((-0.1, 0.06), "not-worse", 0.05, "inconclusive"),
        ((0.06, 0.1), "not-worse", 0.05, "not met"),
        ((0.0, 0.0), "not-worse", 0.0, "met"),  # an arm that is the baseline
        ((0.0, 0.0), "better", 0.0, "inconclusive"),
        (None, "better", 0.0, "inconclusive"),
    ],
)
def test_gate_is_judged_by_where_the_interval_lies(
    ci: tuple[float, float] | None, requirement: str, margin: float, judgement: str
) -> None:
    assert judge(ci, requirement, margin) == judgement  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [0.05, 0.3, 2.0, 50.0])
def test_required_replicates_is_the_least_number_that_is_narrow_enough(width: float) -> None:
    differences = np.random.default_rng(2).normal(0, 1, 10)
    needed = required_replicates(differences[None], width, 0.9, most=10**6)

    def width_at(count: int) -> float:
        low, high = stats.t.interval(
            0.9, count - 1, scale=differences.std(ddof=1) / math.sqrt(count)
        )
        return float(high - low)

    assert width_at(needed) <= width
    assert needed == 2 or width_at(needed - 1) > width


def test_required_replicates_of_equal_differences_are_two() -> None:
    assert required_replicates(np.ones((2, 10)), 0.1, 0.95, most=100) == 2


@pytest.mark.parametrize("width", [0.02, 1e-12, 1e-160, 5e-324])
def test_required_replicates_beyond_the_most_are_one_more(width: float) -> None:
    assert required_replicates(np.arange(10.0)[None], width, 0.95, most=1000) == 1001


@pytest.mark.parametrize("scale", [1e155, 1e308])
def test_differences_whose_squares_overflow_say_nothing_without_a_warning(scale: float) -> None:
    losses = scale * np.linspace(0.5, 1, 8)
    with warnings.catch_warnings(action="error"):
        compared = compare("a", np.zeros(8), losses, 0.95)
    assert compared.verdict == "inconclusive"
    assert compared.wins == 0
