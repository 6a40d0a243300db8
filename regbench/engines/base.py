"""What every engine takes and does: a batch of replicates and arms, trained into a history.

Knows nothing about how a batch is trained, stored or shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from regbench.analysis.batch import init_seed
from regbench.analysis.history import GRID_POINTS, Array, Data, History
from regbench.model.network import Parameters, draw_parameters
from regbench.model.randomness import replicate_generator
from regbench.model.task import Dataset, draw_dataset, inputs, truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from regbench.analysis.batch import Batch
    from regbench.settings.study import Study


def nothing(_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Listener:
    """Who hears of what an engine does.

    Attributes:
        advance: Called now and then with the number of epochs of single networks that were done
            since the last call; in all `A · R · epochs`.
        say: Called with a line that explains why nothing seems to happen.
    """

    advance: Callable[[int], None] = nothing
    say: Callable[[str], None] = nothing


class Engine(Protocol):
    """A way to train a batch."""

    def __call__(
        self, batch: Batch, device: torch.device, threads: int, listener: Listener
    ) -> History:
        """Train every arm of every replicate and return what was measured.

        Args:
            batch: What to train.
            device: Where.
            threads: CPU threads to use; no number depends on them.
            listener: Who hears of it.
        """


def torch_dtype(study: Study) -> torch.dtype:
    """Return the floating-point type to train in."""
    return torch.float64 if study.dtype == "float64" else torch.float32


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


def draw_start(study: Study, seed: int) -> Start:
    """Draw a replicate: train noise, test noise, parameters, in the order of the article.

    With independent pairing each arm's parameters are drawn after the arm's before it, so that
    one more arm at the end changes no other. What does not vary from replicate to replicate is
    that of the run's first.
    """
    generator = replicate_generator(study.seed if study.vary == "init" else seed)
    data = draw_dataset(study.task, generator)
    if study.vary != "both":
        generator = replicate_generator(init_seed(study, seed))
        draw_dataset(study.task, generator)  # the weights come after the data
    parameters = [draw_parameters(study.network, generator)]
    states = [generator.get_state()]
    for _ in study.arms[1:]:
        if study.pairing == "independent":
            parameters.append(draw_parameters(study.network, generator))
            states.append(generator.get_state())
        else:
            parameters.append(parameters[0])
            states.append(states[0])
    return Start(data, parameters, states)


def draw_starts(batch: Batch) -> list[Start]:
    """Draw every replicate of a batch, with the parameters of the batch's arms."""
    starts = [draw_start(batch.study, seed) for seed in batch.seeds]
    indices = range(len(batch.study.arms)) if batch.arm_indices is None else batch.arm_indices
    return [
        Start(
            start.data,
            [start.parameters[index] for index in indices],
            [start.generator_states[index] for index in indices],
        )
        for start in starts
    ]


def gather_data(study: Study, datasets: list[Dataset]) -> Data:
    """Return the data of several replicates as a history keeps them."""
    task, dtype = study.task, torch_dtype(study)
    grid = inputs(task, GRID_POINTS)

    def array(values: Tensor) -> Array:
        return values.squeeze(-1).to(dtype).numpy()

    return Data(
        train_x=array(datasets[0].train_x),
        train_y=array(torch.stack([data.train_y for data in datasets])),
        test_x=array(datasets[0].test_x),
        test_y=array(torch.stack([data.test_y for data in datasets])),
        test_truth=array(truth(task, datasets[0].test_x)),
        grid_x=array(grid),
        grid_truth=array(truth(task, grid)),
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
