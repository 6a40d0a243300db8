"""Noise on the inputs: every epoch sees the training points a little elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from regbench.regularizers.base import Regularizer, Step

if TYPE_CHECKING:
    from torch import Tensor


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
