"""An arm: a sum of regularizers, of which the empty one is the baseline."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regbench.errors import UsageError

if TYPE_CHECKING:
    from regbench.regularizers.base import Regularizer

PERTURBING = ("perturb_inputs", "perturb_targets", "factor")
"""Hooks that make the training-mode loss differ from the evaluation-mode loss."""


@dataclass(frozen=True)
class Arm:
    """What is compared: regularizers that act together, in the registry's order, each only once.

    Raises `UsageError` where one is there twice.
    """

    parts: tuple[Regularizer, ...] = ()

    def __post_init__(self) -> None:
        from regbench.regularizers import rank

        ordered = tuple(sorted(self.parts, key=rank))
        object.__setattr__(self, "parts", ordered)
        for one, other in itertools.pairwise(ordered):
            if type(one) is type(other):
                raise UsageError("arms", self.name, problem=f"which has {one.command} twice")

    def __add__(self, other: Regularizer | Arm) -> Arm:
        """Return the sum of all parts; raises `UsageError` as an arm does."""
        from regbench.regularizers.base import Regularizer

        if not isinstance(other, Arm | Regularizer):
            raise UsageError("arms", other, "regularizers and their sums")
        return Arm(self.parts + (other.parts if isinstance(other, Arm) else (other,)))

    @property
    def name(self) -> str:
        """Its text, which is its name in every file: `wdecay=0.01+dropout=0.5`, or `baseline`."""
        return "+".join(part.name for part in self.parts) or "baseline"

    @property
    def active(self) -> tuple[Regularizer, ...]:
        """The parts that are not at their neutral strength."""
        return tuple(part for part in self.parts if part.is_active)

    @property
    def is_noisy(self) -> bool:
        """Whether a part acts on data or hidden activations, in training alone."""
        return any(part.has_hook(hook) for part in self.parts for hook in PERTURBING)

    def stops_at(self, epochs: int) -> int:
        """Return the first epoch after which a part stops the training, or the last one."""
        return min([part.stops_at(epochs) for part in self.active], default=epochs)
