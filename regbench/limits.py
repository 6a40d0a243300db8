"""What the system lets this process have, by whichever limit is least: memory and processors.

Knows nothing about what they are for.
"""

from __future__ import annotations

import math
import os
import resource
import threading
from contextlib import suppress
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows control groups: those of version 1 below a folder for each controller."""
MEMBERSHIP = Path("/proc/self/cgroup")
RESIDENT, MAPPED = 0.35e9, 1.2e9
"""Bytes that Python and the libraries need: resident memory, and address space."""


class MemoryLimit(NamedTuple):
    """How many bytes there are, how many the libraries take of them, and what limits them."""

    size: float
    taken: float
    words: str


def memory_limits() -> list[MemoryLimit]:
    """Return every limit on this process's memory: of machine, control group and `ulimit`."""
    physical = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    files = "memory.max", "memory.limit_in_bytes"
    groups = [size for file in files for (size,) in group_numbers("memory", file)]
    limits = [
        MemoryLimit(physical, RESIDENT, "the machine has"),
        MemoryLimit(min(groups, default=math.inf), RESIDENT, "its control group may have"),
    ]
    for kind, taken, words in (
        (resource.RLIMIT_AS, MAPPED, "this process may map (ulimit -v)"),
        (resource.RLIMIT_DATA, RESIDENT, "this process may have (ulimit -d)"),
    ):
        size, _ = resource.getrlimit(kind)
        if size != resource.RLIM_INFINITY:
            limits.append(MemoryLimit(size, taken, words))
    return limits


def available_cores() -> int:
    """Return how many processors this process may use, or keep busy all the time."""
    has_affinity = hasattr(os, "sched_getaffinity")
    cores = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    version_1 = group_numbers("cpu", "cpu.cfs_quota_us", "cpu.cfs_period_us")
    for quota, period in chain(group_numbers("cpu", "cpu.max"), version_1):
        if quota > 0:
            cores = min(cores, math.ceil(quota / period))
    return cores


def can_start_thread() -> bool:
    """Whether the system starts one more thread for this process."""
    thread = threading.Thread(target=int)
    try:
        thread.start()
    except RuntimeError:
        return False
    thread.join()
    return True


def group_numbers(controller: str, *files: str) -> Iterator[list[int]]:
    """Yield the numbers in some files of every control group that this process is in.

    A container may see its own group as the root of all, whatever path the process has in them.
    """
    memberships = ""
    with suppress(OSError):
        memberships = MEMBERSHIP.read_text(encoding="utf-8", errors="replace")
    groups = {PurePosixPath("/")}
    for line in memberships.splitlines():
        own = PurePosixPath("/", line.split(":", 2)[-1])
        groups |= {own, *own.parents}
    for root in (GROUPS, GROUPS / "unified", GROUPS / controller, GROUPS / f"{controller},cpuacct"):
        for group in groups:
            with suppress(OSError, ValueError):  # none of its own, or "max"
                texts = [(root / group.relative_to("/") / file).read_text() for file in files]
                yield [int(word) for word in " ".join(texts).split()]
