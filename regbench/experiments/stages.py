"""The stages of an experiment: what is measured first, and what that decides to measure next.

The stages are the same whether blocks are trained or read back. Knows nothing about how they are
trained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import History, concatenate, join_arms
from regbench.analysis.result import Result
from regbench.analysis.statistics import required_replicates
from regbench.errors import UsageError
from regbench.settings.study import MOST_REPLICATES, PILOT_REPLICATES, TrainingExperiment
from regbench.storage.blocks import Part, cut_parts

if TYPE_CHECKING:
    from regbench.storage.archive import Archive

Measured = tuple[TrainingExperiment, History]
Measure = Callable[[TrainingExperiment, str], Measured | None]
"""Takes the settings of a stage and what it does in a word; returns what was measured, and the
settings of that: fewer replicates where not all are there, None where none is."""


def conduct(
    settings: TrainingExperiment,
    environment: dict[str, Any],
    measure: Measure,
    say: Callable[[str], None] = lambda line: None,
) -> Result | None:
    """Measure every stage in turn and return the result, or None where nothing was measured.

    Args:
        settings: What was asked.
        environment: Goes into the result.
        measure: Measures a stage.
        say: Called with a line about what a stage has decided.

    Raises:
        UsageError: The width that was asked for takes more replicates than are allowed.
    """
    if settings.target_width is not None:
        pilot = measure(replace(settings, replicates=PILOT_REPLICATES), "pilot")
        if pilot is None:
            return None
        needed = replicates_for_width(pilot[1], settings.target_width, settings.confidence)
        if needed > MOST_REPLICATES:
            raise UsageError(
                f"--target-width: got {settings.target_width:g}, which by the pilot takes more "
                f"than {MOST_REPLICATES} replicates; allow a wider interval"
            )
        say(
            f"Pilot: an interval {settings.target_width:g} wide needs about {needed} replicates: "
            f"{needed - PILOT_REPLICATES} more."
        )
        settings = replace(settings, replicates=needed)
    measured = measure(settings, "training")
    if measured is None:
        return None
    result = Result(measured[0], environment, measured[1])
    best = result.best_arm
    if settings.confirm is None or best is None:
        return result
    fresh = replace(
        settings,
        strengths=(best.strength,),
        seed=settings.seed + settings.replicates,
        replicates=settings.confirm,
        confirm=None,
        target_width=None,
    )
    confirmed = measure(fresh, "confirming")
    if confirmed is None:
        return result
    confirmation = Result(confirmed[0], environment, confirmed[1])
    return dataclasses.replace(result, confirmation=confirmation)


def replicates_for_width(pilot: History, width: float, confidence: float) -> int:
    """Return how many replicates make every arm's interval about so wide, the pilot's included.

    From the standard deviations of the pilot's paired differences of the last test loss; an arm
    that diverged is left out. `MOST_REPLICATES` + 1 stands for all that is more.
    """
    baseline, *arms = pilot.test_loss[-1].astype(np.float64)
    with np.errstate(invalid="ignore"):
        differences = [arm - baseline for arm in arms]
    needed = [
        required_replicates(difference, width, confidence, MOST_REPLICATES)
        for difference in differences
        if np.isfinite(difference).all()
    ]
    return max([PILOT_REPLICATES, *needed])


def replace(settings: TrainingExperiment, **values: Any) -> TrainingExperiment:
    """Return settings with other values, checked together.

    Raises:
        UsageError: They do not fit together.
    """
    given = {name: getattr(settings, name) for name in type(settings).model_fields}
    by_key = {
        field.alias or name: {**given, **values}[name]
        for name, field in type(settings).model_fields.items()
    }
    return type(settings)(**by_key)


def parts_of(settings: TrainingExperiment, block_replicates: int) -> list[Part]:
    """Return the replicates of a stage in the parts that blocks are made of."""
    pilot = PILOT_REPLICATES if settings.target_width is not None else None
    return cut_parts(settings.seeds, block_replicates, pilot)


def read_back(
    settings: TrainingExperiment, environment: dict[str, Any], archive: Archive
) -> tuple[Result | None, int, int]:
    """Return the result of the blocks that are there, their number, and how many there should be.

    Where blocks are missing, the result is of the replicates before the first missing one.
    """
    is_there: dict[tuple[int, str], bool] = {}  # by first seed and arm: a pilot is read twice

    def measure(settings: TrainingExperiment, stage: str) -> Measured | None:
        del stage
        histories, is_whole = [], True
        for part in parts_of(settings, environment["block_replicates"]):
            arms = [archive.load(settings, part, place) for place in range(len(settings.arms))]
            present = [history for history in arms if history is not None]
            for arm, history in zip(settings.arms, arms, strict=True):
                is_there[part.seeds[0], arm.name] = history is not None
            is_whole = is_whole and len(present) == len(arms)
            if is_whole:
                histories.append(join_arms(present))
        if not histories:
            return None
        history = concatenate(histories)
        return settings.model_copy(update={"replicates": history.test_loss.shape[2]}), history

    result = conduct(settings, environment, measure)
    return result, sum(is_there.values()), len(is_there)
