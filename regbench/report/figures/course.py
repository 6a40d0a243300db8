"""Risk, training loss and paired difference over epochs, from before the first one on."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.statistics import mean_band, mean_interval
from regbench.report.figures.findings import Cast, cut, power, sentence_of, short
from regbench.report.figures.palette import BASELINE, GREY
from regbench.report.figures.sheet import label_ends, limits, ticks, wrapped
from regbench.report.format import percent

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

MOST_CURVES, FEW_BANDS = 8, 4
"""So many arms are all labelled, of more the baseline, the best and the worst; and have bands."""
DECADES = 8
"""Of a training loss below the largest: what is smaller is memorised."""
LEFT, RIGHT, GAP = 0.75, 2.3, 0.075
"""Inches left and right of the panels, and where epoch 0 is, as a share of the axis."""


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.8, 7.0


def title(result: Result) -> str:
    """Return when the baseline was best, whether it got worse from there on, and the best arm."""
    cast, what, epochs = Cast(result), result.question.words, result.history.epochs
    losses, means = result.headline.astype(float), result.levels
    arm = f"{cast.names[cast.best]} ends at {loss(means[-1, cast.best])}"
    at = 1 + int(np.nan_to_num(means[1:, 0], nan=np.inf).argmin())
    rise = mean_interval(
        losses[-1, 0] - losses[at, 0], result.question.confidence, result.task.overlap
    )
    if rise and rise[0] > 0:
        near = f"near epoch {rough(epochs[at])} ({what} {loss(means[at, 0])})"
        return sentence_of(f"the baseline is best {near} and ends at {loss(means[-1, 0])}", arm)
    one = " (one replicate)" * (not cast.several)
    return sentence_of(f"the baseline's {what} ends at {loss(means[-1, 0])}", arm + one)


def loss(value: float) -> str:
    """Return a loss with two decimals, or a large one with four digits."""
    return f"{value:.2f}" if value < 100 else short(value)


def rough(epoch: int) -> int:
    """Return an epoch with one digit: its neighbours are about as good."""
    return int(float(f"{epoch:.0e}"))


def draw(result: Result, sheet: Sheet) -> None:
    """Draw three panels over one axis of epochs."""
    history, cast, what = result.history, Cast(result), result.question.words
    arms, labelled = range(len(cast.labels)), labelled_of(result, cast)
    has_bands = history.risk.shape[2] > 2
    banded = arms if len(arms) <= FEW_BANDS else {0, cast.best}
    said = f"{cast.networks}; epochs on a logarithmic axis, epoch 0 is before training."
    said += " A ring is where an arm is lowest."
    is_some = has_bands and len(arms) > FEW_BANDS
    said += " Bands are drawn for the baseline and the best arm." * is_some
    said += f" {len(labelled)} of {len(arms)} arms are labelled." * (len(labelled) < len(arms))
    top = sheet.heading(title(result), said)
    asked = result.question.confidence, result.task.overlap
    losses = result.headline.astype(float)
    risk = np.where(np.isfinite(result.levels), result.levels, np.nan)
    _, half = mean_band(losses, *asked)
    noise = result.task.noise_variance or 0.0
    floor = noise if what == "risk" else 0.0  # no risk is below the noise
    trained = np.where(np.isfinite(history.train_loss_eval), history.train_loss_eval, np.nan)
    quartiles = np.percentile(trained, (50, 25, 75), axis=2)
    change = risk - risk[:, :1]
    _, half_change = mean_band(losses - losses[:, :1], *asked)
    of = f"{', mean' * cast.several}{f' and pointwise {percent(asked[0])} interval' * has_bands}"
    middle, better = ", median and quartiles" * has_bands, "   ↓ lower is better"
    low = np.maximum(risk - half, np.minimum(floor, risk))
    panels = [
        (f"{what}{of}{better}", risk, low, risk + half),
        (f"training loss in evaluation mode{middle}, log scale", *quartiles),
        (f"paired difference in {what}, arm − baseline{of}{better}",
         change, change - half_change, change + half_change),
    ]  # fmt: skip
    width, height = sheet.width - LEFT - RIGHT, (sheet.height - top - 0.3) / 3
    for row, (heading, *curves) in enumerate(panels):
        over, is_log = top + row * height + 0.28, row == 1
        curves = [np.where(c > 0, c, np.nan) if is_log else c for c in curves]
        if not has_bands:
            curves[1:] = curves[0], curves[0]
        drawn = [index for index in arms if index or row < 2]
        ends = ends_of(history.epochs, curves[1], curves[2], cast, is_log)
        shape = dict[str, Any](yscale="log" if is_log else "linear", ylim=ends)
        panel = sheet.panel(LEFT, over, width, height - 0.55, **shape)
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
            style = dict[str, Any](color=color, lw=2 if is_thick else 0.8)
            panel.plot(places[1:], curve[1:], zorder=2 + is_thick, **style)
            panel.plot(places[:2], curve[:2], color=color, lw=1, ls=":", marker=".", markevery=[0])
            if has_bands and index in banded and index not in cast.lost:
                bands = (c[1:, index] for c in curves[1:])
                panel.fill_between(places[1:], *bands, color=color, alpha=0.15, lw=0)
            last = np.flatnonzero(np.isfinite(curve))
            is_lost = index in cast.lost
            if is_lost and len(last):
                y = np.clip(curve[last[-1]], *ends)
                panel.plot(places[last[-1]], y, "x", color=color, ms=6, mew=2, clip_on=False)
            elif row == 0 and is_thick:
                lowest = 1 + int(curve[1:].argmin())
                is_seen = bool(curve[lowest] <= ends[1])
                ring = dict[str, Any](mfc="white", mec=color, ms=6, mew=1.6, zorder=4)
                panel.plot(places[lowest], curve[lowest], "o" * is_seen, clip_on=False, **ring)
            if is_thick and (is_lost or np.isfinite(curve[-1])):
                value = ends[1] if is_lost else curve[-1]
                arrow = " ▲" if value > ends[1] else " ▼" if value < ends[0] else ""
                (name,) = wrapped(cast.labels[index], RIGHT - 0.95, 8.5, "bold", most=1)
                said = f"{name}  {'✕ diverged' if is_lost else show(value) + arrow}"
                named.append((np.clip(value, *ends), said, color))
        if row == 2:
            named.append((0.0, "as the baseline", BASELINE))
        label_ends(panel, named, height - 0.55)
        fine = [index for index in drawn if index not in cast.lost]
        sheet.text(LEFT + 0.5, over + 0.02, cut(curves[0][:, fine], ends), 8, color=GREY)
    sheet.text(LEFT + width / 2, sheet.height - 0.25, "epoch", ha="center")


def labelled_of(result: Result, cast: Cast) -> list[int]:
    """Return the arms that are labelled: all, or of many the baseline, the best and the worst."""
    arms = range(len(cast.labels))
    worst = max(arms, key=lambda index: -1 if index in cast.lost else result.judged[index].mean())
    return [*arms] if len(arms) <= MOST_CURVES else sorted({0, cast.best, worst})


def shares_of(epochs: Array, last: int) -> Array:
    """Return where epochs are on a logarithmic axis from 0 to 1; epoch 0 is behind a gap."""
    span = math.log10(last)
    zero = -GAP * span or -1.0
    places = np.where(epochs, np.log10(np.maximum(epochs, 1)), zero)
    shares: Array = (places - 1.25 * zero) / (span - 1.25 * zero)
    return shares


def epoch_axis(panel: Any, epochs: Array, is_labelled: bool) -> Array:
    """Draw the axis of the epochs; return their places."""
    last = int(epochs[-1])
    decades = 10 ** np.arange(int(math.log10(last)) + 1)
    shown = np.append(decades[np.log10(last / decades) > 0.07 * math.log10(last)], [0, last])
    panel.set_xlim(0, 1)
    panel.spines["bottom"].set_bounds(shares_of(np.zeros(1), last)[0] + 0.03, 1)
    ticks(panel, "x", shares_of(shown, last), [*map(str, shown)], is_labelled=is_labelled)
    return shares_of(epochs, last)


def ends_of(
    epochs: Array, low: Array, high: Array, cast: Cast, is_log: bool
) -> tuple[float, float]:
    """Return the ends of an axis of bands between lower and upper curves `(E, arms)`.

    All of a training loss is seen, and of the others what there is after the first epochs.
    """
    fine = [index for index in range(low.shape[1]) if index not in cast.lost]
    if is_log:
        top = float(np.nanmax(high[:, fine], initial=1e-300))
        return max(float(np.nanmin(low[:, fine], initial=top)), top / 10**DECADES) / 2, top * 2
    late = epochs >= min(10, epochs[len(epochs) // 2])
    ends = np.stack([low[late].min(axis=0), high[late].max(axis=0)], axis=1)
    return limits(ends[[0, cast.best]], ends[[i for i in fine if i not in (0, cast.best)]])
