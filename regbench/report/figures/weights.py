"""Where the weights of each layer went: before training as an outline, at the end filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import evenly, weight_edges
from regbench.report.claims import measures_of
from regbench.report.figures.findings import Cast, short
from regbench.report.figures.palette import BAD, GREY, INK, readable
from regbench.report.figures.sheet import EDGE, name_width, ticks

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

MOST_BARS, MOST_LAYERS = 64, 5
ABOVE, FULL = 2.6, 0.74
"""How many times as high as before training a row is at most, and the share of it for bars."""


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 9.4, 1.9 + 0.95 * len(Cast(result).shown)


def title(result: Result) -> str:
    """Return whether the weights are nearer 0 with the best arm, and in which layers they are."""
    cast = Cast(result)
    if not cast.best:
        return "The weights of every arm diverged"
    label, name = cast.labels[cast.best], result.study.arm_names[cast.best]
    found = {c.measure: c for c in measures_of(result) if c.arm == name}
    norm = found["weight_norm"]
    change = f"norm {norm.value:.1f}, the baseline's {norm.baseline:.1f}"
    words = {"lower": "nearer to 0", "higher": "further from 0"}
    if norm.replicates == 1:
        return f"{label}: {change} (one replicate)"
    if norm.verdict not in words:
        return f"{label}: whether the weights are nearer to 0 cannot be told ({change})"
    (other,) = words.keys() - {norm.verdict}
    layers = [n for n in result.study.network.layer_names if found[f"rms_{n}"].verdict == other]
    but = f", but those of {' and '.join(layers)} {words[other]}" if layers else ""
    return f"{label} leaves the weights {words[norm.verdict]} ({change}){but}"


def bars_of(result: Result, cast: Cast, layer: str) -> tuple[Array, Array, Array]:
    """Return edges of bars, their shares and the mean rms of a layer's weights in the shown arms.

    The shares `(K, arms, bars)` are of all replicates' weights. Nearly all weights lie between the
    edges, before training and at the end; the outermost bars have what lies beyond. The rms
    `(K, arms)` is not finite where weights are not.
    """
    history, edges = result.history, weight_edges(result.study.network)[layer]
    counts = history.named("weight_counts")[layer][:, cast.shown]
    kept = np.searchsorted(history.epochs, history.kept_epochs)
    rms = history.arrays[f"measures/rms_{layer}"][kept][:, cast.shown].mean(axis=2, dtype=float)
    middle, total = len(edges) // 2, counts[0, 0].sum()
    within = (counts[..., middle:] + counts[..., middle - 1 :: -1]).cumsum(axis=-1)
    reach = (within < 0.995 * total).sum(axis=-1) + 1
    half = max(reach[0, 0], reach[-1, np.isfinite(rms[-1])].max(initial=0))
    merged = next(m for m in (1, 2, 4) if 2 * half <= m * MOST_BARS)
    half = -(-half // merged) * merged
    chosen = np.arange(middle - half, middle + half + 1, merged)
    shares = np.add.reduceat(counts, [0, *chosen[1:-1]], axis=-1) / total
    return edges[chosen], shares, rms


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a column for each layer and in it a row for each arm, over one axis of weights."""
    cast, layers = Cast(result), result.study.network.layer_names
    shown, columns = cast.shown, evenly(len(layers), MOST_LAYERS)
    some = f" {len(columns)} of {len(layers)} layers are shown." * (len(columns) < len(layers))
    top = 0.42 + sheet.heading(
        title(result),
        f"Weights of all replicates before training (outline) and at epoch "
        f"{result.history.kept_epochs[-1]}. Height: share of the layer's weights in a bin; ↑ a bar "
        f"is cut off, at its share; what lies beyond the axis is in its last bin. rms: root mean "
        f"square. It and the norms are means over replicates.{some}{cast.omitted}",
    )
    left = name_width([cast.labels[index] for index in shown]) + 0.1
    width, height = (sheet.width - left - EDGE) / len(columns), sheet.height - top - 0.35
    step = height / len(shown)
    for column, layer in enumerate(layers[index] for index in columns):
        edges, shares, rms = bars_of(result, cast, layer)
        shares, reach = shares[[0, -1]], edges[-1]
        is_fine = np.isfinite(rms[-1]) & [index not in cast.lost for index in shown]
        side = left + column * width
        panel = sheet.panel(
            side, top, width - 0.2, height, xlim=(-reach, reach), ylim=(len(shown), 0)
        )
        panel.spines[["left", "bottom"]].set_visible(False)
        before = shares[0].max()
        unit = max(before, min(shares[1, is_fine].max(initial=0), ABOVE * before)) / FULL
        for row, index in enumerate(shown):
            style = dict[str, Any](baseline=row + 1, zorder=3 - row / 99)
            panel.axhline(row + 1, color=INK, lw=0.5)
            panel.stairs(row + 1 - shares[0, row] / unit, edges, color=INK, lw=0.8, **style)
            if not is_fine[row]:
                continue
            color, tone = cast.colors[index], readable(cast.colors[index])
            heights = np.minimum(shares[1, row] / unit, FULL + 0.02)
            panel.stairs(
                row + 1 - heights, edges, fill=True, color=color, alpha=0.75, baseline=row + 1
            )
            style = dict[str, Any](va="top", size=8, color=tone)
            text = f"rms {short(rms[-1, row])}"
            panel.text(reach, row + 0.1, text, ha="right", weight="bold", **style)
            if shares[1, row].max() > 1.01 * FULL * unit:
                panel.text(-reach, row + 0.1, f"↑ {100 * shares[1, row].max():.0f} %", **style)
        ticks(panel, "x", most=3)
        name = layer.replace("hidden", "hidden layer ").replace("output", "output layer")
        start, own = short(rms[0, 0]), result.history.named("parameters")[f"{layer}.weight"][0]
        sheet.text(side, top - 0.22, name, 10, weight="bold", va="bottom")
        sheet.text(
            side, top - 0.05, f"{own.size} weights, start rms {start}", 7.5, color=GREY, va="bottom"
        )
    tones = [GREY if index in cast.lost else cast.colors[index] for index in shown]
    middles = top + (np.arange(len(shown)) + 0.65) * step
    sheet.names([cast.labels[index] for index in shown], tones, middles, left - 0.1)
    for row, index in enumerate(shown):
        if index in cast.lost:
            sheet.text(left, top + (row + 0.04) * step, cast.lost[index], 8.5, color=BAD)
