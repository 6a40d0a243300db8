"""The paired difference of each arm over the values of a setting, below the risks themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regbench.report.claims import FEW_ARMS
from regbench.report.figures.findings import Cast, short
from regbench.report.figures.palette import BASELINE, GREY, labels_of
from regbench.report.figures.sheet import label_ends, ticks
from regbench.report.format import count, percent
from regbench.report.over import findings, text_of

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.over import OverResult
    from regbench.report.figures.sheet import Sheet

LEFT, RIGHT = 0.75, 1.75
"""Inches left and right of the panels."""
LEAST_RATIO = 10
"""Of the largest value to the smallest, from which the axis is logarithmic."""


def size(result: OverResult) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.4, 6.2


def title(result: OverResult) -> str:
    """Return where each of few arms helps, or of many how many do at either end."""
    study, what = result.study.study, result.question.words
    if result.over[0].study.replicates == 1:
        return "One pair at each value cannot tell where an arm helps"
    if len(study.compared) <= FEW_ARMS:
        return "; ".join(findings(result, labels_of(study)))
    first, *_, last = zip(map(text_of, [*result.by_value] * 2), result.effects * 2, strict=True)
    told = [
        f"by {sum(e.verdict == 'better' for e in own)} of {len(own)} at {result.study.key}={value}"
        for value, own in (first, last)
    ]
    return f"Of these arms the {what} is lowered {' and '.join(told)}"


def draw(result: OverResult, sheet: Sheet) -> None:
    """Draw the headline measure of all arms, and below it each arm's paired difference."""
    cast, what, key = Cast(result.over[0]), result.question.words, result.study.key
    texts, x, is_log = [*map(text_of, result.by_value)], np.arange(float(len(result.over))), False
    if not isinstance(next(iter(result.by_value)), str):
        x = np.array([*result.by_value], dtype=float)
        is_log = bool(x.min() > 0 and x.max() >= LEAST_RATIO * x.min())
        x = np.log10(x) if is_log else x
    order = np.argsort(x)
    said = f"{count(result.over[0].study.replicates, 'replicate')} at each value, last epoch."
    if cast.several:
        interval = f"{percent(result.question.confidence)} intervals"
        said += f" Bars: {interval} of the means, which hold together for all arms and values."
    if lost := [v for v, one in zip(texts, result.over, strict=True) if one.has_diverged]:
        said += f" Diverged: an arm at {key}={', '.join(lost)}."
    top = sheet.heading(title(result), said + cast.omitted) + 0.3
    width, height = sheet.width - LEFT - RIGHT, sheet.height - top - 1.1
    pad = 0.06 * float(np.ptp(x)) or 1.0
    inch, steps = (float(np.ptp(x)) + 2 * pad) / width, np.diff(x[order])
    shown = [order[0]]
    for index in order[1:]:
        shown += [index] if x[index] - x[shown[-1]] >= 0.6 * inch else []

    # Means by value and arm, the baseline first; those of differences with their intervals.
    risks = np.array([one.judged.mean(axis=1, dtype=float) for one in result.over])[..., None]
    effects = np.zeros((*risks.shape[:2], 3))
    for own, three in zip(result.effects, effects, strict=True):
        three[1:] = [(e.mean_difference, *(e.ci or (e.mean_difference,) * 2)) for e in own]
    apart = min(0.09 * inch, 0.8 * float(steps.min(initial=np.inf)) / len(cast.shown))
    difference, below = f"paired difference in {what}, arm − baseline", top + 0.4 * height + 0.5
    for arms, numbers, name, place, tall in (
        (cast.shown, risks, f"{what}, mean   ↓ lower is better", top, 0.4 * height),
        (cast.shown[1:], effects, difference, below, 0.6 * height),
    ):
        is_lower, sign = numbers is effects, "+" if numbers is effects else ""
        limits = {"xlim": (x.min() - pad, x.max() + pad), "ylim": bounds(numbers[:, arms])}
        panel = sheet.panel(LEFT, place, width, tall, **limits)
        sheet.text(LEFT, place - 0.07, name, color=GREY, va="bottom")
        panel.axhline(0, color=BASELINE, lw=1.6 * is_lower)
        ends = [(0.0, "as the baseline", BASELINE)] * is_lower
        for index, arm in enumerate(arms):
            color, (mean, *interval) = cast.colors[arm], numbers[order, arm].T
            at = x[order] + apart * is_lower * (index - (len(arms) - 1) / 2)
            panel.plot(at, mean, "o-", color=color, ms=4.5, mec="white", mew=0.6)
            if interval:
                panel.vlines(at, *interval, color=color, lw=4.5, alpha=0.5, zorder=1)
            for last in mean[np.isfinite(mean)][-1:]:
                ends.append((last, f"{cast.labels[arm]} {short(last, sign)}", color))
        label_ends(panel, ends, tall)
        ticks(panel, "x", x[shown], [texts[index] for index in shown], is_labelled=is_lower)
        ticks(panel, "y", sign=sign)
    scale = f"{key}, log scale" if is_log else key
    sheet.text(LEFT + width / 2, sheet.height - 0.27, scale, ha="center")


def bounds(numbers: Array) -> tuple[float, float]:
    """Return the ends of an axis: 0 and what is finite, but for what lies far beyond the rest."""
    finite = numbers[np.isfinite(numbers)]
    far = 3 * float(np.quantile(np.abs(finite), 0.7, method="lower")) if len(finite) else 1.0
    low, high = max(-far, finite.min(initial=0.0)), min(far, finite.max(initial=0.0))
    margin = 0.08 * (high - low) or 1.0
    return low - margin * (low < 0), high + margin
