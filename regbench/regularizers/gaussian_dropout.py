"""Gaussian dropout: hidden activations times normal noise, with dropout's mean and variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class GaussianDropout(Regularizer):
    """Multiplies each hidden activation by a number from N(1, p/(1-p)), off in evaluation mode.

    Srivastava et al. 2014, JMLR 15, §10: the mean and variance of inverted dropout's factor at p.
    """

    command: ClassVar[str] = "gaussian-dropout"
    option: ClassVar[str] = "p"
    symbol: ClassVar[str] = "p"
    default: ClassVar[float] = 0.5
    meaning: ClassVar[str] = "Probability p of the dropout whose noise has the same variance"
    is_probability: ClassVar[bool] = True
    upper_bound: ClassVar[float] = 1.0
    stream: ClassVar[int] = 1
    summary: ClassVar[str] = "Compare Gaussian dropout on the hidden layers with none."

    def factor(self, step: Step) -> Tensor:
        """Return 1 + √(p/(1-p)) z."""
        return step.noise.normal().mul((self.strength / (1 - self.strength)) ** 0.5).add_(1)
