"""What replicates say together: means with their standard errors, and paired differences.

Works on arrays and knows nothing about how they came about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from regbench.history import Array


@dataclass(frozen=True)
class Comparison:
    """An arm against the baseline on the same replicates.

    Attributes:
        arm: The arm's name.
        mean_difference: Mean over replicates of test loss, arm − baseline; negative means that
            the arm is better. NaN where a loss is not finite.
        wins: In how many replicates the arm's test loss is the lower one.
        replicates: How many pairs there are.
    """

    arm: str
    mean_difference: float
    wins: int
    replicates: int


def compare(arm: str, baseline_loss: Array, arm_loss: Array) -> Comparison:
    """Compare the losses `(R,)` of an arm and of the baseline, replicate by replicate."""
    with np.errstate(invalid="ignore"):
        differences = arm_loss.astype(np.float64) - baseline_loss.astype(np.float64)
        mean = float(differences.mean()) if np.isfinite(differences).all() else math.nan
    return Comparison(arm, mean, int((arm_loss < baseline_loss).sum()), len(differences))


def standard_error(values: Array) -> Array:
    """Return s/√R over the last axis, R; NaN for a single replicate.

    s is the standard deviation with R - 1 degrees of freedom.
    """
    count = values.shape[-1]
    if count == 1:
        return np.full(values.shape[:-1], np.nan)
    with np.errstate(invalid="ignore"):
        spread: Array = values.std(axis=-1, ddof=1, dtype=np.float64)
    return spread / math.sqrt(count)
