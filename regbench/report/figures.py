"""Pictures of finished results, drawn once by matplotlib.

Uses `Figure` objects and the Agg canvas, never pyplot, so that nothing global changes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from regbench.report.base import Sink
from regbench.report.format import percent
from regbench.storage.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Interval
    from regbench.report.base import View


class Figures(Sink):
    """Writes the pictures into `figures/`."""

    def write(self, view: View, advance: Callable[[int], None]) -> Iterable[str]:
        """Write every picture as PNG."""
        folder = view.folder / "figures"
        folder.mkdir(exist_ok=True)
        for picture in [*view.pictures(advance), *view.summaries()]:
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
ROW_INCHES = 0.215
"""Height of a legend row."""
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
    bottom = legend_rows * ROW_INCHES + 0.72
    figure = Figure(figsize=(width, height + bottom), dpi=100)
    FigureCanvasAgg(figure)
    total = height + bottom
    figure.subplots_adjust(left=0.95 / width, right=1 - 0.2 / width, top=1 - 0.45 / total)
    figure.subplots_adjust(bottom=bottom / total)
    return figure


def render(figure: Figure, name: str) -> Picture:
    """Draw the figure."""
    canvas = canvas_of(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return encode(canvas, name)


def canvas_of(figure: Figure) -> FigureCanvasAgg:
    """Return the figure's canvas, which `make_figure` gave it."""
    assert isinstance(figure.canvas, FigureCanvasAgg)
    return figure.canvas


def encode(canvas: FigureCanvasAgg, name: str, epoch: int = 0) -> Picture:
    """Return what is drawn on the canvas."""
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "png", compress_level=1)
    height, width, _ = pixels.shape
    return Picture(name, epoch, png.getvalue(), width, height)


def summary_pictures(result: Result) -> Iterator[Picture]:
    """Yield the pictures of all replicates."""
    yield loss_picture(result)
    if result.study.replicates > 1:
        yield comparison_picture(result)


def fit_pictures(result: Result) -> Iterator[Picture]:
    """Yield the picture of the first replicate's fits at every logged epoch.

    Train and test points, the truth, every arm's fit, and both losses of each arm. What is the
    same at all epochs is drawn once.
    """
    history, labels = result.history, list(result.study.labels.values())
    data = history.data
    longest = max(map(len, labels)) + len(": train loss 1.2345e+10, test loss 1.2345e+10")
    figure = make_figure(max(8, LETTER_INCHES * longest), 5, legend_rows=len(labels) + 3)
    canvas = canvas_of(figure)
    axes = figure.add_subplot()
    axes.scatter(data.train_x, data.train_y[0], c="blue", s=50, alpha=0.3, label="training points")
    axes.scatter(data.test_x, data.test_y[0], c="red", s=50, alpha=0.3, label="test points")
    axes.plot(data.grid_x, data.grid_truth, color="grey", linewidth=1, label="truth")
    lines = [
        axes.plot(data.grid_x, data.grid_x, linewidth=2.5, label=label, **arm_style(index))[0]
        for index, label in enumerate(labels)
    ]
    axes.set_ylim(*fit_limits(result))
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    title = axes.set_title("epoch")
    legend = legend_below(figure, axes, columns=1)
    changing = [*lines, title, legend]
    for artist in changing:
        artist.set_animated(True)
    canvas.draw()  # type: ignore[no-untyped-call]
    unchanging = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    for epoch_index, epoch in enumerate(history.epochs.tolist()):
        losses = history.train_loss[epoch_index, :, 0], history.test_loss[epoch_index, :, 0]
        texts = legend.get_texts()[-len(labels) :]
        for label, line, text, fit, train, test in zip(
            labels, lines, texts, history.fits[epoch_index, :, 0], *losses, strict=True
        ):
            line.set_ydata(clip(fit, axes))
            text.set_text(f"{label}: train loss {train:.5g}, test loss {test:.5g}")
        title.set_text(f"seed {result.study.seed}: epoch {epoch}")
        canvas.restore_region(unchanging)  # type: ignore[no-untyped-call]
        for artist in changing:
            figure.draw_artist(artist)
        yield encode(canvas, f"fit-epoch-{epoch:06d}", epoch)


def fit_limits(result: Result) -> tuple[float, float]:
    """Return limits of y that hold all points and the truth, and stay the same at all epochs."""
    data = result.history.data
    shown = np.concatenate([data.train_y[0], data.test_y[0], data.grid_truth])
    low, high = float(shown.min()), float(shown.max())
    margin = 0.25 * (high - low) or 1.0
    return low - margin, high + margin


def clip(values: Array, axes: Axes) -> Array:
    """Return values that can be drawn: far outside the axes they are cut, NaN leaves a gap."""
    low, high = axes.get_ylim()
    clipped: Array = np.clip(values, low - 10 * (high - low), high + 10 * (high - low))
    return clipped


def loss_picture(result: Result) -> Picture:
    """Return the curves of training and test loss of all arms with their spread.

    Of a single logged epoch there are no curves: the arms' means stand side by side.
    """
    history, study = result.history, result.study
    is_single = len(history.epochs) == 1
    longest = LETTER_INCHES * max(map(len, study.labels.values())) + 0.6  # its line
    columns = max(1, min(4, int(10 / longest)))
    rows = -(-len(study.arms) // columns) + 1
    figure = make_figure(max(10, longest), 4.5, legend_rows=rows)
    panels = {
        "training loss (evaluation mode)": history.train_loss_eval,
        "test loss": history.test_loss,
    }
    for panel, (title, losses) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(1, 2, panel)
        for index, label in enumerate(study.labels.values()):
            values = np.where(np.isfinite(losses[:, index]), losses[:, index], np.nan)
            style = arm_style(index)
            epochs = history.epochs + index / len(study.arms) * is_single
            axes.plot(epochs, values.mean(axis=1), label=label, marker=".", **style)
            if study.replicates > 1:
                low, high = np.percentile(values, SPREAD, axis=1)
                if is_single:
                    axes.vlines(epochs, low, high, color=style["color"], alpha=0.4)
                else:
                    shade = {"color": style["color"], "alpha": 0.15, "linewidth": 0}
                    axes.fill_between(epochs, low, high, **shade)
        finite = losses[np.isfinite(losses) & (losses > 0)]
        if finite.size and finite.max() > 20 * finite.min():
            axes.set_yscale("log")
        axes.set_title(title)
        if is_single:
            axes.set_xticks([])
        axes.set_xlabel(f"epoch {history.epochs[0]}" if is_single else "epoch")
        axes.set_ylabel("mean squared error")
    figure.subplots_adjust(wspace=0.25)
    shown_as = "line" if is_single else "shaded"
    title = (
        f"mean of {study.replicates} replicates; {shown_as}: {SPREAD[0]}th to {SPREAD[1]}th "
        f"percentile of the replicates"
        if study.replicates > 1
        else f"one replicate, seed {study.seed}"
    )
    legend_below(figure, axes, columns=columns, title=title)
    return render(figure, "losses")


def comparison_picture(result: Result) -> Picture:
    """Return how every arm compares with the baseline at the last epoch, and why.

    To the left the mean paired differences of the test loss with their intervals; to the right
    what the expected test error of each arm is made of. A bias² below 0 reaches back into the bar.
    A confirmed arm has its fresh replicates' difference below that of those that chose it.
    """
    study, epoch = result.study, result.history.epochs[-1]
    labels, rows = list(study.labels.values()), np.arange(len(study.arms))
    confidence = percent(result.question.confidence)
    longest = LETTER_INCHES * max(map(len, labels))
    width, height = max(10, 6 + longest), min(0.8 + ARM_INCHES * len(labels), MOST_INCHES)
    figure = make_figure(width, height, legend_rows=2)
    figure.subplots_adjust(left=(0.3 + longest) / width, wspace=0.08)
    differences, errors = figure.subplots(1, 2, sharey=True)
    differences.axvline(0, **arm_style(0))
    for index, c in enumerate(result.comparisons, 1):
        if c.verdict == "diverged":
            differences.text(0, index, " diverged", va="center", fontsize=9)
        elif c.ci is not None:
            point = dot_with_interval(c.mean_difference, c.ci)
            differences.errorbar(y=index, color=arm_style(index)["color"], **point)
    title = f"epoch {epoch}, {study.replicates} replicates; whiskers: {confidence} intervals"
    if result.confirmation is not None:
        (c,) = result.confirmation.comparisons
        if c.ci is not None:
            index = study.arm_names.index(c.arm)
            point = dot_with_interval(c.mean_difference, c.ci) | {"fmt": "s"}
            differences.errorbar(y=index + 0.25, color=arm_style(index)["color"], **point)
            title += f"; square: {labels[index]} on {c.replicates} fresh replicates"
    differences.set_xlabel("test loss, arm - baseline")
    differences.set_title("paired difference")

    parts = [p for p in result.decompositions[-1] if p is not None]
    noise = np.array([p.noise_variance if np.isfinite(p.residual) else np.nan for p in parts])
    variance = np.array([p.variance.value for p in parts])
    bias_squared = np.array([p.bias_squared.value for p in parts])
    errors.barh(rows, noise, color="lightgrey", label="noise")
    errors.barh(rows, variance, left=noise, color="lightblue", label="variance")
    errors.barh(rows, bias_squared, left=noise + variance, color="orange", alpha=0.7, label="bias²")
    for index, total in enumerate(p.expected_test_error for p in parts):
        if total.ci is not None:
            label = "sum" if index == 0 else None
            point = dot_with_interval(total.value, total.ci)
            errors.errorbar(y=index, color="black", label=label, **point)
    errors.set_xlabel("mean squared error")
    errors.set_title("expected test error")
    shown = rows[:: -(-len(labels) // int(MOST_INCHES / ARM_INCHES))]
    errors.set_yticks(shown, [labels[index] for index in shown])
    errors.set_ylim(rows[-1] + 0.6, rows[0] - 0.6)
    for axes in (differences, errors):
        axes.locator_params(axis="x", nbins=6)
    legend_below(figure, errors, columns=4, title=title)
    return render(figure, "comparison")


def dot_with_interval(value: float, interval: Interval) -> dict[str, Any]:
    """Return the place of a dot with whiskers, for `Axes.errorbar`."""
    whiskers = [[value - interval[0]], [interval[1] - value]]
    return {"x": value, "xerr": whiskers, "fmt": "o", "markersize": 4, "capsize": 3}


def legend_below(figure: Figure, axes: Axes, columns: int, title: str | None = None) -> Legend:
    """Put the legend of the axes below everything else, where it covers nothing."""
    handles, labels = axes.get_legend_handles_labels()
    return figure.legend(
        handles, labels, loc="lower center", ncols=columns, frameon=False, title=title, fontsize=9
    )
