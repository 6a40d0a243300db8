"""Early stopping: training that ends after a given epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from regbench.regularizers.base import Regularizer


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
