"""Each arm stopped at its own best epoch, chosen by one half of the replicates for the other.

A baseline that is trained for too long makes whatever slows training look good at the last epoch.
Works on a history and knows nothing about how it is shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.statistics import AT_BEST, Difference, paired_differences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regbench.analysis.history import Array, History
    from regbench.settings.groups import Question


@dataclass(frozen=True)
class AtBest(Difference):
    """The paired difference of the risk, each arm at its own best epoch.

    Attributes:
        epochs, baseline_epochs: The epochs that the two halves of the replicates chose.
    """

    epochs: list[int]
    baseline_epochs: list[int]

    @property
    def difference(self) -> Difference:
        """The same without the epochs."""
        return Difference(*(getattr(self, field.name) for field in fields(Difference)))


@np.errstate(over="ignore", invalid="ignore")
def best_epochs(history: History) -> tuple[NDArray[np.int64], Array]:
    """Return each replicate's best epoch, and its risk there, both `(A, R)` with R ≥ 2.

    Replicates at even and at odd positions are two halves (two-fold cross-fitting). Each half
    chooses the other's epoch: of the measured ones after the first step, the earliest at which the
    arm's mean risk over the choosing half is lowest and finite.
    """
    risk = history.risk[1:].astype(np.float64)
    chosen = np.empty(risk.shape[1:], dtype=np.int64)
    for half in (0, 1):
        mean = risk[..., 1 - half :: 2].mean(axis=-1)
        best = np.where(np.isfinite(mean), mean, np.inf).argmin(axis=0)
        chosen[:, half::2] = best[:, None]
    epochs: NDArray[np.int64] = history.epochs[1:][chosen]
    return epochs, np.take_along_axis(risk, chosen[None], axis=0)[0]


def differences_at_best(names: Sequence[str], history: History, confidence: float) -> list[AtBest]:
    """Compare the risk of every arm with the baseline's, each at its best epoch; none for R = 1."""
    if history.risk.shape[-1] == 1:
        return []
    epochs, values = best_epochs(history)
    first, *chosen = (sorted(set(arm)) for arm in epochs.tolist())
    found = map(asdict, paired_differences(names, AT_BEST, values, confidence))
    pairs = zip(found, chosen, strict=True)
    return [AtBest(**told, epochs=own, baseline_epochs=first) for told, own in pairs]


def judged_values(history: History, question: Question) -> Array:
    """Return the numbers by which arms are judged, `(A, R)`: at the last epoch, or at the best."""
    if question.judged_by == AT_BEST:
        return best_epochs(history)[1]
    last: Array = getattr(history, question.headline)[-1]
    return last
