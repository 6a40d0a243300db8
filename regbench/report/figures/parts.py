"""What each arm's risk is made of, as bars that add up, and why it differs from the baseline's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.report.figures.findings import Cast, amount, short
from regbench.report.figures.palette import BAD, BASELINE, GREY, INK, NOISE, readable
from regbench.report.figures.sheet import draw_intervals, name_width, ticks

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

MOST_TALL_ROWS = 12


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    rows = len(result.study.arms)
    return 9.4, 2.0 + rows * (0.58 if rows <= MOST_TALL_ROWS else 0.24)


def title(result: Result) -> str:
    """Return which parts of the risk the best arm changes."""
    cast, said = Cast(result), []
    if not cast.best or 0 in cast.lost:
        return "No parts: the risk of the baseline or of every arm is not finite"
    change = result.decomposition_differences[-1][cast.best - 1]
    for name, part in (("variance", change.variance), ("bias²", change.bias_squared)):
        if part.ci and not part.ci[0] <= 0 <= part.ci[1]:
            verb = "lowers" if part.value < 0 else "raises"
            said.append(f"{verb} the {name} by {amount(abs(part.value), part.ci)}")
    told = " and ".join(said) or "changes neither variance nor bias² by what can be told"
    return f"{cast.labels[cast.best]} {told}"


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a row for each arm: its parts, and at the right their paired differences."""
    cast, changes = Cast(result), result.decomposition_differences[-1]
    parts = cast.parts
    top = 0.28 + sheet.heading(
        title(result),
        f"{cast.networks}. Risk = noise (grey) + variance (pale) + bias² (full colour). Noise is "
        f"known; bias² is an estimate that scatters around 0 where there is none, and is drawn "
        f"left of 0 where it is negative. Line: the risk's own interval. Right: paired "
        f"differences, {cast.interval}.",
    )
    ys, height = np.arange(len(parts)), sheet.height - top - 0.55
    step, left, is_tall = height / len(ys), name_width(cast.labels) + 0.1, len(ys) <= MOST_TALL_ROWS
    wide, narrow = (sheet.width - left - 0.5) * 0.58, (sheet.width - left - 0.5) * 0.21
    fine = [y for y in ys if y not in cast.lost]
    noise, variances, biases, risks = np.array(
        [[p.noise_variance, p.variance.value, p.bias_squared.value, p.expected_test_error.value]
         for p in (parts[y] for y in fine)]
    ).reshape(-1, 4).T  # fmt: skip
    longest = float(max(risks[risks <= 3 * np.median(risks)])) if fine else 1.0
    low = max(-longest, min(0.0, 1.1 * biases.min(initial=0))) - 0.02 * longest
    limits = dict[str, Any](ylim=(len(ys) - 0.5, -0.5))
    ends = [p.ci[1] for y in fine if (p := parts[y].expected_test_error).value <= longest and p.ci]
    inch = (min(1.6 * longest, max([longest, *ends])) - low) / (wide - 0.95)
    bars = sheet.panel(left, top, wide, height, xlim=(low, low + inch * wide), **limits)
    shift, thick = (-0.1, 0.46) if is_tall else (0.0, 0.7)
    rows, colors = np.array(fine, dtype=int) + shift, [cast.colors[y] for y in fine]
    bars.barh(rows, noise, thick, color=NOISE)
    bars.barh(rows, variances, thick, left=noise, color=[(color, 0.42) for color in colors])
    bars.barh(rows, biases, thick, left=np.where(biases < 0, 0, noise + variances), color=colors)
    bars.axvline(0, color=INK, lw=1)
    style = dict[str, Any](va="center", size=8 if is_tall else 7.5, clip_on=True)
    for y, row, base, variance, bias, risk in zip(
        fine, rows, noise, variances, biases, risks, strict=True
    ):
        end, ci = base + variance + max(bias, 0) + 0.06 * inch, parts[y].expected_test_error.ci
        if risk > longest:
            pale = dict[str, Any](color="white", alpha=0.85, pad=1)
            at = low + inch * (wide - 0.05)
            bars.text(
                at, row, f"risk {short(risk)} →", ha="right", weight="bold", bbox=pale, **style
            )
            continue
        for start, length in ((0, base), (base, variance)) if is_tall else ():
            if length > 0.4 * inch:
                bars.text(start + length / 2, row, short(length), ha="center", **style)
        if is_tall:
            color = readable(cast.colors[y])
            bars.text(end, row, f"bias² {short(bias, '+')}", color=color, **style)
            row = y + 0.3
            if ci:
                bars.plot(ci, [row, row], color=INK, lw=1.3)
                end = max(end, min(1.6 * longest, ci[1]) + 0.06 * inch)
            bars.plot([risk], [row], "|", color=INK, ms=7, mew=1.6)
        bars.text(end, row, f"{'risk ' * is_tall}{short(risk)}", weight="bold", **style)
    for y, said in cast.lost.items():
        bars.text(0.05 * inch, y, said, color=BAD, **style)
    for column, name in enumerate(("variance", "bias_squared")):
        side = left + wide + 0.15 + column * (narrow + 0.1)
        shown = [y for y in fine if y and 0 in fine]
        found = [getattr(changes[y - 1], name) for y in shown]
        cis = np.array([part.ci or (part.value,) * 2 for part in found] or [(-1.0, 1.0)])
        far = 4 * float(np.median(np.abs(cis).max(axis=1))) or 1.0
        low, high = max(-far, min(0, cis.min())), min(far, max(0, cis.max()))
        pad = 0.3 * (high - low) or 1.0
        panel = sheet.panel(side, top, narrow, height, xlim=(low - pad, high + pad), **limits)
        panel.axvline(0, color=BASELINE, lw=1.5, zorder=1)
        draw_intervals(
            panel, np.array(shown) + 0.12 * is_tall, [part.value for part in found],
            [part.ci for part in found], [cast.colors[y] for y in shown], min(0.3, 0.07 / step),
        )  # fmt: skip
        for y, part in zip(shown, found, strict=True) if is_tall else ():
            at = np.clip(part.value, low, high), y - 0.2
            style = dict[str, Any](
                color=readable(cast.colors[y]), bbox={"color": "white", "pad": 0.6}
            )
            panel.text(
                *at, amount(part.value, part.ci, "+"), size=8, ha="center", va="center", **style
            )
        panel.spines["left"].set_visible(False)
        ticks(panel, "x", most=2, sign="+")
        middle, heading = side + narrow / 2, f"Δ {name.replace('_squared', '²')}"
        sheet.text(middle, sheet.height - 0.27, "arm − baseline", 8.5, ha="center")
        sheet.text(middle, top - 0.06, heading, 10, va="bottom", ha="center", weight="bold")
    bars.spines["left"].set_visible(False)
    ticks(bars, "x", most=5)
    said = "expected squared error   ← lower is better"
    sheet.text(left + wide / 2, sheet.height - 0.27, said, 8.5, ha="center")
    tones = [GREY if y in cast.lost else color for y, color in enumerate(cast.colors)]
    sheet.names(cast.labels, tones, top + (ys + 0.5 + shift) * step, left - 0.1)
