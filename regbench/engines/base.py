"""What every engine takes and does: a block of replicates and arms, trained into a history.

Knows nothing about how a block is trained, stored or shown.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from regbench.analysis.history import GRID_POINTS, Array, Data, History, fitted_count
from regbench.model.network import Parameters, draw_parameters
from regbench.model.randomness import replicate_generator
from regbench.model.task import Dataset, draw_dataset, inputs, truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from regbench.regularizers import Regularizer
    from regbench.settings.study import TrainingExperiment


@dataclass(frozen=True)
class Block:
    """The unit of work: some replicates, some arms.

    Attributes:
        settings: The task, network, training and pairing.
        seeds: The replicates.
        device: Where to train.
        first: The place of the block's first replicate in the run.
        arm_places: Which of the settings' arms to train; None for all.
    """

    settings: TrainingExperiment
    seeds: range
    device: torch.device
    first: int = 0
    arm_places: tuple[int, ...] | None = None

    @property
    def arms(self) -> tuple[Regularizer, ...]:
        """The arms to train."""
        arms = self.settings.arms
        return arms if self.arm_places is None else tuple(arms[place] for place in self.arm_places)

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type to train in."""
        return torch.float64 if self.settings.dtype == "float64" else torch.float32

    @property
    def noise_seeds(self) -> list[int]:
        """The replicates whose noise in training is used: that of the initial weights."""
        return [init_seed(self.settings, seed) for seed in self.seeds]

    @property
    def fitted(self) -> int:
        """How many of the block's replicates have `History.fits`."""
        return fitted_count(self.first, len(self.seeds))

    @property
    def has_snapshots(self) -> bool:
        """Whether the block holds the run's first replicate, whose parameters are kept."""
        return self.first == 0

    def cut(self, size: int) -> list[Block]:
        """Return blocks of `size` replicates, the last one of what is left."""
        return [
            dataclasses.replace(
                self, seeds=self.seeds[start : start + size], first=self.first + start
            )
            for start in range(0, len(self.seeds), size)
        ]


class Engine(Protocol):
    """A way to train a block."""

    def __call__(self, block: Block, advance: Callable[[int], None]) -> History:
        """Train every arm of every replicate and return what was measured.

        Args:
            block: What to train.
            advance: Called now and then with the number of epochs of single networks that were
                done since the last call; in all `A · R · epochs`.
        """


@dataclass(frozen=True)
class Start:
    """What a replicate starts from, float32 on the CPU.

    Attributes:
        data: The replicate's data.
        parameters: The initial parameters of each arm; one and the same with shared pairing.
        generator_states: The state of the replicate's generator after each arm's parameters.
    """

    data: Dataset
    parameters: list[Parameters]
    generator_states: list[Tensor]


def draw_start(settings: TrainingExperiment, seed: int) -> Start:
    """Draw a replicate: train noise, test noise, parameters, in the order of the article.

    With independent pairing each arm's parameters are drawn after the arm's before it, so that
    one more arm at the end changes no other. What does not vary from replicate to replicate is
    that of the run's first.
    """
    generator = replicate_generator(settings.seed if settings.vary == "init" else seed)
    data = draw_dataset(settings, generator)
    if settings.vary != "both":
        generator = replicate_generator(init_seed(settings, seed))
        draw_dataset(settings, generator)  # the weights come after the data
    parameters = [draw_parameters(settings, generator)]
    states = [generator.get_state()]
    for _ in settings.arms[1:]:
        if settings.pairing == "independent":
            parameters.append(draw_parameters(settings, generator))
            states.append(generator.get_state())
        else:
            parameters.append(parameters[0])
            states.append(states[0])
    return Start(data, parameters, states)


def init_seed(settings: TrainingExperiment, seed: int) -> int:
    """Return the replicate whose initial weights and noise in training a replicate has."""
    return settings.seed if settings.vary == "data" else seed


def draw_starts(block: Block) -> list[Start]:
    """Draw every replicate of a block, with the parameters of the block's arms."""
    starts = [draw_start(block.settings, seed) for seed in block.seeds]
    if block.arm_places is None:
        return starts
    return [
        Start(
            start.data,
            [start.parameters[place] for place in block.arm_places],
            [start.generator_states[place] for place in block.arm_places],
        )
        for start in starts
    ]


def gather_data(settings: TrainingExperiment, datasets: list[Dataset], dtype: torch.dtype) -> Data:
    """Return the data of several replicates as a history keeps them."""
    grid = inputs(settings, GRID_POINTS)

    def array(values: Tensor) -> Array:
        return values.squeeze(-1).to(dtype).numpy()

    return Data(
        train_x=array(datasets[0].train_x),
        train_y=array(torch.stack([data.train_y for data in datasets])),
        test_x=array(datasets[0].test_x),
        test_y=array(torch.stack([data.test_y for data in datasets])),
        test_truth=array(truth(settings, datasets[0].test_x)),
        grid_x=array(grid),
        grid_truth=array(truth(settings, grid)),
    )


Measurement = dict[str, "Tensor"]
"""What one arm of R replicates shows at one logged epoch: the fields of a `History` by name,
without their axes E and A; snapshots as `parameters/NAME` and `gradients/NAME`."""


def assemble(data: Data, epochs: list[int], measurements: list[list[Measurement]]) -> History:
    """Return the history of what was measured, `measurements[epoch][arm]`."""
    stacked: dict[str, Any] = {
        name: torch.stack([torch.stack([arm[name] for arm in arms]) for arms in measurements])
        .cpu()
        .numpy()
        for name in measurements[0][0]
    }
    snapshots: dict[str, Any] = {"parameters": {}, "gradients": {}}
    for name in list(stacked):
        kind, slash, parameter = name.partition("/")
        if slash:
            snapshots[kind][parameter] = stacked.pop(name)
    return History(epochs=np.array(epochs), data=data, **stacked, **snapshots)
