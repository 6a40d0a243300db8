"""Decoupled weight decay: weights shrink by a factor, whatever the optimizer does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class DecoupledDecay(Regularizer):
    """Multiplies every parameter, biases too, by 1 - ηλ before the optimizer's step.

    Loshchilov & Hutter 2019, arXiv:1711.05101. With a step -ηu that is θ ← (1-ηλ)θ - ηu, and with
    Adam `torch.optim.AdamW`.
    """

    command: ClassVar[str] = "decoupled"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    default: ClassVar[float] = 0.01
    summary: ClassVar[str] = "Compare decoupled weight decay (as in AdamW) with none."

    @classmethod
    def strength_limit(cls, training: Any) -> tuple[float, str]:
        """Return 1/η, where every step would set the parameters to zero."""
        return 1 / training.lr, "1/lr, where every step would set the weights to zero"

    def before_step_(self, parameter: Tensor, step: Step) -> None:
        """Multiply by 1 - ηλ; gradient and momentum do not see it."""
        parameter.mul_(1 - step.training.lr * self.strength)
