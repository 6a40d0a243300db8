"""What acts on parameters: weight decay in two forms, penalties, a bound, and stopping early.

Weight decay inside the optimizer is as torch's `weight_decay` of SGD and Adam has it; decoupled
decay shrinks weights whatever the optimizer does. L1 and the group lasso take their proximal steps,
so that weights, or all weights of a unit, become exactly zero. Max-norm keeps the weights that lead
into a unit within a ball. Training that stops early leaves weights near where they began.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor

LARGEST_BOUND = 3e38
"""Largest bound: beyond float32 nothing is bounded."""


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
            parameter.mul_(
                norm.clamp(max=min(self.strength, LARGEST_BOUND)) / norm.clamp(min=1e-30)
            )


@dataclass(frozen=True)
class EarlyStopping(Regularizer):
    """Leaves the network as it is after an epoch (Goodfellow, Bengio & Courville 2016, §7.8).

    On a quadratic loss this is weight decay towards the initial weights, the weaker the later the
    epoch (Bishop 1995, Regularization and complexity control in feed-forward networks). In practice
    the epoch is chosen on validation data, which is not done here: several epochs are compared.
    """

    command: ClassVar[str] = "early-stopping"
    option: ClassVar[str] = "stop_epoch"
    symbol: ClassVar[str] = "epoch"
    default: ClassVar[float] = 40
    meaning: ClassVar[str] = "Epoch after which training stops"
    neutral: ClassVar[float] = math.inf
    is_whole: ClassVar[bool] = True
    summary: ClassVar[str] = "Compare stopping after an epoch with training to the end."

    def stops_at(self, epochs: int) -> int:
        """Return the epoch to stop after, or the last one."""
        return int(min(self.strength, epochs))
