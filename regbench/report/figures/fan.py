"""Fits of all replicates at the last epoch, and where along x their error is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection

from regbench.report.figures.findings import Cast, amount, bracket, cut, sentence_of, short
from regbench.report.figures.palette import BAD, BASELINE, INK, POINTS, TRUTH, readable
from regbench.report.figures.sheet import EDGE, limits, ticks, width_of, wrapped

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
    if not cast.several:
        risks = result.history.risk[-1, :, 0]
        ends = f"{short(risks[cast.best])}, the baseline {short(risks[0])}"
        return sentence_of(f"{cast.names[cast.best]} has the risk {ends} (one replicate)")
    before, after = (cast.parts[index].variance.value for index in (0, cast.best))
    change, name = result.decomposition_differences[-1][cast.best - 1], cast.names[cast.best]
    variance, bias = change.variance, change.bias_squared
    ends = f"from {short(before)} to {short(after)}"
    clauses = [f"{name}: cannot tell whether the variance of the fits changes ({ends})"]
    if variance.ci and not variance.ci[0] <= 0 <= variance.ci[1]:
        verb = "lowers" if variance.value < 0 else "raises"
        clauses = [f"{name} {verb} the variance of the fits {ends}"]
    if bias.ci and not bias.ci[0] <= 0 <= bias.ci[1]:
        verb = "raises" if bias.value > 0 else "lowers"
        clauses.append(f"it {verb} bias² by {amount(abs(bias.value), bias.ci)}")
    return sentence_of(*clauses)


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a panel of fits for each arm, over one of variance and bias² at each input."""
    history, cast = result.history, Cast(result)
    count, seed = min(MOST_LINES, result.study.replicates), result.study.seed
    said = (
        f"{cast.networks}. A thin line is the fit of one replicate"
        f"{f' ({count} are drawn)' * (count < result.study.replicates)}, the thick one their mean, "
        f"the dashed one the truth. Yellow: the training points of the first replicate, seed "
        f"{seed}; black: its fit. Below, at each input x: the area is the variance of the fits, "
        f"dotted is bias², the grey line is the baseline's variance. [ ]: paired {cast.interval}."
    )
    if not cast.several:
        said = (
            f"One replicate, seed {seed}, epoch {history.epochs[-1]}. A line is a fit, the dashed "
            "one the truth; yellow: the training points. Below: squared error at each input x; the "
            "grey line is the baseline's."
        )
    top = sheet.heading(title(result), said + cast.omitted)
    x, truth = history.grid_x, history.grid_truth
    fits = history.predictions[-1].astype(float)
    means, variances = fits.mean(axis=1), fits.var(axis=1, ddof=int(cast.several))
    biases = (means - truth) ** 2 - variances / fits.shape[1]
    areas = variances if cast.several else biases
    fine = [index for index in cast.shown if index not in cast.lost]
    reached = [(fits[i].min(), fits[i].max()) for i in fine if i not in (0, cast.best)]
    shown = (0, cast.best)
    points = history.train_y[0]
    seen = [(v.min(), v.max()) for v in (truth, points, *(fits[index] for index in shown))]
    low, high = limits(seen, reached)
    errors = np.stack([variances, biases], axis=1)
    tops = {i: (min(0, errors[i].min()), errors[i].max()) for i in fine}
    least, most = limits([tops.pop(index) for index in shown], [*tops.values()])

    rows, columns = grid(result)
    width = (sheet.width - LEFT - EDGE) / columns - GAP
    height = (sheet.height - top) / rows
    names = {i: wrapped(cast.labels[i], width, 8.5, "bold", most=4) for i in cast.shown}
    title_height = 0.16 * max(map(len, names.values())) + 0.02
    above_panel = title_height + NAMED
    tall = 0.7 * (height - above_panel - BETWEEN - 0.35)
    limited = dict[str, Any](xlim=result.task.axis)
    for place, index in enumerate(cast.shown):
        row, column = divmod(place, columns)
        left, over, color = LEFT + column * (width + GAP), top + row * height, cast.colors[index]
        style = dict[str, Any](va="bottom", weight="bold", color=readable(color))
        is_small = title_height > 0.2 or width_of(cast.labels[index], 10, "bold") > width
        sheet.text(
            left, over + title_height, "\n".join(names[index]), 8.5 if is_small else 10, **style
        )
        panel = sheet.panel(left, over + above_panel, width, tall, ylim=(low, high), **limited)
        under = over + above_panel + tall + BETWEEN
        shape = dict[str, Any](ylim=(least, most), **limited)
        lower = sheet.panel(left, under, width, tall / 0.7 * 0.3, **shape)
        for axes, number in ((panel, 4), (lower, 2)):
            ticks(axes, "x", most=3, is_labelled=axes is lower)
            ticks(axes, "y", most=number, is_labelled=not column)
        panel.plot(x, truth, color=TRUTH, lw=1.5, dashes=(4, 2), zorder=4)
        if index in cast.lost:
            said = "\n".join(wrapped(cast.lost[index], width - 0.1, 8.5, most=3))
            sheet.text(left, over + title_height + 0.03, said, 8.5, color=BAD)
            continue
        said = f"risk {short(history.risk[-1, index].mean(dtype=float))}"
        if index and result.question.judged_by == "risk":
            c = result.comparisons[index - 1]
            said += f"\n{bracket(c.mean_difference, c.ci, '+')}"
        sheet.text(left, over + title_height + 0.03, said, 8.5 if width > 1.9 else 7.5)
        lines = np.stack(np.broadcast_arrays(x, fits[index, :count]), axis=-1)
        style = dict[str, Any](linewidths=0.7, alpha=0.45 if count < 60 else 0.2)
        panel.add_collection(LineCollection(list(lines), colors=color, **style), autolim=False)
        panel.plot(x, means[index], color="white", lw=3.6, zorder=3)
        panel.plot(x, means[index], color=color, lw=2.3, zorder=3)
        if cast.several:
            panel.plot(x, fits[index, 0], color=INK, lw=1, zorder=3)
            lower.plot(x, biases[index], color=INK, lw=1.1, ls=":")
        style = dict[str, Any](
            color=POINTS, edgecolors=INK, linewidths=0.6, zorder=5, clip_on=False
        )
        panel.scatter(history.train_x, points, 16, **style)
        lower.fill_between(x, 0, areas[index], color=color, alpha=0.3, lw=0)
        if index:
            lower.plot(x, areas[0], color=BASELINE, lw=0.9)
        lower.plot(x, areas[index], color=color, lw=1.4)
        said = "squared error"
        if parts := cast.parts[index]:
            values = short(parts.variance.value), short(parts.bias_squared.value)
            said = "variance {}   bias² {}".format(*values)
        sheet.text(left, under - 0.03, said, 8, va="bottom")
        style = dict[str, Any](ha="right", color=readable(color))
        sheet.text(left + width, over + above_panel, cut(fits[index], (low, high)), 7.5, **style)
        sheet.text(left + width, under, cut(errors[index], (least, most)), 7.5, **style)
