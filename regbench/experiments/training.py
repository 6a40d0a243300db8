"""The training experiment: plans a study, trains the blocks that are missing, reads them back.

The one place where the parts meet. Knows nothing about files or the terminal.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING

from regbench.analysis.history import Gathering, select_arms
from regbench.errors import UsageError, option_of
from regbench.executors.shard import part_of, share
from regbench.experiments.base import SILENT, Observer, Plan
from regbench.experiments.stages import batches_of, run_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from regbench.analysis.batch import Batch
    from regbench.analysis.history import History
    from regbench.analysis.result import Result
    from regbench.engines import Listener
    from regbench.executors import Executor
    from regbench.experiments.stages import Measured
    from regbench.settings.machine import Environment, Machine
    from regbench.settings.question import Question
    from regbench.settings.study import Study
    from regbench.storage.blocks import Archive

WITHOUT_SHARDS = {
    "target_width": "run that alone until it says how many replicates, and shard so many",
    "confirm": "merge first: the same command without --shard then finds what is merged",
}
"""What a shard cannot be asked, by key, and how to have it."""


def plan(
    study: Study, question: Question, machine: Machine, began: Environment | None = None
) -> Plan:
    """Choose engine and device, and check that the work fits; see `base.Experiment.plan`."""
    from regbench.experiments.feasibility import (
        BATCH_REPLICATES,
        batch_size,
        check_feasible,
        seconds_estimate,
    )

    shard = began.shard if began else part_of(machine.shard, os.environ)
    for key, hint in WITHOUT_SHARDS.items():
        if shard and getattr(question, key) is not None:
            problem = f"not together with {option_of(key)}"
            raise UsageError("shard", shard, problem=problem, hint=hint)
    at_once = min(study.replicates, BATCH_REPLICATES)  # all that a shard holds
    # Before torch: with too little memory its import fails.
    check_feasible(question, study.replaced(replicates=at_once) if shard else study)
    from regbench.engines import choose_device, choose_engine, fused_misfit
    from regbench.engines.contract import check_plugins
    from regbench.engines.environment import describe_environment, describe_provenance
    from regbench.executors.here import Here

    check_plugins(study)
    engine = choose_engine(study, machine)
    device, threads = choose_device(machine, engine), machine.threads
    if began is None:
        size = batch_size(study, engine, device)
        share(batches_of(study, size) if shard else [], shard)  # or it raises
        facts = {"engine": engine, "threads": threads, "batch_replicates": size, "shard": shard}
        began = describe_environment(device, **facts)
    provenance = describe_provenance(engine, device)
    executor: Executor = Here(engine, str(device), provenance, threads)
    if machine.scheduler:
        from regbench.executors.dask import Dask

        at = machine.scheduler, engine, str(device), provenance
        executor = Dask(*at, machine.allow_mixed)
    cores = max(1, executor.prepare(study.arms))
    seconds = seconds_estimate(study, question, engine, device, cores)
    seconds /= int(shard.partition("/")[2]) if shard else 1
    cause = fused_misfit(study) if machine.engine == "auto" and device.type == "cpu" else None
    reason = f" (fused cannot train {cause})" if cause else ""
    where = engine, str(device), executor, reason
    return Plan(study, question, began, provenance, "training", seconds, *where)


def run(plan: Plan, archive: Archive | None = None, observer: Observer = SILENT) -> Result | None:
    """Train what is missing; return the result, or None of a shard. See `base.Experiment.run`."""
    from regbench.engines import Listener
    from regbench.experiments.feasibility import check_feasible

    started, shard = time.perf_counter(), plan.environment.shard

    def measure(study: Study, stage: str, batches: list[Batch]) -> Measured | None:
        if shard is None:
            check_feasible(plan.question, study)
        own, gathering = share(batches, shard), Gathering(len(study.arms), study.replicates)
        total = sum(len(batch.arms) * len(batch.seeds) for batch in own) * study.training.epochs
        work = plan.work if stage == "training" else stage
        if plan.question.target_width is not None and stage == "training":  # the pilot has said it
            observer.estimate(work, plan.seconds * study.replicates / plan.study.replicates)
        with observer.stage(work, total, {} if shard else study.labels) as advance:
            keep = (lambda *_: None) if shard else gathering.add
            listener = Listener(advance, observer.warn, observer.finish)
            measure_batches(plan, own, archive, listener, keep)
        return None if shard else (study, gathering.history(study.replicates))

    result = run_stages(plan.study, plan.question, plan.environment, measure, observer.say)
    if result is None:
        return None
    duration = round(time.perf_counter() - started, 3)
    environment = dataclasses.replace(plan.environment, duration_seconds=duration)
    return dataclasses.replace(result, environment=environment)


def measure_batches(
    plan: Plan,
    batches: list[Batch],
    archive: Archive | None,
    listener: Listener,
    keep: Callable[[History, Sequence[int], int], None],
) -> None:
    """Train and save what the archive lacks of batches; `keep` is called with all, in any order.

    That is with histories, the indices of their arms, and that of their first replicate.
    """
    from regbench.experiments.feasibility import arms_at_once

    def missing() -> Iterator[Batch]:
        for batch in batches:
            lacking = list[int]()
            for arm_index in batch.indices:
                if history := archive and archive.load(batch, arm_index):
                    keep(history, [arm_index], batch.first_replicate)
                    listener.advance(len(batch.seeds) * batch.study.training.epochs)
                    listener.finish([batch.study.arms[arm_index]], batch.seeds, history)
                else:
                    lacking.append(arm_index)
            at_once = arms_at_once(batch.study, len(batch.seeds), plan.engine, plan.device)
            for start in range(0, len(lacking), at_once):
                group = tuple(lacking[start : start + at_once])
                yield dataclasses.replace(batch, arm_indices=group)

    assert plan.executor
    for batch, history, provenance in plan.executor.train(missing(), listener):
        if archive:
            for position, arm_index in enumerate(batch.indices):
                archive.save(batch, arm_index, select_arms(history, [position]), provenance)
        keep(history, batch.indices, batch.first_replicate)


def read_back(
    study: Study, question: Question, environment: Environment, archive: Archive
) -> tuple[Result | None, int, int]:
    """Return the result of the replicates before the first missing block; of a shard there is none.

    Imports no torch.
    """
    from regbench.experiments.feasibility import check_memory, kept_bytes

    is_there: dict[tuple[int, str], bool] = {}  # by first seed and arm: a pilot is read twice

    def measure(study: Study, stage: str, batches: list[Batch]) -> Measured | None:
        if environment.shard is None:
            check_memory(kept_bytes(study), "read it on a machine that has that")
        gathering, whole, is_whole = Gathering(len(study.arms), study.replicates), 0, True
        for batch in share(batches, environment.shard):
            for arm_index in batch.indices:
                history = archive.load(batch, arm_index)
                is_there[batch.seeds[0], study.arm_names[arm_index]] = history is not None
                is_whole = is_whole and history is not None
                if history and is_whole and environment.shard is None:
                    gathering.add(history, [arm_index], batch.first_replicate)
            whole += is_whole * len(batch.seeds)
        if not whole or environment.shard:
            return None
        return study.replaced(replicates=whole), gathering.history(whole)

    result = run_stages(study, question, environment, measure)
    return result, sum(is_there.values()), len(is_there)
