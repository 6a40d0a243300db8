"""What cases are made of: what must hold, what is trained, what is compared.

A case is a function whose docstring says what must hold. Knows none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.engines.base import draw_start
from regbench.regularizers import REGULARIZERS, Arm
from regbench.settings.command import settings_of
from regbench.settings.dropout_scale import DropoutScale
from regbench.settings.parse import build
from regbench.settings.study import BaseStudy, Study
from regbench.verify import closed_forms as theory
from regbench.verify import numpy_network as plain
from regbench.verify.runner import Case, Compare

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.analysis.history import Array
    from regbench.analysis.result import Result

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
