"""The files of a run: settings, pictures, TensorBoard logs, and the JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tomli_w

from regbench.report.result_json import scale_document, to_text, training_document
from regbench.store import write_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from regbench.config import Experiment
    from regbench.dropout_scale import ScaleResult
    from regbench.result import Result


def write_settings(settings: Experiment, folder: Path) -> None:
    """Write `config.toml`, which repeats the run when given to `--config`."""
    write_text(folder / "config.toml", tomli_w.dumps(settings.to_file()))


def write_training(
    result: Result, folder: Path, advance: Callable[[int], None]
) -> tuple[str, list[str]]:
    """Write everything that a training run leaves; returns the JSON document and notes.

    `advance` is called once for each logged epoch.
    """
    settings = result.settings
    pictures, notes = [], []
    if settings.plots or settings.tensorboard:
        from regbench.report import plots

        for epoch, picture in plots.fit_pictures(result):
            pictures.append((epoch, picture))
            advance(1)
    if settings.plots:
        figures = folder / "figures"
        figures.mkdir()
        for epoch, picture in pictures:
            (figures / f"fit-epoch-{epoch:06d}.png").write_bytes(picture.png)
        (figures / "losses.png").write_bytes(plots.loss_picture(result).png)
    if settings.tensorboard:
        from regbench.report.tensorboard import write_training_logs

        skipped = write_training_logs(result, pictures, folder / "tensorboard")
        if skipped:
            notes.append(f"note: {skipped} histograms left out: their values are not finite")
    document = to_text(training_document(result, folder))
    write_text(folder / "summary.json", document)
    return document, notes


def write_scale(result: ScaleResult, folder: Path, advance: Callable[[int], None]) -> str:
    """Write everything that a dropout-scale run leaves; returns the JSON document.

    `advance` is called once for each drop probability.
    """
    settings = result.settings
    pictures = []
    if settings.plots or settings.tensorboard:
        from regbench.report import plots

        for scale in result.scales:
            pictures.append(plots.scale_picture(scale))
            advance(1)
    if settings.plots:
        figures = folder / "figures"
        figures.mkdir()
        for scale, picture in zip(result.scales, pictures, strict=True):
            (figures / f"outputs-p={scale.drop_probability!r}.png").write_bytes(picture.png)
    if settings.tensorboard:
        from regbench.report.tensorboard import write_scale_logs

        write_scale_logs(result, pictures, folder / "tensorboard")
    document = to_text(scale_document(result, folder))
    write_text(folder / "summary.json", document)
    return document
