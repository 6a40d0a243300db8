"""The training experiment: plans a study, trains the blocks that are missing, reads them back.

The one place where the parts meet. Knows nothing about files or the terminal.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from regbench.analysis.history import History, gather, join, select_arms
from regbench.errors import OUT_OF_MEMORY, RunError
from regbench.experiments.base import SILENT, Observer, Plan
from regbench.experiments.stages import run_stages

if TYPE_CHECKING:
    from regbench.analysis.batch import Batch
    from regbench.analysis.result import Result
    from regbench.engines import Listener
    from regbench.experiments.stages import Measured
    from regbench.settings.machine import Environment, Machine
    from regbench.settings.question import Question
    from regbench.settings.study import Study
    from regbench.storage.blocks import Archive


def plan(
    study: Study, question: Question, machine: Machine, began: Environment | None = None
) -> Plan:
    """Choose engine and device, and check that the work fits; see `base.Experiment.plan`."""
    from regbench.experiments.feasibility import batch_size, check_feasible, seconds_estimate

    check_feasible(question, study)  # before torch: with too little memory its import fails
    from regbench.engines import choose_device, choose_engine, fused_misfit
    from regbench.engines.environment import describe_environment, describe_provenance

    engine = choose_engine(study, machine)
    device, threads = choose_device(machine, engine), machine.threads
    if began is None:
        size = batch_size(study, engine, device)
        began = describe_environment(device, engine=engine, threads=threads, batch_replicates=size)
    provenance = describe_provenance(engine, device)
    seconds = seconds_estimate(study, question, engine, device, threads)
    cause = fused_misfit(study) if machine.engine == "auto" and device.type == "cpu" else None
    reason = f" (fused cannot train {cause})" if cause else ""
    where = engine, str(device), threads, reason
    return Plan(study, question, began, provenance, "training", seconds, *where)


def run(plan: Plan, archive: Archive | None = None, observer: Observer = SILENT) -> Result:
    """Train what is missing and return the result; see `base.Experiment.run`."""
    from regbench.engines import Listener
    from regbench.experiments.feasibility import check_feasible

    started = time.perf_counter()

    def measure(study: Study, stage: str, batches: list[Batch]) -> Measured:
        check_feasible(plan.question, study)
        epochs = study.replicates * len(study.arms) * study.training.epochs
        work = plan.work if stage == "training" else stage
        with observer.stage(work, epochs, study.arm_names) as advance:
            listener = Listener(advance, observer.warn, observer.finish)
            found = (measure_batch(plan, batch, archive, listener) for batch in batches)
            return study, gather(found, study.replicates)

    result = run_stages(plan.study, plan.question, plan.environment, measure, observer.say)
    assert result is not None
    duration = round(time.perf_counter() - started, 3)
    environment = dataclasses.replace(plan.environment, duration_seconds=duration)
    return dataclasses.replace(result, environment=environment)


def measure_batch(plan: Plan, batch: Batch, archive: Archive | None, listener: Listener) -> History:
    """Return the history of a batch, whose arms are independent: archived, or else trained."""
    import torch

    from regbench.engines import ENGINES
    from regbench.experiments.feasibility import arms_at_once

    study, replicates = batch.study, len(batch.seeds)
    device, arm_indices = torch.device(plan.device), range(len(study.arms))
    loaded = {arm_index: archive and archive.load(batch, arm_index) for arm_index in arm_indices}
    found = {arm_index: history for arm_index, history in loaded.items() if history}
    missing = [arm_index for arm_index in arm_indices if arm_index not in found]
    listener.advance(len(found) * replicates * study.training.epochs)
    for arm_index, history in found.items():
        listener.finish([study.arms[arm_index]], history)
    at_once = arms_at_once(study, replicates, device)
    for start in range(0, len(missing), at_once):
        group = tuple(missing[start : start + at_once])
        part = dataclasses.replace(batch, arm_indices=group)
        try:
            trained = ENGINES[plan.engine](part, device, plan.threads, listener)
        except (MemoryError, RuntimeError) as error:
            if is_out_of_memory(error):
                raise RunError(OUT_OF_MEMORY) from error
            raise
        for position, arm_index in enumerate(group):
            found[arm_index] = select_arms(trained, [position])
            if archive:
                archive.save(batch, arm_index, found[arm_index])
    return join([found[arm_index] for arm_index in arm_indices], "A")


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the machine or the GPU has no memory left."""
    import torch

    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    words = ("out of memory", "allocate memory", "defaultcpuallocator")
    if known or any(text in str(error).lower() for text in words):
        return True
    cause = error.__context__  # a recording on a GPU that ends so fails once more
    return isinstance(cause, Exception) and is_out_of_memory(cause)


def read_back(
    study: Study, question: Question, environment: Environment, archive: Archive
) -> tuple[Result | None, int, int]:
    """Return the result of the replicates before the first missing block. Imports no torch."""
    is_there: dict[tuple[int, str], bool] = {}  # by first seed and arm: a pilot is read twice

    def measure(study: Study, stage: str, batches: list[Batch]) -> Measured | None:
        histories, is_whole = [], True
        for batch in batches:
            arms = [archive.load(batch, arm_index) for arm_index in range(len(study.arms))]
            present = [history for history in arms if history is not None]
            for name, history in zip(study.arm_names, arms, strict=True):
                is_there[batch.seeds[0], name] = history is not None
            is_whole = is_whole and len(present) == len(arms)
            if is_whole:
                histories.append(join(present, "A"))
        if not histories:
            return None
        history = join(histories, "R")
        return study.replaced(replicates=history.test_loss.shape[2]), history

    result = run_stages(study, question, environment, measure)
    return result, sum(is_there.values()), len(is_there)
