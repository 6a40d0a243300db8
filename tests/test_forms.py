"""`--format` and `--export`: the same result as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY
from runs import SCALE, assert_one_line

if TYPE_CHECKING:
    from commands import Command
    from runs import Trained

RUN = ["wdecay", "--lambda=0.1,0.2", *TINY, *NO_FILES]


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def tables_of(text: str) -> list[list[list[str]]]:
    """Return the cells of every table of a Markdown text; a rule stands below its titles."""
    tables: list[list[list[str]]] = [[]]
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line)[1:-1]
            tables[-1].append([cell.strip().replace(r"\|", "|") for cell in cells])
        elif tables[-1]:
            tables.append([])
    return tables[:-1]


def test_every_form_says_the_same_on_stdout_and_in_files(regbench: Command) -> None:
    document = regbench(*RUN, "--out=run", "--json").document
    files = {suffix: Path(f"result.{suffix}") for suffix in ("md", "csv", "json")}
    files["md"].write_text("of before")
    exports = [f"--export={path}" for path in files.values()]
    finished = regbench("report", "run", "--quiet", *exports)
    assert finished.code == 0, finished.err
    assert json.loads(files["json"].read_text()) == document
    for form, suffix in (("markdown", "md"), ("csv", "csv"), ("json", "json")):
        assert regbench("report", "run", f"--format={form}").out == files[suffix].read_text("utf-8")
    # CSV has the exact numbers of the document.
    rows = rows_of(files["csv"].read_text())
    assert len(rows) == len(document["measures"]) > 10
    for row, found in zip(rows, document["measures"], strict=True):
        assert (row["arm"], row["measure"]) == (found["arm"], found["measure"])
        assert row["verdict"] == found["verdict"]
        assert float(row["mean_difference"]) == found["mean_difference"]
        assert [float(row["ci_lower"]), float(row["ci_upper"])] == found["ci"]
    # Markdown has a row for each arm, whose numbers are those of the document, rounded.
    text = files["md"].read_text("utf-8")
    claims = tables_of(text)[0]
    assert claims[0][:2] == ["arm", "claim"]
    better, difference = claims[3], claims[0].index("difference")
    assert (claims[2][0], better[:2]) == ("λ=0.1", ["", "generalizes better"])
    exact = next(c["mean_difference"] for c in document["comparisons"] if c["arm"] == "wdecay=0.1")
    shown = better[difference].replace("−", "-")
    assert float(shown) == pytest.approx(exact, abs=10 ** -len(shown.partition(".")[2]))
    for table in tables_of(text):
        assert {len(row) for row in table} == {len(table[0])}


def test_markdown_repeats_the_run(regbench: Command) -> None:
    options = ["--slope=-2", "--truth=sine", "--x-min=-2.5", "--require=better"]
    first = regbench(*RUN, *options, "--format=markdown")
    assert first.code in (3, 4)
    assert "--require better: " in first.out
    command = first.out.split("```sh\n")[1].splitlines()[0].split()
    assert command[:2] == ["regbench", "wdecay"]
    assert "--dtype" not in command, "only what is not the default"
    again = regbench(*command[1:], "--format=markdown", "--no-cache")
    assert again.out.split("Repeat it")[0] == first.out.split("Repeat it")[0]


def test_markdown_of_any_text_stays_a_table(regbench: Command) -> None:
    regbench(*RUN, "--out=a|b<c>", "--quiet")
    shown = regbench("show", "a|b<c>", "--format=markdown").out
    (titles,) = (table[0] for table in tables_of(shown) if table[0][0] == "run")
    assert titles == ["run", "a|b&lt;c&gt;"]


def test_scale_has_every_form(regbench: Command) -> None:
    finished = regbench(*SCALE, "--format=csv", "--export=scale.json", "--export=scale.md")
    scales = json.loads(Path("scale.json").read_text())["scales"]
    for row, scale in zip(rows_of(finished.out)[::2], scales, strict=True):
        assert (float(row["p"]), row["convention"]) == (scale["p"], "inverted")
        assert float(row["mean"]) == scale["inverted"]["mean"]
    assert "p=0.1: torch's dropout fits" in Path("scale.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--json", "--format=csv"], ["--json", "--format csv"]),
        (["--json", "--format=table"], ["--json", "--format table"]),
        (["--format=html"], ["--format", "'html'", "markdown"]),
        (["--export=result.txt"], ["--export", ".md, .csv, .json or .html"]),
        (["--export=result.md", "--export=.md"], ["--export", ".md, .csv, .json or .html"]),
        (["--export=missing/result.md"], ["--export", "missing/result.md", "No such file"]),
        (["--export=folder.md"], ["--export", "folder.md", "Is a directory"]),
    ],
)
def test_wrong_form_is_refused_before_anything_is_trained(
    regbench: Command, trained: Trained, options: list[str], named: list[str]
) -> None:
    Path("folder.md").mkdir()
    assert_one_line(regbench(*RUN, "--engine=batched", *options), 2, *named)
    assert not trained
    assert {path.name for path in Path().iterdir()} == {"folder.md"}
    regbench(*RUN, "--out=run", "--quiet")
    assert_one_line(regbench("report", "run", *options), 2, *named)


def test_export_changes_neither_hash_nor_configuration(regbench: Command) -> None:
    regbench(*RUN, "--out=first", "--quiet")
    regbench(*RUN, "--out=second", "--export=a.md", "--export=b b.csv", "--format=csv")
    assert Path("b b.csv").is_file()
    first, second = (Path(run, "config.toml").read_text() for run in ("first", "second"))
    assert first == second
    manifests = [json.loads(Path(r, "environment.json").read_text()) for r in ("first", "second")]
    assert manifests[0]["configuration"] == manifests[1]["configuration"]


def test_resume_exports_too(regbench: Command) -> None:
    regbench(*RUN, "--out=run", "--quiet")
    expected = regbench("report", "run", "--format=csv").out
    Path("run", "DONE").unlink()
    assert regbench("resume", "run", "--export=late.csv", "--quiet").code == 0
    assert Path("late.csv").read_text() == expected
