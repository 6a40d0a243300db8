"""The group lasso: units lose all their incoming weights at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GroupLasso(Regularizer):
    """Adds λ√D ‖w‖₂ for the D weights that lead into each unit, by its proximal step.

    Yuan & Lin 2006, JRSS B 68; in networks Scardapane et al. 2017, Neurocomputing 241. A unit's
    weights shrink by ηλ√D, all to zero where they are shorter (Parikh & Boyd 2014, §6.5.1). What is
    taken joins SGD's momentum, as with `L1`; biases are left alone.
    """

    command: ClassVar[str] = "group-lasso"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    makes_zeros: ClassVar[bool] = True
    default: ClassVar[float] = 0.001
    summary: ClassVar[str] = "Compare a penalty on the norm of every unit's weights with none."

    def after_step_(self, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
        """Take ηλ√D off the norm of weights `(R, out, D)` over the last axis, or all of it."""
        lr = step.training.lr
        if not step.parameter.is_bias:
            norm = parameter.norm(dim=-1, keepdim=True)
            cut = lr * self.strength * parameter.shape[-1] ** 0.5
            taken = parameter * (cut / norm.clamp(min=1e-30)).clamp(max=1)
            parameter.sub_(taken)
            if momentum is not None:
                momentum.add_(taken, alpha=1 / lr)
