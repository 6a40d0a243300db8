"""Judged scores against SciPy, against published numbers, and against what simulations say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.svm import SVC

from regbench.analysis.scores import Judged
from regbench.settings.groups import Judging


def judged(scores: dict[str, Any], is_paired: bool = True, **asked: Any) -> Judged:
    """Return what scores say; the first arm is the baseline."""
    arrays = {arm: np.asarray(own, float) for arm, own in scores.items()}
    pairs = [str(pair) for pair in range(len(next(iter(arrays.values()))))] if is_paired else []
    return Judged("loss", arrays, pairs, Judging(**asked))


def related(arms: int, pairs: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Return scores of which those of a pair have most in common."""
    generator = np.random.default_rng(seed)
    common = generator.normal(5, 1, pairs)
    return {f"arm {arm}": common + generator.normal(0, 0.3, pairs) for arm in range(arms + 1)}


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_pairs_have_the_interval_and_p_of_scipy_and_wins_are_of_the_better(better: str) -> None:
    scores = related(1, 12)
    (found,) = judged(scores, better=better, confidence=0.9).comparisons
    baseline, arm = scores.values()
    expected = stats.ttest_rel(arm, baseline)
    assert found.ci == pytest.approx(expected.confidence_interval(0.9), rel=1e-9)
    assert found.ci_alone == pytest.approx(found.ci)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.mean_difference == pytest.approx(np.mean(arm - baseline))
    wins = int((arm < baseline).sum() if better == "lower" else (arm > baseline).sum())
    assert 0 < wins < 12
    assert found.wins == wins
    exact = stats.binomtest(wins, 12).proportion_ci(0.9, method="exact")
    assert found.win_probability_ci == pytest.approx((exact.low, exact.high))


def test_ties_are_no_wins_whichever_scores_are_better() -> None:
    scores = {"a": [1.0, 2, 3, 4], "b": [1, 3, 4, 3.5]}
    assert judged(scores).comparisons[0].wins == 1
    assert judged(scores, better="higher").comparisons[0].wins == 2


@pytest.mark.parametrize(
    ("better", "shift", "verdict"),
    [
        *(("lower", -1, "better"), ("lower", 1, "worse"), ("lower", 0, "inconclusive")),
        *(("higher", -1, "worse"), ("higher", 1, "better"), ("higher", 0, "inconclusive")),
    ],
)
@pytest.mark.parametrize("is_paired", [True, False])
def test_verdict_and_gate_follow_from_which_scores_are_better(
    better: str, shift: int, verdict: str, is_paired: bool
) -> None:
    noise = np.tile([-0.1, 0.1], 10)
    scores = {"a": np.zeros(20) + noise[::-1] / 9, "b": shift + noise}
    result = judged(scores, is_paired, better=better, require="better", margin=0.5)
    found = result.comparisons[0].verdict
    assert found == ("equal" if verdict == "inconclusive" else verdict)
    outcome = {"better": "met", "worse": "not met", "inconclusive": "not met"}[verdict]
    assert [said for _, said in result.judgements] == [outcome]
    assert result.exit_code == (0 if outcome == "met" else 3)
    loose = judged(scores, is_paired, better=better, require="better")
    assert loose.comparisons[0].verdict == verdict
    assert loose.exit_code == {"better": 0, "worse": 3, "inconclusive": 4}[verdict]


def test_splits_have_the_numbers_of_scikit_learns_example() -> None:
    """Its page prints t = 0.750 and one-sided p = 0.227, and 2.611 and 0.005 without correction."""
    inputs, classes = make_moons(noise=0.352, random_state=1, n_samples=100)
    splits = RepeatedStratifiedKFold(n_splits=10, n_repeats=10, random_state=0)
    scores = {
        kernel: cross_val_score(
            SVC(kernel=kernel, random_state=0), inputs, classes, scoring="roc_auc", cv=splits
        )
        for kernel in ("linear", "rbf")
    }
    for splits, t, p in (("90/10", 0.750, 0.227), (None, 2.611, 0.005)):
        (found,) = judged(scores, better="higher", splits=splits).comparisons
        assert found.ci
        half = (found.ci[1] - found.ci[0]) / 2
        assert found.mean_difference / half * stats.t.ppf(0.975, 99) == pytest.approx(t, abs=5e-4)
        assert found.p_value is not None
        assert found.p_value / 2 == pytest.approx(p, abs=5e-4)


def test_splits_have_the_variance_of_baycomps_tests() -> None:
    """`CorrelatedTTest.compute_statistics([4, 2, 6], [5, 7, 3], 1)`: 1, 16 (1/3 + 1/2), 2."""
    (found,) = judged({"x": [4, 2, 6], "y": [5, 7, 3]}, splits="2/1").comparisons
    half = stats.t.ppf(0.975, 2) * math.sqrt(16 * (1 / 3 + 1 / 2))
    assert found.ci == pytest.approx((1 - half, 1 + half))
    assert found.ci_alone == found.ci
    assert (found.median_ci, found.win_probability_ci, found.p_value_sign_flip) == (None,) * 3
    assert found.median_difference == 1


def test_splits_widen_the_intervals_of_several_arms_by_the_same_factor() -> None:
    scores = related(3, 10)
    alone, split = judged(scores).comparisons, judged(scores, splits="400/100").comparisons
    for one, other in zip(alone, split, strict=True):
        assert one.ci
        assert other.ci
        widths = (other.ci[1] - other.ci[0]) / (one.ci[1] - one.ci[0])
        assert widths == pytest.approx(math.sqrt(1 + 10 * 0.25))
        assert other.mean_difference == pytest.approx(one.mean_difference)


def test_interval_over_random_splits_covers_with_the_correction_and_not_without() -> None:
    """The difference of two means of one table's rows, of which each split sees nine tenths."""
    generator, covered = np.random.default_rng(1), {"900/100": 0, None: 0}
    for _ in range(200):
        rows = generator.normal(0, 1, 100)  # at each, the loss of one arm minus that of the other
        splits = [generator.permutation(rows)[:10].mean() for _ in range(30)]
        for asked in covered:
            (found,) = judged({"a": np.zeros(30), "b": splits}, splits=asked).comparisons
            assert found.ci
            covered[asked] += found.ci[0] < 0 < found.ci[1]
    assert covered[None] < 170
    assert covered["900/100"] > 185


def test_scores_without_pairs_have_welchs_interval_and_p() -> None:
    generator = np.random.default_rng(2)
    scores = {"a": generator.normal(0, 1, 7), "b": generator.normal(0.5, 3, 12)}
    (found,) = judged(scores, is_paired=False).comparisons
    expected = stats.ttest_ind(scores["b"], scores["a"], equal_var=False)
    assert found.ci == pytest.approx(expected.confidence_interval(0.95))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.replicates, found.wins, found.ci_alone) == (12, None, None)


def test_intervals_of_several_arms_without_pairs_hold_together_and_agree_with_p() -> None:
    generator, held = np.random.default_rng(3), 0
    for _ in range(300):
        sizes, spreads = (5, 8, 12, 6), (1, 3, 0.5, 2)
        draws = {f"{n}": generator.normal(0, s, n) for n, s in zip(sizes, spreads, strict=True)}
        found = judged(draws, is_paired=False).comparisons
        for c in found:
            assert c.ci
            assert c.p_value is not None
            assert (c.p_value <= 0.05) == (not c.ci[0] <= 0 <= c.ci[1])
        held += all(c.verdict == "inconclusive" for c in found)
    assert held >= 276  # of .95, four standard errors below


@pytest.mark.parametrize("is_paired", [True, False])
@pytest.mark.parametrize("step", [0.0, 0.1])
def test_differences_that_are_all_the_same_have_no_interval(is_paired: bool, step: float) -> None:
    base = np.array([0.5, 0.6, 0.7] if is_paired else [0.5] * 3)
    result = judged({"a": base, "b": base + step}, is_paired, require="not-worse")
    (found,) = result.comparisons
    assert (found.ci, found.p_value, found.verdict) == (None, None, "inconclusive")
    assert found.mean_difference == pytest.approx(step)
    assert result.exit_code == 4


@pytest.mark.parametrize("is_paired", [True, False])
def test_a_score_that_is_not_finite_leaves_the_other_arms_their_answers(is_paired: bool) -> None:
    scores = related(2, 10)
    scores["arm 1"][3] = math.nan
    result = judged(scores, is_paired, require="better", target_width=0.1)
    lost, found = result.comparisons
    assert (lost.verdict, lost.ci) == ("diverged", None)
    assert found.ci
    assert (result.exit_code, result.judgements, result.required_pairs) == (1, [], None)


def test_as_many_pairs_as_are_required_make_the_interval_narrow_enough() -> None:
    scores = related(1, 30)
    takes = judged(scores, target_width=0.2).required_pairs
    assert takes is not None
    more = related(1, takes, seed=5)
    (found,) = judged(more).comparisons
    assert found.ci
    assert found.ci[1] - found.ci[0] <= 0.2
    assert judged(scores).required_pairs is None


def test_result_is_shown_in_a_line_for_each_arm() -> None:
    lines = repr(judged({"a": [1.0, 2, 4], "b": [0.5, 1.25, 3], "c": [2, 3, 4.5]})).splitlines()
    assert lines[0] == "By loss, against a:"
    assert [line.split(":")[0] for line in lines[1:]] == ["b", "c"]
