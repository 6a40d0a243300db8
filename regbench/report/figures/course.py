"""Risk, training loss and paired difference over epochs, from before the first one on."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.statistics import mean_band, mean_interval
from regbench.report.figures.findings import Cast, power, short
from regbench.report.figures.palette import BASELINE, GREY
from regbench.report.figures.sheet import label_ends, ticks, width_of, wrapped
from regbench.report.format import percent

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

FEW_ARMS, FEW_BANDS = 8, 4
"""So many arms are all labelled, of more the baseline, the best and the ends; and have bands."""
DECADES = 8
"""Of a training loss below the largest: what is smaller is memorised."""
LEFT, GAP = 0.75, 0.075
"""Inches left of the panels, and where epoch 0 stands, as a share of the axis."""


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.4, 7.4


def title(result: Result) -> str:
    """Return when the baseline was best, whether it got worse from there on, and the best arm."""
    cast, what, epochs = Cast(result), result.question.words, result.history.epochs
    losses = result.headline.astype(float)
    means, at = losses[:, 0].mean(axis=1), 0
    end = losses[-1, cast.best].mean()
    arm = f"; {cast.labels[cast.best]} ends at {end:.2f}" if cast.best else ""
    if not np.isfinite(means).all():
        return f"The baseline diverged{arm}"
    at = int(means.argmin())
    rise = mean_interval(losses[-1, 0] - losses[at, 0], result.question.confidence)
    if rise and rise[0] > 0:
        best = f"{what} {means[at]:.2f}"
        return (
            f"The baseline is best at epoch {epochs[at]} ({best}) and ends at {means[-1]:.2f}{arm}"
        )
    one = " (one replicate)" * (not cast.several)
    return f"The baseline's {what} ends at {means[-1]:.2f}{arm}{one}"


def draw(result: Result, sheet: Sheet) -> None:
    """Draw three panels over one axis of epochs."""
    history, cast, what = result.history, Cast(result), result.question.words
    arms, labelled = range(len(cast.labels)), [*range(len(cast.labels))]
    if len(arms) > FEW_ARMS:
        labelled = sorted({0, 1, cast.best, len(arms) - 1})
    banded = arms if len(arms) <= FEW_BANDS else {0, cast.best}
    said = f"{cast.networks}; epochs on a logarithmic axis, epoch 0 is before training."
    said += " Bands are drawn for the baseline and the best arm." * (
        len(arms) > FEW_BANDS and cast.several
    )
    said += f" {len(labelled)} of {len(arms)} arms are labelled." * (len(labelled) < len(arms))
    top = sheet.heading(title(result), said)
    confidence = result.question.confidence
    losses = result.headline.astype(float)
    risk, half = mean_band(losses, confidence)
    trained = np.where(np.isfinite(history.train_loss_eval), history.train_loss_eval, np.nan)
    quartiles = np.percentile(trained, (50, 25, 75), axis=2)
    change, half_change = mean_band(losses - losses[:, :1], confidence)
    of = f", mean and pointwise {percent(confidence)} interval" * cast.several
    middle, better = ", median and quartiles" * cast.several, "   ↓ lower is better"
    panels = [
        (f"{what}{of}{better}", risk, risk - half, risk + half),
        (f"training loss in evaluation mode{middle}, log scale", *quartiles),
        (f"paired difference in {what}, arm − baseline{of}{better}",
         change, change - half_change, change + half_change),
    ]  # fmt: skip
    names = [wrapped(label, 2.4, 8.5, "bold", most=1)[0] for label in cast.labels]
    longest = max(width_of(names[index], 8.5, "bold") for index in labelled)
    width = sheet.width - LEFT - max(1.45, longest + 1.15)
    height = (sheet.height - top - 0.3) / 3
    for row, (heading, *curves) in enumerate(panels):
        over, is_log = top + row * height + 0.28, row == 1
        curves = [np.where(c > 0, c, np.nan) if is_log else c for c in curves]
        drawn = [index for index in arms if index or row < 2]
        fine = [index for index in drawn if index not in cast.lost] or drawn
        ends = view_of(history.epochs, is_log, *(curve[:, fine] for curve in curves))
        panel = sheet.panel(
            LEFT, over, width, height - 0.55, yscale="log" if is_log else "linear", ylim=ends
        )
        sheet.text(LEFT, over - 0.06, heading, color=GREY, va="bottom")
        places = epoch_axis(panel, history.epochs, is_labelled=row == 2)
        if is_log:
            low, high = np.log10(ends)
            at = 10.0 ** np.arange(math.ceil(low), high, max(1, math.ceil((high - low) / 4)))
            ticks(panel, "y", at, [power(place) for place in at])
        else:
            ticks(panel, "y", sign="+" * (row == 2))
        if row == 2:
            panel.axhline(0, color=BASELINE, lw=1.5)
        show, named = power if is_log else partial(short, sign="+" * (row == 2)), []
        for index in drawn:
            curve, color, is_thick = curves[0][:, index], cast.colors[index], index in labelled
            panel.plot(
                places[1:], curve[1:], color=color, lw=2 if is_thick else 0.8, zorder=2 + is_thick
            )
            panel.plot(places[:2], curve[:2], color=color, lw=1, ls=":", marker=".", markevery=[0])
            if cast.several and index in banded:
                panel.fill_between(
                    places[1:], *(c[1:, index] for c in curves[1:]), color=color, alpha=0.15, lw=0
                )
            last = np.flatnonzero(np.isfinite(curve))
            if index in cast.lost and len(last):
                y = np.clip(curve[last[-1]], *ends)
                panel.plot(places[last[-1]], y, "x", color=color, ms=6, mew=2, clip_on=False)
            if index in labelled and (index in cast.lost or np.isfinite(curve[-1])):
                value = np.inf if index in cast.lost else curve[-1]
                said = "✕ diverged" if index in cast.lost else show(value)
                said += f" {'↑' if value > ends[1] else '↓'}" * (
                    not ends[0] <= value <= ends[1] < np.inf and index not in cast.lost
                )
                named.append((np.clip(value, *ends), f"{names[index]}  {said}", color))
        if row == 2:
            named.append((0.0, "as the baseline", BASELINE))
        label_ends(panel, named, height - 0.55)
        if row == 0 and risk[0, 0] > ends[1]:
            said = f"↑ {short(risk[0, 0])} before training"
            sheet.text(LEFT + 0.5, over + 0.02, said, 8, color=GREY)
    sheet.text(LEFT + width / 2, sheet.height - 0.25, "epoch", ha="center")


def epoch_axis(panel: Any, epochs: Array, is_labelled: bool) -> Array:
    """Make the axis logarithmic with epoch 0 at its left end, behind a gap; return all places."""
    last = int(epochs[-1])
    span = math.log10(last)
    zero = -GAP * span or -1.0

    def place(epoch: Array) -> Array:
        return np.where(epoch, np.log10(np.maximum(epoch, 1)), zero)

    decades = 10 ** np.arange(int(span) + 1)
    shown = np.append(decades[np.log10(last / decades) > 0.07 * span], [0, last])
    panel.set_xlim(1.25 * zero, span)
    panel.spines["bottom"].set_bounds(zero / 2.6, span)
    ticks(panel, "x", place(shown), [*map(str, shown)], is_labelled=is_labelled)
    return place(epochs)


def view_of(
    epochs: Array, is_log: bool, middle: Array, low: Array, high: Array
) -> tuple[float, float]:
    """Return the ends of an axis: all of a loss; of a risk what matters after the first epochs.

    One arm that is far off does not flatten the others. Curves are `(E, arms)`.
    """
    if is_log:
        fine = middle[np.isfinite(middle)]
        top = float(fine.max(initial=1e-300)) if fine.size else 1.0
        return max(float(fine.min(initial=top)), top / 10**DECADES) / 2, top * 2
    late = epochs >= min(10, epochs[len(epochs) // 2])
    late &= np.isfinite(high).all(axis=1)
    late |= ~late.any() & (np.abs(high).max(axis=1) <= 10 * np.abs(high[0]).max())  # all diverge
    middle, low, high = (
        np.nan_to_num(curve[late], posinf=0, neginf=0) for curve in (middle, low, high)
    )
    last = float(np.median(np.maximum(high[-1], -low[-1])))
    far = max(2 * float(np.median(np.abs(middle))), 1.3 * last)
    ends = max(float(low.min()), -far), min(float(high.max()), far)
    margin = 0.08 * (ends[1] - ends[0]) or 0.5
    return ends[0] - margin, ends[1] + margin
