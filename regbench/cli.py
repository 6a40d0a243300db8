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
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, get_args, get_origin

import typer

from regbench import __version__, commands
from regbench.errors import RegbenchError, UsageError, cannot_write, error_line, option_of
from regbench.experiments import COMMANDS, resolve
from regbench.process.signals import stopping
from regbench.settings import parse
from regbench.settings.base import is_list, kind_of
from regbench.settings.command import Command
from regbench.settings.machine import Machine

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

PANELS = ["Experiment", "Statistics", "Task", "Network", "Training", "Machine", "Output"]
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


def add_command(command: Command) -> None:
    """Add a subcommand with an option for each of its settings."""

    def run(**given: Any) -> int:
        flags: dict[str, Any] = {
            name.removesuffix("_"): value
            for name, value in given.items()
            if value or value is False
        }
        files = flags.pop("config", None)
        file = parse.only("--config", files) if files else None
        return commands.run_experiment(resolve(command.name, flags, os.environ, file))

    settings = command.settings
    keys = sorted(settings, key=lambda key: PANELS.index(settings[key].panel))
    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            *(make_option(key, settings[key]) for key in keys),
            parameter("config", list[str], "TOML file of settings.", PANELS[0], metavar="FILE"),
        ]
    )
    app.command(command.name, help=command.summary)(run)


def make_option(key: str, setting: Setting) -> inspect.Parameter:
    """Return the command's parameter for a setting. Texts stay texts: `parse.py` reads them."""
    field, meaning = setting.field, setting.field.description or ""
    if key == "arms":
        argument = typer.Argument(metavar="ARM", help=meaning, show_default=False)
        annotation = Annotated[list[str] | None, argument]
        kind = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter("arms_", kind, default=None, annotation=annotation)
    default = field.default[0] if is_list(field) else field.default
    if default is not None and not field.default_factory and not isinstance(default, bool):
        bracket = "\\[" if isinstance(default, str) else "["  # `[auto]` would be markup
        meaning += f" {bracket}{default}]"
    is_switch = field.annotation is bool
    return parameter(
        key,
        bool if is_switch else list[str],
        meaning,
        setting.panel,
        metavar=None if is_switch else metavar_of(field),
        negation=f"/--no-{key}" if default is True else "",
    )


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
    return commands.verify_cases(
        request, names, is_json=bool(given["json_"]), is_quiet=bool(given["quiet_"])
    )


verify.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        parameter("only", list[str], "Row to verify, one or several.", "Rows", metavar="NAME"),
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
        raise UsageError("--yes", problem="means nothing without --prune")
    folder = parse.only("--root", root) if root else None
    return commands.list_runs(folder, json, prune, yes)


@app.command()
def report(
    run: RunFolder,
    files: Annotated[bool, typer.Option("--files", help="Make a run's files again.")] = False,
    json: AsJson = False,
    quiet: Quiet = False,
) -> int:
    """Show a run again from its blocks, finished or not."""
    return commands.report_run(run, {"json_": json, "quiet": quiet}, is_rewriting=files)
