"""Decoupled weight decay: weights shrink by a factor, whatever the optimizer does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from regbench.regularizers.base import Regularizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DecoupledDecay(Regularizer):
    """Multiplies every parameter, biases too, by 1 - ηλ after each step.

    Loshchilov & Hutter 2019, arXiv:1711.05101. `torch.optim.AdamW` multiplies before the step
    instead: (1-ηλ)θ - ηu there, (1-ηλ)(θ - ηu) here, which differs by η²λu.
    """

    command: ClassVar[str] = "decoupled"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    default: ClassVar[float] = 0.01
    summary: ClassVar[str] = "Compare decoupled weight decay (as in AdamW) with none."

    @classmethod
    def strength_limit(cls, lr: float, momentum: float, optimizer: str) -> tuple[float, str]:
        """Return 1/η, where every step would set the parameters to zero."""
        return 1 / lr, "1/lr, where every step would set the weights to zero"

    def after_step_(
        self, parameter: Tensor, momentum: Tensor | None, lr: float, is_bias: bool
    ) -> None:
        """Multiply by 1 - ηλ; the momentum does not see it."""
        parameter.mul_(1 - lr * self.strength)
