"""The command line: parse, call, print, exit code. No arithmetic and no training.

Every option is made from a setting of `config.py`, and every training command from a registered
regularizer. Heavy modules are imported by the commands that use them, when they run.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, get_args, get_origin

import typer

from regbench import commands
from regbench.errors import RegbenchError, UsageError, cannot_write, error_line
from regbench.process.signals import stopping
from regbench.regularizers import REGULARIZERS
from regbench.settings.parse import ENVIRONMENT_PREFIX, resolve
from regbench.settings.study import (
    NetworkSettings,
    OutputSettings,
    Settings,
    TaskSettings,
    TrainingSettings,
    keys_of,
    kind_of,
    option_of,
    settings_of,
)
from regbench.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic.fields import FieldInfo

app = typer.Typer(
    name="regbench",
    help="Measure what a regularizer really does to a network: a baseline and regularized "
    "networks, trained side by side on the same data from the same initial weights.",
    add_completion=False,
    pretty_exceptions_enable=False,
)

PANELS: dict[str, type[Settings]] = {
    "Task": TaskSettings,
    "Network": NetworkSettings,
    "Training": TrainingSettings,
    "Output": OutputSettings,
}
METAVARS: dict[Any, str] = {int: "N", float: "X", tuple[float, ...]: "X,X,..."}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted, 143 terminated.
    """
    atexit.register(gc.freeze)  # the last collection would visit all that torch made: half a second
    try:
        command = typer.main.get_command(app)
        with stopping("interrupted"):
            code = command.main(arguments, prog_name="regbench", standalone_mode=False)
            sys.stdout.flush()
    except typer.TyperException as error:
        code = fail(error.exit_code, error.format_message())
    except RegbenchError as error:
        code = fail(error.exit_code, str(error))
    except OSError as error:
        code = fail(1, cannot_write(error))
    sys.exit(code)


def fail(code: int, message: str) -> int:
    """Print one line on stderr and return the exit code."""
    print(error_line(message), file=sys.stderr)
    return code


@app.callback(invoke_without_command=True)
def options_before_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Handle what stands before the subcommand."""
    if version:
        typer.echo(f"regbench {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def add_command(experiment: str, summary: str, run: Callable[[Any], int]) -> None:
    """Add a subcommand with an option for each of its settings."""

    def command(**given: Any) -> int:
        flags: dict[str, Any] = {
            name.removesuffix("_"): value
            for name, value in given.items()
            if value or value is False
        }
        files = flags.pop("config", [])
        if len(files) > 1:
            raise UsageError(f"--config: given {len(files)} times; give it once")
        return run(resolve(experiment, flags, os.environ, files[0] if files else None))

    fields = settings_of(experiment)
    order = ["Experiment", *PANELS]
    keys = sorted(fields, key=lambda key: order.index(panel_of(key)))
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *(make_option(experiment, key, fields[key]) for key in keys),
            parameter("config", list[str], "TOML file of settings.", "Experiment", metavar="FILE"),
        ]
    )
    app.command(experiment, help=summary)(command)


def panel_of(key: str) -> str:
    """Return the panel of the help that a setting stands in."""
    for panel, settings in PANELS.items():
        if key in keys_of(settings):
            return panel
    return "Experiment"


def make_option(experiment: str, key: str, field: FieldInfo) -> inspect.Parameter:
    """Return the command's parameter for a setting. Texts stay texts: `sources.py` parses them."""
    default = field.default
    if key in {regularizer.option for regularizer in REGULARIZERS.values()}:
        default = REGULARIZERS[experiment].default if experiment in REGULARIZERS else default[0]
    meaning = field.description or "Strength of the regularizer, one or several: an arm each."
    if default is not None and not field.default_factory and not isinstance(default, bool):
        bracket = "\\[" if isinstance(default, str) else "["  # `[auto]` would be markup
        meaning += f" {bracket}{default}]"
    is_switch = field.annotation is bool
    return parameter(
        key,
        bool if is_switch else list[str],
        meaning,
        panel_of(key),
        metavar=None if is_switch else metavar_of(field),
        negation=f"/--no-{key}" if default is True else "",
    )


def metavar_of(field: FieldInfo) -> str:
    """Return what stands for a setting's value in the help."""
    kind = kind_of(field)
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    return METAVARS.get(kind, "TEXT")


def parameter(
    key: str, kind: Any, meaning: str, panel: str, metavar: str | None, negation: str = ""
) -> inspect.Parameter:
    """Return a keyword parameter that Typer turns into an option, None where not given."""
    option = typer.Option(
        option_of(key) + negation, metavar=metavar, help=meaning, rich_help_panel=panel
    )
    return inspect.Parameter(
        f"{key}_",  # `lambda` is no identifier
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, option],
    )


RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="The run's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print the closing lines only.")]


for regularizer in REGULARIZERS.values():
    add_command(regularizer.command, regularizer.summary, commands.run_training)
add_command(
    "dropout-scale",
    "Measure the output of a dropout layer in training and evaluation mode.",
    commands.run_scale,
)


@app.command()
def verify(
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="Row to verify, one or several."),
    ] = None,
    engine: Annotated[
        list[str] | None,
        typer.Option("--engine", metavar="NAME", help="auto, reference, batched or fused."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N."),
    ] = None,
    threads: Annotated[
        list[str] | None,
        typer.Option("--threads", metavar="N", help="CPU threads; one per core where not given."),
    ] = None,
    json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Train cases with known answers and print what theory predicts beside what came out."""
    given = {"engine": engine, "device": device, "threads": threads}
    variables = {option: f"{ENVIRONMENT_PREFIX}{option.upper()}" for option in given}
    machine = resolve(
        "wdecay",
        {option: texts for option, texts in given.items() if texts},
        {name: os.environ[name] for name in variables.values() if name in os.environ},
    )
    names = [name for text in only or [] for name in text.split(",")]
    return commands.verify_cases(machine, names, is_json=json, is_quiet=quiet)


@app.command()
def resume(
    run: RunFolder,
    allow_mixed: Annotated[
        bool,
        typer.Option("--allow-mixed", help="Finish it with other versions or another device."),
    ] = False,
    json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Finish a run that was cut off."""
    return commands.resume_run(run, {"json_": json, "quiet": quiet}, allow_mixed)


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
        raise UsageError("--yes: means nothing without --prune")
    roots = root or []
    if len(roots) > 1:
        raise UsageError(f"--root: given {len(roots)} times; give it once")
    return commands.list_runs(roots[0] if roots else None, json, prune, yes)


@app.command()
def report(
    run: RunFolder,
    files: Annotated[bool, typer.Option("--files", help="Make a run's files again.")] = False,
    json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Show a run again from its blocks, finished or not."""
    return commands.report_run(run, {"json_": json, "quiet": quiet}, is_rewriting=files)
