"""The command line: parse, call, print, exit code. No arithmetic and no training.

Every option is made from a setting, and every command that makes a run from what the experiments
offer. Heavy modules are imported by the commands that use them, when they run.
"""

from __future__ import annotations

import atexit
import gc
import inspect
import os
import re
import shlex
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from regbench import __version__, commands, program
from regbench.errors import (
    EXIT_CODES,
    MEANT,
    RegbenchError,
    RunError,
    UsageError,
    cannot_write,
    error_line,
    option_of,
    unexpected,
)
from regbench.experiments import COMMANDS, JUDGE, no_such_option, resolve
from regbench.process import complete, forget_odd_sizes, stopping
from regbench.regularizers import REGULARIZERS, plugins
from regbench.settings import parse
from regbench.settings.base import bounds, choices, is_hidden, is_list, kind_of
from regbench.settings.command import Command
from regbench.settings.groups import Machine, Output
from regbench.storage.run_list import named_run, run_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from regbench.settings.command import Setting


class PlainSwitches:
    """Help that says nothing of the type of a switch or argument, and whose `-h` is short."""

    epilog: str | None

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Note whether it was `-h` that asked for help."""
        ctx.meta["is_brief"] = "-h" in args
        return super().parse_args(ctx, args)  # type: ignore[misc]

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters of a command; those that `-h` leaves out are hidden."""
        parameters = super().get_params(ctx)  # type: ignore[misc]
        kept = BRIEF | {kind.option for kind in REGULARIZERS.values()}
        others = [known for known in parameters if known.name.removesuffix("_") not in kept]
        is_brief = ctx.meta.get("is_brief") and len(others) < len(parameters)
        self.epilog = f"{ctx.command_path} --help shows every option." if is_brief else self.epilog
        for known in parameters:
            if getattr(known, "is_flag", True):  # which an argument has not
                known.display_type_rich = lambda ctx: ""
            known.hidden |= is_brief and known in others
        return parameters


class Group(PlainSwitches, TyperGroup):
    """The command line."""


class Subcommand(PlainSwitches, TyperCommand):
    """A command of it."""


app = typer.Typer(
    name="regbench",
    help="Measure what a regularizer really does to a network: a baseline and regularized "
    "networks, trained side by side on the same data from the same initial weights.",
    epilog="\n".join(["Exit codes:", *(f"{c:>3}  {words}" for c, words in EXIT_CODES.items())]),
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

DEBUG = "--debug"
BRIEF = {"arms", "replicates", "by", "confirm", "over", "truth", "points", "epochs"}
BRIEF |= {"data", "target", "units", "trials"}
"""What `-h` shows of a command that has some of these, besides the strength."""
HINTS = {
    **{f"No such command '{word}'": hint for word, hint in MEANT.items()},
    "Got unexpected extra": "a value follows its option: --root DIR, and several: --p 0.1,0.5",
    "No such command": "one of a plug-in needs --plugin FILE",
}
"""Hints, keyed by how typer's message begins."""
PLUGIN = "Execute this Python file and use the regularizers that it defines."
unmarked = partial(re.sub, r"(\\*)(\[[a-z#/@][^[]*?])", r"\1\1\\\2")
"""Escapes what rich would take for markup in a help text, such as `[auto]`."""
METAVARS: dict[Any, str] = {int: "N", float: "X", tuple[float, ...]: "X,X,..."}


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run and exit with one of `EXIT_CODES`."""
    atexit.register(gc.freeze)  # the last collection would visit all that torch made: half a second
    arguments = sys.argv[1:] if arguments is None else arguments
    program.is_debugging = DEBUG in arguments
    try:
        require_folder()
        forget_odd_sizes()
        with stopping("interrupted"):
            given = load_plugins([argument for argument in arguments if argument != DEBUG])
            run = partial(command_line(given).main, given, "regbench", standalone_mode=False)
            is_asked = os.environ.get("_TYPER_COMPLETE_FISH_ACTION") != "is-args"  # an exit code
            shell = os.environ.get("_REGBENCH_COMPLETE", "").partition("complete_")[2] * is_asked
            code = complete(run, shell) if shell else run()
            sys.stdout.flush()
        sys.exit(code)
    except Exception as error:
        if program.is_debugging:
            traceback.print_exc()
        code, message = explain(error)
    print(error_line(message), file=sys.stderr)
    sys.exit(code)


def load_plugins(arguments: list[str]) -> list[str]:
    """Load the file of every `--plugin`, and return the other arguments."""
    others, words = [], iter(arguments)
    for word in words:
        name, equals, path = word.partition("=")
        if name != "--plugin":
            others += [word, *(words if word == "--" else ())]
        elif not (path := path if equals else next(words, "")):
            raise UsageError("--plugin", problem="names no file")
        else:
            plugins.load_file(path)
    return others


def command_line(arguments: list[str]) -> Any:
    """Return all commands. Of plug-ins that are installed only the one that is named is loaded."""
    group: Any = typer.main.get_command(app)
    name = next((word for word in arguments if not word.startswith("-")), None)
    if name not in group.commands:
        offered = plugins.installed()
        if name in offered:
            plugins.named(name)
        for point in offered.values() if name is None else ():
            summary = f"A regularizer of {plugins.source_of(point)}."
            group.add_command(plugin_command(Command(point.name, summary, ())), point.name)
    loaded = {name: kind for name, kind in REGULARIZERS.items() if kind.origin}
    for name, kind in loaded.items():
        if name in group.commands:
            source = f"plug-in {plugins.place_of(kind.origin)}"
            raise UsageError(source, name, problem="which is a command of regbench itself")
        group.add_command(plugin_command(COMMANDS[name]), name)
    return group


def require_folder() -> None:
    """Raise `RunError` where the current folder was removed: libraries fail in odd ways then."""
    try:
        os.getcwd()  # noqa: PTH109
    except OSError:
        raise RunError("the current folder is no longer there: cd to one that is") from None


def explain(error: Any) -> tuple[int, str]:
    """Return the exit code of an error, and what to say of it."""
    if hasattr(error, "possibilities"):  # typer's error of an option that there is not
        error = no_such_option(error.option_name, error.ctx.info_name)
    if isinstance(error, typer.TyperException):
        said = error.format_message()
        hints = [hint for beginning, hint in HINTS.items() if said.startswith(beginning)]
        return error.exit_code, "; ".join([said.rstrip("."), *hints]) if hints else said
    if isinstance(error, RegbenchError):
        return error.exit_code, str(error.named({}) if isinstance(error, UsageError) else error)
    return 1, cannot_write(error) if isinstance(error, OSError) else unexpected(error)


@app.callback(invoke_without_command=True)
def options_before_command(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show the traceback of an error.")] = False,
    plugin: Annotated[list[str] | None, typer.Option(metavar="FILE", help=PLUGIN)] = None,
) -> None:
    """Handle what stands before the subcommand."""
    if version:
        typer.echo(f"regbench {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def subcommand(
    *options: inspect.Parameter,
    examples: Iterable[str] = (),
    named: Command | None = None,
    to: typer.Typer = app,
) -> Callable[[Callable[..., int]], None]:
    """Return what adds a function to the command line: its docstring is the help, or a command's.

    The function is given all options by key.
    """

    def add(run: Callable[..., int]) -> None:
        def call(**given: Any) -> int:
            return run(**{key.removesuffix("_"): value for key, value in given.items()})

        name, summary = (named.name, named.summary) if named else (run.__name__, run.__doc__ or "")
        shown = "\n".join(f"regbench {name} {words}" for words in examples)
        call.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        to.command(name, help=unmarked(f"{summary}\n\n{shown}"), cls=Subcommand)(call)

    return add


def add_experiment(command: Command, to: typer.Typer = app) -> None:
    """Add a subcommand that makes a run, with an option for each of its settings."""
    asked = {k: setting for k, setting in command.settings.items() if not is_hidden(setting.field)}
    options = [make_option(key, setting) for key, setting in asked.items()]
    options.append(
        parameter("config", list[str], "Read settings from this TOML file.", "Experiment", "FILE")
    )
    options.append(parameter("plugin", list[str], PLUGIN, "Experiment", "FILE"))

    @subcommand(*options, examples=command.examples, named=command, to=to)
    def run(config: list[str] | None, **given: Any) -> int:
        flags = {key: value for key, value in given.items() if value or value is False}
        file = parse.only("--config", config) if config else None
        return commands.run_experiment(resolve(command.name, flags, os.environ, file))


def plugin_command(command: Command) -> Any:
    """Return a subcommand by itself, for the commands of one process."""
    alone = typer.Typer(add_completion=False)
    add_experiment(command, alone)
    return typer.main.get_command(alone)


def make_option(key: str, setting: Setting) -> inspect.Parameter:
    """Return the command's parameter for a setting. Texts stay texts: `parse.py` reads them."""
    field, meaning = setting.field, setting.field.description or ""
    default = next(iter(field.default), None) if is_list(field) else field.default
    if len(limits := bounds(field, most=1000)) == 2:
        meaning = f"{meaning.removesuffix('.')}, {' '.join(limits)}."
    if default is not None and not field.default_factory and not isinstance(default, bool):
        meaning += f" [{default}]"
    if field.annotation is bool:
        negation = f"/--no-{key}" if default else ""
        return parameter(key, bool, meaning, setting.panel, None, negation)
    extra: Any = field.json_schema_extra or {}
    shown = extra.get("metavar") or "|".join(choices(field)) or METAVARS[kind_of(field)]
    return parameter(key, list[str], meaning, setting.panel, shown, words=partial(choices, field))


def parameter(
    key: str,
    kind: Any,
    meaning: str,
    panel: str,
    metavar: str | None = None,
    negation: str = "",
    words: Callable[[], Iterable[str]] = tuple,
) -> inspect.Parameter:
    """Return a keyword parameter that Typer makes an option or argument of; None where not given.

    `words` are what a shell completes it with, but for those that it would evaluate.
    """
    shown: dict[str, Any] = {"metavar": metavar, "help": unmarked(meaning)}
    shown["autocompletion"] = lambda: [word for word in words() if shlex.quote(word) == word]
    info = typer.Argument(show_default=False, **shown)
    if key not in {"arms", "run", "parts", "scores"}:
        info = typer.Option(option_of(key) + negation, rich_help_panel=panel, **shown)
    annotation, keyword = Annotated[kind | None, info], inspect.Parameter.KEYWORD_ONLY
    name = f"{key}_"  # `lambda` is no identifier
    default = inspect.Parameter.empty if key in {"run", "parts", "scores"} else None
    return inspect.Parameter(name, keyword, default=default, annotation=annotation)


for experiment in COMMANDS.values():
    add_experiment(experiment)


OUTPUT = Command("", "", (Output,)).settings
OUT_OF_JUDGE = "Write report.html, its picture and summary.json into this new folder; else nothing."
VERIFY = Command("verify", "", (Machine,))
VERIFIED = ("engine", "device", "threads")
"""The machine settings of `verify`, which trains in this process only."""
RUN = parameter("run", str, "The run's folder, or latest.", "", "RUN", words=run_names)


def output_options(*keys: str) -> list[inspect.Parameter]:
    """Return some settings of `Output` as options."""
    return [make_option(key, OUTPUT[key]) for key in keys]


def output_settings(given: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of `Output` that a command was given, by key."""
    return {
        key: value if value is True else parse.from_texts(option_of(key), OUTPUT[key].field, value)
        for key, value in given.items()
        if key in OUTPUT and value
    }


SHOWN = output_options("export", "format", "json", "quiet", "details")


@subcommand(
    parameter("only", list[str], "Verify only this row; repeatable.", "Rows", "NAME"),
    parameter("plugin", list[str], PLUGIN, "Rows", "FILE"),
    *(make_option(key, VERIFY.settings[key]) for key in VERIFIED),
    *output_options("format", "json", "quiet"),
    examples=("", "--only ridge --only decay-momentum", "--engine reference --format markdown"),
)
def verify(only: list[str] | None, **given: Any) -> int:
    """Train cases with known answers and print what theory predicts beside what came out."""
    flags = {key: texts for key in VERIFIED if (texts := given[key])}
    known = {f"{parse.ENVIRONMENT_PREFIX}{key.upper()}" for key in VERIFIED}
    environment = {name: os.environ[name] for name in known & {*os.environ}}
    request = parse.resolve(VERIFY, flags, environment)
    names = [name for text in only or [] for name in text.split(",")]
    return commands.verify_cases(request, names, Output(**output_settings(given)))


@subcommand(
    RUN,
    parameter(
        "allow_mixed", bool, "Finish it even with other versions or another device.", "Machine"
    ),
    make_option("scheduler", VERIFY.settings["scheduler"]),
    parameter("data", list[str], "The file of its table, if it has one.", "Machine", "FILE"),
    parameter("test_data", list[str], "The file of its test rows, likewise.", "Machine", "FILE"),
    parameter("plugin", list[str], PLUGIN, "Machine", "FILE"),
    *SHOWN,
    examples=("RUN", "RUN --allow-mixed --quiet"),
)
def resume(run: str, allow_mixed: bool | None, **given: Any) -> int:
    """Finish a run that was cut off."""
    address, *files = (
        parse.only(option_of(key), given[key]) if given[key] else None
        for key in ("scheduler", "data", "test_data")
    )
    options = output_settings(given)
    return commands.resume_run(named_run(run), options, bool(allow_mixed), address, *files)


@subcommand(
    parameter("parts", list[str], "The folders of the shards.", "", "RUN..."),
    parameter(
        "allow_mixed", bool, "Join even what other versions or processors computed.", "Machine"
    ),
    *SHOWN,
    *output_options("out"),
    examples=("parts/* --out merged", "RUN RUN --allow-mixed --format markdown"),
)
def merge(parts: list[str], allow_mixed: bool | None, **given: Any) -> int:
    """Join the shards of a study into the run that one machine would have made."""
    return commands.merge_runs(parts, output_settings(given), bool(allow_mixed))


@subcommand(
    RUN,
    *SHOWN,
    parameter("files", bool, "Make a run's files again.", "Output"),
    *output_options("figure_format"),
    examples=("RUN --details", "RUN --export report.md", "RUN --files --figure-format svg"),
)
def report(run: str, files: bool | None, **given: Any) -> int:
    """Show a run again from its blocks, finished or not."""
    return commands.report_run(named_run(run), output_settings(given), bool(files))


JUDGED = {k: known for k, known in JUDGE.settings.items() if k not in ("scores", "by", "confirm")}


@subcommand(
    parameter("scores", list[str], "A table (CSV; - is stdin), or runs.", "", "SCORES..."),
    *(make_option(key, setting) for key, setting in JUDGED.items()),
    parameter("out", list[str], OUT_OF_JUDGE, "Output", "DIR"),
    *output_options("figure_format", "export", "format", "json", "quiet"),
    examples=JUDGE.examples,
    named=JUDGE,
)
def judge(scores: list[str], **given: Any) -> int:
    """Do what `JUDGE` says."""
    flags = {"scores": scores} | {key: given[key] for key in JUDGED if given[key]}
    request = parse.resolve(JUDGE, flags, {})
    return commands.judge_scores(request, Output(tensorboard=False, **output_settings(given)))


@subcommand(RUN, *output_options("format", "json"), examples=("RUN", "RUN --format markdown"))
def show(run: str, **given: Any) -> int:
    """Show how a run was made: settings and their origin, machine, state, files."""
    return commands.show_run(named_run(run), output_settings(given))


@subcommand(
    parameter("root", list[str], "Folder with the runs; by default runs.", "Runs", "DIR"),
    parameter("prune", bool, "Show abandoned runs, and offer to remove them.", "Runs"),
    parameter("yes", bool, "Remove them without asking.", "Runs"),
    *output_options("format", "json"),
    examples=("", "--root elsewhere --format csv", "--prune"),
)
def runs(root: list[str] | None, prune: bool | None, yes: bool | None, **given: Any) -> int:
    """List the runs: age, verdicts, effects and the settings that differ."""
    if yes and not prune:
        raise UsageError("--yes", problem="means nothing without --prune")
    folder = parse.only("--root", root) if root else None
    return commands.list_runs(folder, Output(**output_settings(given)), bool(prune), bool(yes))


@subcommand(*output_options("format", "json"), examples=("", "--json"))
def info(**given: Any) -> int:
    """Show what is installed, the machine, and all regularizers with their origin."""
    return commands.show_information(Output(**output_settings(given)))
