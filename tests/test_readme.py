"""The README says what is: its commands are those of CI, and it names every experiment."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from regbench.experiments import COMMANDS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_test_command_of_the_readme() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    command = next(line for line in lines if line.endswith(".venv/bin/pytest -n auto"))
    assert command in README.splitlines()


def test_readme_is_read_in_a_minute_and_names_every_command() -> None:
    assert len(README.splitlines()) < 200
    assert not [name for name in COMMANDS if not re.search(rf"`{name}`|regbench {name}\b", README)]


def test_python_example_of_the_readme_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    finished = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, check=False, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("Result of 10 replicates at epoch 200\narm ")
