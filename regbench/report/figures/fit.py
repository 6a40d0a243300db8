"""The fits of the first replicate at a few epochs: the article's picture, as small multiples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import evenly
from regbench.report.figures.findings import Cast, short
from regbench.report.figures.palette import GREY, INK, POINTS, TRUTH, readable
from regbench.report.figures.sheet import EDGE, ticks, width_of, wrapped

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet

COLUMNS, MOST_EPOCHS, LEFT = 3, 6, 0.5


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    return 9.4, 1.8 + 2.25 * -(-min(MOST_EPOCHS, len(result.history.kept_epochs)) // COLUMNS)


def title(result: Result) -> str:
    """Return what the networks of this replicate end with: training loss and risk."""
    history, cast = result.history, Cast(result)
    said = []
    for index in dict.fromkeys((0, cast.best)):
        loss, risk = history.train_loss_eval[-1, index, 0], history.risk[-1, index, 0]
        words = f"ends with {short(loss)} and {short(risk)}"
        is_finite = np.isfinite([loss, risk]).all()
        said.append(f"{cast.labels[index]} {words if is_finite else 'diverged'}")
    return f"Training loss and risk of seed {result.study.seed}: {', '.join(said)}"


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a panel for each epoch, below the names of the arms."""
    history, cast, task = result.history, Cast(result), result.study.task
    said = (
        f"One replicate, seed {result.study.seed}. Yellow: its training points; dashed: the truth."
    )
    x, top = EDGE, 0.05 + sheet.heading(title(result), said + cast.omitted)
    for index in cast.shown:
        is_lost = not np.isfinite(history.predictions[-1, index, 0]).all()
        name = cast.labels[index] + " ✕ diverged" * is_lost
        (name,) = wrapped(name, sheet.width - 1, 10, "bold", most=1)
        length = width_of(name, 10, "bold") + 0.5
        if x + length > sheet.width and x > EDGE:
            x, top = EDGE, top + 0.2
        sheet.axes.plot([x, x + 0.22], [top + 0.08] * 2, color=cast.colors[index], lw=2.2)
        sheet.text(x + 0.28, top, name, 10, weight="bold", color=readable(cast.colors[index]))
        x += length
    seen, epochs = (
        np.append(history.train_y[0], history.grid_truth),
        evenly(len(history.kept_epochs), MOST_EPOCHS),
    )
    margin = 0.22 * float(np.ptp(seen)) or 1.0
    low, high = float(seen.min() - margin), float(seen.max() + margin)
    top, far = top + 0.25, 1e3 * (high - low)
    width, height = (
        (sheet.width - LEFT) / COLUMNS,
        (sheet.height - top) / -(-len(epochs) // COLUMNS),
    )
    for place, kept in enumerate(epochs):
        row, column = divmod(place, COLUMNS)
        left, over = LEFT + column * width, top + row * height + 0.27
        limits = dict[str, Any](xlim=(task.x_min, task.x_max), ylim=(low, high))
        panel = sheet.panel(left, over, width - 0.25, height - 0.55, **limits)
        ticks(panel, "x", most=3)
        ticks(panel, "y", is_labelled=not column)
        panel.plot(history.grid_x, history.grid_truth, color=TRUTH, lw=1.3, dashes=(4, 2))
        for index in cast.shown:
            fit = np.clip(history.predictions[kept, index, 0].astype(float), low - far, high + far)
            panel.plot(history.grid_x, fit, color=cast.colors[index], lw=1.9)  # NaN leaves a gap
        points = dict[str, Any](color=POINTS, edgecolors=INK, linewidths=0.7, clip_on=False)
        panel.scatter(history.train_x, history.train_y[0], 26, zorder=4, **points)
        epoch = f"epoch {history.kept_epochs[kept]}"
        sheet.text(left, over - 0.05, epoch, 9.5, va="bottom", weight="bold", color=GREY)
