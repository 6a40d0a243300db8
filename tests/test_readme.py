"""The README says what is: its commands are those of CI, and it names every option."""

from __future__ import annotations

from pathlib import Path

import pytest

from regbench.regularizers import REGULARIZERS
from regbench.settings.study import option_of, settings_of

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXPERIMENTS = [*REGULARIZERS, "dropout-scale"]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    command = next(line for line in lines if line.endswith(".venv/bin/pytest -n auto"))
    assert command in README.splitlines()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_readme_shows_every_command(experiment: str) -> None:
    assert f"regbench {experiment}" in README


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_readme_names_every_option(experiment: str) -> None:
    missing = [
        option_of(key) for key in settings_of(experiment) if f"`{option_of(key)}" not in README
    ]
    assert not missing
