"""Cases with known answers, run with the engines that every experiment uses, and the comparison.

A case says what must hold, what is trained and what is compared: a function whose docstring is the
statement. Knows no case, and nothing about how outcomes are shown.
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
from regbench.engines.base import draw_start
from regbench.engines.machine import describe_environment
from regbench.errors import RegbenchError, UsageError, suggestion, unexpected
from regbench.experiments import Observer, training
from regbench.regularizers import REGULARIZERS, Arm
from regbench.settings.command import settings_of
from regbench.settings.groups import Question
from regbench.settings.parse import build
from regbench.settings.study import BaseStudy, DropoutScale, Study
from regbench.verify import closed_forms as theory
from regbench.verify import dropout_scale
from regbench.verify import numpy_network as plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.settings.groups import Environment, Machine

LARGEST_Z = 5.0
"""Most standard errors between a mean and its expectation; chance exceeds it 1 in 1.7 million."""
ROUNDING = 1e-10
"""Relative rounding of float64 through hundreds of steps of a network."""
FORMULA_ROUNDING = 1e-12
"""Relative rounding of a formula in float64."""
BASELINE, REGULARIZED = 0, 1
"""Indices of the arms of a run with one strength."""

NETWORK = {"points": 6, "hidden": 8, "depth": 2, "replicates": 1, "lr": 0.02}
"""A small network: one replicate is compared, parameter by parameter."""
NO_GRADIENT = {"points": 1, "x_min": 0.0, "depth": 0, "replicates": 1}
"""A linear model whose only input is x = 0: its weight never changes the loss."""
LINEAR: dict[str, Any] = {"depth": 0, "x_min": -0.5, "lr": 0.3, "momentum": 0.5}
"""A linear model that converges quickly, with columns (1, x) that are not orthogonal."""
CUBIC = LINEAR | {"features": "polynomial:3", "lr": 0.1, "momentum": 0.9}
"""A model that is far from converged after 100 epochs."""
FIXED_DESIGN = LINEAR | {"epochs": 40, "replicates": 1000}
LASSO = CUBIC | {"epochs": 2000, "replicates": 5}
DROPOUT_RIDGE = LINEAR | {"epochs": 60, "log_every": 10, "replicates": 500}
DEEP = {"epochs": 50, "depth": 2, "hidden": 20, "replicates": 20}
SCALE = DropoutScale(units=1000, trials=1000)

CASES: list[Case] = []


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


def case_of(source: str, study: BaseStudy) -> Callable[[Compare], Compare]:
    """Add a comparison to the cases; its docstring says "Whether", the statement and a dot."""

    def add(compare: Compare) -> Compare:
        statement = (compare.__doc__ or "").removeprefix("Whether ").removesuffix(".")
        CASES.append(Case(compare.__name__.replace("_", "-"), statement, source, study, compare))
        return compare

    return add


def case(
    source: str, command: str, *strengths: float, **values: Any
) -> Callable[[Compare], Compare]:
    """Add a case whose study is in float64 and logs the last epoch only, unless told otherwise."""
    kind = REGULARIZERS[command]
    return case_of_arms(source, [Arm((kind(strength),)) for strength in strengths], **values)


def case_of_arms(source: str, arms: list[Arm], **values: Any) -> Callable[[Compare], Compare]:
    """Add a case of any arms; see `case`."""
    values = {"dtype": "float64", "log_every": values["epochs"]} | values
    study = build(Study, values, arms=arms)
    unknown = set(values) - {key for key, _ in settings_of((Study,))}
    assert not unknown, unknown
    return case_of(source, study)


def strength_of(result: Result) -> float:
    """Return the strength of the regularized arm."""
    return result.study.arms[REGULARIZED].parts[0].strength


def initial_parameters(result: Result, replicate: int = 0) -> plain.Parameters:
    """Return a replicate's initial weights and biases, which all arms share."""
    start = draw_start(result.study, result.study.seeds[replicate])
    return [parameter.double().numpy() for parameter in start.parameters[0]]


def final_parameters(result: Result, arm: int) -> Array:
    """Return the first replicate's parameters after the last epoch, in one row `(P,)`."""
    return np.concatenate([p[arm].ravel() for p in result.history.named("parameters").values()])


def design_matrices(result: Result) -> tuple[Array, Array]:
    """Return the design matrix of a linear model at the training inputs and on the grid."""
    powers = range(1, result.study.network.input_size + 1)
    at_train, at_grid = (
        theory.with_bias(np.stack([x**power for power in powers], axis=1))
        for x in (result.history.train_x, result.history.grid_x)
    )
    return at_train, at_grid


def descended(result: Result, penalty: Array) -> Array:
    """Return what descent with penalty ½wᵀCw predicts at the kept epochs: `(K, R, G)`."""
    (at_train, at_grid), history = design_matrices(result), result.history
    starts = [initial_parameters(result, r) for r in range(result.study.replicates)]
    start = np.array([np.append(bias, weight) for weight, bias in starts]).T
    step, epochs = (result.study.training.lr, result.study.training.momentum), history.kept_epochs
    weights = theory.momentum_descent(at_train, history.train_y.T, start, penalty, *step, epochs)
    return (at_grid @ weights).transpose(0, 2, 1)
