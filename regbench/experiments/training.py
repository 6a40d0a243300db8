"""The training experiment: plans a study, trains the blocks that are missing, reads them back.

The one place where the parts meet. A study is at one value, or at each of several values of a
setting, which are trained, stored and read back as in runs of their own. Knows nothing about files
or the terminal.
"""

from __future__ import annotations

import dataclasses
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from regbench.analysis.history import Batch, Gathering
from regbench.analysis.result import OverResult
from regbench.errors import UsageError, option_of
from regbench.experiments import SILENT, Observer, Plan
from regbench.experiments.stages import batches_of, part_of, run_stages, share
from regbench.regularizers import REGULARIZERS
from regbench.settings.groups import PILOT_REPLICATES, Machine
from regbench.settings.over import Over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from regbench.analysis.history import History
    from regbench.analysis.result import Result
    from regbench.executors import Executor
    from regbench.experiments.stages import Measured
    from regbench.settings.groups import Environment, Question
    from regbench.settings.study import Study
    from regbench.storage.blocks import Archive

    Keep = Callable[[Batch, int, History | None], None]

WITHOUT_SHARDS = {
    "target_width": "run that alone until it says how many replicates, and shard so many",
    "confirm": "merge first: the same command without --shard then finds what is merged",
}
"""Settings that a shard refuses, each with what to do instead."""


class Completed(NamedTuple):
    """The result, how many blocks are there and of how many, and the seconds that it took.

    A shard has no result, nor has a run that lacks blocks of its first replicates.
    """

    result: Any
    done: int
    total: int
    seconds: float


def plan(
    study: Study | Over, question: Question, machine: Machine, began: Environment | None = None
) -> Plan:
    """Choose engine and device, and check that the work fits.

    A run that goes on has begun in the environment `began`. All values are trained by one engine,
    which can train each. Raises `UsageError` where the machine lacks what was asked for.
    """
    if not isinstance(study, Over):
        return plan_one(study, question, machine, began)
    from regbench.experiments.feasibility import check_feasible

    studies = study.by_value.values()
    if not (began.shard if began else machine.shard):  # which keeps no history
        check_feasible(question, *studies)
    plans = [plan_one(one, question, machine, began) for one in studies]
    if len({one.engine for one in plans}) > 1:
        found = plan(study, question, machine.replaced(engine="batched"), began)
        return dataclasses.replace(found, reason=max(one.reason for one in plans))
    sizes: Any = [one.environment.batch_replicates for one in plans]
    environment = began or dataclasses.replace(plans[0].environment, batch_replicates=sizes)
    seconds = sum(one.seconds for one in plans)
    return dataclasses.replace(plans[0], study=study, environment=environment, seconds=seconds)


def plan_one(study: Study, question: Question, machine: Machine, began: Environment | None) -> Plan:
    """Plan a study at one value; see `plan`."""
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
    from regbench.engines import check_plugins, choose_device, choose_engine, fused_misfit
    from regbench.engines.machine import describe_environment, describe_provenance
    from regbench.executors import Here

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
    made = engine, str(device), reason, provenance, executor
    return Plan(study, question, began, *made, seconds=seconds)


def plans_by_value(plan: Plan) -> Iterator[tuple[Any, Plan]]:
    """Yield each value with the plan of a run of its own."""
    if not isinstance(plan.study, Over):
        yield None, plan
        return
    sizes: Any = plan.environment.batch_replicates
    for (value, study), size in zip(plan.study.by_value.items(), sizes, strict=True):
        where = dataclasses.replace(plan.environment, batch_replicates=size)
        work = f"{plan.work}, {plan.study.key}={value}"
        yield value, dataclasses.replace(plan, study=study, environment=where, work=work)


def complete(plan: Plan, archive: Archive | None = None, observer: Observer = SILENT) -> Completed:
    """Read the blocks of a plan from the archive, and train those that it lacks.

    A plan without an executor trains nothing: its result is that of the replicates before the
    first missing block, of the values that are whole. Imports no torch then.
    """
    started, seconds = time.perf_counter(), plan.environment.duration_seconds or 0.0
    found = [(value, *complete_one(own, archive, observer)) for value, own in plans_by_value(plan)]
    done, total = sum(done for _, _, done, _ in found), sum(total for *_, total in found)
    if plan.executor:
        seconds = round(time.perf_counter() - started, 3)
    results: dict[Any, Result] = {}
    for value, result, there, needed in found:
        if result and (there == needed or not isinstance(plan.study, Over)):
            where = dataclasses.replace(result.environment, duration_seconds=seconds)
            results[value] = dataclasses.replace(result, environment=where)
    if not results:
        return Completed(None, done, total, seconds)
    if not isinstance(plan.study, Over):
        return Completed(results[None], done, total, seconds)
    environment = dataclasses.replace(plan.environment, duration_seconds=seconds)
    over = OverResult(plan.study, plan.question, environment, results)
    return Completed(over, done, total, seconds)


def complete_one(
    plan: Plan, archive: Archive | None, observer: Observer
) -> tuple[Result | None, int, int]:
    """Complete a study at one value; see `complete`."""
    from regbench.experiments.feasibility import check_feasible, check_memory, kept_bytes

    shard, is_there = plan.environment.shard, dict[tuple[int, str], bool]()
    observer = observer if plan.executor else SILENT

    def measure(study: Study, stage: str, batches: list[Batch]) -> Measured | None:
        if plan.executor and not shard:
            check_feasible(plan.question, study)
        elif not shard:
            check_memory(kept_bytes(study), "read it on a machine that has that")
        own, gathering = share(batches, shard), Gathering(len(study.arms), study.replicates)
        total = sum(len(batch.arms) * len(batch.seeds) for batch in own) * study.training.epochs
        work = plan.work if stage == "training" else stage
        if plan.question.target_width is not None and stage == "training":  # the pilot has said it
            observer.estimate(work, plan.seconds * study.replicates / plan.study.replicates)

        def keep(batch: Batch, arm_index: int, history: History | None) -> None:
            is_there[batch.seeds[0], study.arm_names[arm_index]] = history is not None
            if history and not shard:
                gathering.add(history, arm_index, batch.first_replicate, batch.first_replicate)

        with observer.stage(work, total, {} if shard else study.labels) as advance:
            missing = find_missing(own, archive, keep, advance, observer)
            if plan.executor:
                train(plan, missing, archive, keep, advance, observer)
                missing = iter(())
            whole = min((batch.first_replicate for batch in missing), default=study.replicates)
        if shard or not whole:
            return None
        return study.replaced(replicates=whole), gathering.history(whole)

    result = run_stages(plan.study, plan.question, plan.environment, measure, observer.say)
    return result, sum(is_there.values()), len(is_there)


def network(result: Result, seed: int | None, arm: str | None) -> Any:
    """Train a network of a result again, and return it; see `Result.network`."""
    import torch

    from regbench.engines import Listener
    from regbench.engines.batched import CHUNK_REPLICATES
    from regbench.engines.reference import build_network

    study, where, names = result.study, result.environment, result.study.arm_names
    seed = study.seed if seed is None else seed
    arm = (result.best_arm or study.arms[0]).name if arm is None else arm
    if seed not in study.seeds:
        raise UsageError("seed", seed, f"{study.seeds[0]} to {study.seeds[-1]}")
    if arm not in names:
        raise UsageError("arm", arm, ", ".join(names))
    parts = study.arms[names.index(arm)].parts
    if any(part.origin and REGULARIZERS.get(part.command) is not type(part) for part in parts):
        hint = "register its class or load its file, and then load the run again"
        raise UsageError("arm", arm, problem="whose plug-in is not loaded", hint=hint)
    machine = Machine().replaced(engine=where.engine, device=where.device)
    executor: Any = plan_one(study, result.question, machine, None).executor
    size: Any = where.batch_replicates
    batches = batches_of(study, size, PILOT_REPLICATES if result.question.target_width else None)
    if where.device == "cpu":
        size = CHUNK_REPLICATES if where.engine == "batched" else 1  # what rounds together
    (seeds,) = (one.seeds for batch in batches for one in batch.cut(size) if seed in one.seeds)
    own = Batch(study, seeds, 0, (names.index(arm),), kept_index=seeds.index(seed))
    ((_, history, _),) = executor.train([own], Listener())
    parameters = history.named("parameters").values()
    return build_network(study, [torch.from_numpy(values[0]) for values in parameters]).eval()


def find_missing(
    batches: Sequence[Batch],
    archive: Archive | None,
    keep: Keep,
    advance: Callable[[int], None],
    observer: Observer,
) -> Iterator[Batch]:
    """Yield the arms of batches that the archive lacks, and keep those that it has."""
    for batch in batches:
        lacking = []
        for arm_index in batch.indices:
            history = archive.load(batch, arm_index) if archive else None
            keep(batch, arm_index, history)
            if history:
                advance(len(batch.seeds) * batch.study.training.epochs)
                observer.finish([batch.study.arms[arm_index]], batch.seeds, history)
            else:
                lacking.append(arm_index)
        if lacking:
            yield dataclasses.replace(batch, arm_indices=tuple(lacking))


def train(
    plan: Plan,
    missing: Iterator[Batch],
    archive: Archive | None,
    keep: Keep,
    advance: Callable[[int], None],
    observer: Observer,
) -> None:
    """Train what is missing, some arms of a batch at a time; save and keep each arm."""
    from regbench.engines import Listener
    from regbench.experiments.feasibility import arms_at_once

    def some_arms() -> Iterator[Batch]:
        for batch in missing:
            most = arms_at_once(batch.study, len(batch.seeds), plan.engine, plan.device)
            for start in range(0, len(batch.indices), most):
                own = batch.indices[start : start + most]
                yield dataclasses.replace(batch, arm_indices=own)

    assert plan.executor
    listener = Listener(advance, observer.warn, observer.finish)
    for batch, history, provenance in plan.executor.train(some_arms(), listener):
        for position, arm_index in enumerate(batch.indices):
            one = history.part(A=slice(position, position + 1))
            if archive:
                archive.save(batch, arm_index, one, provenance)
            keep(batch, arm_index, one)
