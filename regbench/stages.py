"""The stages of an experiment: what is measured first, and what that decides to measure next.

The stages are the same whether blocks are trained or read back. Knows nothing about how they are
trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from regbench.blocks import Part, cut_parts
from regbench.config import TrainingExperiment
from regbench.history import History, concatenate, join_arms
from regbench.result import Result

if TYPE_CHECKING:
    from regbench.archive import Archive

Measured = tuple[TrainingExperiment, History]
Measure = Callable[[TrainingExperiment, str], Measured | None]
"""Takes the settings of a stage and what it does in a word; returns what was measured, and the
settings of that: fewer replicates where not all are there, None where none is."""


def conduct(
    settings: TrainingExperiment, environment: dict[str, Any], measure: Measure
) -> Result | None:
    """Measure every stage in turn and return the result, or None where nothing was measured."""
    measured = measure(settings, "training")
    if measured is None:
        return None
    actual, history = measured
    return Result(actual, environment, history)


def parts_of(settings: TrainingExperiment, block_replicates: int) -> list[Part]:
    """Return the replicates of a stage in the parts that blocks are made of."""
    return cut_parts(settings.seeds, block_replicates)


def read_back(
    settings: TrainingExperiment, environment: dict[str, Any], archive: Archive
) -> tuple[Result | None, int, int]:
    """Return the result of the blocks that are there, their number, and how many there should be.

    Where blocks are missing, the result is of the replicates before the first missing one.
    """
    done = total = 0

    def measure(settings: TrainingExperiment, stage: str) -> Measured | None:
        nonlocal done, total
        del stage
        histories, is_whole = [], True
        for part in parts_of(settings, environment["block_replicates"]):
            arms = [archive.load(settings, part, place) for place in range(len(settings.arms))]
            present = [history for history in arms if history is not None]
            done, total = done + len(present), total + len(arms)
            is_whole = is_whole and len(present) == len(arms)
            if is_whole:
                histories.append(join_arms(present))
        if not histories:
            return None
        history = concatenate(histories)
        return settings.model_copy(update={"replicates": history.test_loss.shape[2]}), history

    return conduct(settings, environment, measure), done, total
