"""The experiments, and the commands that run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regbench.errors import UsageError, suggestion, visible
from regbench.experiments.base import Observer, Plan, experiment_of
from regbench.experiments.dropout_scale import DropoutScale
from regbench.regularizers import REGULARIZERS
from regbench.settings import parse
from regbench.settings.command import Command
from regbench.settings.machine import Machine
from regbench.settings.output import Output
from regbench.settings.question import Question
from regbench.settings.study import Study

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from regbench.settings.command import Request

__all__ = ["COMMANDS", "Observer", "Plan", "experiment_of", "plan", "resolve", "run"]

COMMANDS = {
    command.name: command
    for command in (
        *(
            Command(kind.command, kind.summary, (Study, Question, Machine, Output), kind)
            for kind in REGULARIZERS.values()
        ),
        Command(
            "compare",
            "Compare any arms with the baseline: regularizers, sums of them, and ranges.",
            (Study, Question, Machine, Output),
            has_arms=True,
        ),
        Command(
            "dropout-scale",
            "Measure the output of a dropout layer in training and evaluation mode.",
            (DropoutScale, Output),
        ),
    )
}
"""By name, the commands that make a run."""


def resolve(
    experiment: str,
    flags: Mapping[str, list[str] | bool],
    environment: Mapping[str, str] | None = None,
    file: str | None = None,
) -> Request:
    """Return what an experiment is asked; see `settings.parse.resolve`.

    Raises:
        UsageError: There is no such experiment, or a setting is wrong.
    """
    if experiment not in COMMANDS:
        hint = suggestion(experiment, COMMANDS)
        allowed = "" if hint else ", ".join(COMMANDS)
        problem = "no such experiment"
        raise UsageError(visible(experiment), problem=problem, allowed=allowed, hint=hint)
    keys = {key for command in COMMANDS.values() for key in command.settings}
    return parse.resolve(COMMANDS[experiment], flags, environment or {}, file, keys)


def plan(request: Request) -> Plan:
    """Choose how to compute what was asked, and check that it fits the machine.

    Raises:
        UsageError: The machine lacks what was asked for, or the work is out of all proportion.
    """
    try:
        experiment = experiment_of(request.study)
        return experiment.plan(request.study, request.question, request.machine)
    except UsageError as error:
        raise error.named(request.origins) from None


def run(plan: Plan) -> Any:
    """Compute a plan and return its result; nothing is stored.

    Raises:
        UsageError: What a pilot asks for does not fit the machine.
        RunError: The machine ran out of memory.
    """
    return experiment_of(plan.study).run(plan)
