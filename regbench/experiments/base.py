"""What an experiment is: a module with the functions of `Experiment`.

A study names its module. Knows nothing about which experiments there are, or how they are shown.
"""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from regbench.analysis.history import History
    from regbench.executors import Executor
    from regbench.regularizers import Arm
    from regbench.settings.machine import Environment
    from regbench.settings.question import Question
    from regbench.settings.study import BaseStudy
    from regbench.storage.blocks import Archive, Provenance


@dataclass(frozen=True)
class Plan:
    """Feasible work, and about how long it takes.

    The run began in `environment`; engine, device, threads and provenance are those of today.
    """

    study: Any
    question: Question
    environment: Environment
    provenance: Provenance
    work: str
    seconds: float
    engine: str = ""
    device: str = "cpu"
    executor: Executor | None = None
    """Who trains, where networks are."""
    reason: str = ""
    """Why the engine is not the fastest one of the device, in brackets, or nothing."""


class Observer:
    """Who hears of a run while it goes on. Does nothing by default."""

    def stage(
        self, what: str, total: int, labels: Mapping[str, str] = MappingProxyType({})
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Follow a stage of the work; within, what is yielded takes the amount done since.

        `labels` is what the arms are called, by name.
        """
        return nullcontext(lambda amount: None)

    def finish(self, arms: Sequence[Arm], seeds: Sequence[int], history: History) -> None:
        """Take what the replicates of some seeds have come to in arms, from any thread."""

    def estimate(self, work: str, seconds: float) -> None:
        """Take about how long the work will take that begins now."""

    def say(self, line: str) -> None:
        """Take a line about what a stage has decided."""

    def warn(self, line: str) -> None:
        """Take a line that explains why nothing seems to happen."""


SILENT = Observer()


class Experiment(Protocol):
    """What a module of an experiment does."""

    plan: Callable[..., Plan]
    """Of study, question, machine, and the environment where a run began that goes on."""
    run: Callable[..., Any]
    """Computes a plan's blocks that the archive lacks, puts them there, and returns the result."""
    read_back: Callable[[Any, Question, Environment, Archive], tuple[Any, int, int]]
    """The result of the blocks that are there or None, their number, and of how many."""


def experiment_of(study: BaseStudy) -> Experiment:
    """Return the experiment that a study is for."""
    return cast("Experiment", importlib.import_module(f"regbench.experiments.{study.experiment}"))
