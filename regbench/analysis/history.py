"""What training leaves behind: measures, predictions and a few snapshots, as arrays by name.

Everything that people look at is derived from this. One table says which axes each array has; how
arrays are joined, stored and listed follows from it. Knows nothing about how they were made.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.tasks import task_of
from regbench.tasks.measures import Array as Array
from regbench.tasks.measures import measure_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from regbench.analysis.batch import Batch

AXES = {
    "epochs": "E",
    "kept_epochs": "K",
    "train_x": "N",
    "train_y": "RN",
    "test_x": "T",
    "test_y": "RT",
    "grid_x": "G",
    "grid_truth": "G",
    "measures": "EAR",
    "predictions": "KARG",
    "parameters": "KA",
    "gradients": "KA",
}
"""The axes of every array; of `measures`, `parameters` and `gradients` there is one for each name,
behind a slash. What those of the last two have more is the parameter's own shape."""


@dataclass(frozen=True, repr=False)
class History:
    """What was measured for A arms of R replicates. Arrays are attributes; measures too.

    **Shape:** see `AXES`, with E measured and K kept epochs.

    - `epochs`: int64, 0 for before the first step; see `Training.measured_epochs`.
    - `kept_epochs`: int64, those of `predictions` and snapshots.
    - `train_x`, `train_y`, `test_x`, `test_y`: the data.
    - `grid_x`, `grid_truth`: the middles of the cells, and the truth there.
    - `predictions`: in evaluation mode, on the grid.
    - `test_loss` and so on: see `Task.measures`.
    - `parameters`, `gradients`: by parameter's name, of the study's first replicate, in its batch
      only. The gradient is that of the loss in the epoch's update, without penalty; NaN at epoch 0.
    """

    arrays: Mapping[str, Any]

    def __getattr__(self, name: str) -> Any:
        """Return an array by its name, or the name of its measure."""
        arrays = self.arrays if name != "arrays" else {}
        for known in (name, f"measures/{name}"):
            if known in arrays:
                return arrays[known]
        raise AttributeError(f"no array is called {name!r}")

    def __repr__(self) -> str:
        """Return how much was measured, and the names of the measures."""
        sizes = "{} epochs, {} arms, {} replicates".format(*self.test_loss.shape)
        return f"History of {sizes}: {', '.join(self.named('measures'))}"

    def named(self, kind: str) -> dict[str, Array]:
        """Return the arrays of a kind, `measures`, `parameters` or `gradients`, by name."""
        parts = {name: name.partition("/") for name in self.arrays}
        return {part[2]: self.arrays[name] for name, part in parts.items() if part[0] == kind}

    def replaced(self, **arrays: Any) -> History:
        """Return a history with other arrays, by the names of attributes."""
        keyed = {key if key in AXES else f"measures/{key}": arrays[key] for key in arrays}
        return History({**self.arrays, **keyed})

    def at(self, epoch: int) -> int:
        """Return the index of a measured epoch."""
        return int(np.searchsorted(self.epochs, epoch))


def fields_of(batch: Batch) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return by name shape and dtype of every array in the history of one arm of a batch."""
    study, task = batch.study, task_of(batch.study)
    sizes = itertools.pairwise(study.network.layer_sizes)
    lengths = {
        "E": len(study.training.measured_epochs),
        "K": len(study.training.kept_epochs),
        "A": 1,
        "R": len(batch.seeds),
        **task.lengths,
    }
    own = [shape for inputs, units in sizes for shape in ((units, inputs), (units,))]
    snapshot = dict(zip(study.network.parameter_names, own, strict=True))
    names: dict[str, Mapping[str, tuple[int, ...]]] = {
        "measures": dict.fromkeys(measure_names(task.measures, study.network), ()),
        "parameters": snapshot if batch.has_snapshots else {},
        "gradients": snapshot if batch.has_snapshots else {},
    }
    fields: dict[str, tuple[tuple[int, ...], str]] = {}
    for kind, axes in AXES.items():
        shape = tuple(lengths[letter] for letter in axes)
        dtype = "int64" if kind in ("epochs", "kept_epochs") else study.dtype
        for name, more in names.get(kind, {"": ()}).items():
            fields[f"{kind}/{name}" if name else kind] = ((*shape, *more), dtype)
    return fields


def evenly(count: int, most: int) -> list[int]:
    """Return at most so many indices of `count`, evenly, the first and the last among them."""
    return sorted({*np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()})


def axis_of(name: str, letter: str) -> int:
    """Return which axis of an array has a letter of `AXES`, or -1 for none."""
    return AXES[name.partition("/")[0]].find(letter)


def join(histories: Sequence[History], letter: str) -> History:
    """Return one history of all, in turn along an axis: `R` for replicates, `A` for arms.

    What has no such axis is that of the first.
    """

    def joined(name: str, axis: int) -> Array:
        return np.concatenate([history.arrays[name] for history in histories], axis)

    return changed_along(histories[0], letter, joined)


class Gathering:
    """A history of A arms and R replicates that is put together of pieces, in any order.

    Each piece is copied as it comes, and may then be let go of: half the memory that `join` takes.
    """

    def __init__(self, arms: int, replicates: int) -> None:
        self.sizes = {"A": arms, "R": replicates}
        self.arrays: dict[str, Any] = {}

    def add(self, piece: History, arm_indices: Sequence[int], first_replicate: int) -> None:
        """Put a piece where its arms and its replicates belong."""
        replicates = slice(first_replicate, first_replicate + len(piece.train_y))
        places: dict[str, Any] = {"A": list(arm_indices), "R": replicates}
        for name, array in piece.arrays.items():
            axes = AXES[name.partition("/")[0]].ljust(array.ndim)
            if name not in self.arrays:
                shape = [self.sizes.get(*pair) for pair in zip(axes, array.shape, strict=True)]
                self.arrays[name] = np.empty(shape, array.dtype)
            self.arrays[name][tuple(places.get(letter, slice(None)) for letter in axes)] = array

    def history(self, replicates: int) -> History:
        """Return the history of the first so many replicates, which must be there in all arms."""
        first = slice(replicates)
        return changed_along(
            History(self.arrays),
            "R",
            lambda name, axis: self.arrays[name][(slice(None),) * axis + (first,)],
        )


def select_arms(history: History, arm_indices: Sequence[int]) -> History:
    """Return the history of the arms of these indices."""
    return changed_along(
        history, "A", lambda name, axis: history.arrays[name].take(list(arm_indices), axis)
    )


def changed_along(history: History, letter: str, change: Callable[[str, int], Array]) -> History:
    """Return a history with `change(name, axis)` for every array that has this axis of `AXES`."""
    axes = {name: axis_of(name, letter) for name in history.arrays}
    changed = {name: change(name, axis) for name, axis in axes.items() if axis >= 0}
    return History({**history.arrays, **changed})
