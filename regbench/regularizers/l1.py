"""The L1 penalty, by its proximal step: weights become exactly zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from regbench.regularizers.base import Regularizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class L1(Regularizer):
    """Adds λ‖θ‖₁ over every parameter, biases too, by soft thresholding after each step.

    θ ← sign(θ)·max(|θ| - ηλ, 0) is the proximal step of the penalty (Parikh & Boyd 2014, Proximal
    Algorithms, §6.5.2). Adding its subgradient λ·sign(θ) to the gradient instead would let weights
    swing around zero without ever being zero.
    """

    command: ClassVar[str] = "l1"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    default: ClassVar[float] = 0.001
    summary: ClassVar[str] = "Compare an L1 penalty, by proximal steps, with none."

    def shrink_(self, parameter: Tensor, lr: float) -> None:
        """Move every entry towards zero by ηλ, and no farther than zero."""
        magnitude = parameter.abs().sub_(lr * self.strength).clamp_(min=0)
        parameter.sign_().mul_(magnitude)

    @property
    def fused_coefficients(self) -> dict[str, float]:
        """The strength as `l1`."""
        return {"l1": self.strength}
