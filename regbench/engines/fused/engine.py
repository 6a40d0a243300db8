"""Every network trained alone by compiled code, one thread per core: the fast way on the CPU.

Serves the regularizers of `COEFFICIENTS`. A network's numbers depend on its own replicate and arm
alone, to the bit, in any batch and on any number of threads. Knows nothing about how a step is
computed; Numba is imported when a study is planned that the kernel can train.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.history import Gathering, History
from regbench.engines.base import BETA_1, Listener, Record, draw_batch, torch_dtype
from regbench.engines.machine import in_threads
from regbench.errors import visible
from regbench.regularizers.noise import Dropout
from regbench.regularizers.penalties import L1, DecoupledDecay, EarlyStopping, WeightDecay

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from regbench.analysis.history import Batch
    from regbench.engines.fused.network import Network, Workspace
    from regbench.regularizers import Regularizer
    from regbench.settings.study import Study

COEFFICIENTS: dict[type[Regularizer], str | None] = {
    WeightDecay: "l2",
    DecoupledDecay: "decoupled",
    L1: "l1",
    Dropout: "p",
    EarlyStopping: None,
}
"""The regularizers that the kernel can do, with its name for their strength; see `Coefficients`.
None where the kernel does not need to know the strength."""
COMPILING = "compiling the fused kernel, once for so many points ..."
COMPILING_ANEW = "compiling the fused kernel, for this run alone: no cache folder is its user's ..."
OPERATIONS_PER_REPORT = 2**29
"""About ten milliseconds of work, counted as parameters and momenta × points × epochs."""


def fused_misfit(study: Study) -> str | None:
    """Return what the engine cannot train of a study, or None."""
    for part in (part for arm in study.arms for part in arm.active):
        if type(part) not in COEFFICIENTS:
            return part.name
        if study.network.depth == 0 and part.has_hook("factor"):
            return f"{part.name} with --depth=0"
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return "with NUMBA_DISABLE_JIT set"
    try:
        import regbench.engines.fused.kernel  # noqa: F401
    except Exception as error:  # it is missing, or broken, or cannot read one of its variables
        return f"where Numba does not work: {visible(error, 200)[1:-1]}"
    return None


def train_fused(batch: Batch, device: torch.device, threads: int, listener: Listener) -> History:
    """Train a batch, on the CPU; see `engines.base.Engine`."""
    from regbench.engines.fused.compilation import cache_folder, compilation_noted
    from regbench.engines.fused.network import Network, Workspace

    drawn = draw_batch(batch)
    starts, rows = drawn.starts, drawn.y.shape[1]
    all_x, shares = drawn.all_x.numpy(), drawn.shares.numpy()
    planes = 3 if batch.study.training.optimizer == "adam" else 2
    count = len(batch.arms)  # of each replicate all arms, so that what is done can be compared
    pairs = [(arm, replicate) for replicate in range(len(starts)) for arm in range(count)]

    def start_network(arm_index: int, replicate_index: int) -> Network:
        parameters = starts[replicate_index].parameters[arm_index]
        return Network([p.to(torch_dtype(batch.study)).numpy() for p in parameters], planes)

    @functools.cache
    def workspaces(thread: int) -> list[Workspace]:
        return [Workspace(start_network(0, 0), x) for x in (all_x[0, :rows], all_x[0])]

    gathering = Gathering(count, len(starts))

    def train_one(pair: tuple[int, int], advance: Callable[[int], None]) -> None:
        arm_index, replicate_index = pair
        own = slice(replicate_index, replicate_index + 1)
        record = Record(batch, drawn, own, batch.arms[arm_index])
        at = workspaces(threading.get_ident())
        at[0].fill(all_x[replicate_index, :rows], shares[replicate_index])
        at[1].fill(all_x[replicate_index])
        train_network(batch, record, pair, start_network(*pair), at, advance)
        history = record.history()
        listener.finish([batch.arms[arm_index]], batch.seeds[own], history)
        gathering.add(history, arm_index, replicate_index)

    note = COMPILING if cache_folder() else COMPILING_ANEW
    with compilation_noted(lambda: listener.say(note)):
        in_threads(train_one, pairs, threads, listener.advance)
    return gathering.history(len(starts))


def train_network(
    batch: Batch,
    record: Record,
    pair: tuple[int, int],
    network: Network,
    workspaces: list[Workspace],
    advance: Callable[[int], None],
) -> None:
    """Train the network of a pair, arm and replicate, from one measured epoch to the next.

    `pair` are their indices in the batch; the workspaces have the training and all inputs.
    """
    from regbench.engines.fused.network import Coefficients

    training, (arm_index, replicate_index) = batch.study.training, pair
    at_training, at_all = workspaces
    named = [(COEFFICIENTS[type(part)], part.strength) for part in batch.arms[arm_index].active]
    own = {name: strength for name, strength in named if name}
    momentum = BETA_1 if training.optimizer == "adam" else training.momentum
    coefficients = Coefficients(training.lr, momentum, **own)
    train_y, seed = record.y[0], batch.noise_seeds[replicate_index]
    epochs_per_report = 1 + OPERATIONS_PER_REPORT // (network.theta.size * len(train_y))
    done, loss = 0, math.nan

    def train_to(epoch: int) -> None:
        nonlocal done, loss
        while done < epoch:
            count = min(epochs_per_report, epoch - done)
            loss = at_training.train(network, train_y, coefficients, seed, done + 1, count)
            done += count
            advance(count)

    with np.errstate(all="ignore"):  # what diverges shows as infinite or NaN
        for epoch in record.epochs:
            train_to(epoch)
            record.add_network(epoch, loss, at_all.ask(network), network.views())
    advance(training.epochs - done)
