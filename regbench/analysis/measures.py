"""What is measured of a network: one entry each, and all else follows.

Engines hand over predictions and sums over layers; every measure is made of these here, in
float64, whichever engine it was. Knows nothing about engines or files.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.analysis.history import Array
    from regbench.settings.study import Network, Task


@dataclass(frozen=True)
class Outcome:
    """What some networks show, at some epochs: the leading axes `...` are those of the caller.

    **Shape:** `train_loss`, `zeros`: `(...)`; `train`, `test`, `grid`: `(..., N)`, `(..., T)`,
    `(..., G)`; `squares`: `(..., L, 2)`; targets and `truth`: as the predictions, or fewer axes.

    Attributes:
        train_loss: As trained and before the update.
        train, test, grid: Predictions in evaluation mode at the inputs of each.
        zeros: How many parameters are exactly 0.
        squares: Sums of squares of each layer's weights and biases.
        train_y, test_y: Targets.
        truth: At the inputs of the grid.
        task: What was to be learned.
        network: The networks' shape.
    """

    train_loss: Array
    train: Array
    test: Array
    grid: Array
    zeros: Array
    squares: Array
    train_y: Array
    test_y: Array
    truth: Array
    task: Task
    network: Network


class Measure(NamedTuple):
    """A number of a network, or of each of its layers.

    Attributes:
        compute: From an outcome to the number, `(...)`; or to those of the L layers, `(..., L)`,
            which are then measures `name_hidden1`, … `name_output`.
        is_loss: Whether a network has diverged where it is not finite.
        is_of_layers: Whether there is one for each layer.
    """

    compute: Callable[[Outcome], Array]
    is_loss: bool = False
    is_of_layers: bool = False


MEASURES: dict[str, Measure] = {
    "train_loss": Measure(lambda o: o.train_loss, is_loss=True),
    "train_loss_eval": Measure(lambda o: mean_square(o.train - o.train_y), is_loss=True),
    "test_loss": Measure(lambda o: mean_square(o.test - o.test_y), is_loss=True),
    "risk": Measure(lambda o: mean_square(o.grid - o.truth) + o.task.test_noise**2, is_loss=True),
    "weight_norm": Measure(lambda o: np.sqrt(o.squares.sum(axis=(-2, -1)))),
    "zero_share": Measure(lambda o: o.zeros / o.network.parameter_count),
    "roughness": Measure(lambda o: slope_variation(o)),
    "rms": Measure(lambda o: weight_rms(o), is_of_layers=True),
}
"""By name, in the order of files and documents. NaN is for what a network does not have."""
LOSSES = tuple(name for name, measure in MEASURES.items() if measure.is_loss)


def mean_square(values: Array) -> Array:
    """Return the mean of squares over the last axis."""
    mean: Array = np.square(values, dtype=np.float64).mean(axis=-1)
    return mean


def slope_variation(outcome: Outcome) -> Array:
    """Return the total variation of the slope of the fit, Σ|Δ²f|/Δx over the grid.

    NaN for a linear model, whatever its inputs: it has no units whose kinks could be counted.
    """
    if outcome.network.depth == 0:
        return np.full(outcome.train_loss.shape, np.nan)
    cell = (outcome.task.x_max - outcome.task.x_min) / outcome.grid.shape[-1]
    bends = np.diff(outcome.grid.astype(np.float64), n=2, axis=-1) / cell
    variation: Array = np.abs(bends).sum(axis=-1)
    return variation


def weight_rms(outcome: Outcome) -> Array:
    """Return the root mean square of each layer's weights, biases left out, `(..., L)`."""
    counts = [before * after for before, after in itertools.pairwise(outcome.network.layer_sizes)]
    rms: Array = np.sqrt(outcome.squares[..., 0] / counts)
    return rms


def measure_names(network: Network) -> list[str]:
    """Return the names of all measures of a network, those of layers behind each other."""
    return [
        f"{name}_{layer}" if layer else name
        for name, entry in MEASURES.items()
        for layer in (network.layer_names if entry.is_of_layers else [""])
    ]


@np.errstate(all="ignore")
def measure(outcome: Outcome) -> dict[str, Array]:
    """Return every measure by name, `(...)`, in the dtype of training.

    What diverges is infinite or NaN.
    """
    found: list[Array] = []
    for entry in MEASURES.values():
        values = np.asarray(entry.compute(outcome)).astype(outcome.grid.dtype)
        found += list(np.moveaxis(values, -1, 0)) if entry.is_of_layers else [values]
    return dict(zip(measure_names(outcome.network), found, strict=True))
