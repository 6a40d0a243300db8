"""The files of a finished run that people look at. They can be made again at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regbench.report.csv import csv_pieces
from regbench.report.json import empty_document, scale_document, to_text, training_document
from regbench.storage.files import write_text, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from regbench.analysis.result import Result
    from regbench.experiments.dropout_scale import ScaleResult
    from regbench.settings.study import Experiment


def training_text(result: Result, folder: Path, blocks: tuple[int, int] | None = None) -> str:
    """Return the JSON document of a training run; see `result_json`."""
    return to_text(training_document(result, folder, blocks))


def empty_text(settings: Experiment, environment: dict[str, Any], folder: Path) -> str:
    """Return the JSON document of a run that has measured nothing yet; see `result_json`."""
    return to_text(empty_document(settings, environment, folder))


def scale_text(result: ScaleResult, folder: Path, blocks: tuple[int, int] | None = None) -> str:
    """Return the JSON document of a dropout-scale run; see `result_json`."""
    return to_text(scale_document(result, folder, blocks))


def write_training(
    result: Result, folder: Path, advance: Callable[[int], None]
) -> tuple[str, list[str]]:
    """Write everything that a training run leaves; returns the JSON document and notes.

    `advance` is called once for each logged epoch.

    Raises:
        RunError: A file cannot be written.
    """
    settings = result.settings
    pictures, notes = [], []
    if settings.plots or settings.tensorboard:
        from regbench.report import figures as plots

        for epoch, picture in plots.fit_pictures(result):
            pictures.append((epoch, picture))
            advance(1)
    if settings.plots:
        figures = folder / "figures"
        figures.mkdir(exist_ok=True)
        for epoch, picture in pictures:
            write_whole(figures / f"fit-epoch-{epoch:06d}.png", [picture.png])
        write_whole(figures / "losses.png", [plots.loss_picture(result).png])
        if settings.replicates > 1:
            write_whole(figures / "comparison.png", [plots.comparison_picture(result).png])
    if settings.tensorboard:
        from regbench.report.tensorboard import write_training_logs

        skipped = write_training_logs(result, pictures, folder / "tensorboard")
        if skipped:
            notes.append(f"note: {skipped} histograms left out: their values are not finite")
    write_whole(folder / "history.csv", csv_pieces(result))
    document = training_text(result, folder)
    write_text(folder / "summary.json", document)
    return document, notes


def write_scale(result: ScaleResult, folder: Path, advance: Callable[[int], None]) -> str:
    """Write everything that a dropout-scale run leaves; returns the JSON document.

    `advance` is called once for each drop probability.

    Raises:
        RunError: A file cannot be written.
    """
    settings = result.settings
    pictures = []
    if settings.plots or settings.tensorboard:
        from regbench.report import figures as plots

        for scale in result.scales:
            pictures.append(plots.scale_picture(scale))
            advance(1)
    if settings.plots:
        figures = folder / "figures"
        figures.mkdir(exist_ok=True)
        for scale, picture in zip(result.scales, pictures, strict=True):
            write_whole(figures / f"outputs-p={scale.drop_probability!r}.png", [picture.png])
    if settings.tensorboard:
        from regbench.report.tensorboard import write_scale_logs

        write_scale_logs(result, pictures, folder / "tensorboard")
    document = scale_text(result, folder)
    write_text(folder / "summary.json", document)
    return document
