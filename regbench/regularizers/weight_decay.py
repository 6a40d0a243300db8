"""L2 weight decay inside the optimizer, as torch's `weight_decay` of SGD and Adam has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class WeightDecay(Regularizer):
    """Adds λθ to the gradient of every parameter, biases too.

    The same as the penalty (λ/2)‖θ‖² on the loss (Loshchilov & Hutter 2019, arXiv:1711.05101).
    """

    command: ClassVar[str] = "wdecay"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    default: ClassVar[float] = 0.01
    summary: ClassVar[str] = "Compare weight decay (L2) inside the optimizer with none."

    @classmethod
    def strength_limit(cls, training: Any) -> tuple[float, str]:
        """Return 2(1+μ)/η for SGD, from which on descent diverges even where the loss is flat.

        Heavy-ball momentum on a quadratic of curvature h is stable for η(h+λ) < 2(1+μ)
        (Polyak 1964). Adam's steps do not grow with the gradient.
        """
        if training.optimizer != "sgd":
            return float("inf"), ""
        limit = 2 * (1 + training.momentum) / training.lr
        return limit, "2(1+momentum)/lr, where training must diverge"

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        """Add λθ."""
        gradient.add_(parameter, alpha=self.strength)
