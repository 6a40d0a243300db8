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

    Raises `UsageError` where there is no such task, or I is above N.
    """
    if shard == "slurm":
        texts = [environment.get(name, "") for name in SLURM]
        if missing := [n for n, text in zip(SLURM, texts, strict=True) if not text.isdecimal()]:
            problem = f"but {', '.join(missing)} of a Slurm array's task are no numbers here"
            raise UsageError("shard", shard, problem=problem, hint="give it as I/N")
        task, first, step, count = map(int, texts)
        shard = f"{(task - first) // step + 1}/{count}"
    part, _, parts = (shard or "").partition("/")
    if shard and int(part) > int(parts):
        raise UsageError("shard", shard, "I/N with I from 1 to N")
    return shard


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
