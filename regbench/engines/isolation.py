"""Work that is kept apart from the process that asks for it: neither changes the other.

What torch has for a whole process is put aside and put back. What it has for each thread (the
default device, the modes of gradients, autocast) a new thread does not have.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from regbench.engines.threads import nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Done = TypeVar("Done")

PATIENCE = 2.0
"""Seconds that an interrupt waits for the work to stop, since a library may never let go."""
USUAL = torch.float32, 0, 1, "highest", "ieee", "ieee"
"""The settings of the process during work; see `set_settings`."""
_alone, _lock = threading.Lock(), threading.Lock()
_found: list[tuple[Any, ...]] = []
"""The settings that each running piece of work found; the first are the process's own."""
_backends: Any = torch.backends  # some have no annotations


def settings() -> tuple[Any, ...]:
    """Return what `set_settings` takes."""
    products = _backends.cuda.matmul.fp32_precision, _backends.mkldnn.matmul.fp32_precision
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:  # those two were set, and differ from it
        overall = "highest"
    mode = torch.get_deterministic_debug_mode()
    return torch.get_default_dtype(), mode, torch.get_num_threads(), overall, *products


def set_settings(
    dtype: torch.dtype, mode: int, threads: int, overall: str, cuda: str, cpu: str
) -> None:
    """Set what torch has for a process: the last three say how products of float32 are rounded."""
    torch.set_default_dtype(dtype)
    torch.set_deterministic_debug_mode(mode)
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(overall)
    _backends.cuda.matmul.fp32_precision, _backends.mkldnn.matmul.fp32_precision = cuda, cpu


@contextmanager
def usual_settings() -> Iterator[None]:
    """Set the usual settings for work; the last piece of work to end puts back what was found."""
    with _lock:
        _found.append(settings())
        set_settings(*USUAL)
    try:
        yield
    finally:
        with _lock:
            own = _found[0]
            _found.pop()
            set_settings(*(USUAL if _found else own))


def isolated(
    work: Callable[[Callable[[int], None]], Done],
    advance: Callable[[int], None] = nothing,
    is_alone: bool = False,
) -> Done:
    """Return what `work(advance)` returns, done in a new thread with torch as it comes.

    An interrupt of the waiting thread stops the work at its next call of `advance`. Work that uses
    torch's own random state must be alone. Where the system starts no more threads, this one works.
    """
    is_stopped, has_ended, pool = threading.Event(), threading.Event(), ThreadPoolExecutor(1)

    def advance_unless_stopped(amount: int) -> None:
        if is_stopped.is_set():
            raise InterruptedError
        advance(amount)

    def do() -> Done:
        torch.set_flush_denormal(False)  # a thread inherits this from the one that starts it
        try:
            with _alone if is_alone else nullcontext(), usual_settings():
                return work(advance_unless_stopped)
        finally:
            torch.set_flush_denormal(False)
            has_ended.set()

    try:
        try:
            done = pool.submit(do)
        except RuntimeError:
            return do()
        return done.result()
    except BaseException:
        is_stopped.set()
        has_ended.wait(PATIENCE)
        raise
    finally:
        pool.shutdown(wait=False)
