"""What a task is: it draws a replicate's data, and says how a network is judged by them.

A stored result is judged without torch, so that only drawing imports it. Knows no task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from regbench.tasks.measures import Measure


@dataclass(frozen=True)
class Data:
    """One replicate's data, float32 on the CPU.

    Attributes:
        x, y: Inputs `(n, D)` and targets `(n,)` of its n ≤ N training rows.
        asked_x: The inputs `(Q, D)` at which networks are asked besides.
        asked_y: The targets there that are drawn, perhaps of the first ones alone.
    """

    x: Tensor
    y: Tensor
    asked_x: Tensor
    asked_y: Tensor


class Task(ABC):
    """A task with its settings."""

    has_shared_inputs: ClassVar[bool]
    """Whether all replicates have the same inputs."""

    @property
    @abstractmethod
    def points(self) -> int:
        """The largest number of training rows of a replicate, N."""

    @property
    @abstractmethod
    def lengths(self) -> dict[str, int]:
        """The lengths of the axes of what `arrays` returns, by letter."""

    @property
    @abstractmethod
    def asked(self) -> int:
        """The number of inputs, Q, at which networks are asked besides the training rows."""

    @property
    @abstractmethod
    def kept(self) -> slice:
        """The predictions that are kept, to be drawn and decomposed."""

    @abstractmethod
    def draw(self, generator: torch.Generator) -> Data:
        """Draw a replicate's data from the generator that its weights are drawn from next."""

    @abstractmethod
    def arrays(self, drawn: Sequence[Data]) -> dict[str, Tensor]:
        """Return what a history keeps of replicates' data, by the names of `history.AXES`."""

    @property
    @abstractmethod
    def measures(self) -> dict[str, Measure]:
        """Every measure of a network by its name, in the order of files and documents."""

    @property
    @abstractmethod
    def noise_variance(self) -> float:
        """The risk of the truth itself."""

    @abstractmethod
    def truth(self, arrays: Mapping[str, Any]) -> NDArray[Any]:
        """Return the truth at the inputs whose predictions are kept, by a history's arrays."""

    @property
    @abstractmethod
    def axis(self) -> tuple[float, float]:
        """The range of the one input along which fits are drawn."""

    @property
    @abstractmethod
    def header(self) -> str:
        """What is learned, in a sentence."""
