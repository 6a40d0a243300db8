"""What acts by noise, off in evaluation mode: dropout, Gaussian dropout, and noise on the inputs.

Dropout is inverted, as `torch.nn.Dropout` has it. Each regularizer has a stream of noise of its
own.
"""

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


@dataclass(frozen=True)
class InputNoise(Regularizer):
    """Adds fresh noise from N(0, σ²) to every input of the network, off in evaluation mode.

    For little noise that is a penalty σ²·mean ‖∂f/∂x‖² (Bishop 1995, Training with noise is
    equivalent to Tikhonov regularization, Neural Computation 7); for a linear model σ²‖w‖² exactly,
    weight decay of λ = 2σ² without that of the bias.
    """

    command: ClassVar[str] = "input-noise"
    option: ClassVar[str] = "sigma"
    symbol: ClassVar[str] = "σ"
    default: ClassVar[float] = 0.1
    meaning: ClassVar[str] = "Standard deviation of the noise"
    stream: ClassVar[int] = 2
    summary: ClassVar[str] = "Compare normal noise on the inputs with none."

    def perturb_inputs(self, x: Tensor, step: Step) -> Tensor:
        """Return x + σz."""
        return x + self.strength * step.noise.normal()
