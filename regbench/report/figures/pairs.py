"""Paired differences of the risk, and of the variance and bias² that it is the sum of.

Each replicate's difference is a dot over the mean and interval of its arm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regbench.report.figures.findings import Cast, bracket, headline_title
from regbench.report.figures.marks import BAR, Row, draw_rows
from regbench.report.figures.palette import BAD, GOOD, GREY, INK
from regbench.report.figures.sheet import name_width

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

VERDICTS = {
    "better": ("▼ lower", GOOD),
    "worse": ("▲ higher", BAD),
    "inconclusive": ("? cannot tell", GREY),
    "did nothing": ("did nothing", GREY),
    "equal": ("= equal", GREY),
}
MOST_DOTTED, MOST_SPLIT = 8, 16
"""Arms up to which replicates are dots, and up to which there are variance and bias²."""
DOTS, TABLE = 0.6, 4.6
"""Inches of an arm's dots, and of the texts at the right."""

title = headline_title


def rows_of(result: Result) -> list[Row]:
    """Return a row for each arm; that of its fresh replicates stands below it."""
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
            texts = [
                [(0.0, says * (len(bars) > 1), INK), (0.85, bracket(m, ci, "+"), INK)]
                for says, m, ci in bars
            ]
            if cast.several and not lost:
                word, color = VERDICTS[found.verdict]
                texts[0] += [(2.6, f"{found.wins} of {found.replicates}", INK), (3.3, word, color)]
            dots = values[at] - values[0] if len(arms) <= MOST_DOTTED else None
            label, color = cast.labels[index] + fresh, GREY if lost else cast.colors[index]
            drawn, seed = [(m, ci) for _, m, ci in bars], own.study.seed
            rows.append(Row(label, color, drawn, texts, dots, lost=lost, seed=seed))
    return rows


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    rows = rows_of(result)
    return 9.4, 2.0 + sum(DOTS * (row.values is not None) + BAR * len(row.bars) for row in rows)


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a row for each arm: dots, and below them a bar for each difference."""
    rows, cast, what = rows_of(result), Cast(result), result.question.words
    said = "The line is the baseline. "
    if rows[0].values is not None:
        said = (
            "A dot is one replicate: its regularized network minus its baseline, on the same data "
            "from the same initial weights; hollow where the baseline was better. "
        )
    said += f"Bar: mean and {cast.interval}. " * cast.several
    said += "The three add up: Δ risk = Δ variance + Δ bias². " * (len(rows[0].bars) > 1)
    top = sheet.heading(title(result), f"{said}{cast.networks}.") + 0.28
    left, right = name_width([row.label for row in rows]) + 0.1, sheet.width - TABLE
    ys = draw_rows(sheet, left, top, right - left, rows, cast.labels[cast.best])
    below = f"← lower is better     paired difference in {what}, arm − baseline"
    sheet.text(left, sheet.height - 0.27, below, 8.5)
    heads = (0.95, "mean and interval"), (2.7, "better in"), (3.4, what)
    for x, head in heads if cast.several else ():
        sheet.text(right + x, top - 0.06, head, 8.5, color=GREY, va="bottom")
    sheet.names([row.label for row in rows], [row.color for row in rows], ys, left - 0.1)
