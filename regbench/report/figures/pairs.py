"""Paired differences of scores, or of the risk with the variance and bias² that it is the sum of.

Each replicate's difference is a dot over the mean and interval of its arm. Scores that are not
paired are dots themselves, those of the baseline too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.scores import Judged
from regbench.report.figures.findings import Cast, bracket, cast_of, headline_title
from regbench.report.figures.marks import BAR, Row, draw_rows
from regbench.report.figures.palette import BAD, BASELINE, GOOD, GREY, INK
from regbench.report.figures.sheet import name_width, wrapped

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Comparison
    from regbench.report.figures.sheet import Sheet

VERDICTS = {
    "better": ("▼ lower", GOOD),
    "worse": ("▲ higher", BAD),
    "inconclusive": ("? cannot tell", GREY),
    "did nothing": ("did nothing", GREY),
    "equal": ("= equal", GREY),
}
OF_HIGHER = VERDICTS | {"better": ("▲ higher", GOOD), "worse": ("▼ lower", BAD)}
"""Where higher is better."""
MOST_DOTTED, MOST_SPLIT = 8, 16
"""Arms up to which replicates are dots, and up to which there are variance and bias²."""
DOTS, TABLE = 0.6, 4.6
"""Inches of an arm's dots, and of the texts at the right."""

title = headline_title


def rows_of(result: Result | Judged) -> list[Row]:
    """Return a row for each arm; that of its fresh replicates stands below it."""
    if isinstance(result, Judged):
        return rows_of_scores(result)
    cast, rows, what = Cast(result), list[Row](), result.question.words
    arms = result.study.compared
    is_split = result.question.judged_by == "risk" and len(arms) <= MOST_SPLIT
    is_split &= bool(result.decomposition_differences[-1])
    for index, name in enumerate(arms, 1):
        for own, fresh in ((result, ""), (result.confirmation, " fresh")):
            if own is None or name not in own.study.compared:
                continue
            at, values = own.study.arm_names.index(name), own.judged.astype(float)
            found, lost = own.comparisons[at - 1], ""
            if found.verdict == "diverged":
                lost = cast.lost.get(index) or "diverged on fresh replicates"
            bars: list[tuple[str, float, Any]] = [(f"Δ {what}", found.mean_difference, found.ci)]
            if is_split and not lost:
                change = own.decomposition_differences[-1][at - 1]
                parts = ("variance", change.variance), ("bias²", change.bias_squared)
                bars += [(f"Δ {part}", told.value, told.ci) for part, told in parts]
            texts = texts_of(bars, found, cast, is_told=cast.several and not lost)
            dots = values[at] - values[0] if len(arms) <= MOST_DOTTED else None
            label, color = cast.labels[index] + fresh, GREY if lost else cast.colors[index]
            drawn, seed = [(m, ci) for _, m, ci in bars], own.study.seed
            rows.append(Row(label, color, drawn, texts, dots, lost=lost, seed=seed))
    return rows


def rows_of_scores(result: Judged) -> list[Row]:
    """Return a row for each arm; the baseline has one where no two scores belong together."""
    cast, rows, baseline = cast_of(result), list[Row](), result.scores[result.baseline]
    is_dotted, middle = (
        len(result.comparisons) <= MOST_DOTTED,
        baseline if result.pairs else baseline.mean(),
    )
    if is_dotted and not result.pairs:
        own = [(0.0, "", INK), (0.85, "the baseline", INK)]
        dots = baseline - middle
        rows.append(Row(result.baseline, BASELINE, [(0, None)], [own], dots, dots == dots))
    for index, found in enumerate(result.comparisons, 1):
        lost, bar = cast.lost.get(index, ""), (found.mean_difference, found.ci)
        dots = result.scores[found.arm] - middle
        is_full = cast.sign * dots <= 0 if result.pairs else np.isfinite(dots)
        texts = texts_of([("", *bar)], found, cast, is_told=not lost)
        color, shown = GREY if lost else cast.colors[index], dots if is_dotted else None
        rows.append(Row(found.arm, color, [bar], texts, shown, is_full, lost=lost))
    return rows


def texts_of(bars: Any, found: Comparison, cast: Cast, is_told: bool) -> list[Any]:
    """Return what stands beside bars of name, mean and interval, and the verdict on the first."""
    texts = [
        [(0.0, says * (len(bars) > 1), INK), (0.85, bracket(mean, ci, "+"), INK)]
        for says, mean, ci in bars
    ]
    if is_told:
        word, color = (VERDICTS if cast.sign > 0 else OF_HIGHER)[found.verdict]
        wins = "" if found.wins is None else f"{found.wins} of {found.replicates}"
        texts[0] += [(2.6, wins, INK), (3.3, word, color)]
    return texts


def size(result: Result | Judged) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    rows = rows_of(result)
    return 9.4, 2.0 + sum(DOTS * (row.values is not None) + BAR * len(row.bars) for row in rows)


def draw(result: Result | Judged, sheet: Sheet) -> None:
    """Draw a row for each arm: dots, and below them a bar for each difference."""
    rows, cast = rows_of(result), cast_of(result)
    said = "The line is the baseline. " if rows[0].values is None else cast.dot
    said += f"Bar: mean and {cast.interval}. " * cast.several
    said += "The three add up: Δ risk = Δ variance + Δ bias². " * (len(rows[0].bars) > 1)
    top = sheet.heading(title(result), f"{said}{cast.networks}.") + 0.28
    left, right = name_width([row.label for row in rows]) + 0.1, sheet.width - TABLE
    ys = draw_rows(sheet, left, top, right - left, rows, cast.labels[cast.best])
    (below,) = wrapped(cast.axis, sheet.width - left - 0.3, 8.5, most=1)
    sheet.text(left, sheet.height - 0.27, below, 8.5)
    has_wins, (what,) = (
        any(c.wins is not None for c in result.comparisons),
        wrapped(cast.what, 1.1, 8.5, most=1),
    )
    heads = (0.95, "mean and interval"), (2.7, "better in" * has_wins), (3.4, what)
    for x, head in heads if cast.several else ():
        sheet.text(right + x, top - 0.06, head, 8.5, color=GREY, va="bottom")
    sheet.names([row.label for row in rows], [row.color for row in rows], ys, left - 0.1)
