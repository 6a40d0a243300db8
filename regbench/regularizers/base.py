"""What a regularizer is: one strength, its words, and the hooks through which it acts.

Knows nothing about engines, tasks or the command line. Hooks only call methods of the tensors
that they are handed, so that naming a regularizer never imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Regularizer:
    """One way to train at one strength: an arm of an experiment.

    A subclass declares the words by which users know it and the hooks that it needs. From these
    it gets its subcommand, option, validation, labels, tables and figures. Every hook does
    nothing by default; at strength 0 no hook is called, so that such an arm is the baseline.

    Attributes:
        strength: λ, p or the like; 0 is no regularization.
    """

    command: ClassVar[str]
    """The subcommand, as in `regbench wdecay`."""
    option: ClassVar[str]
    """The option, configuration key and ASCII name of the strength, without dashes."""
    symbol: ClassVar[str]
    """The strength's usual letter, for tables and figures."""
    default: ClassVar[float]
    """The strength where none is given."""
    summary: ClassVar[str]
    """What the subcommand does, in one line of help."""

    strength: float

    @property
    def name(self) -> str:
        """The arm's name in JSON, files and TensorBoard: printable ASCII, unique in a run."""
        return f"{self.option}={self.strength!r}"

    @property
    def label(self) -> str:
        """The arm's name in tables and figures."""
        return f"{self.symbol}={self.strength!r}"

    @classmethod
    def strength_limit(cls, lr: float, momentum: float, optimizer: str) -> tuple[float, str]:
        """Return the smallest strength that cannot work and why; from 0 up to it, all may."""
        del lr, momentum, optimizer
        return float("inf"), ""

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor) -> None:
        """Add the gradient of the arm's penalty to `gradient`, in place.

        Both have the same shape, `(R, ...)`. `gradient` may hold more than this step's gradient
        (a momentum buffer), so it may be added to and must not be scaled.
        """

    def shrink_(self, parameter: Tensor, momentum: Tensor | None, lr: float) -> None:
        """Change a parameter in place after the optimizer's step, and what it hands on.

        Args:
            parameter: `(R, ...)`.
            momentum: The buffer of SGD that the next step adds to, of the same shape; None with
                Adam, and where there is none.
            lr: The learning rate η of the step.
        """

    def hidden_factor(self, noise: Tensor, dtype: torch.dtype) -> Tensor | None:
        """Return what multiplies the hidden activations in training, or None for nothing.

        A linear model has no hidden layer: there it multiplies the inputs, as one layer of them.

        Args:
            noise: int32 `(L, R, N, H)` for L hidden layers, uniform over all 32-bit words:
                u = noise / 2³² + 1/2 is uniform on [0, 1). See `randomness.py`.
            dtype: The dtype that the factor must have.

        Returns:
            A tensor `(L, R, N, H)`, with mean 1 over the noise.
        """
        del noise, dtype
        return None

    @property
    def acts_on_hidden(self) -> bool:
        """Whether there is a `hidden_factor`, so that noise must be drawn for it."""
        return type(self).hidden_factor is not Regularizer.hidden_factor


@dataclass(frozen=True)
class Baseline(Regularizer):
    """No regularization: what every other arm is compared with."""

    strength: float = 0.0

    @property
    def name(self) -> str:
        """Always `baseline`."""
        return "baseline"

    @property
    def label(self) -> str:
        """Always `baseline`."""
        return "baseline"
