"""The registry: every regularizer that has a subcommand, by its command's name."""

from __future__ import annotations

from regbench.regularizers.base import Baseline, Regularizer
from regbench.regularizers.decoupled import DecoupledDecay
from regbench.regularizers.dropout import Dropout
from regbench.regularizers.l1 import L1
from regbench.regularizers.weight_decay import WeightDecay

__all__ = [
    "L1",
    "REGULARIZERS",
    "Baseline",
    "DecoupledDecay",
    "Dropout",
    "Regularizer",
    "WeightDecay",
]

REGULARIZERS: dict[str, type[Regularizer]] = {
    regularizer.command: regularizer for regularizer in (WeightDecay, Dropout, L1, DecoupledDecay)
}
