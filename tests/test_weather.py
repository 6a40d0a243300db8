"""What nobody foresees costs a line: a view that fails, an error of any kind, odd numbers."""

from __future__ import annotations

import io
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from commands import NO_FILES, TINY, run_process
from training import make_request

from regbench import commands
from regbench.engines import ENGINES, choose_engine
from regbench.errors import UsageError, option_of
from regbench.experiments import COMMANDS, resolve
from regbench.process import forget_odd_sizes
from regbench.report import tensorboard
from regbench.report.base import Table
from regbench.report.figures import course
from regbench.report.terminal.console import (
    make_console,
    make_consoles,
    print_line,
    print_table,
    progress,
)
from regbench.settings.base import is_hidden

if TYPE_CHECKING:
    from commands import Command


def fail(*_: object, **__: object) -> NoReturn:
    raise KeyError("a key\nof two lines")


@pytest.mark.parametrize(
    ("module", "name", "missing", "made"),
    [
        (course, "draw", "picture of course", "figures/course.png"),
        (tensorboard, "Log", "tensorboard", "tensorboard/baseline/events.out.tfevents.regbench"),
    ],
)
def test_view_that_fails_costs_one_line_and_can_be_made_again(
    regbench: Command, module: object, name: str, missing: str, made: str
) -> None:
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(module, name, fail)
        finished = regbench("wdecay", *TINY, "--out=run", "--quiet")
    assert finished.code == 0
    assert "Results: run" in finished.out
    (line,) = finished.err.splitlines()
    assert line.startswith(f"note: no {missing}: unexpected KeyError: ")
    assert line.endswith("make them again with: regbench report --files run")
    assert Path("run/DONE").is_file()
    assert Path("run/summary.json").is_file()
    assert Path("run/history.csv").is_file()
    assert not Path("run", made).exists()
    assert regbench("report", "run", "--files", "--quiet").code == 0
    assert Path("run", made).is_file()


def test_unexpected_error_keeps_the_promise_of_the_resume_line(regbench: Command) -> None:
    for debug in ([], ["--debug"]):
        with pytest.MonkeyPatch.context() as broken:
            broken.setitem(ENGINES, "batched", fail)
            finished = regbench("wdecay", *TINY, "--engine=batched", "--quiet", *debug)
        assert finished.code == 1
        last = finished.err.splitlines()[-1]
        assert last.startswith("regbench: error: unexpected KeyError: ")
        assert "regbench resume runs/wdecay/" in last
        assert "--debug shows where" in last
        assert ("Traceback" in finished.err) == bool(debug)
        assert debug or finished.err.count("\n") == 1
    assert regbench("resume", str(next(Path("runs/wdecay").iterdir())), "--quiet").code == 0


def test_unexpected_error_of_any_command_is_one_line(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "find_runs", fail)
    finished = regbench("runs")
    assert (finished.code, finished.out, finished.err.count("\n")) == (1, "", 1)
    assert "unexpected KeyError" in finished.err
    before = regbench("--debug", "runs")
    assert "Traceback" in before.err


def test_error_of_the_user_has_its_traceback_where_it_is_asked_for(regbench: Command) -> None:
    assert "Traceback" not in regbench("wdecay", "--lambda=-1").err
    assert "Traceback" in regbench("wdecay", "--lambda=-1", "--debug").err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--lr=10", "--epochs=100", "--log-every=10", "--hidden=20"], 1),
        (["--lr=10", "--epochs=100", "--log-every=10", "--hidden=20", "--replicates=1"], 1),
        (["--lr=1", "--epochs=150", "--hidden=50", "--depth=3", "--replicates=6"], 1),
        (["--epochs=1", "--log-every=1"], 0),
        (["--noise=0", "--slope=0", "--test-noise=0"], 0),
        (["--slope=1e6", "--noise=1e6"], 0),
        (["--points=1", "--replicates=1", "--depth=0"], 0),
        (["--lambda=1", "--epochs=2000", "--log-every=1000"], 0),
    ],
)
@pytest.mark.parametrize("command", ["wdecay", "compare"])
def test_every_view_of_odd_numbers_is_made(
    regbench: Command, command: str, options: list[str], code: int
) -> None:
    arms = ["wdecay=0.1", "l1=0.01+early-stopping=1"] if command == "compare" else []
    given = dict(option.split("=") for option in [*TINY, *options])
    if arms:
        given.pop("--lambda", None)
    options = [f"{name}={value}" for name, value in given.items()]
    finished = regbench(command, *arms, *options, "--out=run", "--quiet")
    assert finished.code == code, finished.err
    assert "note: no" not in finished.err
    assert "Traceback" not in finished.err
    document = json.loads(Path("run/summary.json").read_text())
    is_lost = all(c["verdict"] == "diverged" for c in document["comparisons"])
    for file in ("DONE", "report.html", *["figures/course.png"] * (not is_lost)):
        assert Path("run", file).is_file()


TERMINALS = [
    {"COLUMNS": "0"}, {"COLUMNS": "-7"}, {"COLUMNS": "1"}, {"COLUMNS": "99999999999"},
    {"LINES": "x"}, {"TERM": ""}, {"TERM": "no such terminal"}, {"FORCE_COLOR": "1"},
    {"FORCE_COLOR": ""}, {"NO_COLOR": "1"}, {"TTY_COMPATIBLE": "1"}, {"TTY_INTERACTIVE": "1"},
    {"CI": "1", "GITHUB_ACTIONS": "true"}, {"PY_COLORS": "1"}, {"COLORTERM": "truecolor"},
    {"FORCE_COLOR": "3", "TTY_COMPATIBLE": "1", "TERM": "xterm-256color", "COLUMNS": "3"},
    {"COLUMNS": "²"}, {"LINES": "²"}, {"LINES": "0"}, {"JUPYTER_COLUMNS": "7"},
    {"TERMINAL_WIDTH": "abc"}, {"TERMINAL_WIDTH": "5"}, {"TERMINAL_WIDTH": "-5"},
]  # fmt: skip


def mixed(seed: int) -> dict[str, str]:
    """Return a random combination of terminals' variables."""
    draw, names = random.Random(seed), {name for names in TERMINALS for name in names}
    odd = ["", "0", "1", "-1", "3", "²", "x", "true", "99999999999", "\x1b[31m", "dumb", "no"]
    return {name: draw.choice(odd) for name in draw.sample(sorted(names), 6)}


@pytest.mark.parametrize("variables", [*TERMINALS, *map(mixed, range(30))], ids=str)
def test_no_variable_changes_what_a_file_gets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: dict[str, str]
) -> None:
    def told() -> tuple[str, str]:
        details, closing, errors = make_consoles(is_quiet=False, is_document=False)
        print_table(details, Table([["a title", "another"], ["a cell", "words " * 40]], "caption"))
        print_line(closing, "an answer " * 30, style="bold")
        print_line(errors, "a note " * 30)
        with progress(errors, "work", 4) as advance:
            advance(4)
        shown = capsys.readouterr()
        return shown.out, shown.err

    for name in {name for names in TERMINALS for name in names}:
        monkeypatch.delenv(name, raising=False)
    expected = told()
    assert "an answer " * 30 in expected[0]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    forget_odd_sizes()
    assert told() == expected


@pytest.mark.parametrize("variables", [*TERMINALS[15:], *map(mixed, range(8))], ids=str)
def test_help_is_whole_whatever_variables_say(tmp_path: Path, variables: dict[str, str]) -> None:
    finished = run_process(["wdecay", "--help"], tmp_path, **variables)
    assert (finished.code, finished.err) == (0, "")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", finished.out)  # colours may be asked for
    for key, setting in COMMANDS["wdecay"].settings.items():
        assert is_hidden(setting.field) or option_of(key)[:12] in plain


@pytest.mark.parametrize(("setting", "engine"), [("1", "batched"), ("0", "fused"), ("", "fused")])
def test_without_a_compiler_auto_takes_another_engine(
    monkeypatch: pytest.MonkeyPatch, setting: str, engine: str
) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", setting)
    request = make_request(device="cpu")
    assert choose_engine(request.study, request.machine) == engine
    if engine == "batched":
        with pytest.raises(UsageError, match="cannot train with NUMBA_DISABLE_JIT set"):
            choose_engine(request.study, request.machine.replaced(engine="fused"))


@pytest.mark.parametrize("module", ["numba", "llvmlite"])
def test_broken_compiler_is_told_and_another_engine_trains(tmp_path: Path, module: str) -> None:
    (tmp_path / module).mkdir()
    (tmp_path / module / "__init__.py").write_text("raise ImportError('of another\\nversion')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    finished = run_process(["wdecay", *TINY, *NO_FILES], tmp_path, PYTHONPATH=path)
    assert (finished.code, finished.err) == (0, "")
    assert "batched engine" in finished.out
    assert "cannot train where Numba does not work: of another\\nversion" in finished.out


def test_file_of_another_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xef\xbb\xbflambda = 0.25\r\nepochs = 4\r\n")
    study = resolve("wdecay", {}, {}, str(path)).study
    assert (study.arm_names[1], study.training.epochs) == ("wdecay=0.25", 4)


def test_folder_that_is_gone_is_told_before_any_work(tmp_path: Path) -> None:
    program = f'mkdir gone && cd gone && rmdir ../gone && "{sys.executable}" -m regbench wdecay'
    finished = subprocess.run(["sh", "-c", program], cwd=tmp_path, capture_output=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.decode().splitlines()[-1] == (
        "regbench: error: the current folder is no longer there: cd to one that is"
    )


def test_configuration_may_come_from_a_pipe(tmp_path: Path) -> None:
    shell = 'echo "points = 3" | "$0" -m regbench wdecay --config /dev/stdin "$@" --out run'
    words = [word for word in (*TINY, *NO_FILES) if not word.startswith("--points")]
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "points = 3\n" in (tmp_path / "run" / "config.toml").read_text()


def test_variables_that_are_empty_or_of_a_kubernetes_service_are_none(tmp_path: Path) -> None:
    empty = ("REGBENCH_HIDDEN", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MPLBACKEND", "TERM")
    service = {"SERVICE_HOST": "10.0.0.1", "SERVICE_PORT_HTTP": "80", "PORT": "tcp://10.0.0.1:80"}
    service |= {"PORT_80_TCP": "tcp://10.0.0.1:80", "PORT_80_TCP_ADDR": "10.0.0.1"}
    variables = {f"REGBENCH_{name}": text for name, text in service.items()}
    variables |= dict.fromkeys(empty, "")
    done = run_process(["wdecay", *TINY, *NO_FILES], tmp_path, **variables)
    assert (done.code, done.err) == (0, "")
    refused = run_process(["wdecay", *TINY], tmp_path, REGBENCH_PORTS="3")
    assert refused.code == 2
    assert "REGBENCH_PORTS" in refused.err


def test_help_is_help_without_docstrings(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-OO", "-m", "regbench", "--help"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "wdecay" in done.stdout
    assert "None" not in done.stdout


def test_progress_on_a_terminal_never_hides_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(shown, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    console = make_console(shown, file=shown)
    with progress(console, "training", 2) as advance:
        advance(1)
    assert "training" in shown.getvalue()
    assert "\x1b[?25l" not in shown.getvalue()
