"""What stands on a terminal beside words: colours, and means while a run goes on."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console
from test_terminal import make_screen
from training import make_result

from regbench.report.base import Table
from regbench.report.format import number
from regbench.report.terminal import console as consoles
from regbench.report.terminal.console import print_line, print_table


def make_console(is_terminal: bool, **variables: str) -> Console:
    """Return a console that writes into a text, under variables."""
    return Console(
        file=io.StringIO(),
        width=100,
        force_terminal=is_terminal,
        highlight=False,
        _environ={"TERM": "xterm", **variables},
    )


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


GREEN, RED, DIM = "32", "31", "2"


def test_words_of_an_answer_have_colours_and_no_other_word_has() -> None:
    words = {"yes −0.1": GREEN, "lower": GREEN, "no": RED, "diverged": RED, "cannot tell": DIM}
    plain = ["train loss higher", "nobody", "lower in"]
    console = make_console(is_terminal=True)
    print_table(console, Table([["higher", "no"], *([word, "1"] for word in [*words, *plain])]))
    cells = re.findall(r"^(?:\x1b\[(\d+)m)?([a-z][a-z ]*)(?:\x1b\[0m)?", written(console), re.M)
    assert [(code, cell.strip()) for code, cell in cells] == [
        ("1", "higher"),
        *((code, word.removesuffix(" −0.1")) for word, code in words.items()),
        *(("", word) for word in plain),
    ]
    console = make_console(is_terminal=True)
    for sentence in ("p lowers the risk", "p raises it", "cannot tell", "no higher than yes"):
        print_line(console, sentence)
    assert written(console).splitlines() == [
        "p \x1b[32mlowers\x1b[0m the risk",
        "p \x1b[31mraises\x1b[0m it",
        "\x1b[2mcannot tell\x1b[0m",
        "no higher than yes",
    ]


@pytest.mark.parametrize(("is_terminal", "codes"), [(True, {"1", "2"}), (False, set())])
def test_no_color_and_a_pipe_leave_the_words(is_terminal: bool, codes: set[str]) -> None:
    console = make_console(is_terminal, NO_COLOR="1", FORCE_COLOR="1")
    print_line(console, "p lowers the risk, and raises another: cannot tell", style="bold")
    found = written(console)
    assert {c for code in re.findall(r"\x1b\[([\d;]+)m", found) for c in code.split(";")} <= {
        "0", *codes,
    }  # fmt: skip
    plain = re.sub(r"\x1b\[[\d;]*m", "", found)
    assert plain == "p lowers the risk, and raises another: cannot tell\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_bar_that_lasts_has_the_means_of_finished_replicates_and_no_verdict(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr(consoles, "SHORT_SECONDS", -1)
    result = make_result("wdecay", (0.1, 0.2, 0.3, 0.4, 0.5), epochs=10)
    study, history, console = result.study, result.history, make_console(is_terminal)
    history.risk[-1, 1, 0] = np.inf
    screen = make_screen(console)
    with screen.stage("training", 10, study.labels) as advance:
        for arm_indices, replicates in (([5, 4], [0, 1, 2]), ([1], [0, 2]), ([0], [2]), ([0], [0])):
            arms = [study.arms[arm_index] for arm_index in arm_indices]
            part = history.part(A=arm_indices).part(R=replicates)
            screen.finish(arms, [study.seeds[replicate] for replicate in replicates], part)
        advance(5)
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written(console))
    assert ("so far" in text) == is_terminal
    if is_terminal:
        rows = [line.split() for line in text.split("mean so far")[-1].splitlines()]
        assert rows[0] == ["replicates", "train", "loss", "risk"]
        measures = (history.train_loss_eval, history.risk)
        means = [m[-1, :, [0, 2]].astype(float).mean(axis=0) for m in measures]
        assert rows[2:5] == [  # the sixth arm is one too many, and one lacks the second replicate
            [[*study.labels.values()][index], "2", *(number(float(m[index])) for m in means)]
            for index in (0, 1, 4)
        ]
        assert not any(rows[5:])


def test_a_stage_forgets_the_replicates_of_the_one_before() -> None:
    result, screen = make_result(), make_screen(make_console(is_terminal=False))
    for _ in range(2):
        with screen.stage("training", 1, result.study.labels):
            assert screen.so_far() is None
            screen.finish(result.study.arms, result.study.seeds, result.history)
            table = screen.so_far()
            assert table is not None
            assert [row[1] for row in table.rows[1:]] == ["3", "3"]
