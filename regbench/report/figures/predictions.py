"""Held-out predictions of a table against its targets, and how far they are off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.report.figures.findings import Cast, bracket, sentence_of
from regbench.report.figures.palette import BASELINE, GREY, TRUTH, readable
from regbench.report.figures.sheet import EDGE, limits, ticks, wrapped
from regbench.report.format import minus

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

MOST_DOTS = 1000
"""Rows that are dots; of more, cells have the colour of how many there are."""
BINS = 40
LEFT, GAP, LOWER, BETWEEN = 0.75, 0.75, 0.9, 0.72
"""Inches: left of all, between panels, the height of the lower ones, and above these."""


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.8, 6.6


def title(result: Result) -> str:
    """Return which share of the target's variance the best arm and the baseline explain."""
    cast = Cast(result)
    shares = result.history.r_squared[-1].mean(axis=1, dtype=float)
    best, baseline = (minus(f"{shares[index]:z.0%}").replace("%", " %") for index in (cast.best, 0))
    said = f"{cast.names[cast.best]} explains {best} of the variance of held-out targets"
    return sentence_of(f"{said}, the baseline {baseline}")


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a panel of predictions against targets for baseline and best arm, and their errors."""
    cast, history = Cast(result), result.history
    task: Any = result.task  # a table
    targets, predicted = task.predictions_of(history)
    many = len(targets) > MOST_DOTS
    said = (
        f"{cast.networks}. A {'darker cell has more rows' if many else 'dot is one row'}: its "
        "target over its mean prediction by the networks that had not trained on it. Dashed: "
        "predictions that equal the target. Below: target − prediction; the grey outline is the "
        "baseline's. [ ]: paired difference of the mean squared error with its interval."
    )
    top = sheet.heading(title(result), said)
    shown, risks = [0, cast.best], task.sample(history, "risk").levels  # means over rows
    inside = [(values.min(), values.max()) for values in (targets, *predicted[shown])]
    low, high = limits(inside)
    errors = targets - predicted[shown]
    edges = np.linspace(*limits([(errors.min(), errors.max())]), BINS + 1)
    counts = [np.histogram(own, edges)[0] for own in errors]
    width = (sheet.width - LEFT - EDGE - GAP) / 2
    over = top + 0.42
    tall = sheet.height - over - LOWER - BETWEEN - 0.62
    for place, index in enumerate(shown):
        left, color = LEFT + place * (width + GAP), cast.colors[index]
        (name,) = wrapped(cast.labels[index], width, 10, "bold", most=1)
        style = dict[str, Any](va="bottom", weight="bold", color=readable(color))
        sheet.text(left, over - 0.2, name, 10, **style)
        told = f"risk {bracket(float(risks[index]), None)}"
        if index and result.question.judged_by == "risk":
            c = result.comparisons[index - 1]
            told += f"   {bracket(c.mean_difference, c.ci, '+')}"
        sheet.text(left, over - 0.03, told, 8.5, va="bottom")
        panel = sheet.panel(left, over, width, tall, xlim=(low, high), ylim=(low, high))
        panel.plot([low, high], [low, high], color=TRUTH, lw=1.2, dashes=(4, 2), zorder=1)
        if many:
            style = dict[str, Any](gridsize=45, mincnt=1, bins="log", cmap="Greys", lw=0.1)
            panel.hexbin(predicted[index], targets, extent=(low, high, low, high), **style)
        else:
            style = dict[str, Any](ms=3.2, mec="white", mew=0.3, alpha=0.75, zorder=2)
            panel.plot(predicted[index], targets, "o", color=color, **style)
        under = over + tall + BETWEEN
        shape = dict[str, Any](xlim=(edges[0], edges[-1]), ylim=(0, 1.05 * np.max(counts)))
        lower = sheet.panel(left, under, width, LOWER, **shape)
        lower.stairs(counts[place], edges, fill=True, color=color, alpha=0.35)
        lower.stairs(counts[0], edges, color=BASELINE, lw=1.1)
        for axes, number in ((panel, 4), (lower, 2)):
            ticks(axes, "x", most=4)
            ticks(axes, "y", most=number, is_labelled=not place)
        centre = left + width / 2
        sheet.text(centre, over + tall + 0.22, "mean prediction", 8.5, ha="center", color=GREY)
        said = f"target − prediction, sd {bracket(float(errors[place].std()), None)}"
        sheet.text(centre, under + LOWER + 0.22, said, 8.5, ha="center", color=GREY)
    style = dict[str, Any](rotation=90, ha="left", va="center", color=GREY)
    sheet.text(EDGE, over + tall / 2, "target", 8.5, **style)
    sheet.text(EDGE, under + LOWER / 2, "rows", 8.5, **style)
