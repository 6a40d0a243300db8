"""What is measured first, and what that decides: without training anything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats
from training import ENVIRONMENT, make_request, make_study, train

from regbench.errors import UsageError
from regbench.experiments.stages import batches_of, replicates_for_width, run_stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.analysis.history import Batch, History
    from regbench.analysis.result import Result
    from regbench.experiments.stages import Measure, Measured
    from regbench.settings.command import Request
    from regbench.settings.study import Study

STRENGTHS = (0.1, 0.2, 0.4)
Stages = list[tuple[str, range, list[float]]]
"""What was measured: the stage, its seeds and its strengths."""


def strengths_of(study: Study) -> list[float]:
    """Return the strengths of the arms, the baseline left out."""
    return [part.strength for arm in study.arms[1:] for part in arm.parts]


def invented(study: Study, spread: float = 1.0) -> History:
    """Return a history whose last risks are known functions of the seeds and arms."""
    history = train(study.replaced(replicates=1), "batched")
    seeds = np.array(study.seeds)
    losses = np.empty((len(history.epochs), len(study.arms), study.replicates))
    for arm_index, strength in enumerate([0.2, *strengths_of(study)]):
        losses[:, arm_index] = 5 + (strength - 0.2) ** 2 + arm_index * spread * (seeds % 7)
    return history.replaced(risk=losses)


def recording(stages: Stages, spread: float = 1.0) -> Measure:
    """Return a way to measure that invents histories and writes down what it was asked."""

    def measure(study: Study, stage: str, batches: list[Batch]) -> Measured:
        assert [seed for batch in batches for seed in batch.seeds] == list(study.seeds)
        stages.append((stage, study.seeds, strengths_of(study)))
        return study, invented(study, spread)

    return measure


def conduct(
    request: Request, measure: Measure, say: Callable[[str], None] = lambda line: None
) -> Result:
    """Return the result of all stages of a request."""
    result = run_stages(request.study, request.question, ENVIRONMENT, measure, say)
    assert result is not None
    return result


def test_plain_run_has_one_stage() -> None:
    stages: Stages = []
    request = make_request(strengths=STRENGTHS, seed=5, replicates=4)
    result = conduct(request, recording(stages))
    assert stages == [("training", range(5, 9), list(STRENGTHS))]
    assert (result.study, result.question) == (request.study, request.question)
    assert result.environment == ENVIRONMENT
    assert result.confirmation is None


@pytest.mark.parametrize(
    ("values", "unmeasured", "is_shown"),
    [
        ({}, "training", False),
        ({"confirm": 6}, "training", False),
        ({"confirm": 6}, "confirming", True),
        ({"target_width": 1.0}, "pilot", False),
        ({"target_width": 1.0}, "training", False),
    ],
)
def test_stage_that_is_not_measured_ends_the_stages(
    values: dict[str, Any], unmeasured: str, is_shown: bool
) -> None:
    stages: Stages = []
    measure = recording(stages)

    def measure_others(study: Study, stage: str, batches: list[Batch]) -> Measured | None:
        return None if stage == unmeasured else measure(study, stage, batches)

    request = make_request(replicates=10, **values)
    result = run_stages(request.study, request.question, ENVIRONMENT, measure_others)
    assert (result is not None) == is_shown
    assert result is None or result.confirmation is None
    assert unmeasured not in [stage for stage, _, _ in stages]


def test_best_strength_is_confirmed_on_seeds_that_did_not_choose_it() -> None:
    stages: Stages = []
    request = make_request(strengths=STRENGTHS, seed=5, replicates=4, confirm=6)
    result = conduct(request, recording(stages, spread=0.0))
    assert stages == [
        ("training", range(5, 9), list(STRENGTHS)),
        ("confirming", range(9, 15), [0.2]),
    ]
    assert result.best_arm is not None
    assert result.best_arm.name == "wdecay=0.2"
    assert result.confirmation is not None
    assert list(result.confirmation.study.seeds) == list(range(9, 15))


def test_claims_of_a_confirmed_arm_are_those_of_its_fresh_replicates() -> None:
    def measure(study: Study, stage: str, batches: list[Batch]) -> Measured:
        return study, train(study, "batched")

    result = conduct(make_request(strengths=STRENGTHS, replicates=4, confirm=6), measure)
    assert result.best_arm is not None
    best = result.best_arm.parts[0].strength
    first = train(make_study(strengths=STRENGTHS, replicates=4), "batched")
    fresh = train(make_study(strengths=(best,), seed=5, replicates=6), "batched")
    for claim in result.claims:
        is_confirmed = claim.arm == result.best_arm.name
        history = fresh if is_confirmed else first
        arm_index = 1 if is_confirmed else result.study.arm_names.index(claim.arm)
        values = getattr(history, claim.measure)[-1].astype(float)
        expected = stats.ttest_rel(values[arm_index], values[0])
        assert claim.mean_difference == pytest.approx((values[arm_index] - values[0]).mean())
        if is_confirmed:  # alone, so that its interval is Student's
            ends = expected.confidence_interval(0.95)
            assert claim.ci == pytest.approx((ends.low, ends.high))
    assert len(result.claims) == 4 * len(STRENGTHS)


def test_best_arm_is_never_one_that_diverged() -> None:
    request = make_request(strengths=STRENGTHS, replicates=2)
    history = invented(request.study, 0.0)
    history.risk[-1, 2, 1] = math.nan
    result = conduct(request, lambda study, stage, batches: (study, history))
    assert result.best_arm is not None
    assert result.best_arm.name == "wdecay=0.1"
    history.risk[-1, 1:] = math.inf
    result = conduct(request, lambda study, stage, batches: (study, history))
    assert result.best_arm is None


def test_target_width_runs_a_pilot_and_then_what_it_needs_with_the_pilot_in_it() -> None:
    stages: Stages = []
    said: list[str] = []
    request = make_request(strengths=(0.1,), seed=5, target_width=1.0)
    conduct(request, recording(stages), said.append)
    differences = np.arange(5, 15) % 7
    (pilot, training) = stages
    assert pilot == ("pilot", range(5, 15), [0.1])
    needed = len(training[1])
    assert training == ("training", range(5, 5 + needed), [0.1])
    assert f"about {needed} replicates: {needed - 10} more" in said[0]
    # The least number: by scipy's own interval for the largest likely standard deviation.
    largest = differences.std(ddof=1) * math.sqrt(9 / stats.chi2.ppf(0.1, 9))
    for count, is_wide in ((needed, False), (needed - 1, True)):
        low, high = stats.t.interval(0.95, count - 1, scale=largest / math.sqrt(count))
        assert (high - low > 1.0) == is_wide


def test_confirmation_after_a_pilot_has_neither_a_pilot_nor_a_confirmation_of_its_own() -> None:
    stages: Stages = []
    batches_by_stage: dict[str, list[range]] = {}
    record = recording(stages)

    def measure(study: Study, stage: str, batches: list[Batch]) -> Measured | None:
        batches_by_stage[stage] = [batch.seeds for batch in batches]
        return record(study, stage, batches)

    result = conduct(make_request(strengths=(0.1,), seed=5, target_width=1.0, confirm=20), measure)
    assert [stage for stage, _, _ in stages] == ["pilot", "training", "confirming"]
    assert result.confirmation is not None
    confirming = result.confirmation.question
    assert (confirming.target_width, confirming.confirm) == (None, None)
    first = 5 + result.study.replicates
    assert batches_by_stage["confirming"] == [range(first, first + 20)]
    assert batches_by_stage["training"][0] == batches_by_stage["pilot"][0] == range(5, 15)


def test_pilot_is_a_batch_of_its_own_so_that_it_is_not_trained_twice() -> None:
    study = make_study(replicates=150, seed=3)
    assert [batch.seeds for batch in batches_of(study, 64, 10)] == [
        range(3, 13), range(13, 77), range(77, 141), range(141, 153),
    ]  # fmt: skip
    without = batches_of(study, 64)
    assert [len(batch.seeds) for batch in without] == [64, 64, 22]
    assert [batch.first_replicate for batch in without] == [0, 64, 128]


def test_arms_that_diverged_in_the_pilot_ask_for_nothing() -> None:
    question = make_request(target_width=0.5).question
    study = make_study(strengths=(0.1, 0.2), replicates=10)
    history = invented(study)
    wide = replicates_for_width(study, history, question)
    history.risk[-1, 2] = math.nan  # the arm with the larger spread
    assert 10 < replicates_for_width(study, history, question) < wide
    history.risk[-1] = math.nan
    assert replicates_for_width(study, history, question) == 10


def test_pilot_that_asks_for_seeds_there_are_not_is_refused() -> None:
    request = make_request(strengths=(0.1,), seed=2**32 - 40, replicates=30, target_width=0.5)
    with pytest.raises(UsageError, match=r"^seed: got"):
        conduct(request, recording([]))


@pytest.mark.parametrize("width", [1e-3, 1e-160])
def test_pilot_that_asks_for_more_replicates_than_there_may_be_is_refused(width: float) -> None:
    request = make_request(strengths=(0.1,), replicates=10, target_width=width)
    with pytest.raises(UsageError, match=r"^target_width: got .*more than 10000000 replicates"):
        conduct(request, recording([]))
