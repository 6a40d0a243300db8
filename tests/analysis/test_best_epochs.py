"""Each arm stopped at its own best epoch, networks that failed, and slopes told as ratios."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from training import ENVIRONMENT, make_request, train

import regbench as rb
from regbench.analysis import best
from regbench.analysis.history import History
from regbench.analysis.result import Result
from regbench.analysis.statistics import compare_arms, judge, ratio_of_means, required_replicates
from regbench.tasks.sample import Sample
from regbench.tasks.synthetic import Synthetic


def history_of(risk: Any, **more: Any) -> History:
    """Return a history that has a risk `(E, A, R)` at as many measured epochs."""
    values = np.asarray(risk, float)
    return History({"measures/risk": values, "epochs": np.arange(len(values)) * 10, **more})


def best_epochs(history: History) -> tuple[Any, Any]:
    """Return each replicate's best epoch, which the other half chooses, and its risk there."""
    halves = Synthetic(rb.Task()).choosers(range(history.risk.shape[-1]))
    at = best.best_at(history, halves)
    return history.epochs[at], np.take_along_axis(history.risk.astype(float), at[None], axis=0)[0]


def test_best_epoch_is_that_of_the_other_half_of_the_replicates() -> None:
    risk = np.random.default_rng(0).gamma(2.0, size=(9, 3, 7))
    epochs, values = best_epochs(history_of(risk))
    for arm in range(3):
        for replicate in range(7):
            others = [r for r in range(7) if (r - replicate) % 2]
            best = 1 + int(risk[1:, arm, others].mean(axis=1).argmin())
            assert epochs[arm, replicate] == 10 * best
            assert values[arm, replicate] == risk[best, arm, replicate]


def test_best_epoch_is_never_chosen_by_its_own_half_nor_before_training() -> None:
    risk = np.ones((4, 1, 4))
    risk[0] = 0  # before the first step
    risk[3, 0, 0] = -100  # of this replicate alone
    epochs, values = best_epochs(history_of(risk))
    assert epochs.tolist() == [[10, 30, 10, 30]], "the earliest of several"
    assert values.tolist() == [[1, 1, 1, 1]]


@pytest.mark.parametrize("lost", [math.inf, math.nan])
def test_epoch_at_which_a_replicate_that_chooses_diverged_is_not_chosen(lost: float) -> None:
    risk = np.full((4, 1, 4), 2.0)
    risk[3] = 1
    risk[3, 0, 2] = lost
    epochs, values = best_epochs(history_of(risk))
    assert epochs.tolist() == [[30, 10, 30, 10]]
    np.testing.assert_array_equal(values, [[1, 2, lost, 2]], "what it has come to itself")


def test_a_tie_of_two_epochs_does_not_make_the_risk_worse_than_at_both() -> None:
    apart = np.array([0.3, 0.3, -0.3, -0.3, 0.3, 0.3, -0.3, -0.3])
    risk = np.stack([9 + 0 * apart, 1 + apart, 1 - apart])[:, None]  # a mean of 1 at both
    for replicate, own in enumerate(apart):
        others = np.delete(risk[1:, 0], replicate, axis=1).mean(axis=1)
        assert risk[1 + others.argmin(), 0, replicate] == 1 + abs(own), "leave one out: 1.3 for all"
    assert best_epochs(history_of(risk))[1].mean() == pytest.approx(1)


def test_interval_at_best_epochs_holds_the_truth_where_epochs_tie() -> None:
    # Six epochs of the baseline tie, and each network is luckier at one of them. The arm has one.
    generator, held, left_out, trials = np.random.default_rng(1), 0, 0, 1000
    for _ in range(trials):
        risk = np.full((7, 2, 20), 9.0)
        risk[1:, 0] = 1 + generator.normal(0, 0.1, (6, 20))
        risk[1, 1] = 1 + generator.normal(0, 0.01, 20)
        epochs, values = best_epochs(history_of(risk))
        sample = Sample(values, is_halved=True)
        (found,) = best.differences_at_best(["arm"], sample, epochs, 0.95)
        assert found.ci
        held += found.ci[0] <= 0 <= found.ci[1]
        first = risk[1:, 0]
        chosen = (first.sum(axis=1, keepdims=True) - first).argmin(axis=0)
        left_out += stats.ttest_rel(first[chosen, range(20)], risk[1, 1]).pvalue >= 0.05
    assert 0.93 < held / trials < 0.97
    assert left_out / trials < 0.8, "what leaving one out would hold"


def trained(**values: Any) -> Result:
    request = make_request("wdecay", **values)
    return Result(request.study, request.question, ENVIRONMENT, train(request.study, "batched"))


def test_interval_at_best_epochs_counts_how_far_the_halves_are_apart() -> None:
    result = trained(strengths=(0.5,), epochs=60, replicates=8, log_every=5, confidence=0.9)
    (found,) = result.at_best_epochs
    _, values = best_epochs(result.history)
    differences = values[1] - values[0]
    apart = differences[[0, 2, 4, 6]].mean() - differences[[1, 3, 5, 7]].mean()
    law = stats.t(7, differences.mean(), np.sqrt(differences.var(ddof=1) / 8 + apart**2 / 4))
    assert found.ci == pytest.approx(law.interval(0.9), rel=1e-9)
    assert found.p_value == pytest.approx(2 * min(law.cdf(0), law.sf(0)), rel=1e-9)
    assert result.measures[-1] == found.difference
    assert set(found.epochs) <= set(result.history.epochs[1:].tolist())


def test_arms_are_judged_at_their_best_epochs_where_that_is_asked() -> None:
    result = trained(strengths=(0.5, 1.0), epochs=60, replicates=8, by="risk-at-best")
    for found, same in zip(result.comparisons, result.at_best_epochs, strict=True):
        assert (found.ci, found.mean_difference) == (same.ci, same.mean_difference)
        assert found.measure == "risk_at_best"
    claims = {c.arm: c for c in result.claims if c.claim == "generalizes_better"}
    assert claims["wdecay=0.5"].ci == result.comparisons[0].ci
    np.testing.assert_array_equal(result.judged, best_epochs(result.history)[1])


def test_interval_of_an_arm_alone_is_that_of_the_only_arm_at_best_epochs_too() -> None:
    (found,) = trained(strengths=(0.5,), replicates=8, by="risk-at-best").comparisons
    assert found.ci_alone == pytest.approx(found.ci, rel=1e-9)


def test_intervals_over_values_count_how_far_the_halves_are_apart() -> None:
    study = make_request("wdecay", (0.5,), epochs=20, log_every=2, replicates=8).study
    over = rb.Over(study=study, key="points", values=(3, 6))
    machine = rb.Machine(engine="batched", device="cpu")
    result = rb.run(over, rb.Question(by="risk-at-best"), machine)
    for one, (effect,) in zip(result.over, result.effects, strict=True):
        assert effect.ci_alone == pytest.approx(one.at_best_epochs[0].ci, rel=1e-9)
    first, last = (np.diff(best_epochs(one.history)[1], axis=0)[0] for one in result.over)
    rise = last - first
    error = np.hypot(stats.sem(rise), (rise[::2].mean() - rise[1::2].mean()) / 2)
    assert result.changes[0].ci == pytest.approx(stats.t(7, rise.mean(), error).interval(0.95))


def test_one_replicate_has_no_best_epoch() -> None:
    assert trained(replicates=1).at_best_epochs == []
    with pytest.raises(rb.UsageError, match="2 replicates or more"):
        make_request("wdecay", replicates=1, by="risk-at-best")


def test_replicate_has_failed_where_a_constant_does_no_worse() -> None:
    result = trained(strengths=(0.1, 0.2), replicates=6)
    constant = 1.5**2 / 3 + 0.3**2  # the variance of 1.5x over [-1, 1], and the noise
    risk = np.full_like(result.history.risk, 0.1)
    risk[-1, 1, :2] = constant * 1.001, math.nan
    risk[-1, 2, 0], risk[-2] = constant * 0.999, 9.0
    changed = dataclasses.replace(result, history=result.history.replaced(risk=risk))
    assert changed.failures == [0, 2, 0]
    assert trained(slope=0.0).failures is None, "the best constant is the truth"


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_ratio_of_means_covers_the_truth(confidence: float) -> None:
    generator, held, trials, truth = np.random.default_rng(1), 0, 2000, 0.8
    for _ in range(trials):
        common = generator.gamma(9, size=30)
        values = np.stack(
            [common * generator.gamma(20, size=30), common * generator.gamma(16, size=30)]
        )
        ((ratio, ci),) = ratio_of_means(values, confidence)
        assert ci is not None
        assert ci[0] < ratio < ci[1]
        held += ci[0] <= truth <= ci[1]
    assert abs(held / trials - confidence) < 0.025


def test_ratio_of_a_mean_that_is_not_positive_is_none() -> None:
    rows = np.array([[1.0, 2, 3], [0, 0, 0], [1, np.inf, 2], [2, 4, 6]])
    found = ratio_of_means(rows, 0.9)
    assert [ci for _, ci in found] == [None, None, (2.0, 2.0)]
    assert found[2][0] == 2


def test_width_that_is_planned_is_reached_in_nine_of_ten_runs() -> None:
    generator, reached, trials = np.random.default_rng(2), 0, 400
    for _ in range(trials):
        pilot = generator.normal(size=(1, 10))
        needed = required_replicates(pilot, 0.5, 0.95, 10**6)
        more = np.concatenate([pilot[0], generator.normal(size=max(0, needed - 10))])
        low, high = stats.t.interval(0.95, len(more) - 1, scale=stats.sem(more))
        reached += high - low <= 0.5
    assert 0.86 < reached / trials < 0.95


def test_arm_is_equal_where_its_interval_lies_within_the_margin() -> None:
    baseline = np.random.default_rng(3).normal(size=40)
    values = np.stack([baseline, baseline + 0.01 + 0.001 * np.arange(40) / 40])
    for margin, verdict, judgement in (
        (0.02, "equal", "met"),
        (0.0, "worse", None),
        (0.005, "worse", "not met"),
    ):
        (found,) = compare_arms(["a"], "risk", values, 0.95, margin=margin)
        assert found.verdict == verdict
        assert judgement is None or judge(found.ci, "equal", margin) == judgement
    assert judge((-0.02, 0.01), "equal", 0.015) == "inconclusive"
    assert judge((-0.02, -0.016), "equal", 0.015) == "not met"
    assert judge(None, "equal", 1.0) == "inconclusive"
