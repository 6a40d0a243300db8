"""The results at each value of one setting, and their effects on the same replicates."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.shown import Shown
from regbench.analysis.statistics import compare_arms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Comparison
    from regbench.settings.groups import Environment, Question
    from regbench.settings.over import Over


@dataclass(frozen=True)
class OverResult(Shown):
    """What was asked, where it ran, and the result at each value that is there."""

    study: Over
    question: Question
    environment: Environment
    by_value: Mapping[Any, Result]

    @property
    def over(self) -> list[Result]:
        """The results, in the order of the values."""
        return list(self.by_value.values())

    @cached_property
    def effects(self) -> list[list[Comparison]]:
        """By value, the paired differences of all arms by the headline measure, against 0.

        All intervals hold together.
        """
        together = np.concatenate([*map(differences_of, self.over)])
        found = self._compare(together, self.question.margin)
        arms = len(self.study.arms) - 1
        starts = zip(self.over, range(0, len(found), arms), strict=True)
        return [one.with_idle(found[start : start + arms]) for one, start in starts]

    @cached_property
    def changes(self) -> list[Comparison]:
        """Of each arm, the paired difference at the last value minus that at the first one."""
        return self._compare(differences_of(self.over[-1]) - differences_of(self.over[0]))

    def _compare(self, differences: Array, margin: float = 0.0) -> list[Comparison]:
        names = self.study.study.compared * len(self.over)
        values = np.vstack([np.zeros(differences.shape[1]), differences])
        measure, confidence = self.question.judged_by, self.question.confidence
        return compare_arms(names[: len(differences)], measure, values, confidence, margin=margin)


@np.errstate(invalid="ignore", over="ignore")
def differences_of(result: Result) -> Array:
    """Return the paired differences `(A, R)` of what is judged, without the baseline."""
    values = result.judged.astype(np.float64)
    differences: Array = values[1:] - values[0]
    return differences
