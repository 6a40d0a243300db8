"""Each arm stopped at its own best epoch, chosen without the replicate that is judged.

A baseline that is trained for too long makes whatever slows training look good at the last epoch.
Works on a history and knows nothing about how it is shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.statistics import Difference, paired_differences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regbench.analysis.history import Array, History
    from regbench.settings.question import Question

MEASURE = "risk_at_best"
"""The name of the risk at best epochs, among measures."""


@dataclass(frozen=True)
class AtBest(Difference):
    """The paired difference of the risk, each arm at its own best epoch.

    Attributes:
        epochs, baseline_epochs: The epochs that were chosen, by any of the replicates.
    """

    epochs: list[int]
    baseline_epochs: list[int]

    @property
    def difference(self) -> Difference:
        """The same without the epochs."""
        return Difference(*(getattr(self, field.name) for field in fields(Difference)))


@np.errstate(invalid="ignore")
def best_epochs(history: History) -> tuple[NDArray[np.int64], Array]:
    """Return each replicate's best epoch, and its risk there, both `(A, R)` with R ≥ 2.

    It is the measured epoch after the first step at which the mean risk of the arm's *other*
    replicates is lowest, the earliest of several: leave one out, so that nothing is chosen by what
    it is judged by. An epoch at which one of those is not finite is not chosen.
    """
    risk = history.risk[1:].astype(np.float64)
    is_lost, known = ~np.isfinite(risk), np.where(np.isfinite(risk), risk, 0)
    others = known.sum(axis=-1, keepdims=True) - known
    others[is_lost.sum(axis=-1, keepdims=True) - is_lost > 0] = np.inf
    chosen = others.argmin(axis=0)
    epochs: NDArray[np.int64] = history.epochs[1:][chosen]
    return epochs, np.take_along_axis(risk, chosen[None], axis=0)[0]


def differences_at_best(names: Sequence[str], history: History, confidence: float) -> list[AtBest]:
    """Compare the risk of every arm with the baseline's, each at its best epoch; none for R = 1."""
    if history.risk.shape[-1] == 1:
        return []
    epochs, values = best_epochs(history)
    first, *chosen = (sorted(set(arm)) for arm in epochs.tolist())
    found = map(asdict, paired_differences(names, MEASURE, values, confidence))
    pairs = zip(found, chosen, strict=True)
    return [AtBest(**told, epochs=own, baseline_epochs=first) for told, own in pairs]


def judged_values(history: History, question: Question) -> Array:
    """Return the numbers by which arms are judged, `(A, R)`: at the last epoch, or at the best."""
    if question.judged_by == MEASURE:
        return best_epochs(history)[1]
    last: Array = getattr(history, question.headline)[-1]
    return last
