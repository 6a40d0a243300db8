"""What a task is: it draws a replicate's data, and says how a network is judged by them.

A stored result is judged without torch, so that only drawing imports it. Knows no task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from regbench.tasks.measures import History, Measure
    from regbench.tasks.sample import Sample


@dataclass(frozen=True)
class Data:
    """One replicate's data, float32 on the CPU.

    Attributes:
        x, y: Inputs `(n, D)` and targets `(n,)` of its n ≤ N training rows.
        asked_x: The inputs `(Q, D)` at which networks are asked besides.
        asked_y: The targets there that are drawn, perhaps of the first ones alone.
        facts: What else a history keeps of it, by the names of `history.AXES`.
    """

    x: Tensor
    y: Tensor
    asked_x: Tensor
    asked_y: Tensor
    facts: Mapping[str, Tensor] = field(default_factory=dict)


class Words(NamedTuple):
    """What people read of a task.

    Attributes:
        header: What is learned, in a sentence.
        risk: What the risk is.
        replicate: What a replicate is.
        scope: What an answer is about, a sentence, or nothing where that goes without saying.
        notes: What was made of the data, in lines.
    """

    header: str
    risk: str
    replicate: str
    scope: str = ""
    notes: tuple[str, ...] = ()


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
    def draw(self, generator: torch.Generator, seed: int) -> Data:
        """Draw a replicate's data, by its seed or from the generator before its weights."""

    @abstractmethod
    def arrays(self, drawn: Sequence[Data]) -> dict[str, Tensor]:
        """Return what a history keeps of replicates' data, by the names of `history.AXES`."""

    @property
    @abstractmethod
    def measures(self) -> dict[str, Measure]:
        """Every measure of a network by its name, in the order of files and documents."""

    @abstractmethod
    def sample(self, history: History, measure: str, at: Any = -1) -> Sample:
        """Return a measure of every arm at an epoch, and how replicates of it depend on each other.

        `at` is the index of a measured epoch, or one for each arm and replicate `(A, R)`.
        """

    @property
    @abstractmethod
    def overlap(self) -> float:
        """Rows tested on over rows trained on, where replicates are splits of one table; else 0."""

    @abstractmethod
    def choosers(self, seeds: Sequence[int]) -> NDArray[np.bool_] | None:
        """Return which replicates choose the best epoch of each, `(R, R)`: others than itself.

        None where none may.
        """

    @abstractmethod
    def failed(self, history: History) -> NDArray[np.bool_] | None:
        """Return which networks are no better than the best constant, `(A, R)`, after training.

        None where a constant is the truth.
        """

    @property
    @abstractmethod
    def noise_variance(self) -> float | None:
        """The risk of the truth itself, which is bias² + variance + noise; None where unknown."""

    @abstractmethod
    def truth(self, arrays: Mapping[str, Any]) -> NDArray[Any] | None:
        """Return the truth at the inputs whose predictions are kept, by a history's arrays.

        None where it is unknown.
        """

    @abstractmethod
    def parts(self, history: History, kept_index: int) -> tuple[Sample, Sample] | None:
        """Return what bias² and variance differ by, where the noise is unknown; else None."""

    def document(self, history: History, arms: Sequence[str]) -> dict[str, Any]:
        """Return what a document has of such a task alone: what its intervals are made of."""
        return {}

    @property
    @abstractmethod
    def axis(self) -> tuple[float, float] | None:
        """The range of the one input along which fits are drawn, or None."""

    @property
    @abstractmethod
    def words(self) -> Words:
        """What people read of it."""
