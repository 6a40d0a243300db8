"""Every replicate's paired difference as a dot, over each arm's mean and interval.

Of one arm the replicates' own values stand beside, joined by slopes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection

from regbench.report.figures.findings import Cast, bracket, headline_title, short
from regbench.report.figures.palette import BAD, BASELINE, GOOD, GREY, RULE, readable
from regbench.report.figures.sheet import draw_intervals, name_width, ticks

if TYPE_CHECKING:
    from regbench.analysis.history import Array
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
MOST_SWARM, MOST_DOTTED_ROWS = 300, 16
"""Replicates up to which there are dots rather than a histogram, and rows up to which there are."""
TABLE = 3.95
"""Inches of the columns at the right."""

title = headline_title


class Row(NamedTuple):
    """What is compared: an arm, or an arm again on fresh replicates."""

    label: str
    color: str
    found: Comparison
    differences: Array
    lost: str


def rows_of(result: Result) -> list[Row]:
    """Return a row for each arm; that of its fresh replicates stands below it."""
    cast, rows = Cast(result), []
    for index, name in enumerate(result.study.compared, 1):
        for own, fresh in ((result, ""), (result.confirmation, " fresh")):
            if own is None or name not in own.study.compared:
                continue
            at, values = own.study.arm_names.index(name), own.judged.astype(float)
            found, lost = own.comparisons[at - 1], Cast(own).lost
            text = lost.get(at) or f"the baseline {lost.get(0, 'diverged')}"
            text = text if found.verdict == "diverged" else ""
            color = GREY if text else cast.colors[index]
            rows.append(Row(cast.labels[index] + fresh, color, found, values[at] - values[0], text))
    return rows


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    rows = len(rows_of(result))
    step = 2.2 if rows == 1 else 0.8 if rows < 5 else 0.42 if rows <= MOST_DOTTED_ROWS else 0.2
    return 9.4, 2.0 + rows * step


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a row for each arm, and of one its pairs."""
    rows, cast, what = rows_of(result), Cast(result), result.question.words
    is_one, is_dotted = len(rows) == 1, len(rows) <= MOST_DOTTED_ROWS
    said = "Left: the two networks of each replicate, joined. " * is_one
    if is_dotted:
        said += (
            "A dot is one replicate: its regularized network minus its baseline, on the same data "
            "from the same initial weights; hollow where the baseline was better. "
        )
    said += f"Bar: mean and {cast.interval}. " * cast.several
    top = sheet.heading(title(result), f"{said}{cast.networks}.") + (0.55 if is_one else 0.3)
    height = sheet.height - top - 0.55
    left, right = name_width([row.label for row in rows]) + 0.1, sheet.width - TABLE
    if is_one:
        left, right = 4.0, sheet.width - 0.3
        sheet.text(0.75, top - 0.06, f"{what}   ↓ lower is better", color=GREY, va="bottom")
        draw_slopes(sheet.panel(0.75, top, 2.6, height), result, rows[0])
    ys, step = np.arange(len(rows)), height / len(rows)
    fine = [y for y, row in enumerate(rows) if not row.lost]
    low, high = limits([rows[y] for y in fine])
    panel = sheet.panel(
        left, top, right - left, height, xlim=(low, high), ylim=(ys[-1] + 0.5, -0.5)
    )
    panel.spines["left"].set_visible(False)
    panel.axvline(0, color=BASELINE, lw=2, zorder=1)
    panel.hlines(ys[1:] - 0.5, low, high, color=RULE, lw=0.7, zorder=0)
    ticks(panel, "x", most=5, sign="+")
    zero = np.clip(left - low / (high - low) * (right - left), left + 0.5, right - 0.5)
    style = dict[str, Any](color=BASELINE, ha="center", va="bottom", weight="bold")
    sheet.text(zero, top - 0.06, "as the baseline", 8.5, **style)
    said = f"← lower is better     paired difference in {what}, arm − baseline"
    sheet.text(left, sheet.height - 0.27, said, 8.5)
    for y in fine if is_dotted else ():
        draw_dots(panel, y, rows[y], step, (right - left) / (high - low))
    if cast.several and fine:
        found = [rows[y].found for y in fine]
        means, cis = [c.mean_difference for c in found], [c.ci for c in found]
        bars, colors = np.array(fine) + 0.34 * is_dotted, [rows[y].color for y in fine]
        draw_intervals(panel, bars, means, cis, colors, min(0.4, 0.08 / step))
    middles = top + (ys + 0.5) * step
    columns = sheet.width - TABLE + 0.08, sheet.width - 1.15, sheet.width - 1.05
    if is_one:
        middles, columns = [top - 0.4], (left, left + 3.6, left + 3.75)
    else:
        sheet.names([row.label for row in rows], [row.color for row in rows], middles, left - 0.1)
        titles = ("mean and interval", "left"), ("better in", "right"), (what, "left")
        for x, (name, side) in zip(columns, titles, strict=True):
            sheet.text(x, top - 0.06, name, 8.5, color=GREY, va="bottom", ha=side)
    for y, (*_, c, _, lost) in zip(middles, rows, strict=True):
        style = dict[str, Any](va="center", size=8.5 if step > 0.19 else 7.5)
        if lost:
            sheet.text(columns[0], y, lost, color=BAD, **style)
            continue
        sheet.text(columns[0], y, bracket(c.mean_difference, c.ci, "+"), **style)
        if cast.several:
            word, color = VERDICTS[c.verdict]
            better = f"{'better in ' * is_one}{c.wins} of {c.replicates}"
            sheet.text(columns[1], y, better, ha="right", **style)
            sheet.text(columns[2], y, word, color=color, weight="bold", **style)


def limits(rows: list[Row]) -> tuple[float, float]:
    """Return the ends of the axis: 0, intervals and most dots, but not those of an absurd arm."""
    if not rows:
        return -1.0, 1.0
    ends = np.array(
        [[*np.percentile(r.differences, (2, 98)), *(r.found.ci or ())][:4] for r in rows]
    )
    far = np.abs(ends).max(axis=1)
    usual = far[[row.found.verdict != "worse" for row in rows]]
    ends = ends[far <= 1.5 * usual.max(initial=np.median(far))]
    low, high = min(0.0, ends.min()), max(0.0, ends.max())
    margin = 0.1 * (high - low) or 1.0
    return float(low - margin), float(high + margin)


def draw_dots(panel: Any, y: int, row: Row, step: float, scale: float) -> None:
    """Draw a swarm, or of many values a histogram, into a row `step` inches high.

    `scale` is inches of the axis's unit. What lies beyond the axis is counted.
    """
    (low, high), values = panel.get_xlim(), np.sort(row.differences)
    for text, x, side in (
        (f"← {(values < low).sum()} beyond", low, "left"),
        (f"{(values > high).sum()} beyond →", high, "right"),
    ):
        if " 0 " not in f" {text}":
            panel.text(x, y - 0.33, text, ha=side, va="center", size=7.5, color=readable(row.color))
    values = values[(values >= low) & (values <= high)]
    if len(values) > MOST_SWARM:
        counts, edges = np.histogram(values, bins=60, range=(low, high))
        tops = y + 0.2 - 0.6 * counts / counts.max()
        panel.stairs(tops, edges, baseline=y + 0.2, fill=True, color=row.color, alpha=0.7)
        return
    dot = 0.075 if len(values) <= 100 and step > 0.5 else 0.048
    offsets = swarm(values * scale / dot) * dot / step
    offsets *= min(1.0, 0.27 / max(0.01, np.abs(offsets).max(initial=0)))
    is_better = values <= 0
    fills, rims = np.where(is_better, row.color, "white"), np.where(is_better, "white", row.color)
    style = dict[str, Any](c=fills, edgecolors=rims, lw=8 * dot, zorder=2)
    panel.scatter(values, y - 0.1 + offsets, (66 * dot) ** 2, **style)


def swarm(places: Array) -> Array:
    """Return how far each dot of diameter 1 is moved aside, so that none overlaps another.

    `places` are in order; each takes the nearest free one.
    """
    offsets = np.zeros(len(places))
    for index, place in enumerate(places):
        first = np.searchsorted(places[:index], place - 1, side="right")
        others = offsets[first:index]
        reach = np.sqrt(np.maximum(0, 1 - (place - places[first:index]) ** 2))
        choices = np.concatenate([[0.0], others + reach, others - reach])
        is_free = (np.abs(choices[:, None] - others) >= reach - 1e-9).all(axis=1)
        offsets[index] = min(choices[is_free], key=abs)
    return offsets


def draw_slopes(panel: Any, result: Result, row: Row) -> None:
    """Draw each replicate's baseline and arm, joined, and both means."""
    values = result.judged.astype(float)
    values = values[:, np.isfinite(values).all(axis=0)]
    pairs = values.T[:100]
    panel.set_xlim(-0.5, 1.5)
    lines = np.stack([np.broadcast_to([0.0, 1.0], pairs.shape), pairs], axis=-1)
    panel.add_collection(LineCollection(list(lines), colors=row.color, linewidths=0.8, alpha=0.6))
    panel.scatter(np.zeros(len(pairs)), pairs[:, 0], 14, BASELINE, zorder=3)
    panel.scatter(np.ones(len(pairs)), pairs[:, 1], 14, row.color, zorder=3)
    ticks(panel, "y")
    for x, color, name in ((0, BASELINE, "baseline"), (1, row.color, row.label)):
        style = dict[str, Any](ha="center", color=readable(color), weight="bold", parse_math=False)
        panel.text(x, -0.03, name, va="top", size=9, transform=panel.get_xaxis_transform(), **style)
        if len(pairs):
            mean, at = values[x].mean(), 1.48 * x - 0.24
            panel.plot([at - 0.12, at + 0.12], [mean, mean], color=color, lw=2.5)
            panel.text(at, mean, short(mean), va="bottom", size=8, **style)
