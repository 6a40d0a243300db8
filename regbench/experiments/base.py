"""What an experiment is: a module with the functions of `Experiment`.

A study names its module. Knows nothing about which experiments there are, or how they are shown.
"""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from regbench.settings.machine import Environment, Machine
    from regbench.settings.question import Question
    from regbench.settings.study import BaseStudy
    from regbench.storage.blocks import Archive, Provenance


@dataclass(frozen=True)
class Plan:
    """Feasible work.

    Attributes:
        study: What to compute.
        question: What is asked of it.
        environment: Where the run began.
        provenance: What of where it is computed today the numbers depend on.
        work: What takes the time, in a word.
        seconds: About how long it takes, within a factor of three or so on a CPU.
        engine: The engine that trains today, where one does.
        device: Where, as torch names it.
        threads: CPU threads to use.
    """

    study: Any
    question: Question
    environment: Environment
    provenance: Provenance
    work: str
    seconds: float
    engine: str = ""
    device: str = "cpu"
    threads: int = 1


class Observer:
    """Who hears of a run while it goes on. Does nothing by default."""

    def stage(self, what: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """Follow a stage of the work; within, what is yielded takes the amount done since."""
        del what, total
        return nullcontext(lambda amount: None)

    def say(self, line: str) -> None:
        """Take a line about what a stage has decided."""

    def warn(self, line: str) -> None:
        """Take a line that explains why nothing seems to happen."""


SILENT = Observer()


class Experiment(Protocol):
    """What a module of an experiment does: settings to plan, plan to result, blocks to result."""

    def plan(
        self, study: Any, question: Question, machine: Machine, began: Environment | None = None
    ) -> Plan:
        """Choose how to compute; `began` is where a run began that goes on.

        Raises:
            UsageError: The machine lacks what was asked for, or the work is out of all proportion.
        """

    def misfit(self, study: Any, machine: Machine) -> str | None:
        """Return what the engine that was asked for cannot train of a study, or None."""

    def run(self, plan: Plan, archive: Archive | None = None, observer: Observer = SILENT) -> Any:
        """Compute every block that is not in the archive, put it there, and return the result.

        Raises:
            UsageError: What a pilot asks for does not fit the machine.
            RunError: The machine ran out of memory, or a block cannot be read or written.
        """

    def read_back(
        self, study: Any, question: Question, environment: Environment, archive: Archive
    ) -> tuple[Any, int, int]:
        """Return the result of the blocks that are there or None, their number, and of how many."""


def experiment_of(study: BaseStudy) -> Experiment:
    """Return the experiment that a study is for."""
    return cast("Experiment", importlib.import_module(f"regbench.experiments.{study.experiment}"))
