"""Where the weights of each layer went: outlined before training, filled at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import evenly, weight_edges
from regbench.report.figures.findings import Cast, sentence_of, short
from regbench.report.figures.palette import BAD, GREY, INK, readable
from regbench.report.figures.sheet import EDGE, name_width, ticks

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

MOST_BARS, MOST_LAYERS = 64, 5
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
    """How the weights of a layer are distributed in some arms, of all replicates together.

    Attributes:
        values: The share of the weights in each bar at the kept epochs, `(K, arms, bars)`.
        rms: Mean of the replicates' root mean squares, `(K, arms)`; not finite if a weight is not.
        edges: The ends of the bars. Nearly all weights lie between the first and the last, before
            training and at the end; those beyond are counted in the outermost bars.
        most: The share that is as high as there is room for.
    """

    def __init__(self, result: Result, layer: str, arms: list[int]) -> None:
        history, edges = result.history, weight_edges(result.study.network)[layer]
        counts = history.named("weight_counts")[layer][:, arms]
        kept = np.searchsorted(history.epochs, history.kept_epochs)
        self.rms = history.arrays[f"measures/rms_{layer}"][kept][:, arms].mean(axis=2, dtype=float)
        middle, total, is_fine = len(edges) // 2, counts[0, 0].sum(), np.isfinite(self.rms)
        within = (counts[..., middle:] + counts[..., middle - 1 :: -1]).cumsum(axis=-1)
        reach = (within < 0.995 * total).sum(axis=-1) + 1
        half = max(reach[0, 0], reach[-1, is_fine[-1]].max(initial=0))
        merged = next(m for m in (1, 2, 4) if 2 * half <= m * MOST_BARS)
        half = -(-half // merged) * merged
        chosen = np.arange(middle - half, middle + half + 1, merged)
        self.edges = edges[chosen]
        self.values = np.add.reduceat(counts, [0, *chosen[1:-1]], axis=-1) / total
        self.most = float(min(ABOVE * self.values[0].max(), self.values[is_fine].max()))


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a column for each layer and in it a row for each arm, over one axis of weights."""
    cast, layers = Cast(result), result.study.network.layer_names
    shown, columns = cast.shown, evenly(len(layers), MOST_LAYERS)
    some = f" {len(columns)} of {len(layers)} layers are shown." * (len(columns) < len(layers))
    of = f" of all {result.study.replicates} replicates" * cast.several
    mean = ", the mean of the replicates" * cast.several
    top = 0.42 + sheet.heading(
        title(result),
        f"Drawn: the weights{of} before training (outline) and at epoch "
        f"{result.history.kept_epochs[-1]}; ▲ a bar is cut off, at its share of the layer's "
        f"weights; what lies beyond the axis is in its last bin. Written: the root mean square "
        f"(rms){mean}.{some}{cast.omitted}",
    )
    left = name_width([cast.labels[index] for index in shown]) + 0.1
    width, height = (sheet.width - left - EDGE) / len(columns), sheet.height - top - 0.35
    step = height / len(shown)
    for column, layer in enumerate(layers[index] for index in columns):
        shares, side = Shares(result, layer, shown), left + column * width
        start, rms = shares.rms[0, 0], shares.rms[-1]
        shape = dict[str, Any](xlim=shares.edges[[0, -1]], ylim=(len(shown), 0))
        panel = sheet.panel(side, top, width - 0.2, height, **shape)
        panel.spines[["left", "bottom"]].set_visible(False)
        before, *_, after = shares.values * FULL / shares.most
        for row, index in enumerate(shown):
            style = dict[str, Any](edges=shares.edges, baseline=row + 1)
            panel.axhline(row + 1, color=INK, lw=0.5)
            panel.stairs(row + 1 - before[row], color=INK, lw=0.8, zorder=3 - row / 99, **style)
            if index in cast.lost or not np.isfinite(rms[row]):
                continue
            color, tone = cast.colors[index], readable(cast.colors[index])
            heights = row + 1 - np.minimum(after[row], FULL + 0.02)
            panel.stairs(heights, fill=True, color=color, alpha=0.75, **style)
            style = dict[str, Any](va="top", size=8, color=tone)
            said = f"rms {short(rms[row])}"
            panel.text(shares.edges[-1], row + 0.1, said, ha="right", weight="bold", **style)
            if after[row].max() > 1.01 * FULL:
                said = f"▲ {100 * shares.values[-1, row].max():.0f} %"
                panel.text(shares.edges[0], row + 0.1, said, **style)
        ticks(panel, "x", most=3)
        name = layer_text(layer).removeprefix("the ")
        sheet.text(side, top - 0.22, name, 10, weight="bold", va="bottom")
        sheet.text(side, top - 0.05, f"start rms {short(start)}", 7.5, color=GREY, va="bottom")
    tones = [GREY if index in cast.lost else cast.colors[index] for index in shown]
    middles = top + (np.arange(len(shown)) + 0.65) * step
    sheet.names([cast.labels[index] for index in shown], tones, middles, left - 0.1)
    for row, index in enumerate(shown):
        if index in cast.lost:
            sheet.text(left, top + (row + 0.04) * step, cast.lost[index], 8.5, color=BAD)
