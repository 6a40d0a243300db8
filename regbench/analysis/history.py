"""What training leaves behind: losses, predictions and a few snapshots, as arrays.

Everything that people look at is derived from this. Knows nothing about how it was made.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.floating]

FITTED_REPLICATES = 100
"""At most so many replicates of a study have `fits`; pictures need no more."""
GRID_POINTS = 201
"""Points of the dense grid of inputs on which `fits` are given."""
MEASURED = (
    *("train_loss", "train_loss_eval", "test_loss"),
    *("predictions", "fits", "weight_norm", "zero_share"),
)
"""The fields of a `History` with axes E, A and R."""
SNAPSHOTS = ("parameters", "gradients")
"""The fields of a `History` that hold arrays by parameter, with axes E and A."""


@dataclass(frozen=True)
class Data:
    """The data of R replicates, as they were trained on.

    **Shape:** `train_x`: `(N,)`, `train_y`: `(R, N)`, `test_x` and `test_truth`: `(T,)`,
    `test_y`: `(R, T)`, `grid_x` and `grid_truth`: `(G,)`.
    """

    train_x: Array
    train_y: Array
    test_x: Array
    test_y: Array
    test_truth: Array
    grid_x: Array
    grid_truth: Array


@dataclass(frozen=True)
class History:
    """What was measured at each of E logged epochs for A arms of R replicates.

    **Shape:**
        - `epochs`: `(E,)`, 1 for the first.
        - `train_loss`, `train_loss_eval`, `test_loss`: `(E, A, R)`, mean squared errors: as
          trained and before the update; in evaluation mode and after it.
        - `predictions`: `(E, A, R, T)` at the test inputs.
        - `fits`: `(E, A, min(R, 100), G)` on a dense grid of inputs.
        - `weight_norm`: `(E, A, R)`, Euclidean, over all parameters.
        - `zero_share`: `(E, A, R)`, the share of the parameters that are exactly 0.
        - `parameters`, `gradients`: per parameter's name `(E, A, ...)`, of the run's first
          replicate and in its batch only; the gradient is the one of the loss that the epoch's
          update used, without any penalty.
    """

    epochs: NDArray[np.int64]
    data: Data
    train_loss: Array
    train_loss_eval: Array
    test_loss: Array
    predictions: Array
    fits: Array
    weight_norm: Array
    zero_share: Array
    parameters: dict[str, Array]
    gradients: dict[str, Array]


def concatenate(histories: Sequence[History]) -> History:
    """Return one history of the replicates of all, in turn; snapshots are of the first."""
    first = histories[0]
    joined: dict[str, Any] = {
        field: np.concatenate([getattr(history, field) for history in histories], axis=2)
        for field in MEASURED
    }
    data = dataclasses.replace(
        first.data,
        train_y=np.concatenate([history.data.train_y for history in histories]),
        test_y=np.concatenate([history.data.test_y for history in histories]),
    )
    return dataclasses.replace(first, data=data, **joined)


def select_arms(history: History, arm_indices: Sequence[int]) -> History:
    """Return the history of the arms of these indices."""
    chosen = list(arm_indices)
    fields: dict[str, Any] = {field: getattr(history, field)[:, chosen] for field in MEASURED}
    for kind in SNAPSHOTS:
        fields[kind] = {name: v[:, chosen] for name, v in getattr(history, kind).items()}
    return dataclasses.replace(history, **fields)


def join_arms(histories: Sequence[History]) -> History:
    """Return one history of the arms of all, in turn; replicates and data are the same in all."""
    first = histories[0]
    fields: dict[str, Any] = {
        field: np.concatenate([getattr(history, field) for history in histories], axis=1)
        for field in MEASURED
    }
    for kind in SNAPSHOTS:
        fields[kind] = {
            name: np.concatenate([getattr(history, kind)[name] for history in histories], axis=1)
            for name in getattr(first, kind)
        }
    return dataclasses.replace(first, **fields)
