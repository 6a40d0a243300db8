"""Where the weights of each layer went: outlined before training, filled at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import evenly
from regbench.report.figures.findings import Cast, sentence_of, short
from regbench.report.figures.palette import BAD, GREY, INK, readable
from regbench.report.figures.sheet import EDGE, name_width, ticks

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

BINS, MOST_LAYERS, MOST_WEIGHTS = 41, 5, 50_000
"""What is drawn: bins, layers, and weights of a layer."""
ABOVE, FULL = 2.6, 0.74
"""How many times as high as before training a bar is at most, and the share of a row for it."""


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 9.4, 1.9 + 0.95 * len(Cast(result).shown)


def title(result: Result) -> str:
    """Return in how many layers the weights are nearer 0 with the best arm, and in which not.

    By the mean rms over replicates, which the picture writes.
    """
    cast, layers = Cast(result), result.study.network.layer_names
    name, arm = cast.names[cast.best], result.study.arm_names[cast.best]
    found = {c.measure: c for c in result.measures if c.arm == arm}
    told = {layer: found[f"rms_{layer}"] for layer in layers}
    if not cast.several:
        nearer = sum(c.mean_difference < 0 for c in told.values())
        return sentence_of(f"{name}: rms lower in {nearer} of {len(layers)} layers (one replicate)")
    nearer = sum(c.verdict == "lower" for c in told.values())
    further = [layer_text(layer) for layer, c in told.items() if c.verdict == "higher"]
    clauses = [f"{name} draws the weights of {nearer} of {len(layers)} layers nearer to 0"]
    clauses += [f"those of {' and '.join(further)} are further from 0 on average"] * bool(further)
    return sentence_of(*clauses)


def layer_text(layer: str) -> str:
    """Return a layer's name in words: `hidden layer 1`, `the output layer`."""
    return layer.replace("hidden", "hidden layer ").replace("output", "the output layer")


class Shares:
    """How the first replicate's weights of a layer are distributed, at some kept epochs.

    Attributes:
        values: Shares of the weights in each bin, `(epochs, arms, BINS)`.
        is_fine: Whether all of them are finite, `(epochs, arms)`.
        reach: Where the axis ends on either side; what lies beyond is in its last bin.
        most: The share that is as high as there is room for.
        every: One weight in so many is counted.
    """

    def __init__(self, result: Result, layer: str, arms: list[int], kept: Any) -> None:
        weights = result.history.named("parameters")[f"{layer}.weight"][kept][:, arms]
        weights = weights.reshape(*weights.shape[:2], -1)
        self.every = -(-weights.shape[-1] // MOST_WEIGHTS)
        self.is_fine: Any = np.isfinite(weights).all(axis=2)
        weights = np.nan_to_num(weights[..., :: self.every].astype(float), posinf=0, neginf=0)
        start, end = np.quantile(np.abs(weights[[0, -1]]), 0.995, axis=2).max(axis=1)
        self.reach = float(max(start, min(end, 3 * start))) or 1.0
        bins = ((weights / self.reach + 1) / 2 * BINS).clip(0, BINS - 1).astype(int)
        counts = [[np.bincount(own, minlength=BINS) for own in epoch] for epoch in bins]
        self.values = np.array(counts) / weights.shape[-1]
        self.most = float(min(ABOVE * self.values[0].max(), self.values[self.is_fine].max()))


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a column for each layer and in it a row for each arm, over one axis of weights."""
    cast, layers = Cast(result), result.study.network.layer_names
    shown, columns = cast.shown, evenly(len(layers), MOST_LAYERS)
    some = f" {len(columns)} of {len(layers)} layers are shown." * (len(columns) < len(layers))
    of = f"the mean of all {result.study.replicates} replicates" if cast.several else "of this one"
    top = 0.42 + sheet.heading(
        title(result),
        f"Drawn: the weights of the first replicate alone, seed {result.study.seed}, before "
        f"training (outline) and at epoch {result.history.kept_epochs[-1]}; ▲ a bar is cut off, at "
        f"its share of the layer's weights; what lies beyond the axis is in its last bin. Written: "
        f"the root mean square (rms), {of}.{some}{cast.omitted}",
    )
    left = name_width([cast.labels[index] for index in shown]) + 0.1
    width, height = (sheet.width - left - EDGE) / len(columns), sheet.height - top - 0.35
    step, edges = height / len(shown), np.linspace(-1, 1, BINS + 1)
    for column, layer in enumerate(layers[index] for index in columns):
        shares, side = Shares(result, layer, shown, [0, -1]), left + column * width
        rms = result.history.arrays[f"measures/rms_{layer}"][[0, -1]].mean(axis=2, dtype=float)
        shape = dict[str, Any](xlim=(-shares.reach, shares.reach), ylim=(len(shown), 0))
        panel = sheet.panel(side, top, width - 0.2, height, **shape)
        panel.spines[["left", "bottom"]].set_visible(False)
        before, after = shares.values * FULL / shares.most
        for row, index in enumerate(shown):
            style = dict[str, Any](edges=shares.reach * edges, baseline=row + 1)
            panel.axhline(row + 1, color=INK, lw=0.5)
            panel.stairs(row + 1 - before[row], color=INK, lw=0.8, zorder=3 - row / 99, **style)
            if index in cast.lost or not shares.is_fine[1, row]:
                continue
            color, tone = cast.colors[index], readable(cast.colors[index])
            heights = row + 1 - np.minimum(after[row], FULL + 0.02)
            panel.stairs(heights, fill=True, color=color, alpha=0.75, **style)
            style = dict[str, Any](va="top", size=8, color=tone)
            said = f"rms {short(rms[1, index])}"
            panel.text(shares.reach, row + 0.1, said, ha="right", weight="bold", **style)
            if after[row].max() > 1.01 * FULL:
                said = f"▲ {100 * shares.values[1, row].max():.0f} %"
                panel.text(-shares.reach, row + 0.1, said, **style)
        ticks(panel, "x", most=3)
        name = layer_text(layer).removeprefix("the ")
        sheet.text(side, top - 0.22, name, 10, weight="bold", va="bottom")
        sheet.text(side, top - 0.05, f"start rms {short(rms[0, 0])}", 7.5, color=GREY, va="bottom")
    tones = [GREY if index in cast.lost else cast.colors[index] for index in shown]
    middles = top + (np.arange(len(shown)) + 0.65) * step
    sheet.names([cast.labels[index] for index in shown], tones, middles, left - 0.1)
    for row, index in enumerate(shown):
        if index in cast.lost:
            sheet.text(left, top + (row + 0.04) * step, cast.lost[index], 8.5, color=BAD)
