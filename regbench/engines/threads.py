"""CPU threads: one per core, each with work of its own.

Threads that share a small operation wait for each other every few microseconds. That gains little
on an idle machine, and costs orders of magnitude where another process wants the same cores. So
torch uses one thread here, and whole pieces of work run beside each other.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Piece = TypeVar("Piece")
Trained = TypeVar("Trained")


def nothing(*_: object) -> None:
    """Do nothing."""


def in_threads(
    train: Callable[[Piece, Callable[[int], None]], Trained],
    pieces: Sequence[Piece],
    threads: int,
    advance: Callable[[int], None] = nothing,
) -> list[Trained]:
    """Train every piece in a thread, `threads` of them at once, and return what came out.

    An exception in one thread, or an interrupt, stops the others at their next report. Where the
    system starts no more threads, this one does all.
    """
    lock, stopped = threading.Lock(), threading.Event()

    def advance_one(epochs: int) -> None:
        if stopped.is_set():
            raise InterruptedError
        with lock:
            advance(epochs)

    def train_one(piece: Piece) -> Trained:
        torch.set_num_threads(1)  # some back ends count their threads per thread
        torch.set_flush_denormal(True)  # of this thread: each such number costs 100 cycles
        return train(piece, advance_one)

    for dtype in (np.float32, np.float64):
        np.finfo(dtype)  # NumPy finds these out once, and must not where denormal numbers are 0
    with ThreadPoolExecutor(threads) as pool:
        try:
            return list(pool.map(train_one, pieces))
        except BaseException as error:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            if "start new thread" not in str(error):
                raise
        stopped.clear()
        return [train_one(piece) for piece in pieces]
