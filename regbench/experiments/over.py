"""The training experiment at each value of one setting, and its effects on the same replicates.

Each value is trained, stored and read back as in a run of its own.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.shown import Shown
from regbench.analysis.statistics import compare_arms
from regbench.experiments import training
from regbench.experiments.base import SILENT, Observer, Plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Comparison
    from regbench.settings.machine import Environment, Machine
    from regbench.settings.over import Over
    from regbench.settings.question import Question
    from regbench.settings.study import Study
    from regbench.storage.blocks import Archive


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


def plan(
    study: Over, question: Question, machine: Machine, began: Environment | None = None
) -> Plan:
    """Plan all values on one engine, which can train each; see `base.Experiment.plan`."""
    from regbench.experiments.feasibility import check_feasible

    studies = study.by_value.values()
    if not (began.shard if began else machine.shard):  # which keeps no history
        check_feasible(question, *studies)
    plans = [training.plan(one, question, machine, began) for one in studies]
    if len({one.engine for one in plans}) > 1:
        found = plan(study, question, machine.replaced(engine="batched"), began)
        return dataclasses.replace(found, reason=max(one.reason for one in plans))
    sizes: Any = [one.environment.batch_replicates for one in plans]
    environment = began or dataclasses.replace(plans[0].environment, batch_replicates=sizes)
    seconds = sum(one.seconds for one in plans)
    return dataclasses.replace(plans[0], study=study, environment=environment, seconds=seconds)


def at_values(study: Over, environment: Environment) -> Iterator[tuple[Any, Study, Environment]]:
    """Yield each value with its study, and with where a run of that would have begun."""
    sizes: Any = environment.batch_replicates
    for (value, one), size in zip(study.by_value.items(), sizes, strict=True):
        yield value, one, dataclasses.replace(environment, batch_replicates=size)


def run(
    plan: Plan, archive: Archive | None = None, observer: Observer = SILENT
) -> OverResult | None:
    """Train what is missing of one value after the other; see `training.run`."""
    found: dict[Any, Result] = {}
    for value, study, environment in at_values(plan.study, plan.environment):
        work = f"{plan.work}, {plan.study.key}={value}"
        own = dataclasses.replace(plan, study=study, environment=environment, work=work)
        if result := training.run(own, archive, observer):
            found[value] = result
    if not found:
        return None
    duration = round(sum(one.environment.duration_seconds or 0 for one in found.values()), 3)
    for value, one in found.items():
        lasted = dataclasses.replace(one.environment, duration_seconds=duration)
        found[value] = dataclasses.replace(one, environment=lasted)
    environment = dataclasses.replace(plan.environment, duration_seconds=duration)
    return OverResult(plan.study, plan.question, environment, found)


def read_back(
    study: Over, question: Question, environment: Environment, archive: Archive
) -> tuple[OverResult | None, int, int]:
    """Return the result of the values that are whole; see `base.Experiment.read_back`."""
    found = [
        (value, *training.read_back(one, question, where, archive))
        for value, one, where in at_values(study, environment)
    ]
    whole = {value: result for value, result, done, total in found if result and done == total}
    result = OverResult(study, question, environment, whole) if whole else None
    return result, sum(done for _, _, done, _ in found), sum(total for *_, total in found)
