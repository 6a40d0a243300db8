"""The registry: every regularizer that has a subcommand, by its command's name."""

from __future__ import annotations

from regbench.regularizers.arm import Arm
from regbench.regularizers.base import Noise, Regularizer
from regbench.regularizers.decoupled import DecoupledDecay
from regbench.regularizers.dropout import Dropout
from regbench.regularizers.l1 import L1
from regbench.regularizers.weight_decay import WeightDecay

__all__ = ["REGULARIZERS", "Arm", "Noise", "Regularizer", "rank"]

REGULARIZERS: dict[str, type[Regularizer]] = {
    regularizer.command: regularizer
    for regularizer in (
        WeightDecay,
        Dropout,
        DecoupledDecay,
        L1,
    )
}
"""In the order in which the parts of a sum act, which is that of the fused kernel."""


def rank(regularizer: Regularizer) -> tuple[int, str]:
    """Return what the parts of a sum are sorted by: the registry, and then the name."""
    commands = list(REGULARIZERS)
    command = regularizer.command
    return (commands.index(command) if command in commands else len(commands)), command
