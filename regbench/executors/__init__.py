"""Executors: they get batches, and yield them trained. Know nothing about what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from regbench.analysis.history import Batch, History
    from regbench.engines import Listener
    from regbench.regularizers import Arm
    from regbench.storage.blocks import Provenance

Trained = tuple["Batch", "History", "Provenance"]
"""A batch or a part of one, its history, and its provenance."""


class Executor(Protocol):
    """A way to train batches."""

    def prepare(self, arms: Sequence[Arm]) -> int:
        """Return how many CPU threads there are; raises `UsageError` where none can train arms."""

    def train(self, batches: Iterable[Batch], listener: Listener) -> Iterator[Trained]:
        """Yield what batches give, in any order; each is asked for as late as possible.

        Raises `RunError` where some could not be trained, once all others are.
        """
