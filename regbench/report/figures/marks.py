"""Marks that pictures share: intervals of means, a dot for each replicate, and rows of both.

What lies beyond an axis has an arrowhead at its end; pictures write its value. Marks lie in rows,
or stand upright. Knows nothing about results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regbench.report.figures.findings import short
from regbench.report.figures.palette import BAD, BASELINE, INK, OUTSIDE, RULE, readable
from regbench.report.figures.sheet import limits, ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array
    from regbench.report.figures.sheet import Sheet

MOST_DOTS = 300
"""Dots that are drawn of a row at most: more are no clearer."""
BAR, ABOVE = 0.2, 0.24
"""Inches of a bar with its text, and of a text above a row."""
ARROWS = {(False, -1): "<", (False, 1): ">", (True, -1): "v", (True, 1): "^"}
"""The arrowheads of an end, by whether marks stand upright and by the end."""


def draw_intervals(
    panel: Any, places: Sequence[float], means: Sequence[float], cis: Sequence[Any],
    colors: Sequence[str], tall: float, is_upright: bool = False,
) -> None:  # fmt: skip
    """Draw means as thin ticks, `tall` to either side, across their intervals as thick bars."""
    low, high = sorted((panel.get_ylim if is_upright else panel.get_xlim)())
    bars, across = (panel.vlines, panel.hlines) if is_upright else (panel.hlines, panel.vlines)
    middles, at, tones = np.array(means, dtype=float), np.array(places), np.array(colors)
    ends = np.array([ci or (mean, mean) for mean, ci in zip(means, cis, strict=True)])
    bars(at, *np.clip(ends, low, high).T, colors=tones, lw=4.5, zorder=3)
    inside = (low <= middles) & (middles <= high)
    ticked = at[inside]
    across(middles[inside], ticked - tall, ticked + tall, colors=tones[inside], lw=1.8, zorder=4)
    for edge, side, beyond in ((low, -1, ends[:, 0] < low), (high, 1, ends[:, 1] > high)):
        for index in np.flatnonzero(beyond).tolist():
            draw_arrow(panel, edge, at[index], side, colors[index], is_upright)


def draw_arrow(
    panel: Any, edge: float, place: float, side: int, color: str, is_upright: bool, text: str = ""
) -> None:
    """Draw an arrowhead at an end of the axis, the upper one for `side` 1, and a text above it."""
    at = (place, edge) if is_upright else (edge, place)
    style = dict[str, Any](color=color, ms=5, clip_on=False, zorder=5)
    panel.plot(*at, ARROWS[is_upright, side], scalex=False, scaley=False, **style)
    near, tone = "left" if side < 0 else "right", readable(color)
    style = dict[str, Any](ha=near, va="center", size=7.5, color=tone, parse_math=False)
    panel.annotate(text, at, (-2 * side, 10), textcoords="offset points", **style)


def draw_dots(
    panel: Any, place: float, values: Array, color: str, deep: float, seed: int,
    is_full: Any = None, is_upright: bool = False, marked: int | None = None,
) -> None:  # fmt: skip
    """Draw a swarm of values, `deep` units across; count what is beyond the axis.

    Dots are full where `is_full`, by default where a value is not above 0, and hollow elsewhere.
    The one with the index `marked` is a diamond of another colour. On a page each says its seed, of
    which `seed` is the first.
    """
    inches = panel.get_position().size * panel.figure.bbox.size / panel.figure.dpi
    spans = np.ptp([panel.get_xlim(), panel.get_ylim()], axis=1)
    along, across = (inches / spans)[:: -1 if is_upright else 1]
    low, high = sorted((panel.get_ylim if is_upright else panel.get_xlim)())
    for beyond, edge, side in (((values < low).sum(), low, -1), ((values > high).sum(), high, 1)):
        if beyond:
            text = f"{beyond} beyond" * (not is_upright)
            draw_arrow(panel, edge, place, side, color, is_upright, text)
    order = np.argsort(values[:MOST_DOTS], kind="stable")
    order = order[(values[order] >= low) & (values[order] <= high)]
    shown, full = values[order], (values <= 0 if is_full is None else is_full)[order]
    dot = 0.075 if len(values) <= 100 and deep * across > 0.25 else 0.048
    offsets = swarm(shown * along / dot) * dot / across
    offsets *= min(1.0, deep / 2 / max(1e-9, np.abs(offsets).max(initial=0)))
    points = [place + offsets, shown] if is_upright else [shown, place + offsets]
    fills, rims = np.where(full, color, "white"), np.where(full, "white", color)
    style = dict[str, Any](edgecolors=rims, lw=8 * dot, zorder=2)
    dots: Any = panel.scatter(*points, (66 * dot) ** 2, c=fills, **style)
    dots.tips = [f"seed {seed + index}: {short(values[index], '+')}" for index in order]
    for x, y in zip(*(axis[order == marked] for axis in points), strict=True):
        panel.plot(x, y, "D", color=OUTSIDE, mec="white", mew=0.8, ms=6, zorder=6)


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


class Row(NamedTuple):
    """An arm, or an arm again on fresh replicates, with its paired differences.

    Attributes:
        bars: Means and intervals; the first is that of `values`.
        texts: Beside each bar, or above the row: inches to the right, text and colour.
        values: Of each replicate, for a dot each; or None.
        is_full, marked: See `draw_dots`.
        lost: Why there is nothing to draw.
        seed: That of the first replicate.
    """

    label: str
    color: str
    bars: Sequence[tuple[float, Any]]
    texts: Sequence[Sequence[tuple[float, str, str]]]
    values: Any = None
    is_full: Any = None
    marked: int | None = None
    lost: str = ""
    seed: int = 1

    @property
    def ends(self) -> tuple[float, float]:
        """Where the bars, most dots and the marked one begin and end."""
        seen = [end for mean, ci in self.bars for end in ci or (mean, mean)]
        if self.values is not None:
            marked = self.values[[self.marked]] if self.marked is not None else []
            seen += [*np.percentile(self.values, (2, 98)), *marked]
        return min(seen), max(seen)


def draw_rows(
    sheet: Sheet,
    left: float,
    top: float,
    width: float,
    rows: Sequence[Row],
    best: str,
    is_beside: bool = True,
    below: float = 0.55,
) -> Array:
    """Draw rows on one axis, down to so many inches above the sheet's end: dots over their bars.

    The row that is labelled `best` is seen whole. Texts stand beside the bars, or above the row
    where `is_beside` is not set. Returns the middles of the rows.
    """
    height, is_dotted = sheet.height - top - below, any(row.values is not None for row in rows)
    step, fine = height / len(rows), [row for row in rows if not row.lost]
    seen = [row.ends for row in fine if row.label == best]
    others = [row.ends for row in fine if row.label != best]
    dots = [(row.values.min(), row.values.max()) for row in fine if row.values is not None]
    ends = limits([(0, 0), *seen], others, dots)
    panel = sheet.panel(left, top, width, height, xlim=ends, ylim=(height, 0))
    starts, bars = step * np.arange(len(rows)), list[tuple[float, float, Any, str]]()
    panel.spines["left"].set_visible(False)
    panel.hlines(starts[1:], *ends, color=RULE, lw=0.7, zorder=0)
    ticks(panel, "x", most=3, sign="+")
    above = ABOVE * (is_dotted and not is_beside)
    panel.vlines(0 * starts, starts + above, starts + step, color=BASELINE, lw=1.6, zorder=1)
    style = dict[str, Any](va="center", size=8 if step > 0.25 else 7.5)
    for row, start in zip(rows, starts, strict=True):
        places = start + step - BAR * (np.arange(len(row.bars))[::-1] + 0.6)
        over = places if is_beside else [start + (0.13 if is_dotted else step / 2)]
        x = left + width + 0.1 if is_beside else left - 0.02
        if row.lost:
            sheet.text(x, top + over[0], row.lost, color=BAD, **style)
            continue
        if row.values is not None:
            deep, middle = (
                places[0] - start - above - BAR,
                (start + above + places[0] - BAR / 2) / 2,
            )
            how = row.seed, row.is_full, False, row.marked
            draw_dots(panel, middle, row.values, row.color, min(0.4, deep), *how)
        bars += [(y, *bar, row.color) for y, bar in zip(places, row.bars, strict=True)]
        for y, texts in zip(over, row.texts, strict=True):
            for indent, text, color in texts:
                weight = "normal" if color == INK else "bold"
                large = style | {"size": 11} if len(text) == 1 else style
                sheet.text(x + indent, top + y, text, color=color, weight=weight, **large)
    ys, means, cis, colors = zip(*bars, strict=True)
    draw_intervals(panel, ys, means, cis, colors, 0.07)
    middles: Array = top + (np.arange(len(rows)) + 0.5) * step
    return middles
