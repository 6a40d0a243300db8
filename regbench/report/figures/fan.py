"""All replicates' fits of each arm at the last epoch, and where along x their error stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection

from regbench.report.figures.findings import Cast, amount, bracket, short
from regbench.report.figures.palette import BAD, BASELINE, INK, TRUTH, readable
from regbench.report.figures.sheet import EDGE, ticks, width_of, wrapped

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

MOST_LINES = 200
"""Fits that are drawn of an arm: more are no clearer."""
LEFT, GAP, NAMED, BETWEEN = 0.5, 0.22, 0.4, 0.28
"""Inches: left of all, between panels, between a name and its panel, and above the lower one."""


def grid(result: Result) -> tuple[int, int]:
    """Return how many rows and columns of panels there are."""
    shown = len(Cast(result).shown)
    rows = 1 if shown <= 5 else 2
    return rows, -(-shown // rows)


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    rows, columns = grid(result)
    return max(7.2, min(9.4, 2.4 * columns + 0.8)), 1.15 + 4.2 * rows


def title(result: Result) -> str:
    """Return what the best arm does to the variance of the fits, and to bias² if that is told."""
    cast = Cast(result)
    if not cast.best or 0 in cast.lost:
        return f"The fits of {'the baseline' if cast.best else 'every arm'} diverged"
    before, after = (cast.parts[index].variance.value for index in (0, cast.best))
    change, label = result.decomposition_differences[-1][cast.best - 1], cast.labels[cast.best]
    variance, bias = change.variance, change.bias_squared
    ends = f"from {short(before)} to {short(after)}"
    said = f"{label}: no change of the variance of the fits can be told ({ends})"
    if variance.ci and not variance.ci[0] <= 0 <= variance.ci[1]:
        verb = "lowers" if variance.value < 0 else "raises"
        said = f"{label} {verb} the variance of the fits {ends}"
    if bias.ci and not bias.ci[0] <= 0 <= bias.ci[1]:
        verb = "raises" if bias.value > 0 else "lowers"
        said += f"; it {verb} bias² by {amount(abs(bias.value), bias.ci)}"
    return said


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a panel of fits for each arm, over one of variance and bias² at each input."""
    history, cast, task = result.history, Cast(result), result.study.task
    count = min(MOST_LINES, result.study.replicates)
    top = sheet.heading(
        title(result),
        f"{cast.networks}. A thin line is the network of one replicate"
        f"{f' ({count} are drawn)' * (count < result.study.replicates)}, the thick one their mean, "
        f"the dashed one the truth. Below, at each input x: the area is the variance of the fits, "
        f"dotted is bias², the grey line is the baseline's variance. "
        f"[ ]: paired {cast.interval}.{cast.omitted}",
    )
    x, truth = history.grid_x, history.grid_truth
    fits = history.predictions[-1].astype(float)
    means, variances = fits.mean(axis=1), fits.var(axis=1, ddof=1)
    biases = (means - truth) ** 2 - variances / fits.shape[1]
    fine = [index for index in cast.shown if index not in cast.lost]
    seen = np.array(
        [np.percentile(fits[index], (0.2, 99.8)) for index in fine] + [[truth.min(), truth.max()]]
    )
    far = 1.5 * max(np.ptp(truth), np.ptp(history.train_y)) or 1.0
    low, high = max(seen.min(), truth.min() - far), min(seen.max(), truth.max() + far)
    tops = np.percentile(variances[fine], 98, axis=1) if fine else np.ones(1)
    above = 1.15 * min(tops.max(), 3 * tops[0]) or 1.0

    rows, columns = grid(result)
    width = (sheet.width - LEFT - EDGE) / columns - GAP
    height = (sheet.height - top) / rows
    names = {i: wrapped(cast.labels[i], width, 8.5, "bold", most=4) for i in cast.shown}
    title_height = 0.16 * max(map(len, names.values())) + 0.02
    above_panel = title_height + NAMED
    tall = 0.7 * (height - above_panel - BETWEEN - 0.35)
    limits = dict[str, Any](xlim=(task.x_min, task.x_max))
    for place, index in enumerate(cast.shown):
        row, column = divmod(place, columns)
        left, over, color = LEFT + column * (width + GAP), top + row * height, cast.colors[index]
        style = dict[str, Any](va="bottom", weight="bold", color=readable(color))
        is_small = title_height > 0.2 or width_of(cast.labels[index], 10, "bold") > width
        sheet.text(
            left, over + title_height, "\n".join(names[index]), 8.5 if is_small else 10, **style
        )
        panel = sheet.panel(left, over + above_panel, width, tall, ylim=(low, high), **limits)
        under = over + above_panel + tall + BETWEEN
        lower = sheet.panel(
            left, under, width, tall / 0.7 * 0.3, ylim=(-0.06 * above, above), **limits
        )
        for axes, most in ((panel, 4), (lower, 2)):
            ticks(axes, "x", most=3, is_labelled=axes is lower)
            ticks(axes, "y", most=most, is_labelled=not column)
        panel.plot(x, truth, color=TRUTH, lw=1.5, dashes=(4, 2), zorder=4)
        if index in cast.lost:
            said = "\n".join(wrapped(cast.lost[index], width - 0.1, 8.5, most=3))
            sheet.text(left, over + title_height + 0.03, said, 8.5, color=BAD)
            continue
        said = f"risk {short(history.risk[-1, index].mean(dtype=float))}"
        if index and result.question.headline == "risk" and 0 in fine:
            c = result.comparisons[index - 1]
            said += f"\n{bracket(c.mean_difference, c.ci, '+')}"
        sheet.text(left, over + title_height + 0.03, said, 8.5 if width > 1.9 else 7.5)
        lines = np.stack(np.broadcast_arrays(x, fits[index, :count]), axis=-1)
        style = dict[str, Any](linewidths=0.7, alpha=0.45 if count < 60 else 0.2)
        panel.add_collection(LineCollection(list(lines), colors=color, **style), autolim=False)
        panel.plot(x, means[index], color="white", lw=3.6, zorder=3)
        panel.plot(x, means[index], color=color, lw=2.3, zorder=3)
        lower.fill_between(x, 0, variances[index], color=color, alpha=0.3, lw=0)
        if index and 0 in fine:
            lower.plot(x, variances[0], color=BASELINE, lw=0.9)
        lower.plot(x, variances[index], color=color, lw=1.4)
        lower.plot(x, biases[index], color=INK, lw=1.1, ls=":")
        parts = cast.parts[index]
        values = short(parts.variance.value), short(parts.bias_squared.value)
        sheet.text(left, under - 0.03, "variance {}   bias² {}".format(*values), 8, va="bottom")
