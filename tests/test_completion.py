"""What a shell completes, by the variables that its script sets."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import SOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Command


def completions(shell: str, line: str, folder: Path) -> list[str]:
    """Return what a shell may complete `regbench LINE` with; nothing heavy may be imported."""
    words = f"regbench {line}"
    variables = {
        "_REGBENCH_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - (not words.endswith(" "))),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    program = (
        "import sys\nfrom regbench.cli import main\n"
        "try:\n    main([])\nfinally:\n    assert not {'torch', 'numpy'} & set(sys.modules)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env={**SOURCES, **variables},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [line.partition("\t")[0] for line in said.splitlines()]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_shell_completes_commands_options_and_choices(shell: str, tmp_path: Path) -> None:
    assert completions(shell, "drop", tmp_path) == ["dropout", "dropout-scale"]
    assert completions(shell, "wdecay --requ", tmp_path) == ["--require"]
    assert completions(shell, "wdecay --require ", tmp_path) == ["better", "not-worse", "equal"]
    assert completions(shell, "compare l1=0.1 --truth s", tmp_path) == ["sine", "step", "sawtooth"]
    assert completions(shell, "compare max", tmp_path) == ["max-norm=0.5"]


def test_zsh_completes_choices(tmp_path: Path) -> None:
    said = "".join(completions("zsh", "wdecay --by ", tmp_path))
    assert '"risk"' in said
    assert '"test-loss"' in said


def make_runs(folder: Path, *names: str) -> None:
    """Make folders that hold a run, as far as a shell can tell."""
    for name in names:
        run = folder / "runs" / "wdecay" / name
        run.mkdir(parents=True)
        (run / "environment.json").touch()


def test_shell_completes_runs(tmp_path: Path) -> None:
    make_runs(tmp_path, "of-today")
    for command in ("show", "report", "resume"):
        assert completions("bash", f"{command} ", tmp_path) == ["runs/wdecay/of-today"]


ODD = ("z$(touch X)", "z`touch X`", "z;touch X", "a b", "a'b", 'a"b', "~", "*", "a\nb", "z&&X")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_no_shell_is_offered_a_word_that_it_would_evaluate(shell: str, tmp_path: Path) -> None:
    make_runs(tmp_path, "of-today", *ODD)
    offered = "".join(completions(shell, "show ", tmp_path))
    assert "of-today" in offered
    left = offered.replace("runs/wdecay/of-today", "")
    assert not set(left) & {*"$`;&~\\", "X"}, left


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
def test_bash_inserts_what_it_reads_back_and_executes_nothing(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    script = regbench("--show-completion", "bash").out
    make_runs(tmp_path, "of-today", *ODD)
    program = tmp_path / "regbench"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m regbench "$@"\n')
    program.chmod(0o755)
    line = 'COMP_WORDS=(regbench show ""); COMP_CWORD=2; COMP_LINE="regbench show "'
    function = script.split("()")[0].split()[-1]
    call = f'{function} regbench; eval echo "${{COMPREPLY[@]}}"'
    said = subprocess.run(
        ["bash", "-c", f"{script}\n{line}\n{call}"], cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", **SOURCES}, capture_output=True, check=False,
    )  # fmt: skip
    assert said.stdout == b"runs/wdecay/of-today\n", said.stderr
    assert not (tmp_path / "X").exists()


def test_script_of_a_shell_is_shown(regbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else it needs a shell among the processes that this one descends from.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    finished = regbench("--show-completion", "bash")
    assert finished.code == 0
    assert "complete_bash" in finished.out
