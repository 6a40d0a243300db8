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

from regbench.analysis.batch import Batch, init_seed
from regbench.analysis.history import BINS_PER_BOUND, GRID_POINTS, WEIGHT_BINS, Array, History
from regbench.analysis.measures import Outcome, measure
from regbench.engines.threads import in_threads, nothing
from regbench.model.network import Parameters, draw_parameters
from regbench.model.randomness import replicate_generator
from regbench.model.task import Dataset, draw_dataset, expand, truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regbench.regularizers import Arm
    from regbench.settings.study import Study

PENDING_NUMBERS = 2**22
"""Predictions that wait to be measured together."""
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
"""Trains a batch on a device, and with so many CPU threads, on which no result depends."""


def torch_dtype(study: Study) -> torch.dtype:
    """Return the floating-point type to train in."""
    return torch.float64 if study.dtype == "float64" else torch.float32


@dataclass(frozen=True)
class Start:
    """What a replicate starts from, float32 on the CPU: its data, and lists with one for each arm.

    These are the initial parameters, one and the same with shared pairing, and the state of the
    replicate's generator after them.
    """

    data: Dataset
    parameters: list[Parameters]
    generator_states: list[Tensor]


def draw_start(study: Study, seed: int, arm_indices: Sequence[int] | None = None) -> Start:
    """Draw a replicate: train noise, test noise, parameters, in the order of the article.

    With independent pairing each arm's parameters are drawn after those of the arm before it, so
    that one more at the end changes no other. What does not vary between replicates is that of the
    run's first. `arm_indices` are the arms that are asked for; None for all.
    """
    generator = replicate_generator(study.seed if study.vary == "init" else seed)
    data = draw_dataset(study.task, generator)
    if study.vary != "both":
        generator = replicate_generator(init_seed(study, seed))
        draw_dataset(study.task, generator)  # the weights come after the data
    draws = len(study.arms) if study.pairing == "independent" else 1
    drawn = [
        (draw_parameters(study.network, generator), generator.get_state()) for _ in range(draws)
    ]
    indices = range(len(study.arms)) if arm_indices is None else arm_indices
    asked = [drawn[index % draws] for index in indices]
    return Start(data, [parameters for parameters, _ in asked], [state for _, state in asked])


def draw_batch(
    batch: Batch, threads: int = 1
) -> tuple[list[Start], dict[str, Array], list[Tensor]]:
    """Draw every replicate of a batch, with the parameters of the batch's arms, in some threads.

    Also returns the data as a history keeps them, in the dtype of training, and what networks take
    at the training inputs, `(N, D)`, and at all, `(N + T + G, D)`.
    """
    study = batch.study

    def draw(seed: int, *_: object) -> Start:
        return draw_start(study, seed, batch.arm_indices)

    starts = in_threads(draw, batch.seeds, threads) if threads > 1 else [*map(draw, batch.seeds)]
    half = (study.task.x_max - study.task.x_min) / (2 * GRID_POINTS)
    ends = study.task.x_min + half, study.task.x_max - half
    grid = torch.linspace(*ends, GRID_POINTS, dtype=torch.float32)[:, None]
    tensors = {
        "train_x": starts[0].data.train_x,
        "train_y": torch.stack([start.data.train_y for start in starts]),
        "test_x": starts[0].data.test_x,
        "test_y": torch.stack([start.data.test_y for start in starts]),
        "grid_x": grid,
        "grid_truth": truth(study.task, grid),
    }
    tensors = {name: x.to(torch_dtype(study)) for name, x in tensors.items()}
    all_x = torch.cat([tensors["train_x"], tensors["test_x"], tensors["grid_x"]])
    inputs = [expand(x, study.network.input_size) for x in (tensors["train_x"], all_x)]
    return starts, {name: x.squeeze(-1).numpy() for name, x in tensors.items()}, inputs


def weight_counts(weights: Tensor) -> Array:
    """Return how many of a layer's weights `(R, out, in)` lie in each bin of `weight_edges`."""
    places = weights * (BINS_PER_BOUND * weights.shape[-1] ** 0.5)
    bins = places.add_(WEIGHT_BINS / 2).clamp_(0, WEIGHT_BINS - 1).to(torch.uint8)
    in_any_order = bins.as_strided((bins.numel(),), (1,))  # `flatten` would copy them
    return torch.bincount(in_any_order, minlength=WEIGHT_BINS).cpu().numpy()


class Record:
    """What R of a batch's replicates show in one arm, epoch by epoch; `data` are the batch's.

    After its `last` epoch an arm shows what it showed then: nothing more is trained or measured.
    """

    def __init__(
        self, batch: Batch, data: Mapping[str, Array], replicates: slice, arm: Arm
    ) -> None:
        self.study, training = batch.study, batch.study.training
        self.last = arm.stops_at(training.epochs)
        self.epochs = dict.fromkeys(min(epoch, self.last) for epoch in training.measured_epochs)
        self.kept_epochs = sorted({min(epoch, self.last) for epoch in training.kept_epochs})
        self.data = {**data, **{name: data[name][replicates] for name in ("train_y", "test_y")}}
        self.has_snapshots = batch.has_snapshots and not replicates.start
        self.shown: list[tuple[Array, ...]] = []
        self.measures: list[dict[str, Array]] = []
        self.kept: list[dict[str, Array]] = []

    def add(
        self, epoch: int, shown: tuple[Array, ...], parameters: Parameters, kept_index: int = 0
    ) -> None:
        """Take what the networks show after the next measured epoch; see `measures.Outcome`.

        The training loss, which becomes that in evaluation mode at epoch 0, is `(R,)`, predictions
        at the training, test and grid inputs `(R, N + T + G)`, `zeros` `(R,)`, squares `(R, L, 2)`.
        Of the parameters, `(R, ...)`, those at `kept_index` may be kept after the last epoch.
        """
        self.shown.append(shown)
        network, predictions = self.study.network, shown[1]
        if epoch in self.kept_epochs:
            layers = zip(network.layer_names, parameters[::2], strict=True)
            counts = {f"weight_counts/{layer}": weight_counts(weights) for layer, weights in layers}
            self.kept.append({"predictions": predictions[:, -GRID_POINTS:].copy(), **counts})
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
        task, (train_y, test_y) = self.study.task, (self.data["train_y"], self.data["test_y"])
        loss, predictions, zeros, squares = map(np.stack, zip(*self.shown, strict=True))
        ends = np.cumsum([train_y.shape[-1], test_y.shape[-1]])
        train, test, grid = np.split(predictions, ends, axis=-1)
        own = train_y, test_y, self.data["grid_truth"], task, self.study.network
        self.measures.append(measure(Outcome(loss, train, test, grid, zeros, squares, *own)))
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
