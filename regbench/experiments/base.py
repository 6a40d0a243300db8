"""A run before it begins, and who hears of it while it goes on."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from regbench.analysis.history import History
    from regbench.executors import Executor
    from regbench.regularizers import Arm
    from regbench.settings.groups import Environment, Question
    from regbench.storage.blocks import Provenance


@dataclass(frozen=True)
class Plan:
    """Feasible work, and about how long it takes.

    The run began in `environment`; engine, device, threads and provenance are those of today.
    Without an executor nothing is trained, and blocks are read back only.
    """

    study: Any  # a `Study`, an `Over`, or what else is planned
    question: Question
    environment: Environment
    engine: str = ""
    device: str = "cpu"
    reason: str = ""
    """Why the engine is not the fastest one of the device, in brackets, or nothing."""
    provenance: Provenance = field(default_factory=dict)
    executor: Executor | None = None
    work: str = "training"
    seconds: float = 0.0


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
