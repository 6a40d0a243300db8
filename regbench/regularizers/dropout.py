"""Inverted dropout on every hidden activation, as `torch.nn.Dropout` has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Dropout(Regularizer):
    """Zeroes each hidden activation with probability p and multiplies the others by 1/(1-p).

    It stands before each layer but the first, so that inputs are dropped only where there is no
    hidden layer, and is off in evaluation mode (Srivastava et al. 2014, JMLR 15; the inverted form
    is torch's).
    """

    command: ClassVar[str] = "dropout"
    option: ClassVar[str] = "p"
    symbol: ClassVar[str] = "p"
    default: ClassVar[float] = 0.5
    meaning: ClassVar[str] = "Probability that a hidden unit is dropped"
    stream: ClassVar[int] = 0
    is_probability: ClassVar[bool] = True
    upper_bound: ClassVar[float] = 1.0
    summary: ClassVar[str] = "Compare dropout on the hidden layers with no dropout."

    def factor(self, step: Step) -> Tensor:
        """Return 1/(1-p) where u >= p and 0 elsewhere."""
        is_kept = step.noise.uniform() >= min(self.strength, 1 - 2.0**-32)  # the largest u is kept
        return is_kept.to(step.noise.dtype).mul_(1 / (1 - self.strength))
