"""CPU threads: one per core, each with work of its own.

Threads that share a small operation wait for each other every few microseconds. That gains little
on an idle machine, and costs orders of magnitude where another process wants the same cores. So
torch gets one thread here, and whole pieces of work run beside each other.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from regbench.engines.base import Block, Engine
    from regbench.history import History


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let torch use one thread for each operation."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def train_in_threads(
    train: Engine, blocks: Sequence[Block], advance: Callable[[int], None]
) -> list[History]:
    """Train every block in a thread, `--threads` at once, and return the histories.

    An exception in one thread, or an interrupt, stops the others at their next report.
    """
    lock, stopped = threading.Lock(), threading.Event()

    def advance_one(epochs: int) -> None:
        if stopped.is_set():
            raise InterruptedError
        with lock:
            advance(epochs)

    def train_one(block: Block) -> History:
        torch.set_num_threads(1)  # some back ends count their threads per thread
        return train(block, advance_one)

    with one_thread_each():
        if len(blocks) == 1:
            return [train(blocks[0], advance)]
        with ThreadPoolExecutor(blocks[0].settings.threads) as pool:
            try:
                return list(pool.map(train_one, blocks))
            except BaseException:
                stopped.set()
                pool.shutdown(cancel_futures=True)
                raise
