"""The law of several arms, against SciPy, against normal draws, and by its coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from regbench.analysis.statistics import (
    Law,
    compare_arms,
    law_of,
    paired_differences,
    required_replicates,
)


def correlated(arms: int, count: int, correlation: float, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    own, common = generator.normal(size=(arms, count)), generator.normal(size=(1, count))
    differences: np.ndarray = np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common
    return differences


def t_of(differences: np.ndarray) -> np.ndarray:
    t: np.ndarray = stats.ttest_1samp(differences, 0, axis=1).statistic
    return t


@pytest.mark.parametrize("count", [2, 5, 400])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.9999])
def test_one_arm_has_students_t(count: int, confidence: float) -> None:
    law = law_of(correlated(1, count, 0, 1))
    assert law.critical(confidence) == pytest.approx(stats.t.ppf((1 + confidence) / 2, count - 1))
    for t in (-3.0, 0.0, 2.5):
        assert law.probability(t) == pytest.approx(2 * stats.t.sf(abs(t), count - 1))


@pytest.mark.parametrize(("arms", "count"), [(4, 20), (6, 5), (12, 3)])
def test_law_is_that_of_normal_draws_with_the_estimated_correlations(arms: int, count: int) -> None:
    differences = correlated(arms, count, 0.6, 2)
    correlations = np.corrcoef(differences)
    generator = np.random.default_rng(3)
    draws = [
        np.abs(t_of(generator.multivariate_normal(np.zeros(arms), correlations, count).T)).max()
        for _ in range(4000)
    ]
    assert stats.ks_2samp(law_of(differences).largest, draws).pvalue > 1e-3


def test_many_replicates_have_the_normal_limit() -> None:
    law = law_of(correlated(9, 201, 0.0, 4))
    sidak = stats.norm.ppf((1 + 0.95 ** (1 / 9)) / 2)  # exact where arms are unrelated
    assert law.critical(0.95) == pytest.approx(sidak, rel=0.02)


def test_arms_that_are_the_same_are_one() -> None:
    differences = np.repeat(correlated(1, 12, 0, 5), 5, axis=0)
    assert law_of(differences).critical(0.95) == pytest.approx(stats.t.ppf(0.975, 11), rel=0.04)


@pytest.mark.parametrize(("arms", "count", "correlation"), [(9, 30, 0.0), (9, 10, 0.9), (3, 3, 0)])
def test_all_intervals_hold_together_as_often_as_they_say(
    arms: int, count: int, correlation: float
) -> None:
    held = []
    for seed in range(400):
        differences = correlated(arms, count, correlation, seed)
        law = law_of(differences, draws=999)
        held.append(np.abs(t_of(differences)).max() <= law.critical(0.95))
    assert 0.91 < np.mean(held) < 0.98  # .95 has a standard error of .011


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.9, 0.95, 0.99, 0.9999])
@pytest.mark.parametrize("draws", [999, 9999, 1234])
def test_p_is_small_where_and_only_where_the_interval_leaves_0_out(
    confidence: float, draws: int
) -> None:
    law = law_of(correlated(5, 8, 0.3, 6), draws)
    at = law.critical(confidence)
    for t in (at, np.nextafter(at, np.inf), *np.linspace(0, 12, 200)):
        if confidence < 0.9999 or draws == 9999:  # fewer draws have no p so small
            assert (t > at) == (law.probability(t) <= 1 - confidence + 1e-9), t


def test_interval_p_and_verdict_never_contradict_each_other() -> None:
    losses = np.vstack([np.zeros((1, 12)), correlated(6, 12, 0.5, 7) - 0.9])
    found = compare_arms([str(arm) for arm in range(6)], "risk", losses, 0.95)
    assert {comparison.verdict for comparison in found} == {"better", "inconclusive"}
    for comparison in found:
        assert comparison.ci is not None
        assert comparison.ci_alone is not None
        assert comparison.p_value is not None
        assert (comparison.verdict == "better") == (comparison.p_value <= 0.05)
        assert (comparison.verdict == "better") == (comparison.ci[1] < 0)
        assert comparison.ci[0] < comparison.ci_alone[0] < comparison.ci_alone[1] < comparison.ci[1]


def test_arm_that_diverged_or_is_the_baseline_leaves_the_law_of_the_others_alone() -> None:
    differences = correlated(2, 9, 0.2, 8)
    losses = np.vstack([np.zeros((1, 9)), differences, np.zeros((1, 9)), np.full((1, 9), np.nan)])
    found = paired_differences(["a", "b", "same", "lost"], "risk", losses, 0.95)
    alone = paired_differences(["a", "b"], "risk", losses[:3], 0.95)
    assert found[:2] == alone
    assert (found[2].ci, found[2].p_value, found[2].verdict) == ((0.0, 0.0), 1.0, "inconclusive")
    assert (found[3].ci, found[3].wins, found[3].verdict) == (None, None, "diverged")


def test_target_width_takes_more_replicates_for_several_arms() -> None:
    differences = correlated(9, 10, 0.0, 9)
    alone = max(required_replicates(arm[None], 0.4, 0.95, 10**6) for arm in differences)
    together = required_replicates(differences, 0.4, 0.95, 10**6)
    widest = differences.std(axis=1, ddof=1).max() * np.sqrt(9 / stats.chi2.ppf(0.1, 9))
    assert alone < together
    for count in (together - 1, together):
        critical = law_of(differences, replicates=count).critical(0.95)
        assert (2 * critical * widest / np.sqrt(count) <= 0.4) == (count == together)


def test_very_many_arms_have_fewer_draws() -> None:
    assert len(law_of(correlated(600, 30, 0.5, 10)).largest) == 20_000_000 // (600 * 30)
    assert isinstance(law_of(correlated(2, 2, 0.5, 11)), Law)
