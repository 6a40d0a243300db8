"""Help: examples that run, choices, an order, and what is said of an option that there is not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY
from runs import assert_one_line

from regbench.experiments import COMMANDS

if TYPE_CHECKING:
    from commands import Command

OTHERS = ["verify", "resume", "report", "show", "runs", "judge"]


def examples_of(shown: str, command: str) -> list[str]:
    found = re.findall(rf"^ +(regbench {command}\b.*?) *$", shown, re.MULTILINE)
    return [line for line in found if "[OPTIONS]" not in line]


@pytest.mark.parametrize("command", [*COMMANDS, *OTHERS])
def test_help_fits_eighty_columns_and_its_examples_run(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = regbench(command, "--help")
    assert shown.code == 0
    assert "<" not in shown.out, "no type of Python"
    assert max(map(len, shown.out.splitlines())) <= 80
    examples = examples_of(shown.out, command)
    assert 2 <= len(examples) <= 4
    small = ["--units=9", "--trials=9"] if command == "dropout-scale" else TINY
    if command == "verify":  # the cases have tests of their own
        small, examples = [], [f"{examples[1]} --quiet"]
    elif command in OTHERS:
        regbench("wdecay", *TINY, *NO_FILES, "--out=RUN", "--quiet")
        Path("scores.csv").write_text("a,b\n1,2\n2,4\n", encoding="utf-8")
        small = []
    for example in examples:
        more = [*small, *NO_FILES] if command in COMMANDS else small
        example = example.replace("elsewhere", ".")
        finished = regbench(*shlex.split(example)[1:], *more)
        assert finished.code == 0, (example, finished.err)


@pytest.mark.parametrize("command", ["wdecay", "compare", "early-stopping"])
def test_short_help_has_the_options_that_matter_and_says_where_all_are(
    regbench: Command, command: str
) -> None:
    short, whole = (regbench(command, option).out for option in ("-h", "--help"))
    options = [set(re.findall(r"^│ (--[a-z-]+)", text, re.MULTILINE)) for text in (short, whole)]
    strength = {"wdecay": {"--lambda"}, "early-stopping": {"--stop-epoch"}, "compare": set()}
    others = ["--replicates", "--by", "--confirm", "--over", "--truth", "--points", "--epochs"]
    others += ["--data", "--target"]
    assert options[0] == {*others, *strength[command]}
    assert options[0] < options[1]
    assert ("ARM" in short) == (command == "compare")
    assert f"regbench {command} --help shows every option." in short
    assert "shows every option" not in whole
    assert regbench("runs", "-h").out == regbench("runs", "--help").out


def test_groups_stand_in_order_and_choices_are_shown(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shown = regbench("compare", "--help").out
    panels = re.findall(r"^╭─ (\w+) ─", shown, re.MULTILINE)
    groups = "Experiment Statistics Task Table Network Training Machine Output"
    assert panels == ["Arguments", "Options", *groups.split()]
    for choices in ("better|not-worse", "risk|test-loss", "sgd|adam", "shared|independent"):
        assert choices in shown


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["wdecay", "--p=0.5"], ["--p", "wdecay", "belongs to dropout, gaussian-dropout"]),
        (["dropout", "--lambda", "1"], ["belongs to wdecay, decoupled, l1", "dropout is --p"]),
        (["dropout-scale", "--epochs=3"], ["--epochs", "belongs to wdecay"]),
        (["--lambda", "1", "wdecay"], ["--lambda", "regbench", "belongs to wdecay"]),
        (["wdecay", "--strenght=1"], ["did you mean '--lambda'?"]),
        (["early-stopping", "--strength=1"], ["did you mean '--stop-epoch'?"]),
        (["dropout", "--epoch=1"], ["did you mean '--epochs'?"]),
        (["runs", "--hidden=3"], ["belongs to wdecay"]),
        (["dropout", "--xyzzy"], ["--xyzzy", "no option of dropout"]),
    ],
)
def test_option_of_another_command_is_told_whose_it_is(
    regbench: Command, arguments: list[str], named: list[str]
) -> None:
    assert_one_line(regbench(*arguments), 2, *named)
