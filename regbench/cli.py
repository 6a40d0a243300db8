"""The command line: parse, call, print, exit code. No arithmetic and no training.

Every option is made from a setting, and every command that makes a run from what the experiments
offer. Heavy modules are imported by the commands that use them, when they run.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import os
import sys
import traceback
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, get_args, get_origin

import typer

from regbench import __version__, commands
from regbench.errors import (
    RegbenchError,
    RunError,
    UsageError,
    cannot_write,
    error_line,
    option_of,
    unexpected,
)
from regbench.experiments import COMMANDS, resolve
from regbench.process.signals import stopping
from regbench.settings import parse
from regbench.settings.base import is_list, kind_of
from regbench.settings.command import Command
from regbench.settings.machine import Machine
from regbench.settings.output import FigureFormat  # noqa: TC001 - Typer reads it

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from regbench.settings.command import Setting

app = typer.Typer(
    name="regbench",
    help="Measure what a regularizer really does to a network: a baseline and regularized "
    "networks, trained side by side on the same data from the same initial weights.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

DEBUG = "--debug"
PANELS = ["Experiment", "Statistics", "Task", "Network", "Training", "Machine", "Output"]
METAVARS: dict[Any, str] = {int: "N", float: "X", tuple[float, ...]: "X,X,..."}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated."""
    atexit.register(gc.freeze)  # the last collection would visit all that torch made: half a second
    arguments = sys.argv[1:] if arguments is None else arguments
    commands.is_debugging = DEBUG in arguments
    try:
        command = typer.main.get_command(app)
        require_folder()
        forget_odd_sizes()
        with stopping("interrupted"):
            given = [argument for argument in arguments if argument != DEBUG]
            code = command.main(given, prog_name="regbench", standalone_mode=False)
            sys.stdout.flush()
        sys.exit(code)
    except Exception as error:
        if commands.is_debugging:
            traceback.print_exc()
        code, message = explain(error)
    print(error_line(message), file=sys.stderr)
    sys.exit(code)


def forget_odd_sizes() -> None:
    """Unset variables of a terminal's size that hold none: libraries fail, or print nothing."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        text = os.environ.get(name, "")
        if not (text.isascii() and text.isdigit() and 20 <= int(text[:9]) <= 1000):
            os.environ.pop(name, None)


def require_folder() -> None:
    """Raise `RunError` where the current folder was removed: libraries fail in odd ways then."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        raise RunError("the current folder is no longer there: cd to one that is") from None


def explain(error: Exception) -> tuple[int, str]:
    """Return the exit code of an error, and what to say of it."""
    if isinstance(error, typer.TyperException):
        return error.exit_code, error.format_message()
    if isinstance(error, RegbenchError):
        return error.exit_code, str(error)
    return 1, cannot_write(error) if isinstance(error, OSError) else unexpected(error)


@app.callback(invoke_without_command=True)
def options_before_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="Show the traceback of an error, of any command.")
    ] = False,
) -> None:
    """Handle what stands before the subcommand."""
    if version:
        typer.echo(f"regbench {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def add_command(command: Command) -> None:
    """Add a subcommand with an option for each of its settings."""

    def run(**given: Any) -> int:
        flags = {key.removesuffix("_"): v for key, v in given.items() if v or v is False}
        files = flags.pop("config", None)
        file = parse.only("--config", files) if files else None
        return commands.run_experiment(resolve(command.name, flags, os.environ, file))

    settings = command.settings
    keys = sorted(settings, key=lambda key: PANELS.index(settings[key].panel))
    options = [make_option(key, settings[key]) for key in keys]
    options.append(parameter("config", list[str], "TOML file of settings.", PANELS[0], "FILE"))
    run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    app.command(command.name, help=command.summary)(run)


def make_option(key: str, setting: Setting) -> inspect.Parameter:
    """Return the command's parameter for a setting. Texts stay texts: `parse.py` reads them."""
    field, meaning = setting.field, setting.field.description or ""
    default = next(iter(field.default), None) if is_list(field) else field.default
    if default is not None and not field.default_factory and not isinstance(default, bool):
        bracket = "\\[" if isinstance(default, str) else "["  # `[auto]` would be markup
        meaning += f" {bracket}{default}]"
    if field.annotation is bool:
        negation = f"/--no-{key}" if default else ""
        return parameter(key, bool, meaning, setting.panel, None, negation)
    return parameter(key, list[str], meaning, setting.panel, metavar_of(field))


def metavar_of(field: FieldInfo) -> str:
    """Return what stands for a setting's value in the help."""
    kind, extra = kind_of(field), field.json_schema_extra
    if isinstance(extra, dict) and "metavar" in extra:
        return str(extra["metavar"])
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    return METAVARS.get(kind, "TEXT")


def parameter(
    key: str, kind: Any, meaning: str, panel: str, metavar: str | None, negation: str = ""
) -> inspect.Parameter:
    """Return a keyword parameter that Typer makes an option of, or ARM; None where not given."""
    info = typer.Argument(metavar="ARM", help=meaning, show_default=False)
    if key != "arms":
        name = option_of(key) + negation
        info = typer.Option(name, metavar=metavar, help=meaning, rich_help_panel=panel)
    annotation, keyword = Annotated[kind | None, info], inspect.Parameter.KEYWORD_ONLY
    name = f"{key}_"  # `lambda` is no identifier
    return inspect.Parameter(name, keyword, default=None, annotation=annotation)


RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="The run's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Details = Annotated[
    bool, typer.Option("--details", help="Show medians, correlations and every epoch too.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the closing lines only.")]


for experiment in COMMANDS.values():
    add_command(experiment)


VERIFY = Command(
    "verify",
    "Train cases with known answers and print what theory predicts beside what came out.",
    (Machine,),
)


def verify(**given: Any) -> int:
    """Run `regbench verify`."""
    flags = {key: texts for key in VERIFY.settings if (texts := given[f"{key}_"])}
    known = {f"{parse.ENVIRONMENT_PREFIX}{key.upper()}" for key in VERIFY.settings}
    environment = {name: os.environ[name] for name in known & {*os.environ}}
    request = parse.resolve(VERIFY, flags, environment)
    names = [name for text in given["only_"] or [] for name in text.split(",")]
    return commands.verify_cases(request, names, bool(given["json_"]), bool(given["quiet_"]))


verify.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        parameter("only", list[str], "Row to verify, one or several.", "Rows", "NAME"),
        *(make_option(key, setting) for key, setting in VERIFY.settings.items()),
        parameter("json", bool, "Print one JSON document and nothing else.", "Output", None),
        parameter("quiet", bool, "Print the closing line only.", "Output", None),
    ]
)
app.command(VERIFY.name, help=VERIFY.summary)(verify)


@app.command()
def resume(
    run: RunFolder,
    allow_mixed: Annotated[
        bool,
        typer.Option("--allow-mixed", help="Finish it with other versions or another device."),
    ] = False,
    json: AsJson = False,
    details: Details = False,
    quiet: Quiet = False,
) -> int:
    """Finish a run that was cut off."""
    shown = {"json_": json, "details": details, "quiet": quiet}
    return commands.resume_run(run, shown, allow_mixed)


@app.command()
def runs(
    root: Annotated[
        list[str] | None,
        typer.Option("--root", metavar="DIR", help="Where runs are: `runs` where not given."),
    ] = None,
    prune: Annotated[
        bool,
        typer.Option("--prune", help="Show runs that were never finished, and offer to remove."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them without a question.")] = False,
    json: AsJson = False,
) -> int:
    """List the runs with state, arms, verdict and age."""
    if yes and not prune:
        raise UsageError("--yes", problem="means nothing without --prune")
    folder = parse.only("--root", root) if root else None
    return commands.list_runs(folder, json, prune, yes)


@app.command()
def report(
    run: RunFolder,
    files: Annotated[bool, typer.Option("--files", help="Make a run's files again.")] = False,
    figure_format: Annotated[
        FigureFormat | None, typer.Option("--figure-format", help="Of pictures that are made.")
    ] = None,
    json: AsJson = False,
    details: Details = False,
    quiet: Quiet = False,
) -> int:
    """Show a run again from its blocks, finished or not."""
    shown = {"json_": json, "details": details, "quiet": quiet}
    given = shown | ({"figure_format": figure_format} if figure_format else {})
    return commands.report_run(run, given, is_rewriting=files)
