"""What is shown: whole numbers at any width, and plain text off a terminal."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console
from training import make_settings, train

from regbench.regularizers import Baseline, WeightDecay
from regbench.report.tables import number, print_loss_table, print_verdicts
from regbench.report.terminal import arm_label, progress
from regbench.result import Result


def make_console(width: int, is_terminal: bool, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=file, width=width, force_terminal=is_terminal, markup=False, emoji=False)


def shown(console: Console) -> str:
    console.file.seek(0)
    return console.file.read()


def make_result(replicates: int) -> Result:
    settings = make_settings(strengths=(0.001, 0.1), replicates=replicates)
    return Result(settings, {}, train(settings, "batched"))


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("replicates", [1, 3])
def test_no_number_is_ever_cut(width: int, is_terminal: bool, replicates: int) -> None:
    result = make_result(replicates)
    console = make_console(width, is_terminal)
    print_loss_table(console, result)
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(console))
    history = result.history
    for losses in (history.train_loss, history.train_loss_eval, history.test_loss):
        for value in losses.mean(axis=2).flatten():
            assert re.search(rf"(^|\s){re.escape(number(float(value)))}(\s|$)", text)
    assert "…" not in text


@pytest.mark.parametrize("replicates", [1, 3])
def test_loss_table_fits_eighty_columns_on_a_terminal(replicates: int) -> None:
    console = make_console(80, is_terminal=True)
    print_loss_table(console, make_result(replicates))
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown(console))
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_standard_errors_are_labelled_and_left_out_for_one_replicate() -> None:
    texts = []
    for replicates in (1, 3):
        console = make_console(80, is_terminal=False)
        print_loss_table(console, make_result(replicates))
        texts.append(shown(console))
    assert "s.e." not in texts[0]
    assert "standard error" in texts[1]
    assert "±" not in texts[1]


def test_closing_line_says_by_how_much_and_in_how_many() -> None:
    result = make_result(3)
    console = make_console(200, is_terminal=False)
    print_verdicts(console, result)
    for line, comparison in zip(shown(console).splitlines(), result.comparisons, strict=True):
        assert number(abs(comparison.mean_difference)) in line
        assert ("lower than" in line) == (comparison.mean_difference < 0)
        assert f"in {comparison.wins} of 3" in line


def test_label_becomes_ascii_where_the_console_is() -> None:
    arm = WeightDecay(0.1)
    assert arm_label(make_console(80, False, "utf-8"), arm) == "λ=0.1"
    assert arm_label(make_console(80, False, "ascii"), arm) == "lambda=0.1"
    assert arm_label(make_console(80, False, "ascii"), Baseline()) == "baseline"


def test_progress_off_a_terminal_is_about_ten_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 100_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    console = make_console(80, is_terminal=False)
    with progress(console, "training", 1000) as advance:
        for _ in range(1000):
            advance(1)
    lines = shown(console).splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("training: 10 %")
    assert "\x1b" not in "".join(lines)


def test_quiet_shows_no_progress() -> None:
    console = make_console(80, is_terminal=True)
    with progress(console, "training", 10, is_quiet=True) as advance:
        advance(10)
    assert shown(console) == ""


def test_short_work_shows_no_progress_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    console = make_console(80, is_terminal=False)
    with progress(console, "training", 10) as advance:
        advance(10)
    assert shown(console) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00000"),
        (0.123456789, "0.12346"),
        (-1234.5, "-1234.50000"),
        (1e-8, "1.00e-08"),
        (12345.0, "1.23e+04"),
        (float("nan"), "n/a"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (None, "n/a"),
    ],
)
def test_numbers_are_short_and_honest(value: float | None, text: str) -> None:
    assert number(value) == text
