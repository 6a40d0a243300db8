"""What is measured of a network: one entry each, and all else follows.

Engines hand over predictions and sums over layers; every measure is made of these here, in
float64, whichever engine it was. Knows nothing about engines or files.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from regbench.settings.study import Network

Array = NDArray[np.floating]
History = Any
"""What `analysis.history` calls so; a task only asks it for arrays by their names."""


@dataclass(frozen=True)
class Outcome:
    """What R networks show, at some epochs: the leading axes `...` are those of the caller.

    **Shape:** `train_loss`, `zeros`: `(..., R)`; `predictions`: `(..., R, N + Q)`; `squares`:
    `(..., R, L, 2)`; `counts`: `(R,)`; `y`: `(R, N)`.

    Attributes:
        train_loss: As trained and before the update.
        predictions: In evaluation mode at the training rows and where else the task asks.
        zeros: How many parameters are exactly 0.
        squares: Sums of squares of each layer's weights and biases.
        counts: The number of training rows; what lies behind them in N is padding.
        y: Training targets.
        arrays: What the history keeps of the data; see `Task.arrays`.
        network: The networks' shape.
    """

    train_loss: Array
    predictions: Array
    zeros: Array
    squares: Array
    counts: NDArray[np.int64]
    y: Array
    arrays: Mapping[str, Any]
    network: Network

    @property
    def train(self) -> Array:
        """The predictions at the training rows, `(..., R, N)`."""
        found: Array = self.predictions[..., : self.y.shape[-1]]
        return found

    @property
    def asked(self) -> Array:
        """The predictions where else the task asks, `(..., R, Q)`."""
        found: Array = self.predictions[..., self.y.shape[-1] :]
        return found


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


def mean_square(values: Array, counts: NDArray[np.int64] | None = None) -> Array:
    """Return the mean of squares over the last axis, or over its first rows by the counts `(R,)`.

    Values are `(..., R, N)` then. Rows that are left out change no bit.
    """
    squares = np.square(values, dtype=np.float64)
    if counts is None or (counts == values.shape[-1]).all():
        mean: Array = squares.mean(axis=-1)
        return mean
    rows = [squares[..., r, :count].mean(axis=-1) for r, count in enumerate(counts)]
    return np.stack(rows, axis=-1)


def picked(history: History, measure: str, at: Any) -> NDArray[np.float64]:
    """Return a measure at a measured epoch's index, or at one for each arm and replicate `(A, R)`.

    float64 `(A, R)`.
    """
    values = getattr(history, measure)
    chosen = values[at] if np.isscalar(at) else np.take_along_axis(values, at[None], axis=0)[0]
    found: NDArray[np.float64] = chosen.astype(np.float64)
    return found


def weight_rms(outcome: Outcome) -> Array:
    """Return the root mean square of each layer's weights, biases left out, `(..., L)`."""
    counts = [before * after for before, after in itertools.pairwise(outcome.network.layer_sizes)]
    rms: Array = np.sqrt(outcome.squares[..., 0] / counts)
    return rms


OF_TRAINING = {
    "train_loss": Measure(lambda o: o.train_loss, is_loss=True),
    "train_loss_eval": Measure(lambda o: mean_square(o.train - o.y, o.counts), is_loss=True),
}
OF_WEIGHTS = {
    "weight_norm": Measure(lambda o: np.sqrt(o.squares[..., 0].sum(axis=-1))),
    "zero_share": Measure(lambda o: o.zeros / o.network.parameter_count),
}
OF_LAYERS = {"rms": Measure(weight_rms, is_of_layers=True)}
"""Measures that every task has, by name. NaN stands for what a network does not have."""


def measure_names(measures: Mapping[str, Measure], network: Network) -> list[str]:
    """Return the names of all measures of a network, those of layers behind each other."""
    return [
        f"{name}_{layer}" if layer else name
        for name, entry in measures.items()
        for layer in (network.layer_names if entry.is_of_layers else [""])
    ]


@np.errstate(all="ignore")
def measure(measures: Mapping[str, Measure], outcome: Outcome) -> dict[str, Array]:
    """Return every measure by name, `(..., R)`, in the dtype of training.

    What diverges is infinite or NaN.
    """
    found: list[Array] = []
    for entry in measures.values():
        values = np.asarray(entry.compute(outcome)).astype(outcome.predictions.dtype)
        found += list(np.moveaxis(values, -1, 0)) if entry.is_of_layers else [values]
    return dict(zip(measure_names(measures, outcome.network), found, strict=True))
