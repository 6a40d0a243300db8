"""The scripts in `examples/` do what they say, with a `regbench` of this process's Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import NO_FILES, SOURCES, TINY

EXAMPLES = Path(__file__).parents[1] / "examples"


def run_script(
    name: str, folder: Path, *arguments: str, program: str = "", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder, where `regbench` is the real one or a program in its place."""
    command = folder / "bin" / "regbench"
    command.parent.mkdir(exist_ok=True)
    real = f'exec {sys.executable} -m regbench "$@"'
    command.write_text(f"#!/bin/sh\n{program or real}\n")
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", EXAMPLES / name, *arguments],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), **SOURCES, **variables},
        capture_output=True,
        check=False,
        text=True,
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        *((0, "met"), (1, "the run failed"), (2, "wrong usage"), (3, "not met")),
        *((4, "cannot tell"), (130, "interrupted"), (143, "interrupted")),
    ],
)
def test_gate_tells_the_exit_codes_apart(tmp_path: Path, code: int, said: str) -> None:
    finished = run_script("gate.sh", tmp_path, program=f"exit {code}")
    assert finished.returncode == code
    assert f"gate: {said}" in finished.stderr


def test_gate_prints_the_answer_as_markdown(tmp_path: Path) -> None:
    finished = run_script("gate.sh", tmp_path, *TINY, *NO_FILES)
    assert finished.returncode in (0, 3, 4), finished.stderr
    assert "| arm |" in finished.stdout
    assert "gate: " in finished.stderr


def test_array_has_a_run_for_each_task_and_goes_on_with_it(tmp_path: Path) -> None:
    options = [*TINY, *NO_FILES, "--quiet"]
    first = run_script("slurm_runs.sh", tmp_path, *options, SLURM_ARRAY_TASK_ID="1")
    assert first.returncode == 0, first.stderr
    assert 'truth = "sine"' in (tmp_path / "runs/array/sine/config.toml").read_text()
    again = run_script("slurm_runs.sh", tmp_path, *options, SLURM_ARRAY_TASK_ID="1")
    assert again.returncode == 0, again.stderr
    assert "nothing to train" in again.stderr
