"""The registry: every regularizer that has a subcommand, by its command's name."""

from __future__ import annotations

from regbench.regularizers.base import Baseline, Regularizer
from regbench.regularizers.dropout import Dropout
from regbench.regularizers.weight_decay import WeightDecay

__all__ = ["REGULARIZERS", "Baseline", "Dropout", "Regularizer", "WeightDecay"]

REGULARIZERS: dict[str, type[Regularizer]] = {
    regularizer.command: regularizer for regularizer in (WeightDecay, Dropout)
}
