"""The experiments, and the commands that run them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from regbench.experiments.base import Observer, Plan, experiment_of
from regbench.experiments.dropout_scale import DropoutScale
from regbench.regularizers import REGULARIZERS
from regbench.settings import parse
from regbench.settings.command import Arms, Command, strengths_of
from regbench.settings.machine import Machine
from regbench.settings.output import Output
from regbench.settings.question import Question
from regbench.settings.study import BaseStudy, Study

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regbench.settings.command import Request

__all__ = ["COMMANDS", "Observer", "Plan", "command_of", "experiment_of", "resolve"]

TRAINING = (Study, Question, Machine, Output)
COMMANDS = {
    command.name: command
    for command in (
        *(
            Command(kind.command, kind.summary, (strengths_of(kind), *TRAINING), kind)
            for kind in REGULARIZERS.values()
        ),
        Command(
            "compare",
            "Compare any arms with the baseline: regularizers, sums of them, and ranges.",
            (Arms, *TRAINING),
        ),
        Command(
            "dropout-scale",
            "Measure the output of a dropout layer in training and evaluation mode.",
            (DropoutScale, Output),
        ),
    )
}
"""By name, the commands that make a run."""


def command_of(study: BaseStudy) -> Command:
    """Return the command that takes a study from Python: of several the one of most arms."""
    return next(c for c in reversed(COMMANDS.values()) if type(study) in c.groups)


def resolve(
    name: str,
    flags: Mapping[str, list[str] | bool],
    environment: Mapping[str, str] = MappingProxyType({}),
    file: str | None = None,
) -> Request:
    """Return what a command was asked; see `settings.parse.resolve`."""
    keys = {key for command in COMMANDS.values() for key in command.settings}
    return parse.resolve(COMMANDS[name], flags, environment, file, keys)
