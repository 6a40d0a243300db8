"""What every regularizer must do, as cases of `verify`: the package's own and plug-ins alike.

A statement is a function of the result of one small study; what it compares with it trains itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.engines import PASSED
from regbench.experiments.training import complete, plan
from regbench.regularizers import BY_CLASS, Arm
from regbench.settings.groups import Machine, Question
from regbench.settings.parse import build
from regbench.settings.study import Study
from regbench.verify.runner import Agreement, Case, compare_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.analysis.history import History
    from regbench.analysis.result import Result
    from regbench.regularizers import Regularizer

SIZES: dict[str, Any] = {"points": 6, "hidden": 12, "depth": 2, "epochs": 50, "log_every": 10}
SIZES |= {"replicates": 3, "dtype": "float64"}
BASELINE, NEUTRAL, ACTIVE = 0, 1, 2
ROUNDING = 1e-10


def conformance(kind: type[Regularizer]) -> list[Case]:
    """Return the cases of a regularizer, alone and in a sum with each of the package's own."""
    PASSED.add(kind)  # its rows say what the short part would refuse
    own = Arm((kind(kind.default),))
    study = build(Study, SIZES, arms=[Arm((kind(kind.neutral),)), own])
    cases = [case_of(kind.command, word, study, check) for word, check in CHECKS.items()]
    for other in BY_CLASS.values():
        if other is not kind:
            name = f"{kind.command}+{other.command}"
            arms = [Arm((other(other.default),)), own + other(other.default)]
            cases.append(case_of(name, "", study.replaced(arms=arms), engines))
    return cases


def case_of(name: str, word: str, study: Study, check: Callable[[Result], Agreement]) -> Case:
    """Return a case whose check's docstring says "Whether", the statement and a dot."""
    statement = (check.__doc__ or "").removeprefix("Whether ").removesuffix(".")
    return Case(f"{name}{word and '-'}{word}", statement, "conformance", study, check)


def trained(result: Result, engine: str | None = None, **changes: Any) -> History:
    """Return the history of a study with some changes, on the same machine or by another engine."""
    study, began = result.study.replaced(**changes), result.environment
    where: dict[str, Any] = {
        "engine": engine or began.engine,
        "device": "cpu" if engine else began.device,
    }
    again: Result = complete(plan(study, Question(), Machine(**where))).result
    return again.history


def compare_arms(
    expected: History, measured: History, arms: tuple[int, int], limit: float
) -> Agreement:
    """Compare an arm of one history with an arm of another, as many replicates as that has."""
    one, other = arms
    count, found = measured.risk.shape[2], []
    for name in ("predictions", "train_loss", "weight_norm"):
        values = getattr(expected, name)[:, one, :count], getattr(measured, name)[:, other]
        found.append(compare_values(*values, limit))
    return max(found, key=lambda agreement: np.nan_to_num(abs(agreement.deviation), nan=np.inf))


def neutral(result: Result) -> Agreement:
    """Whether at its neutral strength it is the baseline, bit for bit."""
    return compare_arms(result.history, result.history, (BASELINE, NEUTRAL), 0.0)


def acts(result: Result) -> Agreement:
    """Whether its default strength changes every replicate."""
    baseline, active = result.history.weight_norm[-1, [BASELINE, ACTIVE]]
    return compare_values([1.0], [np.mean(active != baseline)], 0.0)


def again(result: Result) -> Agreement:
    """Whether the same run has the same bits."""
    return compare_arms(result.history, trained(result), (ACTIVE, ACTIVE), 0.0)


def arms(result: Result) -> Agreement:
    """Whether an arm more or less changes no bit of it."""
    own = result.study.arms[ACTIVE]
    other = next(kind for kind in BY_CLASS.values() if type(own.parts[0]) is not kind)
    apart = trained(result, arms=[own, own + other(other.default)])
    return compare_arms(result.history, apart, (ACTIVE, 1), 0.0)


def replicates(result: Result) -> Agreement:
    """Whether a replicate is the same alone: hooks reduce over no axis of replicates."""
    alone = trained(result, replicates=1)
    return compare_arms(result.history, alone, (ACTIVE, ACTIVE), ROUNDING)


def engines(result: Result) -> Agreement:
    """Whether the engines agree on it."""
    other = "batched" if result.environment.engine == "reference" else "reference"
    return compare_arms(trained(result, other), result.history, (ACTIVE, ACTIVE), ROUNDING)


def linear(result: Result) -> Agreement:
    """Whether a linear model trains with it, and the engines agree."""
    one, other = (
        trained(result, engine, network=result.study.network.replaced(depth=0))
        for engine in ("reference", "batched")
    )
    return compare_arms(one, other, (ACTIVE, ACTIVE), ROUNDING)


CHECKS = {
    check.__name__: check for check in (neutral, acts, again, arms, replicates, engines, linear)
}
