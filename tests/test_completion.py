"""What a shell completes, by the variables that its script sets."""

from __future__ import annotations

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
    assert completions(shell, "wdecay --require ", tmp_path) == ["better", "not-worse"]
    assert completions(shell, "compare l1=0.1 --truth s", tmp_path) == ["sine", "step", "sawtooth"]
    assert completions(shell, "compare max", tmp_path) == ["max-norm=0.5"]


def test_zsh_completes_choices(tmp_path: Path) -> None:
    said = "".join(completions("zsh", "wdecay --by ", tmp_path))
    assert '"risk"' in said
    assert '"test-loss"' in said


def test_shell_completes_runs(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "wdecay" / "of today"
    run.mkdir(parents=True)
    (run / "environment.json").touch()
    for command in ("show", "report", "resume"):
        assert completions("bash", f"{command} ", tmp_path) == ["runs/wdecay/of today"]


def test_script_of_a_shell_is_shown(regbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Else it needs a shell among the processes that this one descends from.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    finished = regbench("--show-completion", "bash")
    assert finished.code == 0
    assert "complete_bash" in finished.out
