"""What every executor does: it gets batches, and yields them trained as they finish.

Knows nothing about where, and nothing about what becomes of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from regbench.analysis.batch import Batch
    from regbench.analysis.history import History
    from regbench.engines import Listener
    from regbench.storage.blocks import Provenance

Trained = tuple["Batch", "History", "Provenance"]
"""Replicates and arms, which may be fewer than those of a batch that was handed over; what was
measured, and what that was computed by."""


class Executor(Protocol):
    """A way to train batches."""

    def prepare(self) -> int:
        """Return how many CPU threads there are in all.

        Raises `UsageError` where there is nothing to train on, or nothing that may be used.
        """

    def train(self, batches: Iterable[Batch], listener: Listener) -> Iterator[Trained]:
        """Yield what batches give, in any order; they are asked for as late as possible.

        Raises `RunError` where some could not be trained, once all others are.
        """
