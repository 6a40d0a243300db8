"""The risk of a sweep and its parts over the strength of the one regularizer that is swept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.optimum import curve_through, sweep_of
from regbench.analysis.statistics import mean_band
from regbench.errors import UsageError
from regbench.report.figures.findings import Cast, short
from regbench.report.figures.palette import BASELINE, BEST, BIAS, GREY, INK, VARIANCE
from regbench.report.figures.sheet import label_ends, ticks
from regbench.report.format import percent

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

LEFT, RIGHT, LOWER = 0.75, 1.65, 1.15
"""Inches: left and right of the panels, and the height of the lower one."""


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.4, 6.2


def title(result: Result) -> str:
    """Return at which strength the risk is the lowest: of the curve, or else of the arms."""
    cast, what, optimum = Cast(result), result.question.words.capitalize(), result.optimum
    if not cast.best:
        return f"{what} of every arm is not finite"
    before, after = result.judged[[0, cast.best]].mean(axis=1, dtype=float)
    place = f"{cast.labels[cast.best]} has {after:.2f}, the baseline {before:.2f}"
    if optimum is None:
        return f"{what} is lowest at {cast.labels[cast.best]} of those that were tried: {place}"
    symbol = sweep_of(result.study.arms[1:])[0][0].symbol
    ci = " [{:.2g}, {:.2g}]".format(*optimum.ci) if optimum.ci else ""
    end = ", an end of the sweep" * optimum.is_at_end
    return f"{what} is lowest at {symbol}* = {optimum.strength:.2g}{ci}{end}; {place}"


def draw(result: Result, sheet: Sheet) -> None:
    """Draw risk, variance and bias² over strength, and below the paired difference."""
    cast, what, confidence = Cast(result), result.question.words, result.question.confidence
    swept = [(part, index + 1) for part, index in sweep_of(result.study.arms[1:])]
    if len(swept) < 2:
        allowed = "a sweep: two strengths of one regularizer"
        raise UsageError("risk_over_strength", ", ".join(result.study.compared), allowed)
    part, strengths = swept[0][0], np.array([part.strength for part, _ in swept])
    is_split = cast.several and what == "risk"
    place = (lambda v: np.asarray(v)) if part.is_probability else np.log10
    lost = [cast.labels[index] for _, index in swept if index in cast.lost]
    rows = [index for _, index in swept if index not in cast.lost]
    x = place([part.strength for part, index in swept if index not in cast.lost])
    said = f"{cast.networks}, {len(swept)} strengths against one baseline. "
    said += f"Bands: {percent(confidence)} interval of each curve alone. " * cast.several
    said += "Risk = noise + variance + bias². " * is_split
    if result.optimum and result.optimum.ci:
        said += f"Yellow: interval of {part.symbol}*, by resampling replicates. "
    said += f"Diverged: {', '.join(lost)}." * bool(lost)
    top = sheet.heading(title(result), said) + 0.45

    risk, half = mean_band(result.judged, confidence)
    curves = [(what, INK, risk[rows], risk[rows] - half[rows], risk[rows] + half[rows])]
    for name, color in (("variance", VARIANCE), ("bias_squared", BIAS)) if is_split else ():
        found = [getattr(cast.parts[index], name) for index in rows]
        three = [(p.value, *(p.ci or (p.value, p.value))) for p in found]
        curves.append((name.replace("_squared", "²"), color, *np.reshape(three, (-1, 3)).T))
    width, height = sheet.width - LEFT - RIGHT, sheet.height - top - LOWER - 0.98
    pad = 0.04 * float(np.ptp(place(strengths)))
    limits = dict[str, Any](xlim=(place(strengths[0]) - pad, place(strengths[-1]) + pad))
    bases = [risk[0]] if np.isfinite(risk[0]) else []
    lowest = min(risk[rows], default=1.0)
    high = min(1.12 * max([*bases, *risk[rows], 0.0]), 1.6 * max([*bases, lowest])) or 1.0
    low = max(-0.2 * high, min(0.0, *(band.min(initial=0) for *_, band, _ in curves)))
    panel = sheet.panel(LEFT, top, width, height, ylim=(low - 0.03 * high, high), **limits)
    sheet.text(
        LEFT, top - 0.24, "expected squared error   ↓ lower is better", color=GREY, va="bottom"
    )
    named = [(risk[0], f"baseline {short(risk[0])}", BASELINE)] if bases else []
    if bases:
        panel.axhline(risk[0], color=BASELINE, lw=1.6, dashes=(5, 2), zorder=1)
    if is_split:
        noise = result.study.task.test_noise**2
        panel.axhline(noise, color=GREY, lw=1, ls=":")
        named.append((noise, f"noise {short(noise)}", GREY))
    for name, color, values, *band in curves:
        style = dict[str, Any](color=color, lw=2.4 if color == INK else 1.8)
        panel.plot(*curve_through(x, values), **style)
        panel.plot(x, values, "o", color=color, ms=4.5, mec="white", mew=0.6)
        panel.fill_between(x, *band, color=color, alpha=0.13, lw=0)
        if len(values):
            arrow = " ↑" if values[-1] > high else ""
            named.append((values[-1], f"{name} {short(values[-1])}{arrow}", color))
    label_ends(panel, named, height)

    found = [result.comparisons[index - 1] for index in rows]
    lines = [
        (at, c, cast.colors[i])
        for at, c, i in zip(x, found, rows, strict=True)
        if c.verdict != "diverged"
    ]
    ends = np.array([c.ci or (c.mean_difference,) * 2 for _, c, _ in lines] or [(-1.0, 1.0)])
    far = 3 * float(np.median(np.abs(ends).max(axis=1)))
    low, high = max(-far, min(0.0, ends.min())), min(far, max(0.0, ends.max()))
    margin = 0.15 * (high - low) or 1.0
    over = top + height + 0.38
    lower = sheet.panel(LEFT, over, width, LOWER, ylim=(low - margin, high + margin), **limits)
    said = f": mean and {cast.interval}" * cast.several
    sheet.text(
        LEFT,
        over - 0.07,
        f"paired difference in {what}, arm − baseline{said}",
        color=GREY,
        va="bottom",
    )
    lower.axhline(0, color=BASELINE, lw=1.6)
    for at, c, color in lines:
        lower.plot(
            [at] * 2, c.ci or [c.mean_difference] * 2, color=color, lw=4.5, solid_capstyle="butt"
        )
        lower.plot([at], [c.mean_difference], "_", color=color, ms=9, mew=2)
    above = sum(c.mean_difference > high + margin for _, c, _ in lines)
    beyond = [(high + margin, f"{above} above ↑", GREY)] if above else []
    label_ends(lower, [(0.0, "as the baseline", BASELINE), *beyond], LOWER)
    if result.optimum:
        for axes in (panel, lower):
            if result.optimum.ci:
                axes.axvspan(*place(result.optimum.ci), color="#F5EEC8", lw=0, zorder=0)
            axes.axvline(place(result.optimum.strength), color=BEST, lw=1.2, zorder=1)
        best = f"{part.symbol}* {result.optimum.strength:.2g}"
        style = dict[str, Any](color=BEST, weight="bold", ha="center", va="bottom")
        share = (place(result.optimum.strength) - limits["xlim"][0]) / np.ptp(limits["xlim"])
        sheet.text(LEFT + share * width, top - 0.02, best, 9.5, **style)
    decades = 10.0 ** np.arange(np.ceil(np.log10(strengths[0])), np.log10(strengths[-1]) + 1e-9)
    shown = decades if len(decades) > 2 and not part.is_probability else strengths
    apart, kept = 0.6 * float(np.ptp(limits["xlim"])) / width, [shown[0]]
    for strength in shown[1:]:
        kept += [strength] if place(strength) - place(kept[-1]) >= apart else []
    for axes in (panel, lower):
        ticks(
            axes,
            "x",
            place(kept),
            [f"{strength:.4g}" for strength in kept],
            is_labelled=axes is lower,
        )
    ticks(panel, "y")
    ticks(lower, "y", most=3, sign="+")
    scale = "" if part.is_probability else ", log scale"
    sheet.text(
        LEFT + width / 2, sheet.height - 0.27, f"{part.command} {part.symbol}{scale}", ha="center"
    )
