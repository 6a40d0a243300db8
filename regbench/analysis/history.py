"""What training leaves behind: measures, predictions and weights, as arrays by name.

A `Batch` is some replicates of some arms: what an engine trains at once. A `History` is what comes
of it, and everything that people look at is derived from this. One table says which axes each array
has; how arrays are joined, stored and listed follows from it. Knows nothing about how networks are
trained.
"""

from __future__ import annotations

import dataclasses
import itertools
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.tasks import task_of
from regbench.tasks.measures import Array as Array
from regbench.tasks.measures import measure_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regbench.regularizers import Arm
    from regbench.settings.study import Network, Study

WEIGHT_BINS, BINS_PER_BOUND = 256, 16
"""Bins of a layer's weights, and how many lie between 0 and the bound of the initial weights. The
outermost bins count what lies beyond them too."""
AXES = {
    "epochs": "E",
    "kept_epochs": "K",
    "weight_counts": "KAB",
    "train_x": "N",
    "train_y": "RN",
    "test_x": "T",
    "test_y": "RT",
    "grid_x": "G",
    "grid_truth": "G",
    "held_out": "RH",
    "held_out_group": "RH",
    "held_out_y": "RH",
    "center": "RU",
    "scale": "RU",
    "measures": "EAR",
    "predictions": "KARQ",
    "parameters": "A",
}
"""The axes of every array; of `measures`, `weight_counts` and `parameters` there is one for each
name, behind a slash. `weight_counts` are sums over R; `parameters` also have their own shape. A
task has those arrays of whose axes it knows the lengths."""
WHOLE = {"epochs", "kept_epochs", "weight_counts", "held_out", "held_out_group"}
"""Arrays of int64."""


@dataclass(frozen=True)
class Batch:
    """Some consecutive replicates of a study, and some of its arms.

    Attributes:
        study: The study.
        seeds: One for each of the R replicates.
        first_replicate: The index of the first one in the study.
        arm_indices: Which of the study's arms; None for all.
        kept_index: The replicate whose final parameters are kept, if `has_snapshots`.
    """

    study: Study
    seeds: range
    first_replicate: int = 0
    arm_indices: tuple[int, ...] | None = None
    kept_index: int = 0

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms, A of them."""
        return tuple(self.study.arms[index] for index in self.indices)

    @property
    def indices(self) -> tuple[int, ...]:
        """Those of the arms in the study."""
        everything = tuple(range(len(self.study.arms)))
        return everything if self.arm_indices is None else self.arm_indices

    def by_arm(self) -> list[Batch]:
        """Return a batch for each of the arms: those of a block each."""
        return [dataclasses.replace(self, arm_indices=(index,)) for index in self.indices]

    @property
    def noise_seeds(self) -> list[int]:
        """For each replicate the seed of its noise in training: that of the initial weights."""
        return [init_seed(self.study, seed) for seed in self.seeds]

    @property
    def has_snapshots(self) -> bool:
        """Whether the study's first replicate is among these: its parameters are kept."""
        return self.first_replicate == 0

    def cut(self, size: int, first_size: int | None = None) -> list[Batch]:
        """Return batches of `size` replicates, the first one of `first_size` where given."""
        bounds = [0, *range(first_size or size, len(self.seeds), size), len(self.seeds)]
        return [
            dataclasses.replace(
                self, seeds=self.seeds[start:end], first_replicate=self.first_replicate + start
            )
            for start, end in itertools.pairwise(bounds)
        ]


def init_seed(study: Study, seed: int) -> int:
    """Return the replicate whose initial weights and noise in training a replicate has."""
    return study.seed if study.vary == "data" else seed


@dataclass(frozen=True, repr=False)
class History:
    """What was measured for A arms of R replicates. Arrays are attributes; measures too.

    **Shape:** see `AXES`, with E measured and K kept epochs, and B bins.

    - `epochs`: int64, 0 for before the first step; see `Training.measured_epochs`.
    - `kept_epochs`: int64, those of `predictions` and `weight_counts`.
    - `weight_counts`: int64, by layer's name: how many weights of all replicates lie in each bin of
      `weight_edges`.
    - `train_x`, `train_y`, `test_x`, `test_y`: the data.
    - `grid_x`, `grid_truth`: the middles of the cells, and the truth there.
    - `held_out`, `held_out_group`, `held_out_y`: of a table, the rows that a replicate holds out,
      from 0 in the file's order, then −1; their groups, or else the rows; and their targets.
    - `center`, `scale`: of a table, mean and standard deviation of the training targets,
      for the one target, U.
    - `predictions`: in evaluation mode, on the grid or at the held-out rows, of the standardized
      target there.
    - `test_loss` and so on: see `Task.measures`.
    - `parameters`: by parameter's name, after the last epoch, of the study's first replicate, in
      its batch only.
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
        sizes = "{} epochs, {} arms, {} replicates".format(*self.risk.shape)
        return f"History of {sizes}: {', '.join(self.named('measures'))}"

    def named(self, kind: str) -> dict[str, Array]:
        """Return the arrays of a kind, `measures`, `weight_counts` or `parameters`, by name."""
        parts = {name: name.partition("/") for name in self.arrays}
        return {part[2]: self.arrays[name] for name, part in parts.items() if part[0] == kind}

    def replaced(self, **arrays: Any) -> History:
        """Return a history with other arrays, by the names of attributes."""
        keyed = {key if key in AXES else f"measures/{key}": arrays[key] for key in arrays}
        return History({**self.arrays, **keyed})

    def part(self, **chosen: Any) -> History:
        """Return views of some arms or replicates, by an index of the axis `A` or `R`."""
        parts = {}
        for name, array in self.arrays.items():
            axes = AXES[name.partition("/")[0]]
            parts[name] = array[tuple(chosen.get(letter, slice(None)) for letter in axes)]
        return History(parts)

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
        "B": WEIGHT_BINS,
        **task.lengths,
    }
    own = [shape for inputs, units in sizes for shape in ((units, inputs), (units,))]
    snapshot = dict(zip(study.network.parameter_names, own, strict=True))
    names: dict[str, Mapping[str, tuple[int, ...]]] = {
        "measures": dict.fromkeys(measure_names(task.measures, study.network), ()),
        "weight_counts": dict.fromkeys(study.network.layer_names, ()),
        "parameters": snapshot if batch.has_snapshots else {},
    }
    fields: dict[str, tuple[tuple[int, ...], str]] = {}
    for kind, axes in AXES.items():
        if not lengths.keys() >= {*axes}:
            continue
        shape = tuple(lengths[letter] for letter in axes)
        dtype = "int64" if kind in WHOLE else study.dtype
        for name, more in names.get(kind, {"": ()}).items():
            fields[f"{kind}/{name}" if name else kind] = ((*shape, *more), dtype)
    return fields


def weight_edges(network: Network) -> dict[str, Array]:
    """Return by layer's name the edges `(B + 1,)` of the bins of its weights, equally far apart."""
    edges = (np.arange(WEIGHT_BINS + 1) - WEIGHT_BINS / 2) / BINS_PER_BOUND
    sizes = zip(network.layer_names, network.layer_sizes, strict=False)
    return {layer: edges / fan_in**0.5 for layer, fan_in in sizes}


def evenly(count: int, most: int) -> list[int]:
    """Return at most so many indices of `count`, evenly, the first and the last among them."""
    return sorted({*np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()})


class Gathering:
    """A history of A arms and R replicates that is put together of pieces, in any order.

    Each piece is copied as it comes, from any thread, and may then be let go of. A sum over
    replicates cannot be taken apart again, so that each batch has sums of its own.
    """

    def __init__(self, arms: int, replicates: int) -> None:
        self.sizes = {"A": arms, "R": replicates}
        self.arrays: dict[str, Array] = {}
        self.sums: dict[int, dict[str, Array]] = {}
        self.lock = threading.Lock()

    def add(self, piece: History, arm: int, replicate: int, batch: int = 0) -> None:
        """Put a piece of a batch where its first arm and its first replicate belong."""
        _, arms, replicates = piece.risk.shape
        place = {"A": slice(arm, arm + arms), "R": slice(replicate, replicate + replicates)}
        for name, array in piece.arrays.items():
            axes, is_sum = AXES[name.partition("/")[0]].ljust(array.ndim), "weight_counts/" in name
            with self.lock:
                arrays = self.sums.setdefault(batch, {}) if is_sum else self.arrays
                if name not in arrays:
                    shape = [self.sizes.get(*pair) for pair in zip(axes, array.shape, strict=True)]
                    arrays[name] = np.zeros(shape, array.dtype)
                part = History({name: arrays[name]}).part(**place).arrays[name]
                part[...] = part + array if is_sum else array

    def history(self, replicates: int) -> History:
        """Return the history of the first so many replicates, which must be there in all arms."""
        batches = [sums for first, sums in self.sums.items() if first < replicates]
        sums = {name: np.sum([own[name] for own in batches], axis=0) for name in batches[0]}
        return History({**self.arrays, **sums}).part(R=slice(replicates))
