"""Executors: they get batches, and yield them trained, in this process or elsewhere.

Know nothing about what becomes of them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from regbench.engines import ENGINES
from regbench.engines.machine import isolated
from regbench.errors import OUT_OF_MEMORY, RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

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


@dataclass(frozen=True)
class Here:
    """This process."""

    engine: str
    device: str
    provenance: Provenance
    threads: int

    def prepare(self, arms: Sequence[Arm]) -> int:
        """Return how many threads are used; see `Executor`."""
        return self.threads

    def train(self, batches: Iterable[Batch], listener: Listener) -> Iterator[Trained]:
        """Train one batch at a time; see `Executor`."""
        for batch in batches:
            history = train_batch(batch, self.engine, self.device, self.threads, listener)
            yield batch, history, self.provenance


def train_batch(
    batch: Batch, engine: str, device: str, threads: int, listener: Listener
) -> History:
    """Return what a batch gives, trained in isolation; raises `RunError` where memory runs out."""

    def train(advance: Callable[[int], None]) -> History:
        hearing = dataclasses.replace(listener, advance=advance)
        return ENGINES[engine](batch, torch.device(device), threads, hearing)

    try:
        return isolated(train, listener.advance, engine == "reference" or device != "cpu")
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise RunError(OUT_OF_MEMORY) from error
        raise


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the machine or the GPU has no memory left."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    words = ("out of memory", "allocate memory", "defaultcpuallocator")
    if known or any(text in str(error).lower() for text in words):
        return True
    cause = error.__context__  # a recording on a GPU that ends so fails once more
    return isinstance(cause, Exception) and is_out_of_memory(cause)
