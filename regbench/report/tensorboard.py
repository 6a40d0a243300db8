"""TensorBoard logs of finished results: every arm is a run of its own under one folder.

The same tags in every run, so that TensorBoard lays the arms over each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

if TYPE_CHECKING:
    from pathlib import Path

    from regbench.dropout_scale import ScaleResult
    from regbench.report.plots import Picture
    from regbench.result import Result


def write_training_logs(result: Result, pictures: list[tuple[int, Picture]], folder: Path) -> int:
    """Write losses, histograms and pictures of every arm; return how many histograms were left out.

    Args:
        result: The result.
        pictures: Epoch and picture of the fits, which go to every arm but the baseline.
        folder: The parent of the runs.

    Returns:
        The number of weights and gradients that hold a value that is not finite: TensorBoard
        cannot show their histograms.
    """
    history = result.history
    skipped = 0
    for index, arm in enumerate(result.settings.arms):
        with SummaryWriter(str(folder / arm.name), max_queue=1000) as writer:
            for place, epoch in enumerate(history.epochs.tolist()):
                for tag, losses in (
                    ("loss/train", history.train_loss),
                    ("loss/train_eval", history.train_loss_eval),
                    ("loss/test", history.test_loss),
                ):
                    writer.add_scalar(tag, losses[place, index].mean(), epoch)
                for kind, snapshots in (
                    ("weights", history.parameters),
                    ("gradients", history.gradients),
                ):
                    for name, values in snapshots.items():
                        if np.isfinite(values[place, index]).all():
                            writer.add_histogram(f"{kind}/{name}", values[place, index], epoch)
                        else:
                            skipped += 1
            if index > 0:
                for epoch, picture in pictures:
                    add_picture(writer, "fit", picture, epoch)
    return skipped


def write_scale_logs(result: ScaleResult, pictures: list[Picture], folder: Path) -> None:
    """Write the outputs' histogram, mean and standard deviation, and the picture, of every p."""
    for place, scale in enumerate(result.scales):
        with SummaryWriter(str(folder / f"p={scale.drop_probability!r}")) as writer:
            writer.add_histogram("output/train", scale.outputs, 0)
            writer.add_scalar("output/mean", scale.outputs.mean(), 0)
            writer.add_scalar("output/sd", scale.outputs.std(ddof=1), 0)
            writer.add_scalar("output/eval", scale.eval_output, 0)
            if pictures:
                add_picture(writer, "distribution", pictures[place], 0)


def add_picture(writer: SummaryWriter, tag: str, picture: Picture, epoch: int) -> None:
    """Log a picture as it is: `SummaryWriter.add_image` would encode its pixels once more."""
    image = Summary.Image(
        encoded_image_string=picture.png,
        width=picture.width,
        height=picture.height,
        colorspace=3,
    )
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    writer._get_file_writer().add_summary(summary, epoch)  # type: ignore[no-untyped-call]
