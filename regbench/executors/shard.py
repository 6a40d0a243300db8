"""A shard: one part of a run's blocks, for machines that know nothing of each other.

Parts follow from the study alone, whatever blocks are there already. Knows nothing about training.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING

from regbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regbench.analysis.history import Batch

SLURM = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "COUNT")]


def part_of(shard: str | None, environment: Mapping[str, str]) -> str | None:
    """Return `I/N` as it is, and for `slurm` the part of the array's task in the environment.

    Raises `UsageError` where there is no such task, the array is not 1-N, or I is above N.
    """
    if shard == "slurm":
        texts = [environment.get(name, "") for name in SLURM]
        if missing := [n for n, text in zip(SLURM, texts, strict=True) if not text.isdecimal()]:
            problem = f"but {', '.join(missing)} of a Slurm array's task are no numbers here"
            raise UsageError("shard", shard, problem=problem, hint="give it as I/N")
        task, first, last, count = map(int, texts)
        if (first, last) != (1, count):  # a part would be missing, or be all
            problem = f"but the array has {count} tasks from {first} to {last}, and not 1 to N"
            raise UsageError("shard", shard, problem=problem, hint="give it as --shard I/N")
        shard = f"{task}/{count}"
    part, _, parts = (shard or "").partition("/")
    if shard and int(part) > int(parts):
        raise UsageError("shard", shard, "I/N with I from 1 to N")
    return shard


def share(batches: Sequence[Batch], shard: str | None) -> list[Batch]:
    """Return a shard's blocks of batches, or all; raises `UsageError` for more parts than those."""
    if shard is None:
        return list(batches)
    part, parts = map(int, shard.split("/"))
    blocks = [(batch, index) for batch in batches for index in range(len(batch.study.arms))]
    if parts > len(blocks):
        raise UsageError("shard", shard, f"I/N with N to {len(blocks)}, the number of blocks")
    own = blocks[len(blocks) * (part - 1) // parts : len(blocks) * part // parts]
    return [
        dataclasses.replace(batch, arm_indices=tuple(index for _, index in pairs))
        for batch, pairs in itertools.groupby(own, key=lambda block: block[0])
    ]
