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

    from regbench.analysis.batch import Batch

SLURM = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "STEP", "COUNT")]


def part_of(shard: str | None, environment: Mapping[str, str]) -> str | None:
    """Return `I/N` as it is, and for `slurm` the part of the array's task in the environment.

    Raises `UsageError` where that has no such task.
    """
    if shard != "slurm":
        return shard
    texts = [environment.get(name, "") for name in SLURM]
    if missing := [name for name, text in zip(SLURM, texts, strict=True) if not text.isdecimal()]:
        problem = f"but {' and '.join(missing)} of a Slurm array's task are not numbers here"
        raise UsageError("shard", shard, problem=problem, hint="give it as I/N")
    task, first, step, count = map(int, texts)
    return f"{(task - first) // step + 1}/{count}"


def share(batches: Sequence[Batch], shard: str | None) -> list[Batch]:
    """Return a shard's part of the blocks of batches, or all; parts differ by a block at most."""
    if shard is None:
        return list(batches)
    part, parts = map(int, shard.split("/"))
    blocks = [(batch, index) for batch in batches for index in range(len(batch.study.arms))]
    own = blocks[len(blocks) * (part - 1) // parts : len(blocks) * part // parts]
    return [
        dataclasses.replace(batch, arm_indices=tuple(index for _, index in pairs))
        for batch, pairs in itertools.groupby(own, key=lambda block: block[0])
    ]
