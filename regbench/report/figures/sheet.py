"""A sheet: the area of some axes in inches from its upper left corner, and what is drawn on it.

Places are known before anything is drawn, by the widths of texts, so that no layout engine is
needed. Knows nothing about results.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.markers import TICKDOWN, TICKLEFT
from matplotlib.ticker import MaxNLocator

from regbench.report.figures.palette import GREY, INK, readable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array

EDGE = 0.12
"""Inches that are left free around everything."""
AXIS = "#888888"
LINE = 1.35 / 72
"""Inches from one line of text to the next, for each point of its size."""
REACH = 2.5
"""Up to so many times an arm may lengthen an axis; see `limits`."""


class Sheet:
    """The area of some axes, which are hidden; panels are axes of their own in the same figure.

    Attributes:
        head, explanation, top: The texts of the heading, what the second says, where they end.
    """

    def __init__(self, axes: Any) -> None:
        self.axes, self.figure, self.box = axes, axes.figure, axes.get_position()
        self.head, self.explanation, self.top = list[Any](), "", 0.0
        inches = np.array(self.figure.bbox.size) / self.figure.dpi
        self.width, self.height = (self.box.size * inches).tolist()
        axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        axes.set_axis_off()

    def panel(self, left: float, top: float, width: float, height: float, **limits: Any) -> Any:
        """Return new axes with these edges and sizes, and with these limits."""
        x, y = left / self.width, 1 - (top + height) / self.height
        size = self.box.width * width / self.width, self.box.height * height / self.height
        place = self.box.x0 + x * self.box.width, self.box.y0 + y * self.box.height
        panel = self.figure.add_axes((*place, *size))
        panel.spines[["top", "right"]].set_visible(False)
        panel.spines[["left", "bottom"]].set_color(AXIS)
        panel.set(**limits)
        panel.patch.set_visible(False)
        panel.xaxis.set_visible(False)  # see `ticks`
        panel.yaxis.set_visible(False)
        return panel

    def text(self, x: float, y: float, text: str, size: float = 9, **style: Any) -> Any:
        """Write a text whose upper left corner is here, unless the style says otherwise."""
        given = {"va": "top", "color": INK, "parse_math": False, "linespacing": 1.25, **style}
        return self.axes.text(x, y, text, size=size, **given)

    def heading(self, title: str, explanation: str) -> float:
        """Write the title and what explains the picture; return where they end."""
        lines = wrapped(title, self.width - 2 * EDGE, 12.5, "bold", most=3)
        self.head = [self.text(EDGE, EDGE, "\n".join(lines), 12.5, weight="bold")]
        top, self.explanation = EDGE + len(lines) * 12.5 * LINE + 0.05, explanation.strip()
        lines = wrapped(explanation, self.width - 2 * EDGE, 9, most=4)
        self.head.append(self.text(EDGE, top, "\n".join(lines), 9, color=GREY))
        self.top = top + len(lines) * 9 * LINE + 0.12
        return self.top

    def names(self, labels: Sequence[str], colors: Sequence[str], ys: Array, width: float) -> None:
        """Write the names of rows with these middles, each ending at `width`."""
        step = float(np.diff(ys).min()) if len(ys) > 1 else self.height
        for label, color, y in zip(labels, colors, ys, strict=True):
            size = next((s for s in (10, 8.5) if width_of(label, s, "bold") <= width - EDGE), 7.5)
            lines = wrapped(label, width - EDGE, size, "bold", most=max(1, int(step / size / LINE)))
            style = dict[str, Any](ha="right", va="center", weight="bold", color=readable(color))
            self.text(width, y, "\n".join(lines), size, **style)


@cache
def advance(letter: str, weight: str) -> float:
    """Return the width of a letter as a share of the size."""
    font = get_font(findfont(FontProperties(weight=weight)))
    font.set_size(10, 72)
    shown = letter if font.get_char_index(ord(letter)) else "M"  # the font lacks some letters
    return font.load_char(ord(shown)).linearHoriAdvance / 65536 / 10


def width_of(text: str, size: float, weight: str = "normal") -> float:
    """Return the width of a line of text in inches."""
    return sum(advance(letter, weight) for letter in text) * size / 72


def name_width(labels: Sequence[str], most: float = 1.7) -> float:
    """Return how far rows' names reach from the left edge, `most` inches at most."""
    return EDGE + min(most, max(width_of(label, 10, "bold") for label in labels) + 0.02)


def wrapped(
    text: str, width: float, size: float, weight: str = "normal", most: int = 2
) -> list[str]:
    """Return the lines of a text, broken behind a space or a plus.

    What is too long has an ellipsis: at its end, or before its value as in `a_long_na…=0.03`.
    """
    lines = [""]
    for piece in text.replace(" ", " \0").replace("+", "+\0").split("\0"):
        if lines[-1] and width_of((lines[-1] + piece).rstrip(), size, weight) > width:
            lines.append("")
        lines[-1] += piece
    lines = lines[: most - 1] + ["".join(lines[most - 1 :])] * (len(lines) >= most)
    for index, line in enumerate(lines):
        fitted = line.rstrip()
        head, *end = fitted.rpartition("=") if "=" in fitted[-12:] else (fitted, "")
        while head and width_of(fitted, size, weight) > width:
            head = head[:-1]
            fitted = "".join([head, "…", *end])
        lines[index] = fitted
    return lines


def limits(inside: Any, others: Any = (), dots: Any = ()) -> tuple[float, float]:
    """Return the ends of an axis: the one rule of all pictures.

    Each argument lists low and high ends. All of `inside` is seen, such as the baseline and the
    best arm with their intervals. `others` are seen too, but for those with which the axis would be
    more than `REACH` times as long as with the rest. `dots` are seen as far as the axis is at most
    three times as long with them. What is cut needs an arrowhead, and its value or a count.
    """
    seen, more, dotted = (np.reshape(e, (-1, 2)).astype(float) for e in (inside, others, dots))
    seen, more = (ends[np.isfinite(ends).all(axis=1)] for ends in (seen, more))
    low, high = seen[:, 0].min(initial=np.inf), seen[:, 1].max(initial=-np.inf)
    longer = np.maximum(more[:, 1], high) - np.minimum(more[:, 0], low)
    usual = np.quantile(longer, 0.5, method="higher") if len(more) else 0.0
    more = more[longer <= REACH * max(high - low, usual)]
    low, high = min(low, more[:, 0].min(initial=low)), max(high, more[:, 1].max(initial=high))
    if not low <= high:
        return -1.0, 1.0
    length, dotted = high - low, dotted[(dotted[:, 0] <= high) & (dotted[:, 1] >= low)]
    low = max(low - length, dotted[:, 0].min(initial=low))
    high = min(high + length, dotted[:, 1].max(initial=high))
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return float(low - margin), float(high + margin)


def spread(places: Array, gap: float, low: float, high: float) -> Array:
    """Return places as near to those given as can be that are `gap` apart, between two ends.

    By isotonic regression, whose blocks are pooled where they overlap.
    """
    order, steps = np.argsort(places, kind="stable"), gap * np.arange(len(places))
    blocks: list[list[float]] = []
    for place in places[order] - steps:
        blocks.append([float(place), 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            (value, count), (other, more) = blocks[-2:]
            blocks[-2:] = [[(value * count + other * more) / (count + more), count + more]]
    pooled = np.repeat([value for value, _ in blocks], [int(count) for _, count in blocks])
    found = np.empty(len(places))
    found[order] = np.clip(pooled, low, max(low, high - gap * (len(places) - 1))) + steps
    return found


def label_ends(panel: Any, named: Sequence[tuple[float, str, str]], height: float) -> None:
    """Write what lines are beside their ends, pushed apart, with a leader where one was moved.

    `named` are y, text and colour of each; the panel is `height` inches high.
    """
    if not named:
        return
    is_log = panel.get_yscale() == "log"
    (low, high), ends = panel.get_ylim(), np.array([y for y, *_ in named])
    if is_log:
        low, high, ends = *np.log([low, high]), np.log(ends)
    shares = ((ends - low) / (high - low)).clip(0, 1)
    where = dict[str, Any](xycoords="axes fraction", textcoords="axes fraction", parse_math=False)
    places = spread(shares, 0.155 / height, 0, 1)
    for share, place, (_, text, color) in zip(shares, places, named, strict=True):
        line = dict[str, Any](arrowstyle="-", color=color, lw=0.7, relpos=(0, 0.5))
        line |= {"shrinkA": 0, "shrinkB": 0}
        leader = line if 0 < share < 1 else None  # what is cut has an arrowhead
        style = dict[str, Any](va="center", color=readable(color), weight="bold", size=8.5)
        panel.annotate(text, (1, share), (1.025, place), arrowprops=leader, **where, **style)


def ticks(
    panel: Any, axis: str, places: Array | None = None, labels: Sequence[str] | None = None,
    *, most: int = 4, sign: str = "", is_labelled: bool = True,
) -> None:  # fmt: skip
    """Draw the ticks of an axis, at round numbers where no places are given, with their labels.

    Those of matplotlib take a multiple of the time. With the sign `+` positive numbers have one.
    """
    is_x = axis == "x"
    if places is None:
        low, high = sorted(panel.get_xlim() if is_x else panel.get_ylim())
        places = np.array(MaxNLocator(most, steps=[1, 2, 5, 10]).tick_values(low, high))
        places = places[np.abs(places - (low + high) / 2) <= (0.5 + 1e-9) * (high - low)]
    if labels is None:
        step = float(np.diff(places).min()) if len(places) > 1 else 1.0
        decimals, largest = (
            max(0, -math.floor(math.log10(step) + 1e-9)),
            max(map(abs, places), default=0),
        )
        kind = f"z.{decimals}f" if largest < 1e5 and decimals < 6 else ".3g"
        labels = [f"{place:{sign if place else ''}{kind}}" for place in places]
    zeros = np.zeros(len(places))
    transform = panel.get_xaxis_transform() if is_x else panel.get_yaxis_transform()
    x, y, marker = (places, zeros, TICKDOWN) if is_x else (zeros, places, TICKLEFT)
    style = dict[str, Any](ls="", color=AXIS, ms=3, mew=0.8, clip_on=False, transform=transform)
    panel.plot(x, y, marker=marker, scalex=False, scaley=False, **style)
    inches = panel.get_position().size * panel.figure.bbox.size / panel.figure.dpi
    for place, label in zip(places, labels, strict=True) if is_labelled else ():
        where = (place, -0.07 / inches[1]) if is_x else (-0.07 / inches[0], place)
        aligned = dict[str, Any](
            {"ha": "center", "va": "top"} if is_x else {"ha": "right", "va": "center"}
        )
        label = label.replace("e+0", "e").replace("e-0", "e-").replace("-", "−")
        panel.text(*where, label, size=8.5, color=INK, transform=transform,
                   parse_math=False, **aligned)  # fmt: skip
