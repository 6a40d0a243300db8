"""What the page's slider moves: fits and weights of each arm, and a mark on the risk's course.

All paths and texts are made here, in the units of the template's drawings, so that the page's
script only puts those of an epoch in place.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from regbench.analysis.history import evenly
from regbench.report.figures.findings import Cast, short
from regbench.report.figures.palette import readable
from regbench.report.figures.sheet import spread
from regbench.report.figures.weights import bars_of

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result

MOST_LINES, MOST_POINTS, MOST_LAYERS = 50, 50, 5
"""What is drawn: fits of an arm, points of a fit and of the data, layers."""
TALL, WIDE = 300, 760
"""Height of a panel and width of the course in units of their paths."""
CUT = 2.5
"""Bars are at most so many times as high as the highest before training."""
LINE = 24
"""Units from one label of the course to the next."""
LOST = "", "not finite"


@np.errstate(all="ignore")  # of what has diverged
def moving(result: Result) -> dict[str, Any]:
    """Return what the template draws.

    `frames` has a list for each kept epoch: in the order of the page the course's mark, and of each
    panel the fits, their mean, the first of them, the headline, and of each layer bars and a text.
    """
    history, cast, task = result.history, Cast(result), result.study.task
    epochs, words = history.kept_epochs.tolist(), result.question.words
    chosen = evenly(len(history.grid_x), MOST_POINTS)
    truth, fine = history.grid_truth[chosen], [i for i in cast.shown if i not in cast.lost]
    seen = np.quantile(history.predictions[-1, fine], (0.002, 0.998)) if fine else truth
    far = 1.5 * max(np.ptp(truth), np.ptp(history.train_y)) or 1.0
    low = min(truth.min(), max(seen.min(), truth.min() - far))
    high = max(truth.max(), min(seen.max(), truth.max() + far))
    low, high = (low, high) if low < high else (low - 1, high + 1)
    layers, bars = weights(result, cast)
    frames = []
    for kept_index, epoch in enumerate(epochs):
        x = WIDE * share_of(epoch, epochs[-1])
        frame = [f"M{x:.1f} 0V{TALL}"]
        for place, index in enumerate(cast.shown):
            own = history.predictions[kept_index, index][:, chosen].astype(float)
            mean = float(result.headline[history.at(epoch), index].mean(dtype=float))
            frame += [curves(f, low, high) for f in (own[:MOST_LINES], own.mean(0)[None], own[:1])]
            frame += [f"{words} {short(mean)}" if math.isfinite(mean) else "not finite"]
            frame += bars[kept_index][place]
        frames.append(frame)
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
        "course": course(result, cast),
        "truth": curves(truth[None], low, high),
        "points": "".join(f"M{x:.2f} {y:.0f}h0" for x, y in zip(xs, ys, strict=True)),
        "x_ticks": [minus(x) for x in (task.x_min, (task.x_min + task.x_max) / 2, task.x_max)],
        "y_ticks": ticks(low, high),
        "steps": len(chosen) - 1,
        "tall": TALL,
        "wide": WIDE,
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
        edges, shares, rms = bars_of(result, cast, name)
        is_fine = np.isfinite(rms)
        most = min(CUT * shares[0].max(), shares[is_fine].max())
        for kept_index, place in np.ndindex(rms.shape):
            own = shares[kept_index, place]
            cut = f"{100 * own.max():.0f} % ↑ " if own.max() > most else ""
            shown = steps(own / most), f"{cut}rms {short(float(rms[kept_index, place]))}"
            bars[kept_index][place] += shown if is_fine[kept_index, place] else LOST
        ends = {"bins": shares.shape[-1], "reach": f"{edges[-1]:.2g}"}
        layers.append({"name": name, "outline": steps(shares[0, 0] / most), **ends})
    return layers, bars


def steps(shares: Array) -> str:
    """Return bars as a path of unit steps over a base at 100, shares above 1 cut off."""
    tops = (100 - 100 * shares.clip(0, 1.05)).round().astype(int).tolist()
    return f"M0 100{''.join([f'V{top}h1' for top in tops])}V100z"


def course(result: Result, cast: Cast) -> dict[str, Any]:
    """Return the mean headline of each panel's arm over the measured epochs, and its axes."""
    epochs, last = result.history.epochs, int(result.history.epochs[-1])
    means = result.headline[:, cast.shown].mean(axis=2, dtype=float)
    late = means[len(means) // 2 :, [i for i, a in enumerate(cast.shown) if a not in cast.lost]]
    low, high = 0.0, 1.0
    if late.size and np.isfinite(late).all():
        low, high = late.min(), min(late.max(), 2 * np.median(late.max(axis=0)))
    low, high = low - 0.1 * (high - low), high + 0.5 * (high - low or abs(high) or 1.0)
    xs = [WIDE * share_of(epoch, last) for epoch in epochs.tolist()]
    ys = (TALL * (high - means) / (high - low)).clip(-TALL, 2 * TALL)
    lines, ends = [], []
    for column, index in enumerate(cast.shown):
        own = [(x, y) for x, y in zip(xs, ys[:, column], strict=True) if math.isfinite(y)]
        lines.append((cast.colors[index], "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in own)))
        if math.isfinite(means[-1, column]):
            beyond = " ↑" if means[-1, column] > high else ""
            text = f"{cast.labels[index]} {short(means[-1, column])}{beyond}"
            ends.append((ys[-1, column], text, readable(cast.colors[index])))
    places = spread(np.array([y for y, *_ in ends]).clip(0, TALL), LINE, 0, TALL)
    powers = [0, *(10**power for power in range(math.floor(math.log10(last)) + 1))]
    return {
        "words": f"{result.question.words}, mean of the replicates",
        "lines": lines,
        "labels": [(y, *end[1:]) for y, end in zip(places, ends, strict=True)],
        "x_ticks": [(WIDE * share_of(epoch, last), str(epoch)) for epoch in powers],
        "y_ticks": ticks(low, high),
    }


def share_of(epoch: int, last: int) -> float:
    """Return where an epoch stands on the axis: 0 at its start, then logarithmically to 1."""
    return 0.0 if epoch == 0 else 0.05 + 0.95 * math.log(epoch) / (math.log(last) or 1.0)


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return heights and labels of round numbers between two ends."""
    places = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
    return [(TALL * (high - y) / (high - low), minus(y)) for y in places if low <= y <= high]


def minus(value: float) -> str:
    """Return a short number with a proper minus."""
    return f"{value:.6g}".replace("-", "−")
