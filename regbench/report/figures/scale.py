"""The outputs of a dropout layer against their exact law, in both conventions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.report.figures.palette import BASELINE, INK, OUTSIDE, RAMPS, readable
from regbench.report.figures.sheet import name_width, ticks
from regbench.report.format import count, probability

if TYPE_CHECKING:
    from regbench.report.figures.sheet import Sheet
    from regbench.verify.dropout_scale import Scale, ScaleResult

MOST = 6
"""Drop probabilities that are shown."""
ARTICLE = 9868
LIGHT, FULL = RAMPS["dropout"][:2]


def size(result: ScaleResult) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 8.4, 0.9 + 3.9 * min(MOST, len(result.scales))


def title(result: ScaleResult) -> str:
    """Return how ordinary the article's draw is, or whether torch's dropout fits the law."""
    for scale in result.scales:
        if scale.article_z is not None and scale.fits_law:
            z, chance = f"{scale.article_z:.2f}".replace("-", "−"), scale.article_probability or 0
            luck = "ordinary luck" if chance >= 0.05 else "unusual luck"
            return f"The article's {ARTICLE} is {luck}: z = {z}, probability {chance:.2f}"
    wrong = [f"p={scale.drop_probability!r}" for scale in result.scales if not scale.fits_law]
    if wrong:
        return f"torch's dropout does not fit the binomial law at {', '.join(wrong)}"
    return "torch's dropout fits the binomial law"


def draw(result: ScaleResult, sheet: Sheet) -> None:
    """Draw for each p the outputs against the law, and below both conventions on one axis."""
    scales = result.scales[:MOST]
    units, trials = result.study.units, count(result.study.trials, "trial")
    cut = f" {MOST} of {len(result.scales)} p are shown." if len(result.scales) > MOST else ""
    top = sheet.heading(
        title(result),
        f"Output of a dropout layer before a linear layer of {units} ones: {trials} in training "
        f"mode (bars) against the exact law (line). The layer scales by 1/(1−p) in training, so "
        f"that evaluation mode needs no factor.{cut}",
    )
    height = (sheet.height - top) / len(scales)
    for row, scale in enumerate(scales):
        draw_law(scale, sheet, top + row * height + 0.1, height - 1.85)
        draw_conventions(scale, sheet, top + (row + 1) * height - 1.35)


def whole(value: float) -> str:
    """Return an output without decimals where it is large."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}".replace("-", "−")


def draw_law(scale: Scale, sheet: Sheet, top: float, height: float) -> None:
    """Draw the histogram of outputs and how many trials the law expects in each bar."""
    keep, sd = 1 - scale.drop_probability, scale.theory_sd
    low, high = int(scale.kept.min()), int(scale.kept.max())
    width = max(1, (high - low) // 30)
    edges = np.arange(low - width, high + 2 * width + 1, width)
    expected = len(scale.kept) * np.diff(scale.law.cdf(edges - 1))
    counts, _ = np.histogram(scale.kept, edges - 0.5)
    places, middles = (edges - 0.5) / keep, (edges[:-1] + (width - 1) / 2) / keep
    panel = sheet.panel(0.3, top + 0.35, sheet.width - 0.6, height - 0.35)
    panel.stairs(counts, places, fill=True, color=LIGHT, alpha=0.85)
    panel.plot(middles, expected, color=INK, lw=1.8, marker="o" if len(middles) < 20 else "", ms=3)
    tallest = max(counts.max(), expected.max())
    ends = [places[0], places[-1], scale.units]
    panel.axvline(scale.units, ymax=0.97, color=BASELINE, lw=1.6, dashes=(4, 2))
    if scale.article_z is not None:
        panel.vlines(ARTICLE, 0, 0.72 * tallest, color=OUTSIDE, lw=3)
        style = dict[str, Any](color=OUTSIDE, weight="bold", ha="right", size=9.5)
        panel.text(ARTICLE, 0.76 * tallest, f"the article's draw {ARTICLE} ", **style)
        ends.append(ARTICLE)
    margin = 0.03 * (max(ends) - min(ends)) or 1.0
    panel.set(xlim=(min(ends) - margin, max(ends) + margin), ylim=(0, 1.12 * tallest))
    panel.spines["left"].set_visible(False)
    ticks(panel, "x", most=7)
    at = 0.3 + (sheet.width - 0.6) * (scale.units - panel.get_xlim()[0]) / np.ptp(panel.get_xlim())
    side = "center" if 1.5 < at < sheet.width - 1.5 else "left" if at <= 1.5 else "right"
    text = f"evaluation mode: {whole(scale.eval_output)}"
    sheet.text(at, top + 0.36, text, 9, color=BASELINE, weight="bold", ha=side, va="bottom")
    drawn = f"mean {whole(scale.outputs.mean())}, sd {scale.outputs.std(ddof=1):.4g}"
    said = f"p={scale.drop_probability!r}\n{drawn}\nin theory {scale.units}, sd {sd:.4g}"
    said += f"\nprobability of the number kept {probability(scale.keep_probability)}"
    sheet.text(sheet.width - 0.3, top + 0.4, said, 8.5, color=readable(FULL), ha="right")


def draw_conventions(scale: Scale, sheet: Sheet, top: float) -> None:
    """Draw what training gives, two standard deviations either way, and evaluation, both ways."""
    keep = 1 - scale.drop_probability
    left = name_width(["torch (inverted)"]) + 0.05
    panel = sheet.panel(left, top, sheet.width - left - 0.3, 0.97, ylim=(1.5, -0.8))
    reach = scale.units + 2 * scale.theory_sd
    panel.set_xlim(0, 1.08 * reach)
    ticks(panel, "x")
    for row, (name, factor) in enumerate((("torch (inverted)", 1.0), ("classic", keep))):
        middle, sd = scale.units * factor, scale.theory_sd * factor
        low, high = middle - 2 * sd, middle + 2 * sd
        panel.plot([max(0, low), high], [row, row], color=FULL, lw=7, solid_capstyle="butt")
        panel.plot([middle] * 2, [row - 0.26, row + 0.26], color=BASELINE, lw=2)
        said = f"training {whole(low)} to {whole(high)} (±2 sd), evaluation {whole(middle)}"
        panel.text(0.01 * reach, row - 0.5, said, size=8.5, va="center")
        at = top + (0.8 + row) * 0.42
        sheet.text(left - 0.05, at, name, 9.5, ha="right", va="center", weight="bold")
    panel.spines["left"].set_visible(False)
