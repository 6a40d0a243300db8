"""The risk of a sweep and its parts over the strength of the one regularizer that is swept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.best import curve_through, sweep_of
from regbench.analysis.statistics import mean_band
from regbench.errors import UsageError
from regbench.report.claims import finite_arms, outward_ends
from regbench.report.figures.findings import Cast, cut, sentence_of, short
from regbench.report.figures.marks import draw_dots, draw_intervals
from regbench.report.figures.palette import BASELINE, BEST, BIAS, GREY, INK, NAMES, VARIANCE
from regbench.report.figures.sheet import label_ends, limits, spread, ticks
from regbench.report.format import percent

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

LEFT, RIGHT, LOWER = 0.75, 1.65, 1.5
"""Inches: left and right of the panels, and the height of the lower one."""


class Sweep:
    """The arms of a sweep on its axis: a logarithmic one, unless the strength is a probability.

    Attributes:
        part: One of the regularizers that are swept.
        x, rows: Places and indices of the arms that are finite at the end.
        ends: The ends of the axis.
    """

    def __init__(self, result: Result) -> None:
        swept = sweep_of(result.study.arms[1:])
        if len(swept) < 2:
            allowed = "a sweep: two strengths of one regularizer"
            raise UsageError("risk_over_strength", ", ".join(result.study.compared), allowed)
        is_finite = finite_arms(result)
        self.part, fine = swept[0][0], [(p, i + 1) for p, i in swept if is_finite[i + 1]]
        self.strengths = np.array([part.strength for part, _ in swept])
        self.x, self.rows = self.place([p.strength for p, _ in fine]), [i for _, i in fine]
        low, *_, high = self.place(self.strengths)
        self.ends = low - 0.06 * (high - low), high + 0.06 * (high - low)
        scale = "" if self.part.is_probability else ", log scale"
        name = NAMES.get(self.part.command, self.part.command.replace("-", " "))
        self.heading = f"{name} {self.part.symbol}{scale}"

    def place(self, strengths: Any) -> Array:
        """Return where strengths are on the axis."""
        return np.asarray(strengths) if self.part.is_probability else np.log10(strengths)

    def ticks(self, panel: Any, width: float, is_labelled: bool = True) -> None:
        """Draw ticks at powers of ten or at the strengths, as many as `width` inches have room."""
        first, last = self.strengths[[0, -1]]
        decades = 10.0 ** np.arange(np.ceil(np.log10(first)), np.log10(last) + 1e-9)
        shown = decades if len(decades) > 2 and not self.part.is_probability else self.strengths
        apart, kept = 0.6 * (self.ends[1] - self.ends[0]) / width, [shown[0]]
        for strength in shown[1:]:
            kept += [strength] if self.place(strength) - self.place(kept[-1]) >= apart else []
        texts = [f"{strength:.4g}" for strength in kept]
        ticks(panel, "x", self.place(kept), texts, is_labelled=is_labelled)

    def mark_best(self, panel: Any, result: Result) -> None:
        """Draw the best strength as a line over its interval."""
        if result.optimum and result.optimum.ci:
            panel.axvspan(*self.place(result.optimum.ci), color="#F5EEC8", lw=0, zorder=0)
        if result.optimum:
            panel.axvline(self.place(result.optimum.strength), color=BEST, lw=1.2, zorder=1)


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.4, 6.3


def title(result: Result) -> str:
    """Return at which strength the risk is the lowest: of the curve, or else of the arms."""
    cast, what, optimum = Cast(result), result.question.words, result.optimum
    before, after = result.judged[[0, cast.best]].mean(axis=1, dtype=float)
    place = f"{cast.names[cast.best]} has {after:.2f}, the baseline {before:.2f}"
    if optimum is None:
        return sentence_of(f"of the arms that were tried {place}: the lowest {what}")
    symbol = sweep_of(result.study.arms[1:])[0][0].symbol
    ci = " [{}, {}]".format(*outward_ends(optimum.ci)) if optimum.ci else ""
    end = ", an end of the sweep" * optimum.is_at_end
    return sentence_of(f"{what} is lowest at {symbol}* = {optimum.strength:.2g}{ci}{end}", place)


def curves_of(result: Result, rows: list[int]) -> list[tuple[str, str, Array]]:
    """Return name, colour, and values with lower and upper ends `(3, rows)` of the risk and parts.

    There are no intervals of two replicates, and none reaches below the noise.
    """
    cast, question = Cast(result), result.question
    risk, half = mean_band(result.judged[rows], question.confidence, result.task.overlap)
    half = half * (result.study.replicates > 2)
    floor = (result.task.noise_variance or 0.0) if question.headline == "risk" else 0.0
    bands = np.maximum(risk - half, np.minimum(floor, risk)), risk + half
    curves = [(question.words, INK, np.stack([risk, *bands]))]
    is_split = all(cast.parts) and question.judged_by == "risk"
    for name, color in (("variance", VARIANCE), ("bias_squared", BIAS)) if is_split else ():
        found = [getattr(cast.parts[index], name) for index in rows]
        three = [(p.value, *(p.ci or (p.value, p.value))) for p in found]
        curves.append((name.replace("_squared", "²"), color, np.reshape(three, (-1, 3)).T))
    return curves


def draw_curves(panel: Any, x: Array, curves: list[tuple[str, str, Array]]) -> None:
    """Draw smooth curves through the arms, with their bands."""
    for _, color, (values, *band) in curves:
        panel.plot(*curve_through(x, values), color=color, lw=2.4 if color == INK else 1.8)
        panel.plot(x, values, "o", color=color, ms=4.5, mec="white", mew=0.6)
        panel.fill_between(x, *band, color=color, alpha=0.13, lw=0)


def draw(result: Result, sheet: Sheet) -> None:
    """Draw risk, variance and bias² over strength, and below the paired differences."""
    cast, what, sweep = Cast(result), result.question.words, Sweep(result)
    curves, part = curves_of(result, sweep.rows), sweep.part
    lost = [cast.labels[index] for index in cast.lost if index]
    confidence = percent(result.question.confidence)
    said = f"{cast.networks}, {len(sweep.strengths)} strengths against one baseline. "
    said += f"Bands: {confidence} interval of each curve alone. " * (result.study.replicates > 2)
    said += "Risk = noise + variance + bias². " * (len(curves) > 1)
    if result.optimum and result.optimum.ci:
        said += f"Yellow: interval of {part.symbol}*, by resampling replicates. "
    said += "Dots: replicates, hollow where the baseline was better. "
    said += f"Diverged: {', '.join(lost)}." * bool(lost)
    top = sheet.heading(title(result), said) + 0.45
    width, height = sheet.width - LEFT - RIGHT, sheet.height - top - LOWER - 0.98
    ((_, _, base),) = curves_of(result, [0])[:1]
    best = sweep.rows.index(cast.best)
    bands = np.stack([values[1:] for *_, values in curves])  # (curves, 2, arms)
    whole = np.stack([bands[:, 0].min(axis=0), bands[:, 1].max(axis=0)], axis=1)
    ends = limits([base[1:, 0], (0, 0), whole[best]], np.delete(whole, best, axis=0))
    panel = sheet.panel(LEFT, top, width, height, xlim=sweep.ends, ylim=ends)
    axis = f"{'expected' if len(curves) > 1 else 'mean'} squared error   ↓ lower is better"
    sheet.text(LEFT, top - 0.24, axis, color=GREY, va="bottom")
    panel.axhline(base[0, 0], color=BASELINE, lw=1.6, dashes=(5, 2), zorder=1)
    named = [(base[0, 0], f"baseline {short(base[0, 0])}", BASELINE)]
    if len(curves) > 1:
        noise = result.task.noise_variance or 0.0
        panel.axhline(noise, color=GREY, lw=1, ls=":")
        named.append((noise, f"noise {short(noise)}", GREY))
    draw_curves(panel, sweep.x, curves)
    highest = sorted((values[0].max(), name, color) for name, color, values in curves)
    named += [(y, f"▲ {name} {short(y)}", color) for y, name, color in highest if y > ends[1]]
    label_ends(panel, named, height)
    values = np.array([values[0, best] for *_, values in curves])
    shares = (values - ends[0]) / (ends[1] - ends[0]) + 0.13 / height
    share = (sweep.x[best] - sweep.ends[0]) / (sweep.ends[1] - sweep.ends[0])
    side = "right" if share > 0.85 else "left" if share < 0.15 else "center"
    pale = dict[str, Any](color="white", alpha=0.75, pad=0.6, lw=0)
    style = dict[str, Any](ha=side, va="center", size=8.5, weight="bold", bbox=pale, zorder=6)
    for (name, color, _), y, value in zip(
        curves, spread(shares, 0.17 / height, 0, 1), values, strict=True
    ):
        said = f"{name} {short(value)}"
        panel.text(share, y, said, color=color, transform=panel.transAxes, **style)

    over, found = top + height + 0.38, [result.comparisons[index - 1] for index in sweep.rows]
    judged, seed = result.judged.astype(float), result.study.seed
    differences = [judged[index] - judged[0] for index in sweep.rows]
    cis = [c.ci or (c.mean_difference,) * 2 for c in found]
    dots = [(values.min(), values.max()) for values in differences]
    ends = limits([(0, 0), cis[best]], cis[:best] + cis[best + 1 :], dots)
    shape = dict[str, Any](xlim=sweep.ends, ylim=ends)
    lower = sheet.panel(LEFT, over, width, LOWER, **shape)
    said = f": mean and {cast.interval}" * cast.several
    said = f"paired difference in {what}, arm − baseline{said}"
    sheet.text(LEFT, over - 0.07, said, color=GREY, va="bottom")
    lower.axhline(0, color=BASELINE, lw=1.6)
    room = min(0.5 * (sweep.ends[1] - sweep.ends[0]) / width, np.diff(sweep.x).min(initial=1e9))
    colors = [cast.colors[index] for index in sweep.rows]
    means = [c.mean_difference for c in found]
    for at, values, mean, color in zip(sweep.x, differences, means, colors, strict=True):
        if ends[0] <= mean <= ends[1]:
            draw_dots(lower, at - 0.2 * room, values, color, 0.4 * room, seed, is_upright=True)
    draw_intervals(lower, sweep.x + 0.2 * room, means, cis, colors, 0.1 * room, is_upright=True)
    label_ends(lower, [(0.0, "as the baseline", BASELINE)], LOWER)
    sheet.text(LEFT + 0.1, over, cut(differences, ends), 8, color=GREY)
    for axes in (panel, lower):
        sweep.mark_best(axes, result)
        sweep.ticks(axes, width, is_labelled=axes is lower)
    if result.optimum:
        best_text = f"{part.symbol}* {result.optimum.strength:.2g}"
        style = dict[str, Any](color=BEST, weight="bold", ha="center", va="bottom")
        at = (sweep.place(result.optimum.strength) - sweep.ends[0]) / np.ptp(sweep.ends)
        sheet.text(LEFT + at * width, top - 0.02, best_text, 9.5, **style)
    ticks(panel, "y")
    ticks(lower, "y", most=3, sign="+")
    sheet.text(LEFT + width / 2, sheet.height - 0.27, sweep.heading, ha="center")
