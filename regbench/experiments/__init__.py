"""The commands that make runs, a run's plan before it begins, and who hears of it while it goes on.

Knows nothing about how networks are trained.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from regbench.errors import UsageError, option_of, suggestion
from regbench.regularizers import REGULARIZERS
from regbench.regularizers.plugins import named, place_of
from regbench.settings import parse
from regbench.settings.base import is_hidden
from regbench.settings.command import Arms, Command, strengths_of
from regbench.settings.groups import Judging, Machine, Output, Question, Scores
from regbench.settings.over import Values
from regbench.settings.study import BaseStudy, DropoutScale, Study
from regbench.settings.table import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from regbench.analysis.history import History
    from regbench.executors import Executor
    from regbench.regularizers import Arm, Regularizer
    from regbench.settings.command import Request
    from regbench.settings.groups import Environment
    from regbench.settings.parse import FindRegularizer
    from regbench.settings.rows import Rows
    from regbench.storage.blocks import Provenance

__all__ = ["COMMANDS", "JUDGE", "Observer", "Plan", "command_of", "resolve"]
__all__ += ["no_such_option", "stored_command"]

TRAINING = (Study, Source, Values, Question, Machine, Output)


def examples_of(kind: type[Regularizer]) -> tuple[str, ...]:
    """Return what may follow the command of a regularizer: one strength, a sweep, another task."""
    option, default = f"--{kind.option.replace('_', '-')}", kind.default
    return (
        f"{option} {default:g}",
        f"{option} {default / 4:g},{default / 2:g},{default:g} --confirm 30",
        f"{option} {default:g} --truth sine --format markdown",
    )


TAKEN = {*Command("", "", TRAINING).settings, "arms", "experiment", "config", "plugin", "help"}
"""Names that a regularizer's option must not have."""


class Commands(dict[str, Command]):
    """By name, the commands that make a run. Plug-ins are found too, and not listed."""

    def __missing__(self, name: str) -> Command:
        if kind := named(name):
            return training_command(kind)
        raise KeyError(name)


def training_command(kind: type[Regularizer]) -> Command:
    """Return the command of a regularizer; raises `UsageError` where its option is another's."""
    if kind.option in TAKEN:
        problem = f"whose option --{kind.option} has another meaning in every command"
        raise UsageError(f"plug-in {place_of(kind.origin)}", kind.command, problem=problem)
    groups = (strengths_of(kind), *TRAINING)
    return Command(kind.command, kind.summary, groups, kind, examples_of(kind))


COMMANDS = Commands(
    (command.name, command)
    for command in (
        *map(training_command, REGULARIZERS.values()),
        Command(
            "compare",
            "Compare any arms with the baseline: regularizers, sums of them, and ranges.",
            (Arms, *TRAINING),
            examples=(
                "wdecay=0.01 dropout=0.5 wdecay=0.01+dropout=0.5",
                "dropout=0.5+l1=logspace:1e-4:1e-2:5",
                "wdecay=0.01 decoupled=0.1 --optimizer adam",
            ),
        ),
        Command(
            "dropout-scale",
            "Measure the output of a dropout layer in training and evaluation mode.",
            (DropoutScale, Output),
            examples=("--p 0.1,0.5", "--p 0.5 --format csv"),
        ),
    )
)


def read(source: Source) -> Rows:
    """Return the rows of a table's file; see `tasks.reading`."""
    from regbench.tasks.reading import read

    return read(source)


JUDGE = Command(
    "judge",
    "Judge scores from anywhere: is an arm better than the baseline, and how sure is that?",
    (Scores, Judging),
    examples=(
        "scores.csv --better higher",
        "scores.csv --better higher --out answer",
        "scores.csv --splits 900/100 --json",
        "RUN RUN",
    ),
)
"""What judges scores; it trains nothing."""


def stored_command(name: str, find: FindRegularizer) -> Command | None:
    """Return the command that has made a run, or None; `find` returns a regularizer by its name.

    No plug-in is loaded for it.
    """
    kind = find(name)
    return COMMANDS.get(name) or (training_command(kind) if kind else None)


def command_of(study: BaseStudy) -> Command:
    """Return the command that takes a study from Python: of several the one of most arms."""
    keys = study.by_key().keys()
    return next(c for c in (*reversed(COMMANDS.values()), JUDGE) if keys <= c.settings.keys())


def resolve(
    name: str,
    flags: Mapping[str, list[str] | bool],
    environment: Mapping[str, str] = MappingProxyType({}),
    file: str | None = None,
) -> Request:
    """Return what a command was asked; see `settings.parse.resolve`."""
    others = {"plugins", "key_file"}  # which have no option
    keys = others.union(*(command.settings for command in COMMANDS.values()))
    return parse.resolve(COMMANDS[name], flags, environment, file, keys, read=read)


def no_such_option(option: str, command: str) -> UsageError:
    """Return what to say of an option that a command lacks: whose it is, or which one was meant."""
    own = COMMANDS.get(command)
    key = option.lstrip("-").removeprefix("no-").replace("-", "_")
    shown = [key for key, s in own.settings.items() if not is_hidden(s.field)] if own else []
    hint = suggestion(option, map(option_of, [*shown, "strength"] if own else ()))
    if own and own.regularizer:
        hint = hint.replace("--strength", option_of(own.regularizer.option))
    found = ((name, other.settings.get(key)) for name, other in COMMANDS.items())
    if others := [name for name, has in found if has and not is_hidden(has.field)]:
        hint = f"it belongs to {', '.join(others)}"
    if own and own.regularizer and key in {kind.option for kind in REGULARIZERS.values()}:
        hint += f"; the strength of {command} is {option_of(own.regularizer.option)}"
    return UsageError(option, problem=f"no option of {command}", hint=hint)


@dataclass(frozen=True)
class Plan:
    """Feasible work, and about how long it takes.

    The run began in `environment`; engine, device, threads and provenance are those of today.
    Without an executor nothing is trained, and blocks are read back only.
    """

    study: Any  # a `Study`, an `Over`, or what else is planned
    question: Question
    environment: Environment
    engine: str = ""
    device: str = "cpu"
    reason: str = ""
    """Why the engine is not the fastest one of the device, in brackets, or nothing."""
    provenance: Provenance = field(default_factory=dict)
    executor: Executor | None = None
    work: str = "training"
    seconds: float = 0.0


class Observer:
    """Who hears of a run while it goes on. Does nothing by default."""

    def stage(
        self, what: str, total: int, labels: Mapping[str, str] = MappingProxyType({})
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Follow a stage of the work; within, what is yielded takes the amount done since.

        `labels` is what the arms are called, by name.
        """
        return nullcontext(lambda amount: None)

    def finish(self, arms: Sequence[Arm], seeds: Sequence[int], history: History) -> None:
        """Take what the replicates of some seeds have come to in arms, from any thread."""

    def estimate(self, work: str, seconds: float) -> None:
        """Take about how long the work will take that begins now."""

    def say(self, line: str) -> None:
        """Take a line about what a stage has decided."""

    def warn(self, line: str) -> None:
        """Take a line that explains why nothing seems to happen."""


SILENT = Observer()
