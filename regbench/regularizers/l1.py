"""The L1 penalty, by its proximal step: weights become exactly zero."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class L1(Regularizer):
    """Adds λ‖θ‖₁ over every parameter, biases too, by soft thresholding after each step.

    θ ← sign(θ)·max(|θ| - ηλ, 0) is the proximal step of the penalty (Parikh & Boyd 2014, Proximal
    Algorithms, §6.5.2). Adding its subgradient λ·sign(θ) to the gradient instead would let weights
    swing around zero without ever being zero. What the step takes joins SGD's momentum over η, as a
    gradient would (iPiano: Ochs, Chen, Brox & Pock 2014, SIAM J. Imaging Sci. 7), so that training
    converges to the minimum of loss + λ‖θ‖₁. Adam's moments do not see it, as in AdamW they do not
    see the decay.
    """

    command: ClassVar[str] = "l1"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    makes_zeros: ClassVar[bool] = True
    default: ClassVar[float] = 0.001
    summary: ClassVar[str] = "Compare an L1 penalty, by proximal steps, with none."

    def after_step_(self, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
        """Take ηλ off every entry, or all of it where it has less."""
        lr = step.training.lr
        taken = parameter.clamp(-lr * self.strength, lr * self.strength)
        parameter.sub_(taken)
        if momentum is not None:
            momentum.add_(taken, alpha=1 / lr)
