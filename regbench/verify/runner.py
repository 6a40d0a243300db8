"""Cases with known answers, run with the engines that every experiment uses, and the comparison.

Knows nothing about what the cases are, and nothing about how outcomes are shown.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regbench.engines.environment import describe_environment
from regbench.errors import UsageError, visible
from regbench.experiments.dropout_scale import run_dropout_scale
from regbench.experiments.training import plan, run
from regbench.settings.parse import suggestion
from regbench.settings.study import DropoutScale, TrainingExperiment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import ArrayLike

LARGEST_Z = 5.0
"""Standard errors that a mean may lie from its expectation: beyond lies 1 in 1.7 million."""


@dataclass(frozen=True)
class Agreement:
    """A prediction beside its measurement, at the entry where the two lie furthest apart.

    Attributes:
        predicted: By theory.
        measured: In training.
        deviation: Their difference as a share of the largest prediction, or in standard errors.
        unit: `relative` or `z`.
        limit: What `deviation` may be in size.
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
    """Compare means over R replicates with their expectations.

    Args:
        predicted: Expectations, `(...)`, or one for each replicate, `(R, ...)`.
        measured: `(R, ...)`. The standard error is taken from the replicates' differences.
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


@dataclass(frozen=True)
class Case:
    """A statement about training whose answer is known.

    Attributes:
        name: For `--only`.
        statement: What must hold, in one line.
        source: Where it comes from.
        settings: What to run; engine, device and threads are the user's.
        compare: From the finished run, a `Result` or a `ScaleResult`, to prediction and
            measurement.
    """

    name: str
    statement: str
    source: str
    settings: TrainingExperiment | DropoutScale
    compare: Callable[[Any], Agreement]


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: The case.
        engine: What trained it; `torch` where that is torch's own layer.
        agreement: None where the case was skipped.
        reason: Why it was skipped, or empty.
    """

    case: Case
    engine: str
    agreement: Agreement | None
    reason: str = ""

    @property
    def status(self) -> Literal["ok", "FAILED", "skipped"]:
        """In one word."""
        if self.agreement is None:
            return "skipped"
        return "ok" if self.agreement.holds else "FAILED"


@dataclass(frozen=True)
class Verification:
    """The outcome of every case, and where they were run."""

    environment: dict[str, Any]
    outcomes: list[Outcome]

    def count(self, status: str) -> int:
        """Return how many cases have a status."""
        return sum(outcome.status == status for outcome in self.outcomes)

    @property
    def holds(self) -> bool:
        """Whether no case failed and at least one was run."""
        return self.count("FAILED") == 0 and self.count("ok") > 0


def select(cases: Sequence[Case], names: Sequence[str]) -> list[Case]:
    """Return the cases of some names in their own order, all where none is named.

    Raises:
        UsageError: There is no case of a name.
    """
    known = [case.name for case in cases]
    for name in names:
        if name not in known:
            hint = suggestion(name, known) or f"; allowed: {', '.join(known)}"
            raise UsageError(f"--only: got {visible(name)}, which is no row{hint}")
    return [case for case in cases if not names or case.name in names]


def verify(
    cases: Sequence[Case],
    machine: TrainingExperiment,
    device: torch.device,
    advance: Callable[[int], None] = lambda cases: None,
) -> Verification:
    """Run every case; cases with the same settings share a run.

    Args:
        cases: What to run.
        machine: Whose engine, device and threads to use.
        device: The device that these settings choose, for the environment.
        advance: Called with 1 after every case.

    Raises:
        UsageError: The device is not on this machine.
    """
    environment = describe_environment(device, threads=machine.threads)
    started = time.perf_counter()
    runs: dict[TrainingExperiment | DropoutScale, Any] = {}
    outcomes = []
    for case in cases:
        try:
            if case.settings not in runs:
                runs[case.settings] = run_case(case.settings, machine)
            result = runs[case.settings]
        except UsageError as error:
            if not str(error).startswith("--engine"):
                raise
            outcomes.append(Outcome(case, machine.engine, None, str(error)))
        else:
            engine = result.environment.get("engine", "torch")
            with np.errstate(all="ignore"):  # what is not finite is a failed case
                outcomes.append(Outcome(case, engine, case.compare(result)))
        advance(1)
    duration = round(time.perf_counter() - started, 3)
    return Verification({**environment, "duration_seconds": duration}, outcomes)


def run_case(settings: TrainingExperiment | DropoutScale, machine: TrainingExperiment) -> Any:
    """Run a case's settings with the engine, device and threads of `machine`."""
    if isinstance(settings, DropoutScale):
        return run_dropout_scale(settings)
    own = {"engine": machine.engine, "device": machine.device, "threads": machine.threads}
    return run(plan(settings.model_copy(update=own)))
