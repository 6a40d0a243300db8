"""How the arms' risk and their paired differences change over the values of a setting.

Where the arms are a sweep, the risk over strength at each value, and the best strength over values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import evenly
from regbench.report.claims import FEW_ARMS, is_comparable
from regbench.report.figures.findings import Cast, cut, sentence_of, short
from regbench.report.figures.marks import draw_intervals
from regbench.report.figures.palette import BASELINE, BEST, GREY, names_of
from regbench.report.figures.risk_over_strength import Sweep, curves_of, draw_curves
from regbench.report.figures.sheet import EDGE, label_ends, limits, ticks
from regbench.report.format import count, percent
from regbench.report.over import findings, text_of

if TYPE_CHECKING:
    from regbench.analysis.over import OverResult
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

LEFT, RIGHT, MOST_PANELS = 0.75, 1.75, 6
"""Inches left and right of the panels, and values that have a panel each."""
LEAST_RATIO = 10
"""Of the largest value to the smallest, from which the axis is logarithmic."""


def size(result: OverResult) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.4, 6.2


def is_sweep(result: OverResult) -> bool:
    """Whether each value has a best strength."""
    return all(is_comparable(one) and one.optimum for one in result.over)


def title(result: OverResult) -> str:
    """Return the best strength at either end, where each of few arms helps, or the best arms."""
    study, what, key = result.study.study, result.question.words, result.study.key
    values = [*map(text_of, result.by_value)]
    ends = {values[index]: result.over[index] for index in (0, -1)}
    if result.over[0].study.replicates == 1:
        return "One pair at each value cannot tell where an arm helps"
    if sweeps := sweeps_of(result):
        told = [f"{best_text(one)} at {key}={value}" for value, one in ends.items()]
        return sentence_of(f"{what} is lowest at {sweeps[0].part.symbol}* = {' and '.join(told)}")
    if len(study.compared) <= FEW_ARMS:
        return sentence_of(*findings(result, names_of(study)))
    lowest = dict[str, list[str]]()
    for value, one in ends.items():
        means = np.nan_to_num(one.judged.mean(axis=1), nan=np.inf)
        name = [*names_of(study).values()][int(means.argmin())]
        lowest.setdefault(name, []).append(value)
    told = [f"{name} at {key}={' and '.join(where)}" for name, where in lowest.items()]
    return sentence_of(f"{what} is lowest with {' and with '.join(told)}")


def sweeps_of(result: OverResult) -> list[Sweep]:
    """Return the sweep at each value, or nothing where one has no best strength."""
    has_best = all(is_comparable(one) and one.optimum for one in result.over)
    return [Sweep(one) for one in result.over] if has_best else []


def best_text(result: Result) -> str:
    """Return the best strength of a sweep, with its interval."""
    found = result.optimum
    ci = " [{:.2g}, {:.2g}]".format(*found.ci) if found and found.ci else ""
    return f"{found.strength:.2g}{ci}" if found else ""


def draw(result: OverResult, sheet: Sheet) -> None:
    """Draw the risk above, and below what is asked of it over the values."""
    what, key, texts = result.question.words, result.study.key, [*map(text_of, result.by_value)]
    cast, sweeps = Cast(next(filter(is_comparable, result.over))), sweeps_of(result)
    x, is_log = np.arange(float(len(texts))), False
    if not isinstance(next(iter(result.by_value)), str):
        x = np.array([*result.by_value], dtype=float)
        is_log = bool(x.min() > 0 and x.max() >= LEAST_RATIO * x.min())
        x = np.log10(x) if is_log else x
    said = f"{count(result.over[0].study.replicates, 'replicate')} at each value, last epoch."
    interval = f"{percent(result.question.confidence)} interval"
    if sweeps:
        said += (
            f" Bands and bars: {interval} of each curve and of each best strength, yellow above."
        )
    elif cast.several:
        said += f" Bars: {interval}s of the means, which hold together for all arms and values."
    if lost := [v for v, one in zip(texts, result.over, strict=True) if one.has_diverged]:
        said += f" Diverged: an arm at {key}={', '.join(lost)}."
    top = sheet.heading(title(result), said + cast.omitted) + 0.3
    width, height = sheet.width - LEFT - RIGHT, sheet.height - top - 1.1
    pad = 0.06 * float(np.ptp(x)) or 1.0
    order, inch, shown = np.argsort(x), (float(np.ptp(x)) + 2 * pad) / width, list[int]()
    for index in order.tolist():
        shown += [index] if not shown or x[index] - x[shown[-1]] >= 0.6 * inch else []

    # By value and arm, the baseline first: means, and differences with their intervals.
    risks = np.array([one.judged.mean(axis=1, dtype=float) for one in result.over])[..., None]
    effects = np.zeros((*risks.shape[:2], 3))
    for own, three in zip(result.effects, effects, strict=True):
        three[1:] = [(e.mean_difference, *(e.ci or (e.mean_difference,) * 2)) for e in own]
    arms = [(cast.labels[index], cast.colors[index]) for index in cast.shown]
    below, upper, lower = top + 0.4 * height + 0.6, 0.4 * height, 0.6 * height - 0.1
    slots = [(risks[:, cast.shown], arms, f"{what}, mean   ↓ lower is better", top, upper)]
    name = f"paired difference in {what}, arm − baseline"
    slots.append((effects[:, cast.shown[1:]], arms[1:], name, below, lower))
    if sweeps:
        draw_sweeps(result, sweeps, sheet, top, upper)
        found = [one.optimum for one in result.over if one.optimum]
        best = np.array([[o.strength, *(o.ci or (o.strength,) * 2)] for o in found])
        star = f"{sweeps[0].part.symbol}*"
        slots = [
            (sweeps[0].place(best)[:, None], [(star, BEST)], f"best strength {star}", below, lower)
        ]
    for numbers, named, name, place, tall in slots:
        is_lower = bool(place == below)
        sign = "+" * (is_lower and not sweeps)
        bands = np.stack([numbers.min(axis=2), numbers.max(axis=2)], axis=2)
        ylim = sweeps[0].ends if sweeps else limits([(0, 0)], bands)
        panel = sheet.panel(
            LEFT, place, width, tall, xlim=(x.min() - pad, x.max() + pad), ylim=ylim
        )
        sheet.text(LEFT, place - 0.07, name, color=GREY, va="bottom")
        ends = [(0.0, "as the baseline", BASELINE)] * (is_lower and not sweeps)
        panel.axhline(0, color=BASELINE, lw=1.6 * len(ends))
        apart = min(0.09 * inch, 0.8 * float(np.diff(x[order]).min(initial=np.inf)) / len(named))
        for index, (label, color) in enumerate(named):
            mean, *interval = numbers[order, index].T
            at = x[order] + apart * is_lower * (index - (len(named) - 1) / 2)
            panel.plot(at, mean, "o-", color=color, ms=4.5, mec="white", mew=0.6, zorder=5)
            cis: list[Any] = [*zip(*interval, strict=True)] or [None] * len(at)
            draw_intervals(panel, at, mean, cis, [color] * len(at), 0.0, is_upright=True)
            for last in mean[np.isfinite(mean)][-1:]:
                text = label if sweeps else f"{label} {short(last, sign)}"
                ends.append((last, text, color))
        label_ends(panel, ends, tall)
        sheet.text(LEFT + 0.1, place, cut(numbers, ylim), 8, color=GREY)
        ticks(panel, "x", x[shown], [texts[index] for index in shown], is_labelled=is_lower)
        if sweeps:
            sweeps[0].ticks(panel, tall, "y")
        else:
            ticks(panel, "y", sign=sign)
    scale = f"{key}, log scale" if is_log else key
    sheet.text(LEFT + width / 2, sheet.height - 0.27, scale, ha="center")


def draw_sweeps(
    result: OverResult, sweeps: list[Sweep], sheet: Sheet, top: float, height: float
) -> None:
    """Draw the risk over strength at each value, side by side on one scale."""
    shown = evenly(len(sweeps), MOST_PANELS)
    width = (sheet.width - LEFT - EDGE) / len(shown)
    curves = {i: curves_of(result.over[i], sweeps[i].rows)[:1] for i in shown}
    bases = {i: curves_of(result.over[i], [0])[0][2][:, 0] for i in shown}
    bands = {i: values[1:].T for i, ((_, _, values),) in curves.items()}
    bests = [bands[i][values[0].argmin()] for i, ((_, _, values),) in curves.items()]
    ends = limits([*bests, *(base[1:] for base in bases.values())], [*bands.values()])
    heading = f"{result.question.words} over {sweeps[0].heading}   ↓ lower is better"
    sheet.text(LEFT, top - 0.22, heading, color=GREY, va="bottom")
    for place, index in enumerate(shown):
        left, sweep, value = LEFT + place * width, sweeps[index], [*result.by_value][index]
        panel = sheet.panel(left, top, width - 0.2, height, xlim=sweep.ends, ylim=ends)
        panel.axhline(bases[index][0], color=BASELINE, lw=1.6, dashes=(5, 2), zorder=1)
        draw_curves(panel, sweep.x, curves[index])
        sweep.mark_best(panel, result.over[index])
        sweep.ticks(panel, width - 0.2)
        ticks(panel, "y", is_labelled=not place)
        name = f"{result.study.key}={text_of(value)}"
        sheet.text(left, top - 0.04, name, 8.5, weight="bold", va="bottom")
        far = cut(bands[index], ends)
        sheet.text(left + width - 0.2, top, far, 7.5, ha="right", color=GREY)
