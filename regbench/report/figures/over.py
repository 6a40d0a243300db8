"""The paired difference of each arm over the values of a setting, below the risks themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.report.figures.findings import Cast, short
from regbench.report.figures.palette import BASELINE, GREY, labels_of
from regbench.report.figures.sheet import label_ends, ticks
from regbench.report.format import count, percent
from regbench.report.over import findings, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array
    from regbench.experiments.over import OverResult
    from regbench.report.figures.sheet import Sheet

Curve = tuple[int, "Array", "Array", "Array | None"]
"""An arm, places, means, and the ends of their intervals."""
LEFT, RIGHT = 0.75, 1.75
"""Inches left and right of the panels."""
FEW_ARMS = 2
"""So many have a sentence each in the title."""
LEAST_RATIO = 10
"""Of the largest value to the smallest, from which the axis is logarithmic."""


def size(result: OverResult) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.4, 6.2


def title(result: OverResult) -> str:
    """Return where each of few arms helps, or of many how many do at either end."""
    study, values = result.study.study, [*result.by_value]
    if result.over[0].study.replicates == 1:
        return "One pair at each value cannot tell where an arm helps"
    if len(study.compared) <= FEW_ARMS:
        return "; ".join(findings(result, labels_of(study)))
    told = [
        f"{sum(effect.verdict == 'better' for effect in result.effects[end])} of "
        f"{len(study.compared)} arms at {result.study.key} {text_of(values[end])}"
        for end in (0, -1)
    ]
    return f"The {result.question.words} is lowered by {' and by '.join(told)}"


def places_of(values: Sequence[Any]) -> tuple[Array, bool]:
    """Return where values stand on an axis, words side by side, and whether it is logarithmic."""
    if isinstance(values[0], str):
        return np.arange(len(values), dtype=float), False
    numbers = np.array(values, dtype=float)
    is_log = bool(numbers.min() > 0 and numbers.max() >= LEAST_RATIO * numbers.min())
    return (np.log10(numbers) if is_log else numbers), is_log


def draw(result: OverResult, sheet: Sheet) -> None:
    """Draw the headline measure of all arms, and below it each arm's paired difference."""
    places, is_log = places_of([*result.by_value])
    order, cast, what = np.argsort(places), Cast(result.over[0]), result.question.words
    x, values = places[order], [[*result.by_value][index] for index in order]
    said = f"{count(result.over[0].study.replicates, 'replicate')} at each value, last epoch. "
    if cast.several:
        interval = f"{percent(result.question.confidence)} intervals"
        said += f"Bars: {interval} of the means, which hold together for all arms and values."
    lost = [text_of(v) for v, one in result.by_value.items() if one.has_diverged]
    said += f" Diverged: an arm at {result.study.key} {', '.join(lost)}." * bool(lost)
    top = sheet.heading(title(result), said + cast.omitted) + 0.3
    width, height = sheet.width - LEFT - RIGHT, sheet.height - top - 1.1
    pad, inch = 0.06 * float(np.ptp(x)) or 1.0, float(np.ptp(x)) * 1.12 / width or 1.0

    means = np.array([one.headline[-1].mean(axis=1, dtype=float) for one in result.over])[order]
    risks: list[Curve] = [(arm, x, means[:, arm], None) for arm in cast.shown]
    differences, bars = list[Curve](), cast.shown[1:]
    apart = min(0.09, 0.8 * float(np.diff(x).min(initial=np.inf)) / inch / len(bars)) * inch
    for index, arm in enumerate(bars):
        own = [result.effects[place][arm - 1] for place in order]
        bar = np.array([effect.ci or (effect.mean_difference,) * 2 for effect in own])
        beside = x + apart * (index - (len(bars) - 1) / 2)
        differences.append((arm, beside, np.array([e.mean_difference for e in own]), bar))

    shown = [0]
    for index in range(1, len(x)):
        shown += [index] if x[index] - x[shown[-1]] >= 0.6 * inch else []
    for over, tall, name, curves, sign in (
        (top, 0.4 * height, f"{what}, mean   ↓ lower is better", risks, ""),
        (
            top + 0.4 * height + 0.5,
            0.6 * height,
            f"paired difference in {what}, arm − baseline",
            differences,
            "+",
        ),
    ):
        low, high = bounds([one for _, _, mean, ends in curves for one in (mean, ends)])
        limits = {"xlim": (x[0] - pad, x[-1] + pad), "ylim": (low, high)}
        panel = sheet.panel(LEFT, over, width, tall, **limits)
        sheet.text(LEFT, over - 0.07, name, color=GREY, va="bottom")
        named = [(0.0, "as the baseline", BASELINE)] if sign else []
        panel.axhline(0, color=BASELINE, lw=1.6 * bool(sign))
        for arm, at, mean, ends in curves:
            color, finite = cast.colors[arm], mean[np.isfinite(mean)]
            panel.plot(at, mean, "o-", color=color, ms=4.5, mec="white", mew=0.6)
            if ends is not None:
                panel.vlines(at, *ends.T, color=color, lw=4.5, alpha=0.5, zorder=1)
            if len(finite):
                named.append((finite[-1], f"{cast.labels[arm]} {short(finite[-1], sign)}", color))
        label_ends(panel, named, tall)
        ticks(panel, "x", x[shown], [text_of(values[i]) for i in shown], is_labelled=bool(sign))
        ticks(panel, "y", sign=sign)
    scale = f"{result.study.key}{', log scale' * is_log}"
    sheet.text(LEFT + width / 2, sheet.height - 0.27, scale, ha="center")


def bounds(curves: Sequence[Array | None]) -> tuple[float, float]:
    """Return the ends of an axis: 0 and what is finite, but for what lies far beyond the rest."""
    numbers = np.concatenate([curve.ravel() for curve in curves if curve is not None])
    finite = numbers[np.isfinite(numbers)]
    far = 3 * float(np.quantile(np.abs(finite), 0.7, method="lower")) if len(finite) else 1.0
    low, high = max(-far, finite.min(initial=0.0)), min(far, finite.max(initial=0.0))
    margin = 0.08 * (high - low) or 1.0
    return low - margin * (low < 0), high + margin
