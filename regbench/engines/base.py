"""What every engine takes and does: a batch of replicates and arms, trained into a history.

Knows nothing about how a batch is trained, stored or shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from regbench.analysis.history import BINS_PER_BOUND, WEIGHT_BINS, Array, Batch, History, init_seed
from regbench.engines.machine import in_threads, nothing
from regbench.engines.model import Parameters, draw_parameters, expand, replicate_generator
from regbench.tasks import task_of
from regbench.tasks.measures import Outcome, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regbench.regularizers import Arm
    from regbench.settings.study import Study
    from regbench.tasks.base import Data

PENDING_NUMBERS = 2**22
"""Predictions are measured together once this many numbers are waiting."""
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8
"""Adam's decay of the first and the second moment, and what is added to the denominator."""


@dataclass(frozen=True)
class Listener:
    """Who hears of what an engine does.

    `advance` is called now and then with how many epochs of single networks were done since, in all
    `A · R · epochs`; `say` with a line that explains why nothing seems to happen; `finish`, from
    any thread, with arms, seeds, and what the replicates of these have come to in the arms.
    """

    advance: Callable[[int], None] = nothing
    say: Callable[[str], None] = nothing
    finish: Callable[[Sequence[Arm], Sequence[int], History], None] = nothing


Engine = Callable[[Batch, torch.device, int, Listener], History]
"""Trains a batch on a device with a number of CPU threads, which changes no result."""


def torch_dtype(study: Study) -> torch.dtype:
    """Return the floating-point type to train in."""
    return torch.float64 if study.dtype == "float64" else torch.float32


@dataclass(frozen=True)
class Start:
    """What a replicate starts from, float32 on the CPU: its data, and lists with one for each arm.

    These are the initial parameters, one and the same with shared pairing, and the state of the
    replicate's generator after them.
    """

    data: Data
    parameters: list[Parameters]
    generator_states: list[Tensor]


@dataclass(frozen=True)
class Drawn:
    """A batch of R replicates before the first step, in the dtype of training.

    Rows are padded to the N that no replicate of the study has more of, so that a replicate's
    numbers do not depend on which others are in its batch.

    Attributes:
        starts: What each replicate starts from.
        arrays: The data as a history keeps them.
        counts: The number of each replicate's training rows, `(R,)`.
        x: What networks take at the training rows, `(R, N, D)`; shared inputs are one in memory.
        all_x: The same, and where else the task asks, `(R, N + Q, D)`.
        y: Targets `(R, N)`.
        shares: What a row counts in the mean over the rows, `(R, N)`; 0 for padding.
    """

    starts: list[Start]
    arrays: dict[str, Array]
    counts: NDArray[np.int64]
    x: Tensor
    all_x: Tensor
    y: Array
    shares: Tensor

    @property
    def is_padded(self) -> bool:
        """Whether a replicate has fewer rows than others."""
        return bool((self.counts < self.y.shape[1]).any())


def draw_start(study: Study, seed: int, arm_indices: Sequence[int] | None = None) -> Start:
    """Draw a replicate: its data and then its parameters, in the order of the article.

    With independent pairing each arm's parameters are drawn after those of the arm before it, so
    that one more at the end changes no other. What does not vary between replicates is that of the
    run's first. `arm_indices` are the arms that are asked for; None for all.
    """
    task = task_of(study)
    data_seed = study.seed if study.vary == "init" else seed
    generator = replicate_generator(data_seed)
    data = task.draw(generator, data_seed)
    if study.vary != "both":
        generator = replicate_generator(init_seed(study, seed))
        task.draw(generator, seed)  # the weights come after the data
    draws = len(study.arms) if study.pairing == "independent" else 1
    drawn = [
        (draw_parameters(study.network, generator), generator.get_state()) for _ in range(draws)
    ]
    indices = range(len(study.arms)) if arm_indices is None else arm_indices
    asked = [drawn[index % draws] for index in indices]
    return Start(data, [parameters for parameters, _ in asked], [state for _, state in asked])


def draw_batch(batch: Batch, threads: int = 1) -> Drawn:
    """Draw every replicate of a batch, with the parameters of the batch's arms, in some threads."""
    study, task, dtype = batch.study, task_of(batch.study), torch_dtype(batch.study)

    def draw(seed: int, *_: object) -> Start:
        return draw_start(study, seed, batch.arm_indices)

    starts = in_threads(draw, batch.seeds, threads) if threads > 1 else [*map(draw, batch.seeds)]
    data = [start.data for start in starts]
    counts = np.array([len(own.y) for own in data])
    shares = [padded(torch.full((n,), 1 / n, dtype=dtype), task.points) for n in counts]
    inputs = []
    for own in data[:1] if task.has_shared_inputs else data:
        all_x = torch.cat([padded(own.x, task.points), own.asked_x]).to(dtype)
        inputs.append(expand(all_x, study.network.input_size))
    all_x = torch.stack(inputs).expand(len(data), -1, -1)
    return Drawn(
        starts=starts,
        arrays={
            name: (x.to(dtype) if x.is_floating_point() else x).numpy()
            for name, x in task.arrays(data).items()
        },
        counts=counts,
        x=all_x[:, : task.points],
        all_x=all_x,
        y=torch.stack([padded(own.y, task.points) for own in data]).to(dtype).numpy(),
        shares=torch.stack(shares),
    )


def padded(rows: Tensor, count: int) -> Tensor:
    """Return rows `(n, ...)` with zeros behind them, `(count, ...)`."""
    return torch.cat([rows, rows.new_zeros(count - len(rows), *rows.shape[1:])])


def weight_counts(weights: Tensor) -> Array:
    """Return how many of a layer's weights `(R, out, in)` lie in each bin of `weight_edges`."""
    places = weights * (BINS_PER_BOUND * weights.shape[-1] ** 0.5)
    bins = places.add_(WEIGHT_BINS / 2).clamp_(0, WEIGHT_BINS - 1).to(torch.uint8)
    in_any_order = bins.as_strided((bins.numel(),), (1,))  # `flatten` would copy them
    return torch.bincount(in_any_order, minlength=WEIGHT_BINS).cpu().numpy()


class Record:
    """What R of a batch's replicates show in one arm, epoch by epoch.

    After its `last` epoch an arm shows what it showed then: nothing more is trained or measured.
    """

    def __init__(self, batch: Batch, drawn: Drawn, replicates: slice, arm: Arm) -> None:
        self.study, training = batch.study, batch.study.training
        self.task = task_of(self.study)
        self.last = arm.stops_at(training.epochs)
        self.epochs = dict.fromkeys(min(epoch, self.last) for epoch in training.measured_epochs)
        self.kept_epochs = sorted({min(epoch, self.last) for epoch in training.kept_epochs})
        self.counts, self.y = drawn.counts[replicates], drawn.y[replicates]
        self.data = dict(History(drawn.arrays).part(R=replicates).arrays)
        self.has_snapshots = batch.has_snapshots and not replicates.start
        self.shown: list[tuple[Array, ...]] = []
        self.measures: list[dict[str, Array]] = []
        self.kept: list[dict[str, Array]] = []

    def add(
        self, epoch: int, shown: tuple[Array, ...], parameters: Parameters, kept_index: int = 0
    ) -> None:
        """Take what the networks show after the next measured epoch; see `tasks.measures.Outcome`.

        The training loss, which becomes that in evaluation mode at epoch 0, is `(R,)`, predictions
        at the training rows and where else the task asks `(R, N + Q)`, `zeros` `(R,)`, squares
        `(R, L, 2)`. Of the parameters, `(R, ...)`, those at `kept_index` may be kept after the last
        epoch.
        """
        self.shown.append(shown)
        network, predictions = self.study.network, shown[1]
        if epoch in self.kept_epochs:
            layers = zip(network.layer_names, parameters[::2], strict=True)
            counts = {f"weight_counts/{layer}": weight_counts(weights) for layer, weights in layers}
            asked = predictions[:, self.task.points :]
            self.kept.append({"predictions": asked[:, self.task.kept].copy(), **counts})
        if epoch == self.last and self.has_snapshots:
            for name, values in zip(network.parameter_names, parameters, strict=True):
                self.data[f"parameters/{name}"] = values[kept_index, None].cpu().numpy().copy()
        if len(self.shown) * predictions.size > PENDING_NUMBERS:
            self._measure()

    def add_network(
        self, epoch: int, loss: float, predictions: Array, parameters: list[Array]
    ) -> None:
        """Take what a single network shows; see `add`."""
        zeros = np.array([sum(np.count_nonzero(p == 0) for p in parameters)])
        squares = np.reshape([np.square(p, dtype=np.float64).sum() for p in parameters], (1, -1, 2))
        shown = np.array([loss], predictions.dtype), predictions[None], zeros, squares
        self.add(epoch, shown, [torch.from_numpy(p)[None] for p in parameters])

    def _measure(self) -> None:
        loss, predictions, zeros, squares = map(np.stack, zip(*self.shown, strict=True))
        own = self.counts, self.y, self.data, self.study.network
        outcome = Outcome(loss, predictions, zeros, squares, *own)
        self.measures.append(measure(self.task.measures, outcome))
        self.shown = []

    def history(self) -> History:
        """Return the history of the arm, A = 1, and these replicates."""
        if self.shown:
            self._measure()
        training = self.study.training
        shown = np.searchsorted(list(self.epochs), np.minimum(training.measured_epochs, self.last))
        kept = np.searchsorted(self.kept_epochs, np.minimum(training.kept_epochs, self.last))
        epochs = np.array(training.measured_epochs), np.array(training.kept_epochs)
        arrays = {"epochs": epochs[0], "kept_epochs": epochs[1], **self.data}
        for name in self.kept[0]:
            arrays[name] = np.stack([found[name] for found in self.kept])[kept, None]
        self.measures[0]["train_loss"][0] = self.measures[0]["train_loss_eval"][0]
        for name in self.measures[0]:
            measured = np.concatenate([part[name] for part in self.measures])
            arrays[f"measures/{name}"] = measured[shown, None]
        return History(arrays)
