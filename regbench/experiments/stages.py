"""The stages of an experiment, and which of their blocks are a shard's.

A stage is what is measured first, and what that decides to measure next. Stages and shards are the
same whether blocks are trained or read back. Knows nothing about how they are trained.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.best import judged_sample
from regbench.analysis.history import Batch
from regbench.analysis.result import Result
from regbench.analysis.statistics import required_replicates
from regbench.errors import UsageError
from regbench.settings.groups import PILOT_REPLICATES
from regbench.settings.study import MOST_REPLICATES, Study

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regbench.analysis.history import History
    from regbench.settings.groups import Environment, Question

Measured = tuple[Study, "History"]
Measure = Callable[[Study, str, list[Batch]], Measured | None]
"""Takes a stage's study, its name and its batches. Returns the study and history of the replicates
that are there, or None if there are none."""
SLURM = [f"SLURM_ARRAY_TASK_{name}" for name in ("ID", "MIN", "MAX", "COUNT")]


def run_stages(
    study: Study,
    question: Question,
    environment: Environment,
    measure: Measure,
    say: Callable[[str], None] = lambda line: None,
) -> Result | None:
    """Measure every stage in turn, `say` what it decides, and return the result, if any."""
    size, width = environment.batch_replicates, question.target_width
    assert isinstance(size, int)
    pilot = None
    if width is not None:
        pilot = PILOT_REPLICATES  # a batch of its own, trained once
        first = study.replaced(replicates=pilot)
        measured = measure(first, "pilot", batches_of(first, size, pilot))
        if measured is None:
            return None
        needed = replicates_for_width(*measured, question)
        if needed > MOST_REPLICATES:
            problem = f"which by the pilot takes more than {MOST_REPLICATES} replicates"
            hint = "allow a wider interval"
            raise UsageError("target_width", f"{width:g}", problem=problem, hint=hint)
        many = f"about {needed} replicates: {needed - pilot} more"
        say(f"Pilot: an interval {width:g} wide needs {many}.")
        study = study.replaced(replicates=needed)
        study.check_question(question)
    measured = measure(study, "training", batches_of(study, size, pilot))
    if measured is None:
        return None
    result = Result(measured[0], question, environment, measured[1])
    best = result.best_arm
    if question.confirm is None or best is None:
        return result
    fresh = study.replaced(
        arms=(best,), seed=study.seed + study.replicates, replicates=question.confirm
    )
    measured = measure(fresh, "confirming", batches_of(fresh, size))
    if measured is None:
        return result
    confirming = question.replaced(confirm=None, target_width=None)
    confirmation = Result(measured[0], confirming, environment, measured[1])
    return dataclasses.replace(result, confirmation=confirmation)


def batches_of(study: Study, size: int, pilot: int | None = None) -> list[Batch]:
    """Return all arms of a study in batches of `size` replicates; a pilot's are the first."""
    return Batch(study, study.seeds).cut(size, pilot)


def replicates_for_width(study: Study, pilot: History, question: Question) -> int:
    """Return how many replicates make every arm's interval so wide as asked, or a little less.

    From the pilot's paired differences of what is judged, which are among them; an arm that
    diverged is left out. `MOST_REPLICATES` + 1 stands for all that is more.
    """
    values = judged_sample(study, pilot, question).values
    with np.errstate(invalid="ignore"):
        differences = values[1:] - values[0]
    finite = differences[np.isfinite(differences).all(axis=1)]
    assert question.target_width is not None
    width, most = question.target_width, MOST_REPLICATES
    return max(PILOT_REPLICATES, required_replicates(finite, width, question.confidence, most))


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
