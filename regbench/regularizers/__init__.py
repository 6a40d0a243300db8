"""The registry: every regularizer that has a subcommand, by its command's name.

Plug-ins join it when they are loaded; see `plugins`.
"""

from __future__ import annotations

from regbench.regularizers.base import Arm, Noise, Regularizer, Step
from regbench.regularizers.noise import Dropout, GaussianDropout, InputNoise
from regbench.regularizers.penalties import (
    L1,
    DecoupledDecay,
    EarlyStopping,
    GroupLasso,
    MaxNorm,
    WeightDecay,
)

__all__ = ["BY_CLASS", "REGULARIZERS", "Arm", "Noise", "Regularizer", "Step"]

KINDS: tuple[type[Regularizer], ...] = (
    WeightDecay,
    Dropout,
    GaussianDropout,
    DecoupledDecay,
    L1,
    MaxNorm,
    EarlyStopping,
    InputNoise,
    GroupLasso,
)
"""The regularizers of the package. The parts of a sum act in this order, which is that of the fused
kernel; add a new one at the end."""
for place, kind in enumerate(KINDS):
    kind.order = place
BY_CLASS = {kind.__name__: kind for kind in KINDS}
"""The same by the name of their class."""
REGULARIZERS = {kind.command: kind for kind in KINDS}
