"""What is measured first, and what that decides: without training anything."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats
from training import make_settings, train

from regbench.errors import UsageError
from regbench.experiments.stages import conduct, parts_of, replicates_for_width

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.analysis.history import History
    from regbench.experiments.stages import Measured
    from regbench.settings.study import TrainingExperiment

STRENGTHS = (0.1, 0.2, 0.4)


def invented(settings: TrainingExperiment, spread: float = 1.0) -> History:
    """Return a history whose last test losses are known functions of the seeds and arms."""
    small = settings.model_copy(update={"replicates": 1, "target_width": None})
    history = train(small, "batched")
    seeds = np.array(settings.seeds)
    losses = np.empty((len(history.epochs), len(settings.arms), settings.replicates))
    for index, arm in enumerate(settings.arms):
        losses[:, index] = (
            5 + (arm.strength - 0.2) ** 2 * (index > 0) + index * spread * (seeds % 7)
        )
    return dataclasses.replace(history, test_loss=losses)


def recording(
    stages: list[tuple[str, range, tuple[float, ...]]], spread: float = 1.0
) -> Callable[[TrainingExperiment, str], Measured]:
    def measure(settings: TrainingExperiment, stage: str) -> Measured:
        stages.append((stage, settings.seeds, settings.strengths))
        return settings, invented(settings, spread)

    return measure


def test_plain_run_has_one_stage() -> None:
    stages: list[Any] = []
    settings = make_settings(strengths=STRENGTHS, seed=5, replicates=4)
    result = conduct(settings, {}, recording(stages))
    assert stages == [("training", range(5, 9), STRENGTHS)]
    assert result is not None
    assert result.confirmation is None


def test_best_strength_is_confirmed_on_seeds_that_did_not_choose_it() -> None:
    stages: list[Any] = []
    settings = make_settings(strengths=STRENGTHS, seed=5, replicates=4, confirm=6)
    result = conduct(settings, {}, recording(stages, spread=0.0))
    assert stages == [("training", range(5, 9), STRENGTHS), ("confirming", range(9, 15), (0.2,))]
    assert result is not None
    assert result.best_arm is not None
    assert result.best_arm.strength == 0.2
    assert result.confirmation is not None
    assert list(result.confirmation.settings.seeds) == list(range(9, 15))


def test_best_arm_is_never_one_that_diverged() -> None:
    settings = make_settings(strengths=STRENGTHS, replicates=2)
    history = invented(settings, 0.0)
    history.test_loss[-1, 2, 1] = math.nan
    result = conduct(settings, {}, lambda settings, stage: (settings, history))
    assert result is not None
    assert result.best_arm is not None
    assert result.best_arm.strength == 0.1
    history.test_loss[-1, 1:] = math.inf
    assert result.best_arm is None


def test_target_width_runs_a_pilot_and_then_what_it_needs_with_the_pilot_in_it() -> None:
    stages: list[Any] = []
    said: list[str] = []
    settings = make_settings(strengths=(0.1,), seed=5, target_width=1.0)
    conduct(settings, {}, recording(stages), said.append)
    differences = np.arange(5, 15) % 7
    (pilot, training) = stages
    assert pilot == ("pilot", range(5, 15), (0.1,))
    needed = len(training[1])
    assert training == ("training", range(5, 5 + needed), (0.1,))
    assert f"about {needed} replicates: {needed - 10} more" in said[0]
    # The least number: by scipy's own interval for differences of that standard deviation.
    for count, is_wide in ((needed, False), (needed - 1, True)):
        low, high = stats.t.interval(
            0.95, count - 1, scale=differences.std(ddof=1) / math.sqrt(count)
        )
        assert (high - low > 1.0) == is_wide


def test_confirmation_after_a_pilot_has_neither_a_pilot_nor_a_confirmation_of_its_own() -> None:
    stages: list[Any] = []
    settings = make_settings(strengths=(0.1,), seed=5, target_width=1.0, confirm=20)
    result = conduct(settings, {}, recording(stages))
    assert [stage for stage, _, _ in stages] == ["pilot", "training", "confirming"]
    assert result is not None
    assert result.confirmation is not None
    confirming = result.confirmation.settings
    assert (confirming.target_width, confirming.confirm) == (None, None)
    first = 5 + result.settings.replicates
    assert [part.seeds for part in parts_of(confirming, 64)] == [range(first, first + 20)]


def test_pilot_is_a_block_of_its_own_so_that_it_is_not_trained_twice() -> None:
    settings = make_settings(target_width=0.1, replicates=150, seed=3)
    assert [part.seeds for part in parts_of(settings, 64)] == [
        range(3, 13), range(13, 77), range(77, 141), range(141, 153),
    ]  # fmt: skip
    without = make_settings(replicates=150, seed=3)
    assert [len(part.seeds) for part in parts_of(without, 64)] == [64, 64, 22]
    assert [part.first for part in parts_of(without, 64)] == [0, 64, 128]


def test_arms_that_diverged_in_the_pilot_ask_for_nothing() -> None:
    settings = make_settings(strengths=(0.1, 0.2), replicates=10)
    history = invented(settings)
    wide = replicates_for_width(history, 0.5, 0.95)
    history.test_loss[-1, 2] = math.nan  # the arm with the larger spread
    assert 10 < replicates_for_width(history, 0.5, 0.95) < wide
    history.test_loss[-1] = math.nan
    assert replicates_for_width(history, 0.5, 0.95) == 10


def test_pilot_that_asks_for_seeds_there_are_not_is_refused() -> None:
    settings = make_settings(strengths=(0.1,), seed=2**32 - 40, replicates=30, target_width=0.5)
    with pytest.raises(UsageError, match="--seed"):
        conduct(settings, {}, recording([]))


@pytest.mark.parametrize("width", [1e-3, 1e-160])
def test_pilot_that_asks_for_more_replicates_than_there_may_be_is_refused(width: float) -> None:
    settings = make_settings(strengths=(0.1,), replicates=10, target_width=width)
    with pytest.raises(UsageError, match=r"--target-width: got .*more than 10000000 replicates"):
        conduct(settings, {}, recording([]))
