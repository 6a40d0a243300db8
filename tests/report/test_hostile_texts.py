"""Texts of other people's folders and plug-ins: no view lets them drive a terminal or a program."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import NO_FILES, TINY
from hypothesis import given
from hypothesis import strategies as st
from runs import change_manifest

from regbench.regularizers import REGULARIZERS
from regbench.report.csv import cell
from regbench.storage.records import CHECKSUM, write_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Command

ODD = "=1\x1b[31m\x9b2J\u202e\u2066\nx\r\x00\x7f"
"""Colours, C1, bidi, lines, and the beginning of a formula."""
FORMS = ("table", "markdown", "csv", "json")
PLUGIN = """
from regbench import Regularizer

class Smith(Regularizer):
    command, option, symbol, default = "smith", "lambda", "猫", 0.01
    meaning, summary = "How [/bold] of \\\\[red]it[/]", "A penalty of [/smith], [sons] and [co"

    def add_penalty_gradient_(self, gradient, parameter, *others):
        gradient.add_(parameter, alpha=2 * self.strength)
"""


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    """Leave the registry as it was."""
    before = dict(REGULARIZERS)
    yield
    REGULARIZERS.clear()
    REGULARIZERS.update(before)


def change_done(run: Path, **values: object) -> None:
    """Change what a run's `DONE` says; it is intact afterwards."""
    record = json.loads((run / "DONE").read_text())
    del record[CHECKSUM]
    write_record(run / "DONE", {**record, **values})


@pytest.fixture
def hostile(regbench: Command) -> str:
    """Return a run of somebody whose names and records are all odd."""
    assert regbench("wdecay", *TINY, *NO_FILES, "--slope=-0.5", "--out=run").code in (0, 1)
    manifest = json.loads(Path("run/environment.json").read_text())
    odd: dict[str, Any] = {
        "environment": {**manifest["environment"], "platform": ODD, "device_name": ODD}
    }
    odd |= {"git": {"commit": ODD, "is_clean": True}, "command": ["x", ODD, f"--out=a{ODD}"]}
    odd["origins"] = {**manifest["origins"], "lambda": ODD, "points": "@SUM(1)", "depth": "-2+3"}
    change_manifest(Path("run"), **odd)
    effects = {"wdecay=0.01": [0.5, -0.1, 2], ODD: [1.0, 0.0, 2.0]}
    change_done(Path("run"), verdicts={"wdecay=0.01": ODD, ODD: "better"}, effects=effects)
    name = "a" + ODD.replace("\0", "")
    Path("run").rename(name)
    return name


def test_no_view_of_a_folder_shows_what_drives_a_terminal(regbench: Command, hostile: str) -> None:
    (Path(hostile) / "blocks" / f"{ODD[:9]}.txt").touch()
    Path(hostile, "report.html").touch()
    for command in (("show", hostile), ("report", hostile), ("runs", "--root=.")):
        for form in FORMS:
            finished = regbench(*command, f"--format={form}")
            for line in (finished.out + finished.err).split("\n"):
                assert line.isprintable(), (command, form, line)
            assert form != "json" or finished.document
    assert "\\x1b[31m\\x9b2J\\u202e" in regbench("show", hostile).out, "shown, and as escapes"
    assert regbench("report", hostile, "--export=page.html", "--export=a.md").code in (0, 1)
    for page in (Path("page.html"), Path("a.md")):
        assert all(line.isprintable() for line in page.read_text("utf-8").split("\n"))


def test_csv_has_no_formula_and_numbers_stay_numbers(regbench: Command, hostile: str) -> None:
    rows = list(csv.reader(regbench("show", hostile, "--format=csv").out.splitlines()))
    told = {row[1]: row[2:] for row in rows}
    assert told["slope"] == ["-0.5", "1.5", "'--slope"]
    assert told["points"] == ["4", "10", "'@SUM(1)"]
    assert told["depth"][2] == "'-2+3"
    assert told["lambda"][2].startswith("'=1\\x1b")
    listed = regbench("runs", "--root=.", "--format=csv").out
    assert listed.splitlines()[0] == "run,age,verdict,effect,interval,size"


@given(st.text() | st.from_regex(r"[-+=@\t\r\n].*"))
def test_cell_of_a_spreadsheet_is_a_number_or_a_text(text: str) -> None:
    written = str(cell(text))
    assert written.isprintable()
    if written[:1] in tuple("=+-@"):
        assert [float(word) for word in written.split(" to ")]
    assert cell(-0.5) == -0.5
    assert cell("-1.5e-05 to 0.2") == "-1.5e-05 to 0.2"


def test_words_of_a_plugin_are_shown_as_they_are(regbench: Command) -> None:
    Path("smith.py").write_text(PLUGIN, "utf-8")
    for words in (["--help"], ["smith", "--help"], ["info"], ["info", "--format=markdown"]):
        finished = regbench(*words, "--plugin=smith.py")
        assert finished.code == 0, finished.err
        if "info" not in words:
            assert "A penalty of [/smith], [sons] and [co" in finished.out
    shown = " ".join(regbench("smith", "--help", "--plugin=smith.py").out.split())
    assert r"How [/bold] of \[red]it[/]. Several" in shown
    assert "What to print" in shown
    assert "[auto]" in shown
    # The font lacks its letter.
    told = regbench("smith", "--plugin=smith.py", *TINY, "--no-tensorboard", "--out=run")
    assert (told.code, "note" in told.err) == (0, False), told.err
    assert {path.stem for path in Path("run/figures").iterdir()} >= {"fan", "pairs", "course"}
    assert "猫=0.01" in Path("run/report.html").read_text("utf-8")


def test_exported_page_stands_alone_and_names_no_folder_of_this_machine(
    regbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    run, page = tmp_path / "home" / "mine" / "run", tmp_path / "page.html"
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    options = ["--no-plots", "--no-tensorboard", f"--out={run}", "--export=a.md"]
    regbench("wdecay", *TINY, *options, f"--export={page}")
    links = re.findall(r'href="(?!#)([^"]*)"', (run / "report.html").read_text("utf-8"))
    assert links
    assert all((run / link).exists() for link in links)
    assert "<code>~/mine/run</code>" in (run / "report.html").read_text("utf-8")
    assert not re.findall(r'(?:href|src)="(?!#)', page.read_text("utf-8"))
    shown = regbench("show", str(run), "--format=markdown").out
    for text in (page.read_text("utf-8"), (run / "report.html").read_text("utf-8"), shown):
        assert str(tmp_path) not in text
    assert str(tmp_path) not in Path("a.md").read_text("utf-8")
