"""A user's table: each replicate trains on some of its rows, and is judged by those it holds out.

Knows nothing about files, and nothing about networks or training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from regbench.errors import UsageError
from regbench.tasks.base import Data, Task, Words
from regbench.tasks.measures import OF_LAYERS, OF_WEIGHTS, Measure, Outcome, mean_square, picked
from regbench.tasks.sample import Sample, effective_count

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from regbench.settings.rows import Rows
    from regbench.settings.table import Table as Settings
    from regbench.tasks.measures import Array, History

SLOPE_ROWS = 64
"""Most held-out rows at which the gradient of a fit is measured."""
STEP = 0.01
"""Of its finite differences, in standard deviations of an input."""


@dataclass(frozen=True)
class Tabular(Task):
    """Seed t holds out fold (t − 1) mod K of partition (t − 1) div K, and trains on other rows.

    Where there are test rows all seeds hold out these, and only initial weights differ.

    Inputs and target are standardized by the training rows of each replicate, and missing values
    are filled with their medians. Networks are asked at the H held-out rows, and beside the first
    of these along each of D inputs.
    """

    settings: Settings
    has_shared_inputs: ClassVar[bool] = False
    axis: ClassVar[None] = None
    noise_variance: ClassVar[None] = None

    @property
    def rows(self) -> Rows:
        """The table itself; raises `UsageError` where only what is known of it is here."""
        if self.settings.values is None:
            hint = "name its file with --data, or run the study of a Table with its values"
            raise UsageError("data", problem="the table is not at hand", hint=hint)
        rows: Rows = self.settings.values
        return rows

    @property
    def points(self) -> int:
        """The number of training rows, N, of the largest training part."""
        settings = self.settings
        return settings.points or settings.rows - settings.smallest_fold

    @property
    def held(self) -> int:
        """The number of rows that a replicate holds out at most, H."""
        return self.settings.largest_fold

    @property
    def sloped(self) -> int:
        """At how many held-out rows the gradient of a fit is measured, S."""
        return min(self.held, SLOPE_ROWS)

    @property
    def lengths(self) -> dict[str, int]:
        """The number of held-out rows, whose predictions are kept."""
        return {"H": self.held, "Q": self.held, "U": 1}

    @property
    def asked(self) -> int:
        """The held-out rows, and D neighbours of S of them."""
        return self.held + self.sloped * self.settings.inputs

    @property
    def kept(self) -> slice:
        """The held-out rows."""
        return slice(self.held)

    def split(self, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the rows that a replicate trains on, and those that it holds out, ascending."""
        rows, folds, points = self.rows, self.settings.folds, self.settings.points
        if tested := self.settings.test_rows:
            count = len(rows.y) - tested
            chosen = np.random.default_rng(0).permutation(count)[:points]
            return np.sort(chosen), np.arange(count, count + tested)
        generator = np.random.default_rng((seed - 1) // folds + 1)
        groups = np.arange(len(rows.y)) if rows.groups is None else rows.groups
        order, sizes = generator.permutation(groups.max() + 1), np.bincount(groups)
        fold_of = np.empty(len(order), np.int64)
        if rows.groups is None:
            fold_of[order] = np.arange(len(order)) % folds
        else:  # each to the fold that has the fewest rows; by size, partitions would be the same
            filled = np.zeros(folds, np.int64)
            for group in order:
                fold_of[group] = filled.argmin()
                filled[fold_of[group]] += sizes[group]
        is_held = fold_of[groups] == (seed - 1) % folds
        train = np.flatnonzero(~is_held)
        if points is not None:  # more points are these and others
            rank = generator.permutation(len(groups))
            train = np.sort(train[np.argsort(rank[train])[:points]])
        return train, np.flatnonzero(is_held)

    def draw(self, generator: torch.Generator, seed: int) -> Data:
        """Return a replicate's rows; the generator has nothing to do with them."""
        import torch

        (train, held), table = self.split(seed), self.rows
        x = table.x.copy()
        for column in np.flatnonzero(np.isnan(x).any(axis=0)):
            known = x[train, column][~np.isnan(x[train, column])]
            x[np.isnan(x[:, column]), column] = np.median(known) if len(known) else 0.0
        x = np.where(np.ptp(x[train], axis=0) > 0, x, 0.0)  # nothing can be learned of a constant
        x = (x - x[train].mean(axis=0)) / spread(x[train])
        y, center, scale = table.y, table.y[train].mean(), float(spread(table.y[train]))
        asked = np.zeros((self.asked, self.settings.inputs))
        asked[: len(held)] = x[held]
        near = asked[: self.sloped, None] + STEP * np.eye(self.settings.inputs)
        asked[self.held :] = near.reshape(-1, self.settings.inputs)
        held_out = np.full(self.held, -1)
        held_out[: len(held)] = held
        group = held_out.copy()
        if table.groups is not None:
            group[: len(held)] = table.groups[held]
        held_out_y = np.zeros(self.held)
        held_out_y[: len(held)] = y[held]
        facts = {
            "held_out": held_out,
            "held_out_group": group,
            "center": np.array([center]),
            "scale": np.array([scale]),
        }
        numbers = (x[train], (y[train] - center) / scale, asked, held_out_y)
        tensors = [torch.from_numpy(values).float() for values in numbers]
        kept = {name: torch.from_numpy(fact) for name, fact in facts.items()}
        return Data(tensors[0], tensors[1], tensors[2], tensors[3], kept)

    def arrays(self, drawn: Sequence[Data]) -> dict[str, Tensor]:
        """Return which rows are held out, their targets, and how targets were standardized."""
        import torch

        names = drawn[0].facts
        found = {name: torch.stack([data.facts[name] for data in drawn]) for name in names}
        return found | {"held_out_y": torch.stack([data.asked_y for data in drawn])}

    @property
    def measures(self) -> dict[str, Measure]:
        """Those of every task, in units of the target, and its share of variance explained."""
        return {
            "train_loss": Measure(lambda o: o.train_loss * units(o), is_loss=True),
            "train_loss_eval": Measure(
                lambda o: mean_square(o.train - o.y, o.counts) * units(o), is_loss=True
            ),
            "risk": Measure(lambda o: held_out_loss(o) * units(o), is_loss=True),
            "r_squared": Measure(lambda o: 1 - held_out_loss(o)),
            **OF_WEIGHTS,
            "rms_slope": Measure(self.slope_rms),
            **OF_LAYERS,
        }

    def slope_rms(self, outcome: Outcome) -> Array:
        """Return the root mean square of the norm of the fit's gradient by standardized inputs.

        At held-out rows, by forward differences, in units of the target. NaN for a linear model:
        its smoothness is its weights'.
        """
        if outcome.network.depth == 0:
            return np.full(outcome.train_loss.shape, np.nan)
        asked = outcome.asked.astype(np.float64)
        near = asked[..., self.held :].reshape(*asked.shape[:-1], self.sloped, -1)
        slopes = (near - asked[..., : self.sloped, None]) / STEP
        norms = np.sqrt(np.square(slopes).sum(axis=-1))
        counts = counts_of(outcome).clip(max=self.sloped)
        return np.sqrt(mean_square(norms, counts) * units(outcome))

    @property
    def overlap(self) -> float:
        """Rows tested on over rows trained on; 0 where all train on the same rows."""
        if self.settings.test_rows:
            return 0.0
        return self.settings.rows / self.settings.folds / self.trained

    @property
    def trained(self) -> float:
        """The number of rows that a replicate trains on, as a mean over folds."""
        settings = self.settings
        return settings.points or settings.rows - settings.rows / settings.folds

    def sample(self, history: History, measure: str, at: Any = -1) -> Sample:
        """Return a measure at an epoch; of the risk, where predictions are kept, row by row."""
        values = picked(history, measure, at)
        epochs = history.epochs[np.broadcast_to(at, values.shape)]
        if measure != "risk" or not np.isin(epochs, history.kept_epochs).all():
            return Sample(values, overlap=self.overlap)
        kept = np.searchsorted(history.kept_epochs, epochs)
        predictions = np.take_along_axis(history.predictions, kept[None, ..., None], axis=0)[0]
        return self.over_rows(errors_of(predictions, history), history)

    @np.errstate(invalid="ignore", divide="ignore")  # of losses that are not finite, and one group
    def over_rows(self, numbers: Array, history: History) -> Sample:
        """Return the sample of what each replicate says of the rows that it holds out, `(A, R, H)`.

        Rows of a group count together. The variance of rows is
        that of what single replicates say of them: networks of one table share its rows, so that
        more of them do not tell more of what training on these rows makes of a mean.
        """
        is_held = history.held_out >= 0
        values = np.where(is_held, numbers, 0).sum(axis=2) / is_held.sum(axis=1)
        is_there = np.bincount(history.held_out[is_held], minlength=self.settings.rows) > 0
        rows = self.row_means(numbers, history)[:, is_there]
        if self.overlap:
            single, replicate = numbers[:, is_held], np.nonzero(is_held)[0]
            _, group = np.unique(history.held_out_group[is_held], return_inverse=True)
        else:  # all replicates are asked of the same rows, and independent otherwise
            single, group = rows, np.arange(rows.shape[1])
            replicate = np.zeros_like(group)
        cells, cell = np.unique(group * len(is_held) + replicate, return_inverse=True)
        group_of_cell = cells // len(is_held)
        times = np.bincount(group_of_cell)
        away = single - rows.mean(axis=1, keepdims=True)
        sums = np.array([np.bincount(cell, arm) for arm in away])
        scale = np.sqrt(len(times) / (len(times) - 1) / times[group_of_cell]) / rows.shape[1]
        row_count = effective_count(np.bincount(group) / times)
        return Sample(values, rows, sums * scale, row_count, self.overlap)

    def row_means(self, numbers: Array, history: History) -> NDArray[np.float64]:
        """Return means over the replicates that hold out a row, `(A, n)`; NaN where none does."""
        is_held, most = history.held_out >= 0, self.settings.rows
        rows = history.held_out[is_held]
        sums = np.array([np.bincount(rows, arm[is_held], most) for arm in numbers])
        with np.errstate(invalid="ignore"):
            means: NDArray[np.float64] = sums / np.bincount(rows, minlength=most)
        return means

    def row_losses(self, history: History) -> NDArray[np.float64]:
        """Return the loss at each row at the last epoch, `(A, n)`; see `row_means`."""
        return self.row_means(errors_of(history.predictions[-1], history), history)

    def predictions_of(self, history: History) -> tuple[Array, Array]:
        """Return the targets of rows that were held out, `(n,)`, and mean predictions `(A, n)`."""
        predictions = history.predictions[-1].astype(np.float64) * history.scale + history.center
        told = np.concatenate([predictions, history.held_out_y[None]])
        means = self.row_means(told, history)
        means = means[:, np.isfinite(means[-1])]
        return means[-1], means[:-1]

    def choosers(self, seeds: Sequence[int]) -> NDArray[np.bool_] | None:
        """Return the other folds of the same partition; all others where there is none.

        Nobody where all are judged by the same rows.
        """
        if self.settings.test_rows:
            return None
        partitions = (np.array(seeds) - 1) // self.settings.folds
        others = ~np.eye(len(seeds), dtype=bool)
        same = others & (partitions[:, None] == partitions)
        return np.where(same.any(axis=1, keepdims=True), same, others)

    def failed(self, history: History) -> NDArray[np.bool_]:
        """Return which networks fit their training rows no better than a constant.

        By luck a constant may be better at the few rows that a replicate holds out.
        """
        spread_of_y = np.square(history.scale[:, 0], dtype=np.float64)
        found: NDArray[np.bool_] = ~(history.train_loss_eval[-1] < spread_of_y)
        return found

    def truth(self, arrays: Mapping[str, Any]) -> None:
        """Return nothing: nobody knows it."""

    @np.errstate(invalid="ignore")  # of losses that are not finite
    def parts(self, history: History, kept_index: int) -> tuple[Sample, Sample] | None:
        """Return the loss less the variance, and the variance, row by row.

        None where a row is held out only once: the variance at a row is that of the predictions of
        the replicates that hold it out. The noise at a row is the same in all arms, and so is its
        target, so that a difference of the first is one of bias². What makes predictions vary over
        splits is common to all rows of a table, so that rows do not tell how sure their mean
        variance is.
        """
        rows = np.maximum(history.held_out, 0)
        predictions = history.predictions[kept_index].astype(np.float64)
        predictions = predictions * history.scale + history.center
        held_out = history.held_out[history.held_out >= 0]
        counts = np.bincount(held_out, minlength=self.settings.rows)
        if counts[counts > 0].min() < 2:
            return None
        means = self.row_means(predictions, history)[:, rows]
        variance = np.square(predictions - means) * (counts / (counts - 1))[rows]
        loss = errors_of(history.predictions[kept_index], history)
        bias_squared, found = (
            self.over_rows(part, history) for part in (loss - variance, variance)
        )
        if self.overlap:
            away = found.levels - found.values.mean(axis=1)
            found = Sample(found.values + away[:, None], overlap=self.overlap)
        return bias_squared, found

    def document(self, history: History, arms: Sequence[str]) -> dict[str, Any]:
        """Return which rows replicates hold out, differences of rows, and standard errors."""
        losses, sample = self.row_losses(history), self.sample(history, "risk")
        over_folds, over_rows = (part.tolist() for part in sample.error_parts)
        parts = zip(over_folds, over_rows, strict=True)
        found = {
            "folds": [own[own >= 0].tolist() for own in history.held_out],
            "rows": dict(zip(arms, (losses[1:] - losses[0]).tolist(), strict=True)),
            "standard_errors": {
                arm: {"folds": folds, "rows": rows}
                for arm, (folds, rows) in zip(arms, parts, strict=True)
            },
        }
        return {"table": found}

    @property
    def words(self) -> Words:
        """The table, what is held out, and what its answers are about."""
        table, values = self.settings, self.settings.values
        risk, notes = "the mean squared error at the rows", values.notes if values else ()
        if table.test_rows:
            return Words(
                f"a table of {self.points} rows and {table.inputs} inputs, on which all replicates "
                f"train; they are judged by {table.test_rows} other rows",
                f"{risk} of the test set",
                "one set of initial weights, which all arms share",
                "Intervals are about these training rows, and about rows like the test rows.",
                notes,
            )
        of = f"{table.rows} rows" + f" in {table.groups} groups" * (table.groups is not None)
        trained = f"{table.points} of the others" if table.points else "the others"
        parts = "groups" if table.groups else "rows"
        return Words(
            f"a table of {of} and {table.inputs} inputs; each replicate holds out one of "
            f"{table.folds} parts of its {parts} and trains on {trained}",
            f"{risk} that were held out",
            "one split of the rows and one set of initial weights, which all arms share",
            f"Intervals are about networks trained on {self.trained:.0f} rows of a table like this "
            f"one.",
            notes,
        )


def errors_of(predictions: Array, history: History) -> Array:
    """Return squared errors at the held-out rows, in units of the target, `(..., R, H)`."""
    found: Array = predictions.astype(np.float64) * history.scale + history.center
    found -= history.held_out_y
    return np.square(found)


def units(outcome: Outcome) -> Array:
    """Return by what losses of a standardized target are multiplied, `(R,)`."""
    found: Array = np.square(outcome.arrays["scale"][:, 0], dtype=np.float64)
    return found


def counts_of(outcome: Outcome) -> NDArray[np.int64]:
    """Return how many rows each replicate holds out, `(R,)`."""
    found: NDArray[np.int64] = (outcome.arrays["held_out"] >= 0).sum(axis=-1)
    return found


def held_out_loss(outcome: Outcome) -> Array:
    """Return the mean squared error at the held-out rows, of a standardized target."""
    arrays = outcome.arrays
    y = (arrays["held_out_y"] - arrays["center"]) / arrays["scale"]
    return mean_square(outcome.asked[..., : y.shape[-1]] - y, counts_of(outcome))


def spread(values: NDArray[np.float64]) -> Any:
    """Return standard deviations over rows, 1 where all are the same but for rounding of a mean."""
    return np.where(np.ptp(values, axis=0) > 0, values.std(axis=0), 1.0)
