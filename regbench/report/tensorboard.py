"""TensorBoard logs of finished results: every arm is a run of its own under one folder.

The same tags in every run, so that TensorBoard lays the arms over each other. Each log is one file
that is written whole: written again it replaces itself, and a full disk leaves none. (The usual
writers append from a thread of their own.)
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from regbench.storage.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.experiments.dropout_scale import ScaleResult
    from regbench.report.figures import Picture

LOG = "events.out.tfevents.regbench"
"""TensorBoard reads files with `tfevents` in their name."""
BINS = 100
"""Of a histogram, all of one width."""


class Log:
    """What TensorBoard shows of one run, collected in memory."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()
        self.records = RecordWriter(self.buffer)
        self.started = time.time()
        self._add(file_version="brain.Event:2")

    def _add(self, **content: Any) -> None:
        self.records.write(Event(wall_time=self.started, **content).SerializeToString())

    def _add_value(self, epoch: int, **value: Any) -> None:
        self._add(step=epoch, summary=Summary(value=[Summary.Value(**value)]))

    def add_scalar(self, tag: str, value: float, epoch: int) -> None:
        """Add a point of a curve."""
        self._add_value(epoch, tag=tag, simple_value=float(value))

    def add_histogram(self, tag: str, values: Array, epoch: int) -> None:
        """Add the distribution of finite values of any shape."""
        values = values.astype(np.float64).ravel()
        counts, edges = np.histogram(values, BINS)
        histogram = HistogramProto(
            min=values.min(),
            max=values.max(),
            num=values.size,
            sum=values.sum(),
            sum_squares=values @ values,
            bucket_limit=edges[1:],
            bucket=counts,
        )
        self._add_value(epoch, tag=tag, histo=histogram)

    def add_picture(self, tag: str, picture: Picture, epoch: int) -> None:
        """Add a picture as the PNG that it is."""
        image = Summary.Image(
            encoded_image_string=picture.png,
            width=picture.width,
            height=picture.height,
            colorspace=3,
        )
        self._add_value(epoch, tag=tag, image=image)

    def write(self, folder: Path) -> None:
        """Write the log into a folder, which is made where it is missing.

        Raises:
            RunError: The file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / LOG, [self.buffer.getbuffer()])


def write_training_logs(result: Result, pictures: list[tuple[int, Picture]], folder: Path) -> int:
    """Write losses, histograms and pictures of every arm; return how many histograms were left out.

    Args:
        result: The result.
        pictures: Epoch and picture of the fits, which go to every arm but the baseline.
        folder: The parent of the runs.

    Returns:
        The number of weights and gradients that hold a value that is not finite: TensorBoard
        cannot show their histograms.

    Raises:
        RunError: A file cannot be written.
    """
    history = result.history
    losses = {
        "loss/train": history.train_loss,
        "loss/train_eval": history.train_loss_eval,
        "loss/test": history.test_loss,
    }
    snapshots = {
        f"{kind}/{name}": values
        for kind, by_name in (("weights", history.parameters), ("gradients", history.gradients))
        for name, values in by_name.items()
    }
    skipped = 0
    for index, arm in enumerate(result.settings.arms):
        log = Log()
        for place, epoch in enumerate(history.epochs.tolist()):
            for tag, values in losses.items():
                log.add_scalar(tag, values[place, index].mean(), epoch)
            for tag, values in snapshots.items():
                if np.isfinite(values[place, index]).all():
                    log.add_histogram(tag, values[place, index], epoch)
                else:
                    skipped += 1
        for epoch, picture in pictures if index else []:
            log.add_picture("fit", picture, epoch)
        log.write(folder / arm.name)
    return skipped


def write_scale_logs(result: ScaleResult, pictures: list[Picture], folder: Path) -> None:
    """Write the outputs' histogram, mean and standard deviation, and the picture, of every p.

    Raises:
        RunError: A file cannot be written.
    """
    for place, scale in enumerate(result.scales):
        log = Log()
        log.add_histogram("output/train", scale.outputs, 0)
        log.add_scalar("output/mean", scale.outputs.mean(), 0)
        log.add_scalar("output/sd", scale.outputs.std(ddof=1), 0)
        log.add_scalar("output/eval", scale.eval_output, 0)
        if pictures:
            log.add_picture("distribution", pictures[place], 0)
        log.write(folder / f"p={scale.drop_probability!r}")
