"""The command line: help, what it prints where, and its exit codes."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
import typer
from commands import NO_FILES, TINY, run_process, word_of

from regbench import __version__, cli
from regbench.engines import ENGINES
from regbench.engines.fused.engine import COMPILING
from regbench.experiments import COMMANDS
from regbench.settings.base import is_hidden

if TYPE_CHECKING:
    from commands import Command

    from regbench.analysis.history import Batch, History
    from regbench.settings.command import Setting

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTATION = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def test_minus_zero_is_zero_and_is_not_called_minus_zero(regbench: Command) -> None:
    finished = regbench("wdecay", "--lambda", "-0.0", "--json", *TINY, *NO_FILES)
    assert finished.code == 0
    assert finished.document["arms"][1]["name"] == "wdecay=0.0"


def test_one_replicate_runs_and_says_which_seed(regbench: Command) -> None:
    finished = regbench(
        "wdecay", "--epochs=2", "--hidden=3", "--replicates=1", "--seed=7", *NO_FILES
    )
    assert finished.code == 0
    assert "seed 7" in finished.out
    assert "s.e." not in finished.out


def test_header_says_why_auto_takes_no_fused_engine(regbench: Command) -> None:
    for command, engine, why in (
        ("max-norm", "auto", "batched engine, cpu (fused cannot train max-norm=0.5), float32"),
        ("max-norm", "batched", "batched engine, cpu, float32"),
        ("wdecay", "auto", "fused engine, cpu, float32"),
    ):
        finished = regbench(command, *TINY, *NO_FILES, f"--engine={engine}")
        assert finished.code == 0
        assert why in " ".join(finished.err.split()) + " ".join(finished.out.split())


def test_several_strengths_may_be_repeated_or_separated_by_commas(regbench: Command) -> None:
    names = ["baseline", "wdecay=0.1", "wdecay=0.2", "wdecay=0.3"]
    for texts in (["0.1,0.2,0.3"], ["0.1", "0.2,0.3"], ["0.1", "0.2", "0.3"]):
        options = [part for value in texts for part in ("--lambda", value)]
        document = regbench("wdecay", *options, "--json", *TINY, *NO_FILES).document
        assert [arm["name"] for arm in document["arms"]] == names


def options_of(experiment: str) -> dict[str, Setting]:
    """Return the settings of a command that have an option, by key."""
    known = COMMANDS[experiment].settings.items()
    return {key: setting for key, setting in known if not is_hidden(setting.field)}


@pytest.mark.parametrize("experiment", COMMANDS)
def test_every_command_and_option_has_help(experiment: str, regbench: Command) -> None:
    command = next(c for c in cli.app.registered_commands if c.name == experiment)
    assert command.help
    assert command.callback is not None
    parameters = inspect.signature(command.callback).parameters.values()
    for parameter in parameters:
        option = parameter.annotation.__metadata__[0]
        assert len(option.help) > 10, parameter.name
    finished = regbench(experiment, "--help")
    assert finished.code == 0
    words = [word_of(key) for key in [*options_of(experiment), "config"]]
    shown = finished.out.replace(",", " ").split()
    assert not [word for word in words if word not in shown]
    assert f"regbench {experiment}" in DOCUMENTATION


@pytest.mark.parametrize("experiment", COMMANDS)
def test_help_tells_every_default(
    experiment: str, regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = regbench(experiment, "--help").out.partition("╭")[2]  # without the examples
    for key, setting in options_of(experiment).items():
        line = next(line for line in shown.splitlines() if f"{word_of(key)} " in line)
        default = setting.field.default
        if isinstance(default, str | int | float) and not isinstance(default, bool):
            assert f"[{default}]" in line


def test_no_command_prints_the_help_and_is_a_usage_error(regbench: Command) -> None:
    finished = regbench()
    assert finished.code == 2
    for experiment in COMMANDS:
        assert experiment in finished.out


def test_version_is_printed(regbench: Command) -> None:
    finished = regbench("--version")
    assert (finished.code, finished.out) == (0, f"regbench {__version__}\n")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["wdecay", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from regbench.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as stopped:\n"
        "    assert stopped.code == 0\n"
        "heavy = {'torch', 'matplotlib', 'scipy', 'numba', 'tensorboard', 'numpy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)


def run_unread(arguments: list[str], folder: Path, lines: int) -> tuple[int, str]:
    """Run a command whose reader leaves after some lines; return exit code and stderr."""
    said = folder / "stderr"
    with said.open("w") as stderr, subprocess.Popen(
        [sys.executable, "-m", "regbench", *arguments],
        cwd=folder, stdout=subprocess.PIPE, stderr=stderr, pipesize=4096,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        return process.wait(timeout=60), said.read_text()


@pytest.mark.parametrize("lines", [0, 1])
@pytest.mark.parametrize("form", ["--plots", "--json"])
def test_run_is_finished_though_its_reader_leaves(tmp_path: Path, lines: int, form: str) -> None:
    arguments = ["wdecay", *TINY, "--lambda=logspace:1e-4:1:50", "--out=run", *NO_FILES, form]
    code, said = run_unread([*arguments, "--require=better"], tmp_path, lines)
    assert code == 4, "as where everything is read"
    progress = {"training", "pictures and logs", COMPILING}  # of a busy or new machine
    assert {line.split(":")[0] for line in said.splitlines()} - progress == {"--require better"}
    assert {"DONE", "blocks", "summary.json"} < {path.name for path in (tmp_path / "run").iterdir()}


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["--version"], 0), (["l1", "--help"], 0), ([], 2)]
)
def test_what_only_prints_ends_quietly_when_its_reader_leaves(
    tmp_path: Path, arguments: list[str], code: int
) -> None:
    assert run_unread(arguments, tmp_path, 0) == (code, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("form", ["--json", "--plots"])
def test_full_disk_on_stdout_is_one_line_and_exit_1(tmp_path: Path, form: str) -> None:
    with Path("/dev/full").open("w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "regbench", "dropout-scale", "--units=9", "--trials=9", form],
            cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("regbench: error: cannot write")


@pytest.mark.parametrize("experiment", COMMANDS)
def test_ascii_terminal_gets_ascii(experiment: str, tmp_path: Path) -> None:
    sums = ["wdecay=0.1", "dropout=0.5", "wdecay=0.1+l1=0.1"]
    small = {"dropout-scale": ["--units=9", "--trials=9"], "compare": [*sums, *TINY]}
    arguments = [experiment, *small.get(experiment, TINY), *NO_FILES]
    finished = run_process(arguments, tmp_path, PYTHONIOENCODING="ascii")
    assert finished.code == 0, finished.err
    assert (finished.out + finished.err).isascii()


def test_piped_output_is_plain_and_the_same_at_any_width(tmp_path: Path) -> None:
    arguments = ["wdecay", *TINY, "--lambda=0.1,0.2", "--out", "run", *NO_FILES]
    (tmp_path / "narrow").mkdir()
    (tmp_path / "wide").mkdir()
    utf8 = {"PYTHONIOENCODING": "utf-8"}
    narrow = run_process(arguments, tmp_path / "narrow", COLUMNS="20", **utf8)
    wide = run_process(arguments, tmp_path / "wide", COLUMNS="300", **utf8)
    assert narrow.code == wide.code == 0
    assert narrow.out == wide.out
    assert "\x1b" not in narrow.out + narrow.err
    assert narrow.out.count("\n") > 6


def test_quiet_prints_the_closing_lines_only(regbench: Command) -> None:
    finished = regbench("wdecay", *TINY, "--quiet", *NO_FILES)
    assert finished.code == 0
    lines = finished.out.splitlines()
    assert "risk" in lines[0]
    assert lines[1].startswith("With each arm stopped at its best epoch")
    assert [line for line in lines[2:-1] if not line.startswith("Mind: ")] == []
    assert lines[-1].startswith("Results: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [([], f"{COMPILING}\n"), (["--json"], f"{COMPILING}\n"), (["--quiet"], "")],
)
def test_quiet_says_nothing_of_compiling(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    train = ENGINES["batched"]

    def compile_first(batch: Batch, device: torch.device, *others: Any) -> History:
        others[-1].say(COMPILING)
        return train(batch, device, *others)

    monkeypatch.setitem(ENGINES, "batched", compile_first)
    finished = regbench("wdecay", *TINY, *NO_FILES, "--engine=batched", *options)
    assert (finished.code, finished.err) == (0, said)


def test_interrupt_is_exit_130_without_a_traceback(tmp_path: Path) -> None:
    program = """
import signal
from regbench.cli import main
from regbench.engines import ENGINES
ENGINES["batched"] = lambda *_: signal.raise_signal(signal.SIGINT)
main()
"""
    process = subprocess.run(
        [sys.executable, "-c", program, "wdecay", *TINY, "--engine=batched"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert process.returncode == 130
    said = process.stderr.strip()
    assert said.startswith("regbench: error: interrupted; finished blocks are kept")
    assert "regbench resume runs/wdecay/" in said
    assert said.count("\n") == 0


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA: tried to allocate 1 GiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes"),
        RuntimeError("CUDA error: out of memory"),
    ],
)
def test_out_of_memory_names_what_to_lower(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run_out(*_: object) -> None:
        raise error

    monkeypatch.setitem(ENGINES, "batched", run_out)
    finished = regbench("wdecay", *TINY, "--engine=batched")
    assert finished.code == 1
    assert finished.err.count("\n") == 1
    assert "out of memory" in finished.err
    assert "use fewer hidden units, points, replicates or arms" in finished.err
    assert "regbench resume runs/wdecay/" in finished.err


def test_every_other_command_has_help_and_stands_in_the_documentation(regbench: Command) -> None:
    command = typer.main.get_command(cli.app)
    others = set(getattr(command, "commands")) - set(COMMANDS)  # noqa: B009
    assert others == {"info", "judge", "resume", "merge", "report", "runs", "show", "verify"}
    for name in others:
        finished = regbench(name, "--help")
        assert finished.code == 0
        assert f"regbench {name}" in DOCUMENTATION
        for parameter in getattr(command, "commands")[name].params:  # noqa: B009
            assert parameter.opts[-1] in finished.out or parameter.metavar in (
                "RUN",
                "RUN...",
                "SCORES...",
            )
