"""What the page's slider moves: fits and weights of each arm, and a mark on their course.

All paths and texts are made here, in the units of the template's drawings, so that the page's
script only puts those of an epoch in place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from regbench.analysis.history import evenly
from regbench.report.figures.course import LEFT, RIGHT, shares_of, size
from regbench.report.figures.findings import Cast, short
from regbench.report.figures.sheet import limits
from regbench.report.figures.weights import MOST_LAYERS, Shares

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result

MOST_LINES, MOST_POINTS = 50, 50
"""What is drawn: fits of an arm, points of a fit and of the data."""
TALL, POINTS_PER_INCH = 300, 72
"""Height of a panel in units of its paths, and units of pictures."""
LOST = "", "not finite"


@np.errstate(all="ignore")  # of what has diverged
def moving(result: Result) -> dict[str, Any]:
    """Return what the template draws.

    `frames` has a list for each kept epoch, in the order of the page: of each panel the fits, their
    mean, the first of them, the headline, and of each layer bars and a text; at last the mark.
    """
    history, cast, axis = result.history, Cast(result), result.task.axis
    assert axis is not None
    first, last = axis
    epochs, words = history.kept_epochs.tolist(), result.question.words
    chosen = evenly(len(history.grid_x), MOST_POINTS)
    truth, fine = history.grid_truth[chosen], [i for i in cast.shown if i not in cast.lost]
    fits = history.predictions[-1]
    seen = [truth, history.train_y[0], fits[0], fits[cast.best]]
    low, high = limits(*([(v.min(), v.max()) for v in values] for values in (seen, fits[fine])))
    (wide, deep), left = size(result), POINTS_PER_INCH * LEFT
    width, below = POINTS_PER_INCH * (wide - LEFT - RIGHT), POINTS_PER_INCH * (deep - 0.4)
    marks = left + width * shares_of(history.kept_epochs, epochs[-1])
    layers, bars = weights(result, cast)
    frames = []
    for kept_index, epoch in enumerate(epochs):
        frame = list[str]()
        for place, index in enumerate(cast.shown):
            own = history.predictions[kept_index, index][:, chosen].astype(float)
            mean = float(result.headline[history.at(epoch), index].mean(dtype=float))
            frame += [curves(f, low, high) for f in (own[:MOST_LINES], own.mean(0)[None], own[:1])]
            frame += [f"{words} {short(mean)}" if math.isfinite(mean) else "not finite"]
            frame += bars[kept_index][place]
        frames.append([*frame, f"M{marks[kept_index]:.1f} 60V{below:.0f}"])
    few = evenly(len(history.train_x), MOST_POINTS)
    xs = (history.train_x[few] - history.grid_x[0]) / np.ptp(history.grid_x) * (len(chosen) - 1)
    ys = TALL * (high - history.train_y[0, few]) / (high - low)
    return {
        "epochs": epochs,
        "frames": frames,
        "panels": [
            {"label": cast.labels[i], "color": cast.colors[i], "lost": cast.lost.get(i, "")}
            for i in cast.shown
        ],
        "layers": layers,
        "truth": curves(truth[None], low, high),
        "points": "".join(f"M{x:.2f} {y:.0f}h0" for x, y in zip(xs, ys, strict=True)),
        "x_ticks": [minus(x) for x in (first, (first + last) / 2, last)],
        "y_ticks": ticks(low, high),
        "steps": len(chosen) - 1,
        "tall": TALL,
        "drawn": min(MOST_LINES, result.study.replicates),
        "omitted": cast.omitted,
    }


def curves(values: Array, low: float, high: float) -> str:
    """Return rows of `values` `(n, points)` as one path, without what is not finite."""
    rows = values[np.isfinite(values).all(axis=1)]
    ys = (TALL * (high - rows) / (high - low)).clip(-TALL, 2 * TALL).round().astype(int)
    starts, moves = ys[:, 0].tolist(), np.diff(ys).tolist()
    return "".join(
        f"M0 {y}l{' '.join([f'1 {move}' for move in row])}"
        for y, row in zip(starts, moves, strict=True)
    )


def weights(result: Result, cast: Cast) -> tuple[list[dict[str, Any]], list[list[list[str]]]]:
    """Return the layers, and by epoch and panel bars and text of each, of all replicates."""
    names = result.study.network.layer_names
    layers, bars = [], [[list[str]() for _ in cast.shown] for _ in result.history.kept_epochs]
    for name in (names[index] for index in evenly(len(names), MOST_LAYERS)):
        found = Shares(result, name, cast.shown)
        for kept_index, place in np.ndindex(found.rms.shape):
            own, rms = found.values[kept_index, place], float(found.rms[kept_index, place])
            cut = f"▲ {100 * own.max():.0f} % " if own.max() > found.most else ""
            shown = steps(own / found.most), f"{cut}rms {short(rms)}"
            bars[kept_index][place] += shown if math.isfinite(rms) else LOST
        ends = {"bins": found.values.shape[-1], "reach": f"{found.edges[-1]:.2g}"}
        layers.append({"name": name, "outline": steps(found.values[0, 0] / found.most), **ends})
    return layers, bars


def steps(shares: Array) -> str:
    """Return bars as a path of unit steps over a base at 100, shares above 1 cut off."""
    tops = (100 - 100 * shares.clip(0, 1.05)).round().astype(int).tolist()
    return f"M0 100{''.join([f'V{top}h1' for top in tops])}V100z"


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return heights and labels of round numbers between two ends."""
    places = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [(TALL * (high - y) / (high - low), minus(y)) for y in places if low <= y <= high]


def minus(value: float) -> str:
    """Return a short number with a proper minus."""
    return f"{value:.6g}".replace("-", "−")
