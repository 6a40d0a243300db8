"""Max-norm: the weights that lead into a unit stay within a ball."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor


LARGEST = 3e38
"""Largest bound: beyond float32 nothing is bounded."""


@dataclass(frozen=True)
class MaxNorm(Regularizer):
    """Projects each unit's incoming weights onto ‖w‖₂ ≤ c after each step.

    Srivastava et al. 2014, JMLR 15, §5.1. The output's weights too; biases and momentum are left
    alone.
    """

    command: ClassVar[str] = "max-norm"
    option: ClassVar[str] = "bound"
    symbol: ClassVar[str] = "c"
    default: ClassVar[float] = 0.5
    neutral: ClassVar[float] = float("inf")
    summary: ClassVar[str] = "Compare a bound on every unit's incoming weights with none."

    def after_step_(self, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
        """Shrink weights `(R, out, in)` to a norm of c over the last axis where it is larger."""
        if not step.parameter.is_bias:
            norm = parameter.norm(dim=-1, keepdim=True)
            parameter.mul_(norm.clamp(max=min(self.strength, LARGEST)) / norm.clamp(min=1e-30))
