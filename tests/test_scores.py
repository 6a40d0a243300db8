"""Scores from elsewhere: tables, runs and functions, and what is said of each."""

from __future__ import annotations

import html
import io
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas
import pytest
from commands import NO_FILES, TINY
from runs import assert_one_line

import regbench as rb
from regbench.report.scores import arm_table
from regbench.report.terminal.console import SteadyConsole, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Command

    from regbench.analysis.statistics import Comparison

WIDE = "seed,a,b\n1,0.5,0.3\n2,0.75,0.5\n3,1.25,1.0\n4,1.5,1.375\n"
LONG = "arm,seed,loss\n" + "".join(
    f"{arm},{seed},{score}\n"
    for row in WIDE.splitlines()[1:]
    for seed, *scores in [row.split(",")]
    for arm, score in zip("ab", scores, strict=True)
)
SCORES = {"a": [0.5, 0.75, 1.25, 1.5], "b": [0.3, 0.5, 1.0, 1.375]}


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def numbers(found: Comparison) -> tuple[Any, ...]:
    return (found.mean_difference, found.ci, found.wins, found.replicates)


@pytest.mark.parametrize(
    "text",
    [
        *(WIDE, LONG, WIDE.replace(",", ";"), WIDE.replace(",", "\t"), f"\ufeff{WIDE}"),
        *(WIDE.replace("\n", "\r\n"), WIDE.replace("seed,", "pair , "), f"{LONG}\n,,\n"),
        *("\n" + WIDE.replace(",", ";"), WIDE.replace("seed", "").replace(",", "\t")),
        *(WIDE.replace("seed", ""), WIDE.replace("seed", "fold"), LONG.replace("loss", '"a,\nb"')),
        "\n".join(line.partition(",")[2] for line in WIDE.splitlines()),
    ],
)
def test_tables_of_every_form_say_the_same(regbench: Command, tmp_path: Path, text: str) -> None:
    (tmp_path / "scores.csv").write_bytes(text.encode())
    document = regbench("judge", "scores.csv", "--json").document
    (expected,) = rb.judge(SCORES).comparisons
    (found,) = document["comparisons"]
    told = found["mean_difference"], tuple(found["ci"]), found["wins"], found["replicates"]
    assert told == numbers(expected)
    assert (document["baseline"], document["pairs"]) == ("a", ["1", "2", "3", "4"])


def test_data_frames_and_arrays_say_the_same() -> None:
    (expected,) = rb.judge(SCORES).comparisons
    wide, long = (pandas.read_csv(io.StringIO(text)) for text in (WIDE, LONG))
    arrays = {arm: np.array(own) for arm, own in SCORES.items()}
    by_seed = {arm: dict(enumerate(own)) for arm, own in SCORES.items()}
    by_seed["b"] = dict(reversed(by_seed["b"].items()))
    numbered = pandas.read_csv(io.StringIO(wide.drop(columns="seed").to_csv()))
    grouped, pivoted = long.groupby(["arm", "seed"]).mean(), long.pivot(index="seed", columns="arm")
    pivoted.columns = pivoted.columns.droplevel(0)
    frames = wide, long, wide.drop(columns="seed"), numbered, grouped, pivoted
    for scores in (*frames, arrays, by_seed):
        assert numbers(rb.judge(scores).comparisons[0]) == numbers(expected)


def test_table_comes_from_stdin(regbench: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(WIDE.encode())))
    said = regbench("judge", "-")
    assert said.code == 0
    assert said.out.splitlines()[1].startswith("b lowers the score by 0.206 (95 % interval")


def test_answer_has_a_sentence_and_a_row_for_each_arm(regbench: Command, tmp_path: Path) -> None:
    rows = "".join(f"{i},{0.9 + i / 99},{0.92 + i / 98},{0.9 + i % 3 / 50}\n" for i in range(9))
    (tmp_path / "scores.csv").write_text(f"seed,plain,ours,theirs\n{rows}")
    said = regbench("judge", "scores.csv", "--better=higher")
    assert re.search(r"^ours improves the score by .* better in 9 of 9 pairs\.$", said.out, re.M)
    assert re.search(r"^theirs: cannot tell; the score differs by", said.out, re.M)
    assert re.search(r"^ours +better +0\.94.* 9 of 9 ", said.out, re.M)
    assert "Score, higher is better: each arm − plain" in said.out
    worse = regbench("judge", "scores.csv", "--baseline=ours", "--better=higher", "--quiet").out
    assert re.search(r"^plain worsens the score by", worse, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("arm,loss\na,1\na,2\na,4\nb,1\nb,3\n", "no pairs: intervals are Welch's"),
        ("arm,seed,loss\na,1,1\na,2,2\nb,3,1\nb,4,3\n", "no pairs: intervals are Welch's"),
        (f"{WIDE}5,,2\n6,1,\n", "2 of 6 pairs are left out: not every arm has them"),
        (
            WIDE,
            "with 4 pairs the interval assumes normal differences; use 6 pairs or more",
        ),
        (LONG.replace("loss\n", "loss,time\n").replace("5\n", "5,1\n"), "judged by loss alone"),
        (f"{WIDE}5,2,2\n6,1,1\n", "b ties in 2 of 6 pairs, which are no wins"),
        ("a,b\n1,2\n2,3\n3,4\n", "all differences of b are the same, so there is no interval"),
    ],
)
def test_what_was_done_with_odd_scores_is_said_in_a_line(
    regbench: Command, tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "scores.csv").write_text(text)
    finished = regbench("judge", "scores.csv")
    assert finished.code == 0
    assert f"Mind: {said}" in finished.out
    assert any(
        said in line for line in regbench("judge", "scores.csv", "--json").document["cautions"]
    )


def test_splits_say_that_they_are_taken_as_such(regbench: Command, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(WIDE)
    plain, split = (
        regbench("judge", "scores.csv", "--json", *words).document
        for words in ([], ["--splits=90/10"])
    )
    widths = [d["comparisons"][0]["ci"][1] - d["comparisons"][0]["ci"][0] for d in (plain, split)]
    assert widths[1] / widths[0] == pytest.approx((1 + 4 / 9) ** 0.5)
    assert "splits depend on each other" in split["cautions"][0]


def test_a_score_that_is_not_finite_ends_with_1_and_is_null_in_json(
    regbench: Command, tmp_path: Path
) -> None:
    (tmp_path / "scores.csv").write_text(f"{WIDE}5,1,NaN\n")
    finished = regbench("judge", "scores.csv", "--require=better", "--json")
    (found,) = finished.document["comparisons"]
    assert (found["verdict"], found["ci"], found["mean_difference"]) == ("diverged", None, None)
    assert (finished.code, finished.document["gate"]["outcome"]) == (1, "diverged")
    finished = regbench("judge", "scores.csv", "--export=page.html", "--out=answer")
    assert "cannot be compared, because a score is not finite" in finished.out
    assert finished.err == "1 of 5 scores of b are not finite: pair 5\n"
    assert "<h1>1 of 5 scores of b are not finite: pair 5</h1>" in read(tmp_path / "page.html")
    assert not any((tmp_path / "answer" / "figures").iterdir())


@pytest.mark.parametrize(
    ("text", "words", "named"),
    [
        ("seed,a\n1,2\n2,3\n", [], ["SCORES", "2 of a", "two arms"]),
        ("seed,a,b\n1,2,3\n", [], ["pairs that all have: 1", "two scores or more"]),
        ("seed,a,b\n1,2,3\n2,3,\n", [], ["2 of a, 1 of b", "pairs that all have: 1"]),
        ("seed,a,b\n1,2,3\n2,3,x\n", [], ["scores.csv, row 2, b", "'x'", "a number, or nothing"]),
        ("model,seed,loss\na,1,2\nb,1,2\n", [], ["row 1, model", "'a'", "in a column called arm"]),
        ('seed,a,b\n1,2,3\n2,3,"0,5"\n', [], ["row 2, b", "decimal comma", "0.5"]),
        ("seed,a,b\n1,2,3\n1,3,4\n", [], ["row 2, a", "a second score in pair 1"]),
        ("seed,a,b\n1,2,3,4\n", [], ["row 1", "more cells than there are titles"]),
        ("a,b,a\n1,2,3\n", [], ["two columns called 'a'"]),
        ("", [], ["SCORES", "'scores.csv', which has no score", "a column for each arm"]),
        ("a,b\n", [], ["which has no score"]),
        ("arm,seed\na,1\nb,1\n", [], ["0 of a, 0 of b"]),
        (WIDE, ["--baseline=c"], ["--baseline", "'c'", "a, b"]),
        (WIDE, ["--splits=9"], ["--splits", "'9'", "N_TRAIN/N_TEST"]),
        (WIDE, ["--splits=0/1"], ["--splits", "'0/1'"]),
        (WIDE, ["--splits=9/1", "--target-width=1"], ["--target-width", "independent pairs"]),
        (
            "arm,loss\na,1\na,2\nb,1\nb,3\n",
            ["--splits=9/1"],
            ["--splits", "no two scores are of one split"],
        ),
        (WIDE, ["--require=equal"], ["--require", "--margin above 0"]),
        (WIDE, ["--out=scores.csv"], ["--out", "cannot write to 'scores.csv'"]),
        (WIDE, ["--out=."], ["--out", "'.'", "not empty", "name a new folder"]),
        (WIDE, ["scores.csv"], ["SCORES", "one file, or folders of runs"]),
        ('seed,a\n1,"2\n', [], ["scores.csv", "no table"]),
        ("seed,\x1b[31m\n1,x\n", [], ["row 1, \\x1b[31m"]),
    ],
)
def test_what_cannot_be_judged_is_refused_in_a_line(
    regbench: Command, tmp_path: Path, text: str, words: list[str], named: list[str]
) -> None:
    (tmp_path / "scores.csv").write_text(text)
    assert_one_line(regbench("judge", "scores.csv", *words), 2, *named)


def test_a_file_that_is_not_there_or_no_text_is_refused(regbench: Command, tmp_path: Path) -> None:
    assert_one_line(regbench("judge", "none.csv"), 2, "SCORES", "cannot read 'none.csv'")
    (tmp_path / "scores.csv").write_bytes(b"a,b\n\xff,1\n")
    assert_one_line(regbench("judge", "scores.csv"), 2, "SCORES", "no table")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--require=better"], 0, "b: met, because the interval −0.300 to −0.112 lies below 0"),
        (["--require=better", "--margin=0.2"], 4, "b: cannot tell"),
        (["--require=better", "--better=higher"], 3, "b: not met"),
        (["--require=not-worse", "--better=higher", "--margin=0.4"], 0, "lies above −0.4"),
        (["--require=equal", "--margin=0.4"], 0, "lies within ±0.4"),
    ],
)
def test_gate_is_told_by_the_exit_code(
    regbench: Command, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    (tmp_path / "scores.csv").write_text(WIDE)
    finished = regbench("judge", "scores.csv", *words)
    assert finished.code == code
    assert said in finished.err


def test_answer_of_many_arms_is_a_table_first_and_says_that_the_best_was_chosen(
    regbench: Command, tmp_path: Path
) -> None:
    rows = "".join(
        f"{i},{i % 4},{i % 4 - 0.5 + i % 3 / 9},{i % 5},{i % 3 + 0.7}\n" for i in range(1, 13)
    )
    (tmp_path / "scores.csv").write_text(f"seed,plain,ours,theirs,odd\n{rows}")
    said = regbench("judge", "scores.csv", "--quiet").out
    assert said.splitlines()[2].split()[:2] == ["ours", "better"]
    assert re.search(r"^odd +cannot tell ", said, re.MULTILINE)
    assert "lowers" not in said
    assert "Best of 3 arms: ours. These scores chose it, which flatters it" in said
    higher = regbench("judge", "scores.csv", "--better=higher").out
    assert re.search(r"^ours +worse ", higher, re.MULTILINE)
    assert "Best of 3 arms: theirs." in higher


@pytest.mark.parametrize("text", [WIDE, "arm,b=c\n'a,1\n'a,2\n'a,4\nb,1\nb,3\n"])
def test_page_stands_alone_begins_with_the_answer_and_has_what_repeats_it(
    regbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "scores.csv").write_text(text)
    words = ["--better=higher", "--require=better"]
    assert regbench("judge", "scores.csv", *words).err
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]  # it writes nothing unasked
    finished = regbench("judge", "scores.csv", *words, "--out=answer", "--export=page.html")
    document = regbench("judge", "scores.csv", *words, "--json").document
    assert finished.out.splitlines()[-2:] == ["Look at: answer/report.html", "Results: answer"]
    files = {path.name for path in (tmp_path / "answer").rglob("*") if path.is_file()}
    assert files == {"report.html", "summary.json", "pairs.png"}
    assert json.loads(read(tmp_path / "answer" / "summary.json")) == document
    for page in (read(tmp_path / "answer" / "report.html"), read(tmp_path / "page.html")):
        assert page.index("<h1>") < page.index("<svg") < page.index("<table")
        assert "default-src 'none'" in page
        assert not re.search(r'(src|href)="(?!#|summary|figures)', page)
        command, scores = map(
            html.unescape, re.findall(r'<pre tabindex="0">(.*?)</pre>', page, re.S)
        )
        assert command == "regbench judge scores.csv --require better --better higher"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(scores.encode())))
        again = regbench("judge", "-", *words, "--json").document
        assert again == document
    assert "figures" not in read(tmp_path / "page.html").partition("<footer>")[0]


def test_long_names_leave_the_difference_and_its_interval_at_eighty_columns() -> None:
    text, name = io.StringIO(), "a very long name of an arm " * 3
    console = SteadyConsole(file=text, width=80, force_terminal=True, color_system=None)
    print_table(console, arm_table(rb.judge({"a": SCORES["a"], name: SCORES["b"]})))
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert any("−0.300 to −0.112" in line for line in lines)


def test_result_shows_itself_in_a_notebook() -> None:
    result = rb.judge({**SCORES, "c": [2.0, 2.5, 3.0, 3.25]})
    shown = result._repr_html_()
    assert "b lowers the score by" in shown
    assert "<table" in shown
    assert dir(result.figures) == ["pairs"]
    assert result.figures.pairs()._repr_png_().startswith(b"\x89PNG")
    assert repr(result).splitlines()[1] == "b: better, -0.20625, -0.33 to -0.082498"


def test_width_says_how_many_pairs_it_takes(regbench: Command, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(WIDE)
    takes = regbench("judge", "scores.csv", "--target-width=0.1", "--json").document[
        "required_pairs"
    ]
    assert takes > 4
    said = regbench("judge", "scores.csv", "--target-width=0.1").out
    assert f"takes {takes} pairs in nine of ten cases, {takes - 4} more than these." in said
    assert "takes over 10000000 pairs" in regbench("judge", "scores.csv", "--target-width=1e-9").out
    assert "no more than these" in regbench("judge", "scores.csv", "--target-width=9").out


def test_answer_is_exported_in_every_form(regbench: Command, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text(WIDE)
    names = [f"answer.{suffix}" for suffix in ("md", "csv", "json")]
    finished = regbench("judge", "scores.csv", *(f"--export={name}" for name in names))
    for name, form in zip(names, ("markdown", "csv", "json"), strict=True):
        assert (tmp_path / name).read_text() == regbench(
            "judge", "scores.csv", "--format", form
        ).out
    assert finished.code == 0
    titles, row = ((tmp_path / "answer.csv").read_text()).splitlines()
    found = dict(zip(titles.split(","), row.split(","), strict=True))
    assert float(found["ci_lower"]) < float(found["mean_difference"]) < float(found["ci_upper"]) < 0


def test_arms_of_several_runs_are_judged_on_the_seeds_that_they_share(regbench: Command) -> None:
    for name, *words in (
        ("a", "--lr=0.01", "--replicates=5"),
        ("b", "--lr=0.02", "--replicates=4"),
        ("c", "--lr=0.01", "--replicates=5", "--noise=0.4"),
        ("d", "--lr=0.01", "--replicates=5", "--by=test-loss"),
    ):
        small = [word for word in TINY if not word.startswith("--replicates")]
        assert regbench("wdecay", *small, *words, *NO_FILES, f"--out={name}").code == 0
    document = regbench("judge", "a", "b", "--json").document
    assert (document["measure"], document["pairs"]) == ("risk", ["1", "2", "3", "4"])
    risks = [rb.load(name).judged for name in "ab"]
    means = {c["arm"]: c["mean_difference"] for c in document["comparisons"]}
    assert means.keys() == {"wdecay=0.01", "b:baseline", "b:wdecay=0.01"}
    expected = (risks[1][0] - risks[0][0, :4]).astype(float).mean()
    assert means["b:baseline"] == pytest.approx(expected, rel=1e-6)
    own = regbench("judge", "a", "a", "--json").document["comparisons"]
    alone = regbench("report", "a", "--json").document["comparisons"]
    assert [c["ci"] for c in own] == [pytest.approx(c["ci"]) for c in alone]
    assert_one_line(
        regbench("judge", "a", "c"), 2, "'c'", "other data: noise 0.5 in a and 0.4 here"
    )
    assert_one_line(regbench("judge", "a", "d"), 2, "'d'", "by risk in a and test_loss here")


def test_scores_at_best_epochs_have_their_law_and_a_column_of_their_name_has_not(
    regbench: Command, tmp_path: Path
) -> None:
    small = [word for word in TINY if not word.startswith("--replicates")]
    words = [*small, "--replicates=6", "--by=risk-at-best", *NO_FILES]
    assert regbench("wdecay", *words, "--out=a").code == 0
    (alone,) = regbench("report", "a", "--json").document["comparisons"]
    (judged,) = regbench("judge", "a", "--json").document["comparisons"]
    assert judged["ci"] == pytest.approx(alone["ci"])
    (tmp_path / "scores.csv").write_text(LONG.replace("loss", "risk_at_best"))
    (found,) = regbench("judge", "scores.csv", "--json").document["comparisons"]
    assert tuple(found["ci"]) == rb.judge(SCORES).comparisons[0].ci != judged["ci"]


def test_run_without_arms_is_not_to_be_measured_again(regbench: Command) -> None:
    assert regbench("dropout-scale", "--units=9", "--trials=9", *NO_FILES, "--out=a").code == 0
    finished = regbench("judge", "a")
    assert_one_line(finished, 2, "SCORES", "'a'", "which is a run that has no arms")
    assert "again" not in finished.err


def test_function_is_called_once_for_each_score_and_goes_on_where_it_was_cut_off(
    tmp_path: Path,
) -> None:
    called = list[tuple[str, int]]()

    def train(arm: str, seed: int) -> dict[str, float]:
        called.append((arm, seed))
        if len(called) == 4:
            raise KeyboardInterrupt
        return {"loss": seed / 3 + (arm == "b") * seed**2 / 7, "time": 1.0}

    with pytest.raises(KeyboardInterrupt):
        rb.compare(train, ["a", "b"], range(4), tmp_path / "mine")
    result = rb.compare(train, ["a", "b"], range(4), tmp_path / "mine")
    pairs = [(arm, seed) for seed in range(4) for arm in "ab"]
    assert called == [*pairs[:4], *pairs[3:]]
    assert result.measure == "loss"
    assert result.scores["b"].tolist() == [seed / 3 + seed**2 / 7 for seed in range(4)]
    again = rb.compare(train, ["a", "b"], range(4), tmp_path / "mine")
    assert len(called) == 9
    assert again.comparisons == result.comparisons


def test_scores_that_a_function_left_are_judged_on_the_command_line(
    regbench: Command, tmp_path: Path
) -> None:
    result = rb.compare(lambda arm, seed: arm * seed + seed % 2, [1, 2.5], [3, 4, 5], tmp_path)
    document = regbench("judge", "scores.csv", "--json").document
    (found,) = result.comparisons
    assert found.arm == document["comparisons"][0]["arm"] == "2.5"
    assert tuple(document["comparisons"][0]["ci"]) == found.ci


def test_function_that_raises_loses_nothing_of_the_others(tmp_path: Path) -> None:
    def train(arm: str, seed: int) -> float:
        if (arm, seed) == ("b", 2) and not repaired:
            raise ValueError("no memory")
        return seed * (1.5 if arm == "b" else 1)

    repaired = list[bool]()
    result = rb.compare(train, ["a", "b"], [1, 2, 3], tmp_path)
    assert result.pairs == ["1", "3"]
    assert result.notes[0] == "train(b, 2) raised ValueError: no memory"
    assert result.notes[1].startswith("1 of 3 pairs are left out")
    repaired.append(True)
    assert rb.compare(train, ["a", "b"], [1, 2, 3], tmp_path).pairs == ["1", "2", "3"]


def test_folder_that_cannot_keep_scores_is_told_in_a_line(tmp_path: Path) -> None:
    def train(arm: str, seed: int) -> float:
        return SCORES[arm][seed]

    (tmp_path / "scores.csv").write_text("a,b\n1,2\n")
    with pytest.raises(rb.UsageError, match=r"folder: got .*no columns arm and seed"):
        rb.compare(train, "ab", range(4), tmp_path)
    (tmp_path / "scores.csv").write_bytes(b"\xff")
    with pytest.raises(rb.UsageError, match="which is no table"):
        rb.compare(train, "ab", range(4), tmp_path)
    called = list[Any]()
    with pytest.raises(rb.RunError, match="cannot write"):
        rb.compare(
            lambda *given: called.append(given), "ab", range(4), tmp_path / "scores.csv" / "x"
        )
    assert called == []


def test_scores_of_a_function_need_no_folder_and_are_compared_as_asked() -> None:
    asked = rb.Judging(better="higher", baseline="b", confidence=0.9)
    result = rb.compare(
        lambda arm, seed: np.float32(SCORES[arm][seed]), "ab", range(4), None, asked
    )
    (found,) = result.comparisons
    assert (found.arm, found.verdict, found.confidence) == ("a", "better", 0.9)


@pytest.mark.parametrize("made", [None, "x", {"loss": None}])
def test_function_that_returns_no_number_is_refused_at_once(made: Any) -> None:
    with pytest.raises(rb.UsageError, match=r"train: got .*allowed: a number"):
        rb.compare(lambda arm, seed: made, ["a", "b"], [1, 2])


def test_what_is_asked_of_runs_alone_is_no_setting_here() -> None:
    untyped: Any = rb.Judging
    for asked in ({"by": "test-loss"}, {"confirm": 3}, {"betr": "higher"}):
        with pytest.raises(rb.UsageError, match=r"by|confirm|betr"):
            untyped(**asked)


@pytest.mark.parametrize(
    "scores",
    [3, [1, 2], {"a": ["x", 2], "b": [1, 2]}, {}, {"a": 1, "b": 2}, {"a": [[1]] * 3, "b": [1]}],
)
def test_scores_of_another_kind_are_a_usage_error(scores: Any) -> None:
    with pytest.raises(rb.UsageError):
        rb.judge(scores)
