"""The synthetic regression task: a known truth of one input, and noise on its targets.

Knows nothing about networks or training.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from regbench.settings.truths import TRUTHS
from regbench.tasks.base import Data, Task, Words
from regbench.tasks.measures import (
    OF_LAYERS,
    OF_TRAINING,
    OF_WEIGHTS,
    Measure,
    Outcome,
    mean_square,
    picked,
)
from regbench.tasks.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from regbench.settings.study import Task as Settings
    from regbench.tasks.measures import Array, History

GRID_POINTS = 200
"""Cells of equal width that the range of inputs is cut into: predictions are kept at their middles,
so that a truth may jump at their edges."""


def loss_at_test_points(outcome: Outcome) -> Array:
    """Return the mean squared error at the test points, with their noise."""
    y = outcome.arrays["test_y"]
    return mean_square(outcome.asked[..., : y.shape[-1]] - y)


def grid_of(outcome: Outcome) -> Array:
    """Return the predictions at the middles of the cells, `(..., R, G)`."""
    found: Array = outcome.asked[..., -GRID_POINTS:]
    return found


@dataclass(frozen=True)
class Synthetic(Task):
    """Inputs are evenly spaced and the same in all replicates; targets are a truth and noise.

    Networks are asked at T test inputs, where targets have noise too, and at the middles of G
    cells.
    """

    settings: Settings
    has_shared_inputs: ClassVar[bool] = True
    overlap: ClassVar[float] = 0.0

    @property
    def points(self) -> int:
        """The number of training points, N."""
        return self.settings.points

    @property
    def lengths(self) -> dict[str, int]:
        """The numbers of training points, test points and cells, whose predictions are kept."""
        cells = dict.fromkeys("GQ", GRID_POINTS)
        return {"N": self.points, "T": self.settings.test_points, **cells}

    @property
    def asked(self) -> int:
        """Test inputs and cells."""
        return self.settings.test_points + GRID_POINTS

    @property
    def kept(self) -> slice:
        """The cells."""
        return slice(self.settings.test_points, None)

    def draw(self, generator: torch.Generator, seed: int) -> Data:
        """Draw the training noise, then the test noise, both normal: the article's order."""
        import torch

        task = self.settings
        train_x, test_x = (self.spaced(count) for count in (task.points, task.test_points))
        train_noise, test_noise = torch.empty_like(train_x), torch.empty_like(test_x)
        train_noise.normal_(0.0, task.noise, generator=generator)
        test_noise.normal_(0.0, task.test_noise, generator=generator)
        train_y, test_y = self.target(train_x) + train_noise, self.target(test_x) + test_noise
        asked = torch.cat([test_x, self.middles])[:, None]
        return Data(train_x[:, None], train_y, asked, test_y)

    def arrays(self, drawn: Sequence[Data]) -> dict[str, Tensor]:
        """Return training and test data, and the grid with the truth."""
        import torch

        x = drawn[0]
        return {
            "train_x": x.x[:, 0],
            "train_y": torch.stack([data.y for data in drawn]),
            "test_x": x.asked_x[: self.settings.test_points, 0],
            "test_y": torch.stack([data.asked_y for data in drawn]),
            "grid_x": self.middles,
            "grid_truth": self.target(self.middles),
        }

    def target(self, x: Tensor) -> Tensor:
        """Return the noise-free target f(x), of the shape of `x`: the slope times a fixed shape."""
        return self.settings.slope * TRUTHS[self.settings.truth].shape(x)

    def spaced(self, count: int) -> Tensor:
        """Return `count` evenly spaced inputs `(count,)` of the range, its ends among them."""
        import torch

        return torch.linspace(*self.axis, count, dtype=torch.float32)

    @property
    def middles(self) -> Tensor:
        """The middles of the cells, `(G,)`."""
        import torch

        low, high = self.axis
        half = (high - low) / (2 * GRID_POINTS)
        return torch.linspace(low + half, high - half, GRID_POINTS, dtype=torch.float32)

    @property
    def noise_variance(self) -> float:
        """The variance of the test targets' noise."""
        return self.settings.test_noise**2

    def truth(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the truth at the middles of the cells."""
        found: NDArray[Any] = arrays["grid_truth"]
        return found

    @property
    def measures(self) -> dict[str, Measure]:
        """Those of every task, the loss at the test points, the risk and the slope of the fit."""
        return {
            **OF_TRAINING,
            "test_loss": Measure(loss_at_test_points, is_loss=True),
            "risk": Measure(self.risk, is_loss=True),
            **OF_WEIGHTS,
            "rms_slope": Measure(self.slope_rms),
            **OF_LAYERS,
        }

    def risk(self, outcome: Outcome) -> Array:
        """Return the expected squared error at a fresh input of the range, with its noise."""
        return mean_square(grid_of(outcome) - outcome.arrays["grid_truth"]) + self.noise_variance

    def slope_rms(self, outcome: Outcome) -> Array:
        """Return the root mean square of the fit's slope from each cell of the grid to the next.

        It estimates the Sobolev seminorm √(∫f′²/∫1) over the range. NaN for a linear model,
        whatever its inputs: its smoothness is its weights'.
        """
        if outcome.network.depth == 0:
            return np.full(outcome.train_loss.shape, np.nan)
        (low, high), grid = self.axis, grid_of(outcome)
        slopes = np.diff(grid.astype(np.float64), axis=-1) / ((high - low) / grid.shape[-1])
        return np.sqrt(mean_square(slopes))

    @property
    def axis(self) -> tuple[float, float]:
        """The range of the inputs."""
        return self.settings.x_min, self.settings.x_max

    def sample(self, history: History, measure: str, at: Any = -1) -> Sample:
        """Return a measure at an epoch; replicates are independent, but for what halves choose."""
        values = picked(history, measure, at)
        return Sample(values, is_halved=not np.isscalar(at))

    def choosers(self, seeds: Sequence[int]) -> NDArray[np.bool_]:
        """Return the other half: replicates at even and at odd positions (two-fold cross-fitting).

        So every choice is another replicate's, and all of a half depend on one.
        """
        halves = np.arange(len(seeds)) % 2
        is_other: NDArray[np.bool_] = halves[:, None] != halves
        return is_other

    def failed(self, history: History) -> NDArray[np.bool_] | None:
        """Return whose risk is at least the variance of the truth over the range and the noise."""
        spread = float(history.grid_truth.astype(np.float64).var())
        return ~(history.risk[-1] < spread + self.noise_variance) if spread else None

    def parts(self, history: History, kept_index: int) -> None:
        """Return nothing: the noise is known."""

    @property
    def words(self) -> Words:
        """Truth, range, points and noise."""
        task = self.settings
        return Words(
            f"y = {task.slope:g}{TRUTHS[task.truth].formula} on [{task.x_min:g}, {task.x_max:g}], "
            f"{task.points} training points (noise sd {task.noise:g}), "
            f"{task.test_points} test points (noise sd {task.test_noise:g})",
            "the expected squared error at a fresh input of the range",
            "one draw of data and initial weights, on which every arm is trained",
        )
