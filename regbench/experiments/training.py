"""From settings to a result: checks what is feasible, and trains the blocks that are missing.

The one place where the parts meet. Knows nothing about files or the terminal.
"""

from __future__ import annotations

import dataclasses
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from regbench.analysis.history import (
    FITTED_REPLICATES,
    GRID_POINTS,
    History,
    concatenate,
    join_arms,
    select_arms,
)
from regbench.engines import ENGINES, Block, choose_device, choose_engine
from regbench.engines.environment import describe_environment, describe_provenance
from regbench.errors import OUT_OF_MEMORY, RunError, UsageError, visible
from regbench.experiments.stages import conduct, parts_of
from regbench.settings.study import TrainingExperiment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from regbench.analysis.result import Result
    from regbench.experiments.stages import Measured
    from regbench.settings.study import Experiment
    from regbench.storage.archive import Archive
    from regbench.storage.blocks import Part, Provenance

BLOCK_REPLICATES = 64
"""Most replicates of a block on a CPU: enough to fill its cores, few enough to stay small."""
SMALLEST_BLOCK = 8
"""Least replicates of a block of the fused engine: enough to fill some cores."""
BLOCK_OPERATIONS = 2e12
"""Most of what is trained on a CPU before it is saved, or else one arm of `SMALLEST_BLOCK`
replicates: seconds of a few cores."""
CUDA_MEMORY_SHARE = 0.5
"""Of a GPU's free memory, the share that a block may fill."""
LONGEST_SECONDS = 365 * 24 * 3600
OPERATIONS_PER_SECOND = 1e12
"""More than a CPU manages and less than a large GPU; only to refuse the absurd."""
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "defaultcpuallocator")
"""What torch says, in lower case, where a `RuntimeError` is for want of memory."""
THREAD_SPEED = {
    "fused": (8e10, 2e-6, 1.5e-4),
    "batched": (2e10, 2e-5, 2e-5),
    "reference": (1e10, 3e-4, 3e-4),
}
"""Of a CPU thread: operations per second, seconds that an epoch of a network takes besides, and
seconds to measure it, in Python, where threads wait for each other. Rough: only to say how long a
run will take."""
FILE_SECONDS = 1.5e-5
"""What a logged epoch of a network takes in the files."""
FILE_BYTES = 800
"""The memory that a logged epoch of a network takes while the JSON document is written."""
STATISTICS_SECONDS = 6e-3
"""What the comparison of two arms at a logged epoch takes."""


@dataclass(frozen=True)
class Plan:
    """Feasible work.

    Attributes:
        settings: What was asked.
        engine: The engine's name.
        device: Where it runs.
        environment: Versions, machine, engine and device, ready for JSON.
        provenance: What of it the numbers depend on.
    """

    settings: TrainingExperiment
    engine: str
    device: torch.device
    environment: dict[str, Any]
    provenance: Provenance

    @property
    def block_replicates(self) -> int:
        """Replicates of a block."""
        return int(self.environment["block_replicates"])


def check_feasible(settings: TrainingExperiment) -> None:
    """Raise `UsageError` where the work does not fit the machine or a lifetime."""
    wider = ", or raise --target-width" if settings.target_width is not None else ""
    needed, available = memory_estimate(settings), physical_memory()
    if needed > available:
        raise UsageError(
            f"this run needs about {needed / 1e9:,.1f} GB of memory and the machine has "
            f"{available / 1e9:,.1f} GB; lower --hidden, --depth, --points, --replicates or the "
            f"number of arms, or raise --log-every{wider}"
        )
    operations = operations_of(settings)
    if operations / OPERATIONS_PER_SECOND > LONGEST_SECONDS:
        raise UsageError(
            f"this run needs about {operations:.0e} operations, which is years of work; lower "
            f"--epochs, --replicates, --hidden, --depth, --points or the number of arms{wider}"
        )


def plan_again(
    settings: TrainingExperiment, environment: dict[str, Any], is_mixed_allowed: bool
) -> Plan:
    """Return the plan of a run that began in this environment.

    Raises:
        UsageError: Its device is not there, and another is not allowed.
    """
    chosen = settings
    if not is_mixed_allowed:
        recorded = {"engine": environment["engine"], "device": environment["device"]}
        chosen = settings.model_copy(update=recorded)
    device, engine = choose_device(chosen), choose_engine(chosen)
    return Plan(settings, engine, device, environment, describe_provenance(engine, device))


@contextmanager
def untracked(stage: str, epochs: int) -> Iterator[Callable[[int], None]]:
    """Track nothing; see `run`."""
    del stage, epochs
    yield lambda done: None


def plan(settings: Experiment) -> Plan:
    """Choose engine and device, and check that the work fits the machine.

    Raises:
        UsageError: There is no such device, the work is out of all proportion, or the experiment
            trains nothing.
    """
    if not isinstance(settings, TrainingExperiment):
        raise UsageError(
            f"{visible(settings.experiment)}: trains no network, so that there is nothing to plan; "
            f"run it with: regbench {settings.experiment}"
        )
    device, engine = choose_device(settings), choose_engine(settings)
    check_feasible(settings)
    environment = describe_environment(
        device,
        engine=engine,
        threads=settings.threads,
        block_replicates=block_size(settings, engine, device),
    )
    return Plan(settings, engine, device, environment, describe_provenance(engine, device))


def run(
    work: Plan,
    archive: Archive | None = None,
    track: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] = untracked,
    say: Callable[[str], None] = lambda line: None,
) -> Result:
    """Train every block that is not in the archive, put it there, and return the result.

    Args:
        work: From `plan`.
        archive: Where blocks are kept; None for nowhere.
        track: Called with what a stage does and its epochs of single networks; as a context it
            yields a function that is called now and then with the number done since.
        say: Called with a line about what a stage has decided.

    Raises:
        UsageError: What a pilot asks for does not fit the machine.
        RunError: The machine ran out of memory, or a block cannot be read or written.
    """
    started = time.perf_counter()

    def measure(settings: TrainingExperiment, stage: str) -> Measured:
        check_feasible(settings)
        with track(stage, settings.replicates * len(settings.arms) * settings.epochs) as advance:
            parts = parts_of(settings, work.block_replicates)
            return settings, concatenate(
                [measure_part(work, settings, part, archive, advance) for part in parts]
            )

    result = conduct(work.settings, work.environment, measure, say)
    assert result is not None
    duration = round(time.perf_counter() - started, 3)
    return dataclasses.replace(
        result, environment={**work.environment, "duration_seconds": duration}
    )


def measure_part(
    work: Plan,
    settings: TrainingExperiment,
    part: Part,
    archive: Archive | None,
    advance: Callable[[int], None],
) -> History:
    """Return the history of some replicates: from the archive, and trained where it has none.

    No arm's numbers depend on which others are trained beside it, so that what is missing can be
    trained alone.
    """
    places = range(len(settings.arms))
    found: dict[int, History] = {}
    for place in places if archive else ():
        if archive and (history := archive.load(settings, part, place)):
            found[place] = history
    missing = [place for place in places if place not in found]
    advance(len(found) * len(part.seeds) * settings.epochs)
    at_once = arms_at_once(work, settings, part)
    for start in range(0, len(missing), at_once):
        group = tuple(missing[start : start + at_once])
        block = Block(settings, part.seeds, work.device, part.first, group)
        trained = train_block(work.engine, block, advance)
        for index, place in enumerate(group):
            found[place] = select_arms(trained, [index])
            if archive:
                archive.save(settings, part, place, found[place])
    return join_arms([found[place] for place in places])


def arms_at_once(work: Plan, settings: TrainingExperiment, part: Part) -> int:
    """Return how many arms of a part to train together before they are saved.

    As many as take seconds rather than minutes on a CPU, since what is interrupted is lost.
    """
    if work.device.type == "cuda":
        return len(settings.arms)
    return max(1, int(BLOCK_OPERATIONS / (operations_of_one(settings) * len(part.seeds))))


def train_block(engine: str, block: Block, advance: Callable[[int], None]) -> History:
    """Train a block.

    Raises:
        RunError: The machine ran out of memory.
    """
    try:
        return ENGINES[engine](block, advance)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(OUT_OF_MEMORY) from error


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that the machine or the GPU has no memory left."""
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(text in str(error).lower() for text in NO_MEMORY)


def seconds_estimate(work: Plan) -> float:
    """Return about how many seconds a run takes, within a factor of three or so on a CPU.

    Without what a pilot may ask for, and without pictures and TensorBoard logs.
    """
    settings = work.settings
    speed, overhead, to_measure = THREAD_SPEED[work.engine]
    networks = settings.replicates * len(settings.arms) + 2 * (settings.confirm or 0)
    share = networks / (settings.replicates * len(settings.arms))
    operations = share * operations_of(settings)
    if work.device.type == "cuda":
        training = operations / OPERATIONS_PER_SECOND
    else:
        threads = 1 if work.engine == "reference" else min(settings.threads, networks)
        points = settings.points + settings.test_points + GRID_POINTS
        logged = 2.0 * settings.parameter_count * points * settings.logged_count * networks
        training = (operations + logged) / speed / threads
        training += overhead * networks * settings.epochs / threads
        training += to_measure * networks * settings.logged_count
    is_compared = settings.replicates > 1
    comparisons = is_compared * (len(settings.arms) - 1) * settings.logged_count
    files = FILE_SECONDS * networks * settings.logged_count
    return training + files + STATISTICS_SECONDS * comparisons


def operations_of(settings: TrainingExperiment) -> float:
    """Return about how many multiplications and additions all training steps take."""
    return operations_of_one(settings) * len(settings.arms) * settings.replicates


def operations_of_one(settings: TrainingExperiment) -> float:
    """Return about how many multiplications and additions one network's training takes."""
    return 6.0 * settings.parameter_count * settings.points * settings.epochs


def memory_estimate(settings: TrainingExperiment) -> float:
    """Return about how many bytes a run needs on top of the libraries.

    Counted are a block's networks with momenta and what one epoch computes, the history, and the
    JSON document.
    """
    arms, epochs = len(settings.arms), settings.logged_count
    points = settings.points + settings.test_points + GRID_POINTS
    history = (
        settings.replicates * (arms * epochs * (settings.test_points + 4) + 2 * points)
        + arms * epochs * (min(settings.replicates, FITTED_REPLICATES) * GRID_POINTS)
        + arms * epochs * 2 * settings.parameter_count
    )
    training = min(settings.replicates, BLOCK_REPLICATES) * replicate_bytes(settings)
    document = FILE_BYTES * settings.replicates * arms * epochs
    return training + document + 2.0 * item_bytes(settings) * history  # its pieces, and all in one


def replicate_bytes(settings: TrainingExperiment) -> float:
    """Return about how many bytes it takes to train all arms of one replicate."""
    points = settings.points + settings.test_points + GRID_POINTS
    networks = len(settings.arms) * 2 * settings.parameter_count
    activations = 6 * points * settings.hidden * max(settings.depth, 1)
    return float(item_bytes(settings) * (networks + activations))


def item_bytes(settings: TrainingExperiment) -> int:
    """Return the bytes of one number."""
    return 8 if settings.dtype == "float64" else 4


def block_size(settings: TrainingExperiment, engine: str, device: torch.device) -> int:
    """Return how many replicates a block has.

    On a GPU what its free memory holds. On the CPU so many that a block takes seconds rather than
    minutes, since an interrupted block is lost; `batched` wants whole chunks for every core.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, int(CUDA_MEMORY_SHARE * free / replicate_bytes(settings)))
    if engine == "batched":
        return BLOCK_REPLICATES
    return max(
        SMALLEST_BLOCK, min(BLOCK_REPLICATES, int(BLOCK_OPERATIONS / operations_of_one(settings)))
    )


def physical_memory() -> float:
    """Return the machine's memory in bytes."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
