"""Cases with known answers, run with the engines that every experiment uses, and the comparison.

Knows nothing about what the cases are, and nothing about how outcomes are shown.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regbench.engines import choose_device, misfit
from regbench.engines.machine import describe_environment
from regbench.errors import RegbenchError, UsageError, suggestion, unexpected
from regbench.experiments import Observer, training
from regbench.settings.dropout_scale import DropoutScale
from regbench.settings.groups import Question
from regbench.settings.study import Study
from regbench.verify import dropout_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from regbench.settings.groups import Environment, Machine
    from regbench.settings.study import BaseStudy

LARGEST_Z = 5.0
"""Most standard errors between a mean and its expectation; chance exceeds it 1 in 1.7 million."""


@dataclass(frozen=True)
class Agreement:
    """A prediction beside its measurement, at the entry where the two lie furthest apart.

    `deviation` is their difference, relative to the largest prediction, or as z in standard errors;
    its size may be up to `limit`.
    """

    predicted: float
    measured: float
    deviation: float
    unit: Literal["relative", "z"]
    limit: float

    @property
    def holds(self) -> bool:
        """Whether the deviation is within the limit; NaN never is."""
        return abs(self.deviation) <= self.limit


def compare_values(predicted: ArrayLike, measured: ArrayLike, limit: float) -> Agreement:
    """Compare arrays of one shape that must be equal but for rounding."""
    expected, found = np.asarray(predicted, np.float64), np.asarray(measured, np.float64)
    assert expected.shape == found.shape, f"{expected.shape} is not {found.shape}"
    deviations = (found - expected) / np.abs(expected).max()
    return _at_largest(expected, found, deviations, "relative", limit)


def compare_means(predicted: ArrayLike, measured: ArrayLike) -> Agreement:
    """Compare means of `(R, ...)` over R replicates with expectations `(...)` or `(R, ...)`.

    The standard error is taken from the replicates' differences.
    """
    found = np.asarray(measured, np.float64)
    expected = np.broadcast_to(np.asarray(predicted, np.float64), found.shape)
    differences = found - expected
    errors = differences.std(axis=0, ddof=1) / np.sqrt(len(found))
    z = differences.mean(axis=0) / errors
    return _at_largest(expected.mean(axis=0), found.mean(axis=0), z, "z", LARGEST_Z)


def _at_largest(
    predicted: Any, measured: Any, deviations: Any, unit: Literal["relative", "z"], limit: float
) -> Agreement:
    worst = np.unravel_index(np.argmax(np.abs(deviations)), np.shape(deviations))  # the first NaN
    return Agreement(
        float(predicted[worst]), float(measured[worst]), float(deviations[worst]), unit, limit
    )


Compare = Callable[[Any], Agreement]
"""Takes the result of a study and compares prediction with measurement."""


@dataclass(frozen=True)
class Case:
    """A statement about training, and where it comes from, whose answer is known."""

    name: str
    statement: str
    source: str
    study: BaseStudy
    compare: Compare


@dataclass(frozen=True)
class Row:
    """What became of a case, and with which engine; `torch` where that is torch's own layer.

    `agreement` is None where the case was skipped. `reason` says why, or what went wrong.
    """

    case: Case
    engine: str
    agreement: Agreement | None
    reason: str = ""

    @property
    def status(self) -> Literal["ok", "FAILED", "skipped"]:
        """The outcome in one word."""
        if self.agreement is None:
            return "skipped"
        return "ok" if self.agreement.holds else "FAILED"


@dataclass(frozen=True)
class Verification:
    """A row for every case, and where they were run."""

    environment: Environment
    rows: list[Row]

    def count(self, status: str) -> int:
        """Return how many rows have a status."""
        return sum(row.status == status for row in self.rows)

    @property
    def holds(self) -> bool:
        """Whether no row failed and at least one was run."""
        return self.count("FAILED") == 0 and self.count("ok") > 0


class Warned(Observer):
    """Hears of a run only what explains why nothing seems to happen."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn

    def warn(self, line: str) -> None:
        """Pass the line on."""
        self._warn(line)


def row_of(case: Case, run: Callable[[BaseStudy], Any], engine: str) -> Row:
    """Return what became of a case that is run; one that raises has failed, and says why."""
    try:
        result = run(case.study)
        with np.errstate(all="ignore"):  # what is not finite is a failed case
            return Row(case, result.environment.engine or "torch", case.compare(result))
    except RegbenchError:
        raise
    except Exception as error:  # of a hook
        nothing = Agreement(np.nan, np.nan, np.nan, "relative", 0.0)
        return Row(case, engine, nothing, unexpected(error))


def select(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    """Return the cases of some names in their own order, all where none is named.

    Raises `UsageError` where there is no case of a name.
    """
    known = [case.name for case in cases]
    for name in names:
        if name not in known:
            hint = suggestion(name, known)
            allowed = "" if hint else ", ".join(known)
            raise UsageError("--only", name, allowed, problem="which is no row", hint=hint)
    return [case for case in cases if not names or case.name in names]


def verify(
    cases: Sequence[Case],
    machine: Machine,
    advance: Callable[[int], None] = lambda cases: None,
    warn: Callable[[str], None] = lambda line: None,
) -> Verification:
    """Run every case; cases with the same study share a run.

    `advance` is called with 1 after every case, and `warn` with a line that explains why nothing
    seems to happen. Raises `UsageError` where the device is not on this machine.
    """
    engine = "batched" if machine.engine == "auto" else machine.engine
    environment = describe_environment(choose_device(machine, engine), threads=machine.threads)
    started, rows = time.perf_counter(), []

    @functools.cache
    def run(study: Any) -> Any:
        if isinstance(study, DropoutScale):
            return dropout_scale.measure(dropout_scale.plan(study))
        planned = training.plan(study, Question(), machine)
        return training.complete(planned, observer=Warned(warn)).result

    for case in cases:
        if isinstance(case.study, Study) and (cause := misfit(case.study, machine)):
            reason = f"the {machine.engine} engine cannot train {cause}"
            rows.append(Row(case, machine.engine, None, reason))
        else:
            rows.append(row_of(case, run, machine.engine))
        advance(1)
    duration = round(time.perf_counter() - started, 3)
    return Verification(dataclasses.replace(environment, duration_seconds=duration), rows)
