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

BINS, MOST_LAYERS = 44, 5
ABOVE, FULL = 2.6, 0.74
"""How many times as high as before training a row is at most, and the share of it for bars."""


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 9.4, 1.9 + 0.95 * len(Cast(result).shown)


def title(result: Result) -> str:
    """Return whether the weights are nearer 0 with the best arm, and in which layers they are not.

    By mean norms and mean rms over replicates, both of which the picture says.
    """
    cast = Cast(result)
    name, arm = cast.names[cast.best], result.study.arm_names[cast.best]
    found = {c.measure: c for c in result.measures if c.arm == arm}
    norm = found["weight_norm"]
    change = f"norm {norm.value:.1f}, the baseline's {norm.baseline:.1f}"
    words = {"lower": "nearer to 0", "higher": "further from 0"}
    if norm.replicates == 1:
        return sentence_of(f"{name}: {change} (one replicate)")
    if norm.verdict not in words:
        return sentence_of(f"{name}: cannot tell whether the weights are nearer to 0 ({change})")
    (other,) = words.keys() - {norm.verdict}
    layers = [n for n in result.study.network.layer_names if found[f"rms_{n}"].verdict == other]
    those = " and ".join(map(layer_text, layers))
    but = f", but on average those of {those} {words[other]}" if layers else ""
    return sentence_of(f"{name} leaves the weights {words[norm.verdict]} ({change}){but}")


def layer_text(layer: str) -> str:
    """Return a layer's name in words: `hidden layer 1`, `the output layer`."""
    return layer.replace("hidden", "hidden layer ").replace("output", "the output layer")


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
        f"the root mean square (rms), {of}, as are the norms.{some}{cast.omitted}",
    )
    left = name_width([cast.labels[index] for index in shown]) + 0.1
    width, height = (sheet.width - left - EDGE) / len(columns), sheet.height - top - 0.35
    step, weights = height / len(shown), result.history.named("parameters")
    for column, layer in enumerate(layers[index] for index in columns):
        values = weights[f"{layer}.weight"].astype(float)
        values = values.reshape(*values.shape[:2], -1)[[0, -1]][:, shown]  # (2, arms, weights)
        count, is_fine = values.shape[-1], np.isfinite(values[1]).all(axis=1)
        is_fine &= [index not in cast.lost for index in shown]
        tails = (
            np.quantile(np.abs(values[1, is_fine]), 0.995, axis=1) if is_fine.any() else np.zeros(1)
        )
        usual = max(np.abs(values[0]).max(), tails[0])
        reach = min(max(usual, tails.max()), 3 * usual) or 1.0
        edges, inside = np.linspace(-reach, reach, BINS + 1), reach * (1 - 1e-12)
        side = left + column * width
        panel = sheet.panel(
            side, top, width - 0.2, height, xlim=(-reach, reach), ylim=(len(shown), 0)
        )
        panel.spines[["left", "bottom"]].set_visible(False)
        inside = np.clip(np.nan_to_num(values), -inside, inside)
        shares = np.array([[np.histogram(v, edges)[0] / count for v in epoch] for epoch in inside])
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
            rms = result.history.arrays[f"measures/rms_{layer}"][-1, index].mean(dtype=float)
            panel.text(reach, row + 0.1, f"rms {short(rms)}", ha="right", weight="bold", **style)
            if shares[1, row].max() > 1.01 * FULL * unit:
                panel.text(-reach, row + 0.1, f"▲ {100 * shares[1, row].max():.0f} %", **style)
        ticks(panel, "x", most=3)
        name = layer_text(layer).removeprefix("the ")
        start = short(result.history.arrays[f"measures/rms_{layer}"][0, 0].mean(dtype=float))
        sheet.text(side, top - 0.22, name, 10, weight="bold", va="bottom")
        sheet.text(
            side, top - 0.05, f"{count} weights, start rms {start}", 7.5, color=GREY, va="bottom"
        )
    tones = [GREY if index in cast.lost else cast.colors[index] for index in shown]
    middles = top + (np.arange(len(shown)) + 0.65) * step
    sheet.names([cast.labels[index] for index in shown], tones, middles, left - 0.1)
    for row, index in enumerate(shown):
        if index in cast.lost:
            sheet.text(left, top + (row + 0.04) * step, cast.lost[index], 8.5, color=BAD)
