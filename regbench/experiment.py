"""From settings to a result: checks what is feasible, cuts the work into blocks, trains them.

The one place where the parts meet. Knows nothing about files or the terminal.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from regbench.engines import ENGINES, Block, choose_device, choose_engine
from regbench.environment import Clock, describe_environment
from regbench.errors import RunError, UsageError
from regbench.history import FITTED_REPLICATES, GRID_POINTS, concatenate
from regbench.result import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.config import TrainingExperiment

BLOCK_REPLICATES = 64
"""Replicates of a block on a CPU: enough to fill its cores, few enough to stay small."""
CUDA_MEMORY_SHARE = 0.5
"""Of a GPU's free memory, the share that a block may fill."""
LONGEST_SECONDS = 365 * 24 * 3600
OPERATIONS_PER_SECOND = 1e12
"""More than a CPU manages and less than a large GPU; only to refuse the absurd."""


@dataclass(frozen=True)
class Plan:
    """Feasible work.

    Attributes:
        settings: What was asked.
        engine: The engine's name.
        device: Where it runs.
        block_replicates: Replicates of a block.
    """

    settings: TrainingExperiment
    engine: str
    device: torch.device
    block_replicates: int

    @property
    def blocks(self) -> list[Block]:
        """The replicates in groups of `block_replicates`."""
        return Block(self.settings, self.settings.seeds, self.device).cut(self.block_replicates)

    @property
    def total_epochs(self) -> int:
        """Epochs of single networks in all."""
        return len(self.settings.arms) * self.settings.replicates * self.settings.epochs


def plan(settings: TrainingExperiment) -> Plan:
    """Choose engine and device, and check that the work fits the machine.

    Raises:
        UsageError: There is no such device, or the work is out of all proportion.
    """
    device = choose_device(settings)
    work = Plan(settings, choose_engine(settings), device, block_size(settings, device))
    needed, available = memory_estimate(settings), physical_memory()
    if needed > available:
        raise UsageError(
            f"this run needs about {needed / 1e9:,.1f} GB of memory and the machine has "
            f"{available / 1e9:,.1f} GB; lower --hidden, --depth, --points, --replicates or the "
            f"number of arms, or raise --log-every"
        )
    operations = 6.0 * settings.parameter_count * settings.points * work.total_epochs
    if operations / OPERATIONS_PER_SECOND > LONGEST_SECONDS:
        raise UsageError(
            f"this run needs about {operations:.0e} operations, which is years of work; lower "
            f"--epochs, --replicates, --hidden, --depth, --points or the number of arms"
        )
    return work


def run(work: Plan, advance: Callable[[int], None] = lambda epochs: None) -> Result:
    """Train every block and return the result.

    Args:
        work: From `plan`.
        advance: Called now and then with the number of epochs of single networks done since.

    Raises:
        RunError: The machine ran out of memory.
    """
    clock = Clock()
    train = ENGINES[work.engine]
    try:
        history = concatenate([train(block, advance) for block in work.blocks])
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        raise RunError(
            "out of memory; lower --hidden, --points, --replicates or the number of arms"
        ) from error
    environment = describe_environment(
        clock,
        work.device,
        engine=work.engine,
        threads=work.settings.threads,
        block_replicates=work.block_replicates,
    )
    return Result(work.settings, environment, history)


def memory_estimate(settings: TrainingExperiment) -> float:
    """Return about how many bytes a run needs on top of the libraries.

    Counted are a block's networks with momenta and what one epoch computes, and the history.
    """
    arms, epochs = len(settings.arms), settings.logged_count
    points = settings.points + settings.test_points + GRID_POINTS
    history = (
        settings.replicates * (arms * epochs * (settings.test_points + 4) + 2 * points)
        + arms * epochs * (min(settings.replicates, FITTED_REPLICATES) * GRID_POINTS)
        + arms * epochs * 2 * settings.parameter_count
    )
    training = min(settings.replicates, BLOCK_REPLICATES) * replicate_bytes(settings)
    return training + 2.0 * item_bytes(settings) * history  # its pieces, and all in one


def replicate_bytes(settings: TrainingExperiment) -> float:
    """Return about how many bytes it takes to train all arms of one replicate."""
    points = settings.points + settings.test_points + GRID_POINTS
    networks = len(settings.arms) * 2 * settings.parameter_count
    activations = 6 * points * settings.hidden * max(settings.depth, 1)
    return float(item_bytes(settings) * (networks + activations))


def item_bytes(settings: TrainingExperiment) -> int:
    """Return the bytes of one number."""
    return 8 if settings.dtype == "float64" else 4


def block_size(settings: TrainingExperiment, device: torch.device) -> int:
    """Return how many replicates to train at once: on a GPU, what its free memory holds."""
    if device.type != "cuda":
        return BLOCK_REPLICATES
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, int(CUDA_MEMORY_SHARE * free / replicate_bytes(settings)))


def physical_memory() -> float:
    """Return the machine's memory in bytes."""
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
