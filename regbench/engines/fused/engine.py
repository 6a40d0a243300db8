"""Every network trained alone by compiled code, one thread per core: the fast way on the CPU.

Serves the arms that give `fused_coefficients`. A network's numbers depend on nothing but its own
replicate and arm: they are the same bits in any block and on any number of threads. Knows nothing
about how a step is computed; Numba is imported when the first network is trained.
"""

from __future__ import annotations

import functools
import math
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import torch

from regbench.analysis.history import Array, Data, History
from regbench.engines.base import Block, draw_starts, gather_data
from regbench.engines.threads import in_threads
from regbench.model.task import expand

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.engines.fused.network import Network, Workspace
    from regbench.regularizers import Regularizer

OPERATIONS_PER_REPORT = 2**29
"""Parameters and momenta times points times epochs: about ten milliseconds."""

Course = dict[str, Array]
"""What one network shows at the E logged epochs: the fields of a `History` by name without their
axes A and R; snapshots as `parameters/NAME` and `gradients/NAME`."""


def train_fused(block: Block, advance: Callable[[int], None]) -> History:
    """Train a block; see `engines.base.Engine`."""
    from regbench.engines.fused.kernel import compilation_noted
    from regbench.engines.fused.network import Network, Workspace

    settings = block.settings
    starts = draw_starts(block)
    data = gather_data(settings, [start.data for start in starts], block.dtype)
    arms, replicates = len(block.arms), len(starts)
    places = [(arm, replicate) for arm in range(arms) for replicate in range(replicates)]

    def inputs_of(x: Array) -> Array:
        return expand(torch.from_numpy(x)[:, None], settings.input_size).numpy()

    def start_network(arm: int, replicate: int) -> Network:
        return Network([p.to(block.dtype).numpy() for p in starts[replicate].parameters[arm]])

    @functools.cache
    def workspaces(thread: int) -> tuple[Workspace, Workspace]:
        shape, all_x = start_network(0, 0), (data.train_x, data.test_x, data.grid_x)
        return (
            Workspace(shape, inputs_of(data.train_x)),
            Workspace(shape, inputs_of(np.concatenate(all_x))),
        )

    def train_one(place: tuple[int, int], advance: Callable[[int], None]) -> Course:
        own = workspaces(threading.get_ident())
        return train_network(block, data, place, start_network(*place), own, advance)

    with compilation_noted(note_compilation):
        courses = in_threads(train_one, places, settings.threads, advance)

    def field(name: str) -> Array:
        stacked = np.stack([course[name] for course in courses], axis=1)
        return stacked.reshape(len(stacked), arms, replicates, *stacked.shape[2:])

    def snapshots(kind: str) -> dict[str, Array]:
        firsts = courses[::replicates] if block.has_snapshots else []
        return {
            name: np.stack([course[f"{kind}/{name}"] for course in firsts], axis=1)
            for name in (settings.parameter_names if firsts else [])
        }

    return History(
        epochs=np.array(settings.logged_epochs),
        data=data,
        train_loss=field("train_loss"),
        train_loss_eval=field("train_loss_eval"),
        test_loss=field("test_loss"),
        predictions=field("predictions"),
        fits=field("fits")[:, :, : block.fitted],
        weight_norm=field("weight_norm"),
        zero_share=field("zero_share"),
        parameters=snapshots("parameters"),
        gradients=snapshots("gradients"),
    )


def train_network(
    block: Block,
    data: Data,
    place: tuple[int, int],
    network: Network,
    workspaces: tuple[Workspace, Workspace],
    advance: Callable[[int], None],
) -> Course:
    """Train one arm of one replicate, from one logged epoch to the next.

    Args:
        block: What the network belongs to.
        data: The block's.
        place: The arm's and the replicate's in the block; the run's first replicate
            gives snapshots.
        network: As it starts; changed in place.
        workspaces: At the training inputs, and at the training, test and grid inputs together.
        advance: See `engines.base.Engine`.
    """
    from regbench.engines.fused.network import Coefficients

    arm, replicate = place
    at_training, at_all = workspaces
    settings, seed = block.settings, block.noise_seeds[replicate]
    has_snapshots = block.has_snapshots and replicate == 0
    coefficients = Coefficients(settings.lr, settings.momentum, **coefficients_of(block.arms[arm]))
    train_y, test_y = data.train_y[replicate], data.test_y[replicate]
    epochs_per_report = 1 + OPERATIONS_PER_REPORT // (network.theta.size * settings.points)
    done, loss, measurements = 0, math.nan, []

    def train_to(epoch: int) -> None:
        nonlocal done, loss
        while done < epoch:
            count = min(epochs_per_report, epoch - done)
            loss = at_training.train(network, train_y, coefficients, seed, done + 1, count)
            done += count
            advance(count)

    with np.errstate(all="ignore"):  # what diverges shows as infinite or NaN
        for epoch in settings.logged_epochs:
            snapshots: Course = {}
            if has_snapshots:
                train_to(epoch - 1)
                found = at_training.gradients(network, train_y, coefficients, seed, epoch)
                snapshots |= by_name("gradients", settings.parameter_names, found)
            train_to(epoch)
            if has_snapshots:
                snapshots |= by_name("parameters", settings.parameter_names, network.views(0))
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
                    / settings.parameter_count,
                    **snapshots,
                }
            )
        return {
            name: np.array([measured[name] for measured in measurements], train_y.dtype)
            for name in measurements[0]
        }


def note_compilation() -> None:
    """Say why nothing happens for some seconds."""
    print("compiling the fused kernel, once for so many points ...", file=sys.stderr, flush=True)


def by_name(kind: str, names: list[str], parameters: list[Array]) -> Course:
    """Return copies of parameters, named as snapshots."""
    return {f"{kind}/{name}": p.copy() for name, p in zip(names, parameters, strict=True)}


def coefficients_of(arm: Regularizer) -> dict[str, float]:
    """Return what the kernel needs of an arm that fits it."""
    coefficients = arm.fused_coefficients
    assert coefficients is not None, f"{arm.name} does not fit the fused engine"
    return coefficients
