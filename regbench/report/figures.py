"""Pictures of finished results, by matplotlib without pyplot, so that nothing global changes."""

from __future__ import annotations

# First, because it imports matplotlib whatever the user's settings are:
from regbench.report.plain import plain

# isort: split
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from regbench.report.format import percent
from regbench.storage.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Interval
    from regbench.report.base import View


def write(view: View, pictures: Sequence[Picture]) -> Iterable[str]:
    """Write every picture into `figures/` as PNG."""
    folder = view.folder / "figures"
    folder.mkdir(exist_ok=True)
    for picture in [*pictures, *view.summaries()]:
        write_whole(folder / f"{picture.name}.png", [picture.png])
    return ()


@dataclass(frozen=True)
class Picture:
    """A drawn figure as a PNG file; width and height in pixels, the epoch 0 where it has none."""

    name: str
    epoch: int
    png: bytes
    width: int
    height: int


ARM_COLORS = ("blue", "darkorange", "green", "purple", "saddlebrown", "deeppink", "teal", "olive")
ARM_INCHES, MOST_INCHES = 0.32, 14.0
"""Height of an arm's row in a comparison, and of the axes that hold them all."""
LETTER_INCHES = 0.09
"""Width of a letter of a label, at most on the average; names of sums are long."""
SPREAD = (10, 90)
"""Percentiles of the replicates that bound the shaded band."""


def arm_style(index: int) -> dict[str, Any]:
    """Return the line style of an arm: the baseline solid red, the first arm dashed blue."""
    if index == 0:
        return {"color": "red", "linestyle": "-"}
    dashes = ("--", "-.", ":")[(index - 1) // len(ARM_COLORS) % 3]
    return {"color": ARM_COLORS[(index - 1) % len(ARM_COLORS)], "linestyle": dashes}


def make_figure(width: float, height: float, legend_rows: int) -> Figure:
    """Return a figure with room for a legend below its axes; sizes in inches without legend."""
    bottom = legend_rows * 0.215 + 0.72
    total = height + bottom
    figure = Figure(figsize=(width, total), dpi=100)
    margins = {"left": 0.95 / width, "right": 1 - 0.2 / width, "top": 1 - 0.45 / total}
    figure.subplots_adjust(**margins, bottom=bottom / total)
    return figure


def render(figure: Figure, name: str) -> Picture:
    """Draw the figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return encode(canvas, name)


def encode(canvas: FigureCanvasAgg, name: str, epoch: int = 0) -> Picture:
    """Return what is drawn on the canvas."""
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "png", compress_level=1)
    height, width, _ = pixels.shape
    return Picture(name, epoch, png.getvalue(), width, height)


@plain
def fit_pictures(result: Result) -> Iterator[Picture]:
    """Yield the first replicate's fits at every kept epoch; what stays the same is drawn once."""
    history, labels = result.history, list(result.study.labels.values())
    longest = max(map(len, labels)) + len(": train loss 1.2345e+10, test loss 1.2345e+10")
    figure = make_figure(max(8, LETTER_INCHES * longest), 5, legend_rows=len(labels) + 3)
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    points: dict[str, Any] = {"s": 50, "alpha": 0.3}
    axes.scatter(history.train_x, history.train_y[0], c="blue", label="training points", **points)
    axes.scatter(history.test_x, history.test_y[0], c="red", label="test points", **points)
    axes.plot(history.grid_x, history.grid_truth, color="grey", linewidth=1, label="truth")
    lines = [
        axes.plot(history.grid_x, history.grid_x, linewidth=2.5, label=label, **arm_style(index))[0]
        for index, label in enumerate(labels)
    ]
    shown = np.concatenate([history.train_y[0], history.test_y[0], history.grid_truth])
    low, high = float(shown.min()), float(shown.max())
    margin = 0.25 * (high - low) or 1.0
    low, high = low - margin, high + margin
    axes.set(xlabel="x", ylabel="y", ylim=(low, high))
    title = axes.set_title("epoch")
    legend = legend_below(figure, axes, columns=1)
    changing = [*lines, title, legend]
    for artist in changing:
        artist.set_animated(True)
    canvas.draw()  # type: ignore[no-untyped-call]
    unchanging = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    texts, far = legend.get_texts()[-len(labels) :], 10 * (high - low)
    for epoch, fits in zip(history.kept_epochs.tolist(), history.predictions[:, :, 0], strict=True):
        at = history.at(epoch)
        for index, label in enumerate(labels):
            lines[index].set_ydata(np.clip(fits[index], low - far, high + far))  # NaN leaves a gap
            train, test = history.train_loss[at, index, 0], history.test_loss[at, index, 0]
            texts[index].set_text(f"{label}: train loss {train:.5g}, test loss {test:.5g}")
        title.set_text(f"seed {result.study.seed}: epoch {epoch}")
        canvas.restore_region(unchanging)  # type: ignore[no-untyped-call]
        for artist in changing:
            figure.draw_artist(artist)
        yield encode(canvas, f"fit-epoch-{epoch:06d}", epoch)


@plain
def summary_pictures(result: Result) -> Iterator[Picture]:
    """Yield the pictures of all replicates."""
    yield loss_picture(result)
    if result.study.replicates > 1:
        yield comparison_picture(result)


def loss_picture(result: Result) -> Picture:
    """Return the curves of training loss and headline of all arms with their spread."""
    history, study = result.history, result.study
    longest = LETTER_INCHES * max(map(len, study.labels.values())) + 0.6  # its line
    columns = max(1, min(4, int(10 / longest)))
    rows = -(-len(study.arms) // columns) + 1
    figure = make_figure(max(10, longest), 4.5, legend_rows=rows)
    trained = ("training loss (evaluation mode)", history.train_loss_eval)
    for panel, (title, losses) in enumerate([trained, (result.question.words, result.headline)], 1):
        axes = figure.add_subplot(1, 2, panel)
        for index, label in enumerate(study.labels.values()):
            values = np.where(np.isfinite(losses[:, index]), losses[:, index], np.nan)
            style = arm_style(index)
            axes.plot(history.epochs, values.mean(axis=1), label=label, **style)
            if study.replicates > 1:
                low, high = np.percentile(values, SPREAD, axis=1)
                axes.fill_between(history.epochs, low, high, color=style["color"], alpha=0.15, lw=0)
        finite = losses[np.isfinite(losses) & (losses > 0)]
        if finite.size and finite.max() > 20 * finite.min():
            axes.set_yscale("log")
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(0, history.epochs[-1])
        axes.set(title=title, xlabel="epoch", ylabel="mean squared error")
    figure.subplots_adjust(wspace=0.25)
    title = f"one replicate, seed {study.seed}"
    if study.replicates > 1:
        spread = f"{SPREAD[0]}th to {SPREAD[1]}th percentile of the replicates"
        title = f"mean of {study.replicates} replicates; shaded: {spread}"
    legend_below(figure, axes, columns=columns, title=title)
    return render(figure, "losses")


def comparison_picture(result: Result) -> Picture:
    """Return every arm's paired difference at the last epoch, and what its error is made of.

    A bias² below 0 reaches back into the bar. A confirmed arm has its fresh difference below.
    """
    study, epoch = result.study, result.history.epochs[-1]
    labels, rows = list(study.labels.values()), np.arange(len(study.arms))
    longest = LETTER_INCHES * max(map(len, labels))
    width, height = max(10, 6 + longest), min(0.8 + ARM_INCHES * len(labels), MOST_INCHES)
    figure = make_figure(width, height, legend_rows=2)
    figure.subplots_adjust(left=(0.3 + longest) / width, wspace=0.08)
    differences, errors = figure.subplots(1, 2, sharey=True)
    differences.axvline(0, **arm_style(0))
    for index, c in enumerate(result.comparisons, 1):
        if c.verdict == "diverged":
            differences.text(0, index, " diverged", va="center", fontsize=9)
        draw_interval(differences, index, c.mean_difference, c.ci, color=arm_style(index)["color"])
    confidence = percent(result.question.confidence)
    title = f"epoch {epoch}, {study.replicates} replicates; whiskers: {confidence} intervals"
    for c in result.confirmation.comparisons if result.confirmation else ():
        index = study.arm_names.index(c.arm)
        style = {"color": arm_style(index)["color"], "fmt": "s"}
        draw_interval(differences, index + 0.25, c.mean_difference, c.ci, **style)
        if c.ci is not None:
            title += f"; square: {labels[index]} on {c.replicates} fresh replicates"
    differences.set(title="paired difference", xlabel=f"{result.question.words}, arm - baseline")

    parts = [p for p in result.decompositions[-1] if p is not None]
    noise = np.array([p.noise_variance if np.isfinite(p.residual) else np.nan for p in parts])
    variance = np.array([p.variance.value for p in parts])
    bias_squared = np.array([p.bias_squared.value for p in parts])
    errors.barh(rows, noise, color="lightgrey", label="noise")
    errors.barh(rows, variance, left=noise, color="lightblue", label="variance")
    errors.barh(rows, bias_squared, left=noise + variance, color="orange", alpha=0.7, label="bias²")
    for index, total in enumerate(p.expected_test_error for p in parts):
        label = None if index else "sum"
        draw_interval(errors, index, total.value, total.ci, color="black", label=label)
    errors.set(title="risk and its parts", xlabel="mean squared error")
    shown = rows[:: -(-len(labels) // int(MOST_INCHES / ARM_INCHES))]
    errors.set_yticks(shown, [labels[index] for index in shown])
    errors.set_ylim(rows[-1] + 0.6, rows[0] - 0.6)
    for axes in (differences, errors):
        axes.locator_params(axis="x", nbins=6)
    legend_below(figure, errors, columns=4, title=title)
    return render(figure, "comparison")


def draw_interval(axes: Axes, y: float, value: float, ci: Interval | None, **style: Any) -> None:
    """Draw a dot with whiskers, where there is an interval."""
    if ci is not None:
        whiskers = [[value - ci[0]], [ci[1] - value]]
        point = {"fmt": "o", "markersize": 4, "capsize": 3, **style}
        axes.errorbar(value, y, xerr=whiskers, **point)


def legend_below(figure: Figure, axes: Axes, columns: int, title: str | None = None) -> Legend:
    """Put the legend of the axes below everything else, where it covers nothing."""
    where: dict[str, Any] = {"loc": "lower center", "ncols": columns, "frameon": False}
    return figure.legend(*axes.get_legend_handles_labels(), **where, title=title, fontsize=9)
