"""Every network trained alone by compiled code, one thread per core: the fast way on the CPU.

Serves the regularizers of `COEFFICIENTS`. A network's numbers depend on nothing but its own
replicate and arm: they are the same bits in any batch and on any number of threads. Knows nothing
about how a step is computed; Numba is imported when the first network is trained.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from typing import TYPE_CHECKING

import numpy as np
import torch

from regbench.analysis.history import MEASURED, Array, Data, History
from regbench.engines.base import draw_starts, gather_data, torch_dtype
from regbench.engines.threads import in_threads
from regbench.model.task import expand
from regbench.regularizers.decoupled import DecoupledDecay
from regbench.regularizers.dropout import Dropout
from regbench.regularizers.l1 import L1
from regbench.regularizers.weight_decay import WeightDecay

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.analysis.batch import Batch
    from regbench.engines.base import Listener
    from regbench.engines.fused.network import Network, Workspace
    from regbench.regularizers import Regularizer
    from regbench.settings.study import Study

COEFFICIENTS: dict[type[Regularizer], str] = {
    WeightDecay: "l2",
    DecoupledDecay: "decoupled",
    L1: "l1",
    Dropout: "p",
}
"""What the kernel calls the strengths of the regularizers that it can do; see `Coefficients`."""
COMPILING = "compiling the fused kernel, once for so many points ..."
OPERATIONS_PER_REPORT = 2**29
"""Parameters and momenta times points times epochs: about ten milliseconds."""

Course = dict[str, Array]
"""What one network shows at the E logged epochs: the fields of a `History` by name without their
axes A and R; snapshots as `parameters/NAME` and `gradients/NAME`."""


def fused_misfit(study: Study) -> str | None:
    """Return what the engine cannot train of a study, or None."""
    if study.training.optimizer != "sgd":
        return f"with --optimizer {study.training.optimizer}"
    for part in (part for arm in study.arms for part in arm.active):
        if type(part) not in COEFFICIENTS:
            return part.name
        if study.network.depth == 0 and part.acts_on_hidden:
            return f"{part.name} with --depth 0"
    return None


def train_fused(batch: Batch, device: torch.device, threads: int, listener: Listener) -> History:
    """Train a batch, on the CPU; see `engines.base.Engine`."""
    from regbench.engines.fused.kernel import compilation_noted
    from regbench.engines.fused.network import Network, Workspace

    del device
    study, dtype = batch.study, torch_dtype(batch.study)
    starts = draw_starts(batch)
    data = gather_data(study, [start.data for start in starts])
    arms, replicates = len(batch.arms), len(starts)
    pairs = list(itertools.product(range(arms), range(replicates)))

    def inputs_of(x: Array) -> Array:
        return expand(torch.from_numpy(x)[:, None], study.network.input_size).numpy()

    def start_network(arm_index: int, replicate_index: int) -> Network:
        parameters = starts[replicate_index].parameters[arm_index]
        return Network([p.to(dtype).numpy() for p in parameters])

    @functools.cache
    def workspaces(thread: int) -> tuple[Workspace, Workspace]:
        shape, all_x = start_network(0, 0), (data.train_x, data.test_x, data.grid_x)
        return (
            Workspace(shape, inputs_of(data.train_x)),
            Workspace(shape, inputs_of(np.concatenate(all_x))),
        )

    def train_one(pair: tuple[int, int], advance: Callable[[int], None]) -> Course:
        own = workspaces(threading.get_ident())
        return train_network(batch, data, pair, start_network(*pair), own, advance)

    with compilation_noted(lambda: listener.say(COMPILING)):
        courses = in_threads(train_one, pairs, threads, listener.advance)

    def field(name: str) -> Array:
        stacked = np.stack([course[name] for course in courses], axis=1)
        return stacked.reshape(len(stacked), arms, replicates, *stacked.shape[2:])

    def snapshots(kind: str) -> dict[str, Array]:
        firsts = courses[::replicates] if batch.has_snapshots else []
        return {
            name: np.stack([course[f"{kind}/{name}"] for course in firsts], axis=1)
            for name in (study.network.parameter_names if firsts else [])
        }

    measured = {name: field(name) for name in MEASURED if name != "fits"}
    return History(
        epochs=np.array(study.training.logged_epochs),
        data=data,
        fits=field("fits")[:, :, : batch.fitted_count],
        **measured,
        parameters=snapshots("parameters"),
        gradients=snapshots("gradients"),
    )


def train_network(
    batch: Batch,
    data: Data,
    pair: tuple[int, int],
    network: Network,
    workspaces: tuple[Workspace, Workspace],
    advance: Callable[[int], None],
) -> Course:
    """Train one arm of one replicate, from one logged epoch to the next.

    Args:
        batch: What the network belongs to.
        data: The batch's.
        pair: Indices of the arm and of the replicate in the batch; the study's first replicate
            gives snapshots.
        network: As it starts; changed in place.
        workspaces: At the training inputs, and at the training, test and grid inputs together.
        advance: See `engines.base.Listener`.
    """
    from regbench.engines.fused.network import Coefficients

    arm_index, replicate_index = pair
    at_training, at_all = workspaces
    training, names = batch.study.training, batch.study.network.parameter_names
    seed = batch.noise_seeds[replicate_index]
    has_snapshots = batch.has_snapshots and replicate_index == 0
    own = {COEFFICIENTS[type(part)]: part.strength for part in batch.arms[arm_index].active}
    coefficients = Coefficients(training.lr, training.momentum, **own)
    train_y, test_y = data.train_y[replicate_index], data.test_y[replicate_index]
    epochs_per_report = 1 + OPERATIONS_PER_REPORT // (network.theta.size * len(train_y))
    done, loss, measurements = 0, math.nan, []

    def train_to(epoch: int) -> None:
        nonlocal done, loss
        while done < epoch:
            count = min(epochs_per_report, epoch - done)
            loss = at_training.train(network, train_y, coefficients, seed, done + 1, count)
            done += count
            advance(count)

    with np.errstate(all="ignore"):  # what diverges shows as infinite or NaN
        for epoch in training.logged_epochs:
            snapshots: Course = {}
            if has_snapshots:
                train_to(epoch - 1)
                found = at_training.gradients(network, train_y, coefficients, seed, epoch)
                snapshots |= by_name("gradients", names, found)
            train_to(epoch)
            if has_snapshots:
                snapshots |= by_name("parameters", names, network.views(0))
            answers = at_all.ask(network)
            fitted, predictions, fits = np.split(
                answers, [len(train_y), len(train_y) + len(test_y)]
            )
            measurements.append(
                {
                    "train_loss": loss,
                    "train_loss_eval": np.square(fitted - train_y).mean(),
                    "test_loss": np.square(predictions - test_y).mean(),
                    "predictions": predictions,
                    "fits": fits,
                    "weight_norm": math.sqrt(
                        sum(np.square(p, dtype=np.float64).sum() for p in network.views(0))
                    ),
                    "zero_share": sum((p == 0).sum() for p in network.views(0))
                    / batch.study.network.parameter_count,
                    **snapshots,
                }
            )
        return {
            name: np.array([measured[name] for measured in measurements], train_y.dtype)
            for name in measurements[0]
        }


def by_name(kind: str, names: list[str], parameters: list[Array]) -> Course:
    """Return copies of parameters, named as snapshots."""
    return {f"{kind}/{name}": p.copy() for name, p in zip(names, parameters, strict=True)}
