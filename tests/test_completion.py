"""What a shell completes, by the variables that its script sets."""

from __future__ import annotations

import os
import select
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
        "COMP_WORDS": words.replace(" ", "\n"),
        "COMP_CWORD": str(words.count(" ")),
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


BEHIND_EQUALS = [
    ("wdecay --engine=ba", "wdecay --engine=batched "),
    ("wdecay --engine=batched --by=risk-", "wdecay --engine=batched --by=risk-at-best "),
    ("compare wdecay=0.1 max-norm=0", "compare wdecay=0.1 max-norm=0.5 "),
    ("report --export=set", "report --export=settings.toml "),
]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completes_what_follows_an_equals_sign(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shell: str
) -> None:
    if not (program := shutil.which(shell)):
        pytest.skip(f"no {shell}")
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    script = regbench("--show-completion", shell).out
    (tmp_path / "settings.toml").touch()
    command, setup = tmp_path / "regbench", tmp_path / ".zshrc"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m regbench "$@"\n')
    command.chmod(0o755)
    setup.write_text(
        f"autoload -U compinit; compinit -u -D\n{script}" if shell == "zsh" else script
    )
    places = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), "TERM": "dumb", **SOURCES}
    if shell == "fish":
        for line, whole in BEHIND_EQUALS:
            asked = f"source {setup}; complete -C 'regbench {line}'"
            said = subprocess.check_output([program, "-c", asked], env=places, cwd=tmp_path)
            assert said.decode().strip() == whole.split()[-1]
    else:
        own = ["--rcfile", str(setup)] if shell == "bash" else ["--no-globalrcs"]
        assert completed_lines([program, *own, "-i"], places, tmp_path) == len(BEHIND_EQUALS)


def completed_lines(command: list[str], environment: dict[str, str], folder: Path) -> int:
    """Return how many of the lines a shell completes when TAB is pressed behind them."""
    terminal, end = os.openpty()
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment,
                          cwd=folder, start_new_session=True) as process:  # fmt: skip
        os.close(end)
        count = 0
        for line, whole in BEHIND_EQUALS:
            os.write(terminal, f"\x15regbench {line}\t".encode())
            said = ""
            while f"regbench {whole}" not in said and select.select([terminal], [], [], 30)[0]:
                said += os.read(terminal, 4096).decode().replace("\x08", "")
            count += f"regbench {whole}" in said
        process.kill()
    os.close(terminal)
    return count


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
    offered = offered.removeprefix("compset -P 1 '--*='; ")  # which lets zsh complete behind `--x=`
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
