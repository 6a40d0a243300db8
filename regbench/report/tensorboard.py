"""TensorBoard logs of finished results: every arm is a run with the same tags, laid over another.

Each log is one file, written whole: the usual writers append from a thread of their own.
"""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from regbench.storage.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from regbench.analysis.history import Array
    from regbench.report.base import View
    from regbench.report.figures import Picture

BINS = 50
"""Of a histogram: TensorBoard shows 30."""


def write(view: View, pictures: Sequence[Picture]) -> Iterator[str]:
    """Write a log for everything that is compared; says how many histograms none can show."""
    skipped = 0
    for name, log in view.logs(pictures):
        log.write(view.folder / "tensorboard" / name)
        skipped += log.skipped
    if skipped:
        yield f"note: {skipped} histograms left out: their values are not finite"


class Log:
    """What TensorBoard shows of one run, collected in memory."""

    def __init__(self) -> None:
        self.skipped = 0
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
        """Add the distribution of values of any shape; of some not finite, only count it."""
        values = values.astype(np.float64).ravel()
        low, high = values.min(), values.max()
        with np.errstate(all="ignore"):
            width = high - low
        if not np.isfinite(width):
            self.skipped += 1
            return
        if width <= 1e-9 * max(abs(low), abs(high)):  # too narrow to be cut into bins
            half = max(0.5, 1e-3 * abs(high))
            low, high = low - half, high + half
        bins = np.minimum((values - low) / (high - low) * BINS, BINS - 1).astype(np.intp)
        counts, edges = np.bincount(bins, minlength=BINS), np.linspace(low, high, BINS + 1)[1:]
        is_shown = (counts > 0) | np.append(counts[1:] > 0, True)  # runs of empty bins are one
        counts, edges = counts[is_shown], edges[is_shown]
        all_of_them = {"min": values.min(), "max": values.max(), "num": values.size}
        sums = {"sum": values.sum(), "sum_squares": values @ values}
        histogram = HistogramProto(**all_of_them, **sums, bucket_limit=edges, bucket=counts)
        self._add_value(epoch, tag=tag, histo=histogram)

    def add_picture(self, picture: Picture, epoch: int) -> None:
        """Add a picture under its name, as a PNG."""
        size = {"width": picture.width, "height": picture.height, "colorspace": 3}
        image = Summary.Image(encoded_image_string=picture.files["png"], **size)
        self._add_value(epoch, tag=picture.name, image=image)

    def write(self, folder: Path) -> None:
        """Write the log into a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        name = "events.out.tfevents.regbench"  # TensorBoard looks for `tfevents`
        write_whole(folder / name, [self.buffer.getbuffer()])
