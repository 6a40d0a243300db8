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
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn, get_args, get_origin

import typer

from regbench.config import (
    DropoutScale,
    NetworkSettings,
    OutputSettings,
    Settings,
    TaskSettings,
    TrainingExperiment,
    TrainingSettings,
    keys_of,
    option_of,
    settings_of,
)
from regbench.errors import RegbenchError, UsageError, visible
from regbench.regularizers import REGULARIZERS
from regbench.sources import ENVIRONMENT_PREFIX, resolve
from regbench.store import create_run_folder
from regbench.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydantic.fields import FieldInfo
    from rich.console import Console

    from regbench.config import Experiment

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
VERIFY_KEYS = ("engine", "device", "threads", "json", "quiet")
"""The settings of training that `verify` has too."""
INTERRUPTED = 130
METAVARS: dict[Any, str] = {int: "N", float: "X", tuple[float, ...]: "X,X,..."}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    atexit.register(gc.freeze)  # the last collection would visit all that torch made: half a second
    try:
        command = typer.main.get_command(app)
        code = command.main(arguments, prog_name="regbench", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # Typer's own answer to Ctrl-C
            fail(code, "interrupted; this run is not complete")
    except typer.TyperException as error:
        code = fail(error.exit_code, error.format_message())
    except RegbenchError as error:
        code = fail(error.exit_code, str(error))
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        code = 0
        silence_stdout()
    except OSError as error:
        code = fail(1, f"cannot write: {error.strerror or error}")
        silence_stdout()
    sys.exit(code)


def fail(code: int, message: str) -> int:
    """Print one line on stderr and return the exit code."""
    line = " ".join(visible(message, limit=1000)[1:-1].split())
    print(f"regbench: error: {line}", file=sys.stderr)
    return code


def silence_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's last flush cannot fail."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
    if get_origin(field.annotation) is Literal:
        return "|".join(get_args(field.annotation))
    return METAVARS.get(field.annotation, "TEXT")


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


def run_training(settings: TrainingExperiment) -> int:
    """Train, show and record an experiment; returns the exit code."""
    from regbench.experiment import plan, run
    from regbench.report import files, tables
    from regbench.report.terminal import make_consoles, print_line, progress

    work = plan(settings)
    folder = create_run_folder(settings.out, settings.experiment, settings.hash)
    files.write_settings(settings, folder)
    details, closing, errors = make_consoles(settings.quiet, settings.json_)
    tables.print_training_header(details, settings, work.engine, str(work.device))
    with progress(errors, "training", work.total_epochs, settings.quiet) as advance:
        result = run(work, advance)
    tables.print_loss_table(details, result)
    tables.print_verdicts(closing, result)
    with progress(
        errors, "pictures and logs", len(result.history.epochs), settings.quiet
    ) as advance:
        document, notes = files.write_training(result, folder, advance)
    finish(settings, document, folder, closing)
    for line in [*notes, *tables.divergence_lines(result)]:
        print_line(errors, line)
    return 1 if result.divergences else 0


def run_scale(settings: DropoutScale) -> int:
    """Draw, show and record the dropout-scale experiment; returns the exit code."""
    from regbench.dropout_scale import run_dropout_scale
    from regbench.report import files, tables
    from regbench.report.terminal import make_consoles, progress

    folder = create_run_folder(settings.out, settings.experiment, settings.hash)
    files.write_settings(settings, folder)
    details, closing, errors = make_consoles(settings.quiet, settings.json_)
    tables.print_scale_header(details, settings)
    with progress(errors, "drawing", settings.trials * len(settings.p), settings.quiet) as advance:
        result = run_dropout_scale(settings, advance)
    tables.print_scale_tables(details, result)
    tables.print_scale_verdicts(closing, result)
    with progress(errors, "pictures and logs", len(settings.p), settings.quiet) as advance:
        document = files.write_scale(result, folder, advance)
    finish(settings, document, folder, closing)
    return 0 if all(scale.fits_law for scale in result.scales) else 1


def add_verify() -> None:
    """Add `verify`, whose machine settings are those of training."""

    def command(**given: Any) -> int:
        flags: dict[str, Any] = {name[:-1]: value for name, value in given.items() if value}
        names = [name for text in flags.pop("only", []) for name in text.split(",")]
        variables = {f"{ENVIRONMENT_PREFIX}{key.upper()}" for key in VERIFY_KEYS}
        environment = {name: os.environ[name] for name in variables & set(os.environ)}
        settings = resolve("wdecay", flags, environment)
        assert isinstance(settings, TrainingExperiment)
        return run_verify(settings, names)

    fields = settings_of("wdecay")
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            parameter("only", list[str], "Row to verify; may be repeated.", "Rows", metavar="NAME"),
            *(make_option("wdecay", key, fields[key]) for key in VERIFY_KEYS),
        ]
    )
    summary = "Run cases with known answers and print what theory predicts beside what came out."
    app.command("verify", help=summary)(command)


def run_verify(machine: TrainingExperiment, names: list[str]) -> int:
    """Verify the cases of some names, or all; returns 1 where one fails or none was run."""
    from regbench.engines import choose_device
    from regbench.report import result_json, verification
    from regbench.report.terminal import make_consoles, progress
    from regbench.verification import select, verify
    from regbench.verification_cases import CASES

    cases, device = select(CASES, names), choose_device(machine)
    details, closing, errors = make_consoles(machine.quiet, machine.json_)
    with progress(errors, "verifying", len(cases), machine.quiet) as advance:
        verified = verify(cases, machine, device, advance)
    verification.print_verification(details, verified)
    verification.print_closing(closing, verified)
    if machine.json_:
        document = verification.verification_document(verified, machine, names)
        sys.stdout.write(result_json.to_text(document))
    return 0 if verified.holds else 1


def finish(settings: Experiment, document: str, folder: Path, closing: Console) -> None:
    """Say where the files are, or print the document."""
    from regbench.report import tables

    if settings.json_:
        sys.stdout.write(document)
    else:
        tables.print_files(closing, folder, settings.tensorboard)


for regularizer in REGULARIZERS.values():
    add_command(regularizer.command, regularizer.summary, run_training)
add_command(
    "dropout-scale",
    "Measure the output of a dropout layer in training and evaluation mode.",
    run_scale,
)
add_verify()
