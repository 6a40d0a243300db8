"""An arm: a sum of regularizers, of which the empty one is the baseline."""

from __future__ import annotations

import functools
import itertools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from regbench.regularizers.base import Noise, Regularizer


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
        """Whether a part acts on inputs or hidden activations, in training alone."""
        return any(part.acts_on_hidden or part.acts_on_inputs for part in self.parts)

    def stops_at(self, epochs: int) -> int:
        """Return the first epoch after which a part stops the training, or the last one."""
        return min([part.stops_at(epochs) for part in self.active], default=epochs)

    def factor(self, noise_of: Callable[[int], Noise]) -> Tensor | None:
        """Return the product of the parts' factors, or None; `noise_of` takes a part's stream."""
        noisy = (part for part in self.parts if part.acts_on_hidden)
        found = (part.factor(noise_of(part.stream)) for part in noisy)
        factors = [factor for factor in found if factor is not None]
        return functools.reduce(operator.mul, factors) if factors else None

    def perturb_inputs(self, x: Tensor, noise_of: Callable[[int], Noise]) -> Tensor:
        """Return the inputs as the parts perturb them one after the other; see `factor`."""
        for part in self.parts:
            if part.acts_on_inputs:
                x = part.perturb_inputs(x, noise_of(part.stream))
        return x

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor, is_bias: bool) -> None:
        """Let every part act; see `Regularizer`."""
        for part in self.active:
            part.add_penalty_gradient_(gradient, parameter, is_bias)

    def after_step_(
        self, parameter: Tensor, momentum: Tensor | None, lr: float, is_bias: bool
    ) -> None:
        """Let every part act; see `Regularizer`."""
        for part in self.active:
            part.after_step_(parameter, momentum, lr, is_bias)
