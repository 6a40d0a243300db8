"""What `--over` shows: the same numbers on the screen, in files, in logs and in the picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import NO_FILES, TINY
from test_figures import assert_texts_are_seen, drawn, texts_of
from training import ENVIRONMENT, make_result

from regbench.analysis.result import OverResult
from regbench.report.figures import over
from regbench.report.over import listed, sentences
from regbench.settings.over import Over

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commands import Command

OPTIONS = [*TINY[1:], "--engine=batched"]


def make_over(key: str, values: Sequence[Any], **asked: Any) -> OverResult:
    """Return the result of a small study over values, each trained by itself."""
    results = {value: make_result(**{"epochs": 10, key: value} | asked) for value in values}
    first = results[values[0]]
    study = Over(study=first.study, key=key, values=values)
    return OverResult(study, first.question, ENVIRONMENT, results)


def shifted(result: OverResult, effects: Sequence[float]) -> OverResult:
    """Return a result whose arms differ from the baseline by so much at each value, or nearly."""
    for one, effect in zip(result.over, effects, strict=True):
        risk = one.history.risk
        noise = 0.01 * np.random.default_rng(0).normal(size=risk[-1, 1:].shape)
        risk[-1, 1:] = risk[-1, :1] + effect + noise
    return result


def test_sentence_says_where_an_arm_helps() -> None:
    result = shifted(
        make_over("points", [3, 4, 5, 6, 7], replicates=6), [-0.2, -0.1, -0.1, 0.0, 0.3]
    )
    answer, change = sentences(result)
    assert answer == (
        "λ=0.01 lowers the risk at points=3, 4, 5; raises it at 7; at 6: cannot tell."
    )
    said = "From points=3 to 7 the difference of λ=0.01 rises by 0.5000 (95 % "
    assert change.startswith(said)
    assert answer.replace("λ=0.01", "Weight decay 0.01") == f"{over.title(result)}."


def test_neighbours_are_told_by_their_ends_and_words_one_by_one() -> None:
    order = [12, 1, 2, 3, 4, 9, 5]
    assert listed([1, 2, 3, 4, 9, 5], order) == "1 to 9"
    assert listed([1, 2, 3, 9, 12], order) == "1, 2, 3, 9, 12"
    assert listed(["a", "b", "c"], ["a", "b", "c"]) == "a, b, c"


def test_one_pair_cannot_tell() -> None:
    result = make_over("points", [3, 4], replicates=1)
    assert sentences(result) == ["One pair at each value cannot tell; use --replicates 30."]
    assert over.title(result).startswith("One pair")


def test_screen_says_the_answer_first_and_a_row_for_each_value(regbench: Command) -> None:
    finished = regbench("dropout", *OPTIONS, *NO_FILES, "--over=points=3,4", "--out=run")
    lines = finished.out.splitlines()
    assert lines[1] == "Over points=3, 4: each on replicates of the same seeds. At points=3:"
    answer = next(line for line in lines[4:] if line)
    assert answer.startswith("p=0.5 ")
    rows = [line.split() for line in lines]
    assert [row[0] for row in rows if row[1:2] == ["p=0.5"]][-2:] == ["3", "4"]
    details = regbench("report", "run", "--details").out
    assert "At points=4: Why: the risk at epoch 4" in details
    again = regbench("report", "run").out.splitlines()
    assert again[1:] == lines[1 : len(again)]
    listing = regbench("runs", "--root=.", "--json").document["runs"]
    assert listing[0]["arms"] == ["dropout=0.5 at points=3", "dropout=0.5 at points=4"]
    assert list(listing[0]["verdicts"]) == listing[0]["arms"]


def rows_of(run: str) -> list[list[str]]:
    return list(csv.reader(Path(run, "history.csv").read_text().splitlines()))


def test_table_of_numbers_is_those_at_each_value_behind_it(regbench: Command) -> None:
    regbench("wdecay", *OPTIONS, *NO_FILES, "--over=noise=0,0.5", "--out=over")
    found = rows_of("over")
    expected = []
    for value in ("0.0", "0.5"):
        regbench("wdecay", *OPTIONS, *NO_FILES, f"--noise={value}", f"--out={value}")
        header, *rows = rows_of(value)
        expected += [[value, *row] for row in rows]
    assert found == [["noise", *header], *expected]


def test_files_are_a_picture_and_logs_by_value_and_arm(regbench: Command) -> None:
    finished = regbench("wdecay", *OPTIONS, "--over=points=3,4", "--out=run")
    assert (finished.code, finished.err) == (0, "")
    assert [path.name for path in Path("run/figures").iterdir()] == ["over.png"]
    logs = {str(p.parent.relative_to("run/tensorboard")) for p in Path("run").rglob("*.regbench")}
    arms = ("baseline", "wdecay=0.01")
    assert logs == {"answer", *(f"points={points}/{arm}" for points in (3, 4) for arm in arms)}
    kept = json.loads(Path("run/summary.json").read_text())
    Path("run/figures/over.png").unlink()
    assert regbench("report", "run", "--files").code == 0
    assert Path("run/figures/over.png").is_file()
    assert json.loads(Path("run/summary.json").read_text()) == kept


@pytest.mark.parametrize(("count", "most"), [(2, 2), (9, 3), (30, 1), (3, 11)])
@pytest.mark.parametrize("replicates", [1, 4])
def test_picture_shows_every_effect_and_every_text(count: int, most: int, replicates: int) -> None:
    arms = tuple(f"wdecay={number / 100:g}+l1={number / 100:g}" for number in range(1, 1 + most))
    values = [3 * (index + 1) for index in range(count)]
    asked = {"command": "compare", "arms": arms, "hidden": 3}
    result = make_over("points", values, replicates=replicates, **asked)
    figure = drawn("over", result)
    assert_texts_are_seen(figure)
    (bars,) = [c for c in figure.axes[1].collections if np.allclose(c.get_linewidth(), 4.5)]
    drawn_means = np.array(bars.get_segments())[..., 0].mean(axis=1)  # type: ignore[attr-defined]
    assert len(drawn_means) == min(most, 7) * count
    if most > 7:
        return
    differences = [one.headline[-1, 1] - one.headline[-1, 0] for one in result.over]
    means = [difference.mean(dtype=float) for difference in differences]
    low, high = figure.axes[1].get_xlim()
    np.testing.assert_allclose(drawn_means[:count], np.clip(means, low, high), atol=1e-7)
    base, arm = result.over[-1].headline[-1, [0, 1]].mean(axis=1)
    assert f"{base:.3f} → {arm:.3f}" in texts_of(figure)


def test_sweep_has_its_risk_over_strength_at_each_value_with_the_best_one() -> None:
    strengths = (0.003, 0.01, 0.03, 0.1, 0.3)
    result = make_over("points", [3, 6, 12], strengths=strengths, replicates=4, hidden=3)
    figure = drawn("over", result)
    assert_texts_are_seen(figure)
    panels = figure.axes[1:]
    assert len({(*panel.get_xlim(), *panel.get_ylim()) for panel in panels}) == 1
    for panel, one in zip(panels, result.over, strict=True):
        (dots,) = [line for line in panel.lines if line.get_marker() == "o"]
        means = one.headline[-1, 1:].mean(axis=1)
        np.testing.assert_allclose(np.asarray(dots.get_ydata()), means, rtol=1e-6)
        best = one.optimum.strength if one.optimum else 0
        marks = [np.asarray(line.get_xdata())[0] for line in panel.lines]
        assert any(mark == pytest.approx(np.log10(best)) for mark in marks)
        assert any(text.startswith(f"λ* {best:.2g} [") for text in texts_of(figure))
    first, *_, last = (one.optimum.strength for one in result.over if one.optimum)
    assert f"lowest at λ* = {first:.2g} [" in over.title(result)
    assert f" and {last:.2g} [" in over.title(result)


def test_title_of_many_arms_says_which_is_lowest_at_either_end() -> None:
    arms = "wdecay=0.1", "l1=0.1", "dropout=0.5"
    result = make_over("points", [3, 4], command="compare", arms=arms, replicates=4)
    for one, lowest in zip(result.over, (2, 0), strict=True):
        one.history.risk[-1] = 1.0
        one.history.risk[-1, lowest] = 0.5
    expected = "Risk is lowest with L1 0.1 at points=3 and with baseline at points=4"
    assert over.title(result) == expected


@pytest.mark.parametrize("lost", [[0], [1], [0, 1], [0, 1, 2]])
def test_value_at_which_an_arm_is_not_finite_is_said_and_decides_no_axis(lost: list[int]) -> None:
    result = make_over("lr", [0.3, 0.01, 0.02], strengths=(0.1, 0.2), replicates=4)
    for one in [result.over[index] for index in lost]:
        one.history.risk[-1, 1] = np.nan
        one.history.test_loss[-1, 1] = np.inf
    figure = drawn("over", result)
    assert_texts_are_seen(figure)
    names = ", ".join(f"{[0.3, 0.01, 0.02][index]:g}" for index in lost)
    assert f"Diverged: an arm at lr={names}." in " ".join(texts_of(figure)).replace("\n", " ")
    assert "eight decay 0.1" in over.title(result)
    assert "cannot be compared at " in over.title(result)


def test_values_may_be_words() -> None:
    figure = drawn("over", make_over("truth", ["sine", "linear", "abs"]))
    assert {f"λ=0.01, truth={word}" for word in ("sine", "linear", "abs")} <= {*texts_of(figure)}
