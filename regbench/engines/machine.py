"""The machine that engines compute on: threads, a process kept apart, and what results say of it.

Threads that share a small operation wait for each other every few microseconds. That gains little
on an idle machine, and costs orders of magnitude where another process wants the same cores. So
torch uses one thread here, and whole pieces of work run beside each other, one per core.

Work is kept apart from the process that asks for it: neither changes the other. What torch has for
a whole process is put aside and put back. What it has for each thread (the default device, the
modes of gradients, autocast) a new thread does not have.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from importlib import metadata
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from regbench import __version__
from regbench.settings.groups import Environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Piece = TypeVar("Piece")
Trained = TypeVar("Trained")
Done = TypeVar("Done")

PATIENCE = 2.0
"""Seconds that an interrupt waits for the work to stop, since a library may never let go."""
USUAL = torch.float32, 0, 1, "highest", "ieee", "ieee"
"""The settings of the process during work; see `set_settings`."""
_alone, _lock = threading.Lock(), threading.Lock()
_found: list[tuple[Any, ...]] = []
"""The settings that each running piece of work found; the first are the process's own."""
_backends: Any = torch.backends  # some have no annotations
ROUNDING = re.compile(
    "MKL_(CBWR|DEBUG_CPU_TYPE|ENABLE_INSTRUCTIONS)|(ONEDNN|DNNL)_(MAX_CPU_ISA|DEFAULT_FPMATH_MODE)"
    "|NUMBA_(CPU_.*|OPT|.*_VECTORIZE|ENABLE_AVX|DISABLE_INTEL_SVML)|GLIBC_TUNABLES|.*_CORETYPE"
    "|NPY_.*_CPU_FEATURES|CUBLAS.*_WORKSPACE_.*|NVIDIA_TF32_OVERRIDE|TORCH_(ALLOW_TF32|BLAS_PREF).*"
)
"""Environment variables that change how the same libraries round on the same processor."""


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


def describe_environment(device: torch.device, **more: Any) -> Environment:
    """Return where a result is made that begins now; `more` are fields for engines."""
    is_cuda = device.type == "cuda"
    return Environment(
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if is_cuda else platform.machine(),
        cpu_count=os.cpu_count(),
        platform=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **more,
    )


def describe_provenance(engine: str, device: torch.device) -> dict[str, str]:
    """Return what numbers depend on besides the settings: two runs where it is equal may share."""
    is_cuda = device.type == "cuda"
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"  # orders the sums
    found = {
        "engine": engine,
        "device": device.type,
        "processor": torch.cuda.get_device_name(device) if is_cuda else cpu,
        "regbench": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    if is_cuda:
        found["cuda"] = str(torch.version.cuda)  # its libraries come with torch
    found |= {name: value for name, value in os.environ.items() if ROUNDING.fullmatch(name)}
    return found | ({"numba": metadata.version("numba")} if engine == "fused" else {})
