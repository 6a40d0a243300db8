"""TensorBoard logs of finished results: every arm is a run with the same tags, laid over another.

Each log is one file, written whole: the usual writers append from a thread of their own.
"""

from __future__ import annotations

import io
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.plugins.custom_scalar import layout_pb2 as layout
from tensorboard.plugins.custom_scalar import metadata as layouts
from tensorboard.plugins.hparams import api_pb2 as hparams
from tensorboard.plugins.hparams import metadata as sessions
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from regbench.report.markdown import text_of
from regbench.storage.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from regbench.analysis.history import Array
    from regbench.analysis.statistics import Interval
    from regbench.report.base import View
    from regbench.report.figures import Picture

Point = tuple[int, float, "Interval | None"]
"""Of a curve: epoch, value and its interval."""
MOST_LETTERS = 200
"""Most letters of a folder's name, which must be below 256."""


def write(view: View, pictures: Sequence[Picture]) -> Iterator[str]:
    """Write a log for everything that is compared; says how many histograms none can show.

    One more, `answer`, has the answer, the pictures, and the charts with margins.
    """
    skipped, answer = 0, Log(None)
    for name, log in view.logs():
        answer.margins |= log.margins
        answer.last_epoch = max(answer.last_epoch, log.last_epoch)
        log.write(view.folder / "tensorboard" / folder_name(name))
        skipped += log.skipped
    answer.add_once(text_of(view), pictures)
    answer.write(view.folder / "tensorboard" / "answer")
    if skipped:
        yield f"note: {skipped} histograms left out: their values are not finite"


def folder_name(name: str) -> str:
    """Return the name of a folder for what is compared, shortened where it is too long for one."""
    digest = sha256(name.encode()).hexdigest()[:16]
    return name if len(name) <= MOST_LETTERS else f"{name[:MOST_LETTERS]}-{digest}"


class Log:
    """What TensorBoard shows of one run, collected in memory.

    `settings` are its hyperparameters, numbers and texts; those that are not finite are left out,
    and without any the run is not listed beside the others.
    What TensorBoard lists of a run is each curve's last value. It finds out by itself which
    settings differ among the runs that it is given, and shows these and the first five curves by
    name.
    """

    def __init__(self, settings: Mapping[str, Any] | None, has_failed: bool = False) -> None:
        self.skipped = self.last_epoch = 0
        self.margins: dict[str, list[str]] = {}  # by curve: the tags of its interval's ends
        self.buffer = io.BytesIO()
        self.records = RecordWriter(self.buffer)
        self.started = time.time()
        self._add(file_version="brain.Event:2")
        self._add(session_log=SessionLog(status=SessionLog.START))  # no earlier file counts
        if settings is None:
            return
        known = {k: v for k, v in settings.items() if isinstance(v, str | int) or np.isfinite(v)}
        status = hparams.STATUS_FAILURE if has_failed else hparams.STATUS_SUCCESS
        end = HParamsPluginData(session_end_info=SessionEndInfo(status=status))
        of_end = {"metadata": sessions.create_summary_metadata(end), "tensor": sessions.NULL_TENSOR}
        self._add(summary=hparams_pb(known, trial_id="", start_time_secs=self.started))
        self._add_value(0, tag=sessions.SESSION_END_INFO_TAG, **of_end)

    def _add(self, **content: Any) -> None:
        self.records.write(Event(wall_time=self.started, **content).SerializeToString())

    def _add_value(self, epoch: int, **value: Any) -> None:
        self.last_epoch = max(self.last_epoch, epoch)
        self._add(step=epoch, summary=Summary(value=[Summary.Value(**value)]))

    def add_curve(self, tag: str, points: Iterable[Point]) -> None:
        """Add a curve, and one for each end of its intervals where there are any."""
        ends = [f"interval/{tag}/{end}" for end in ("lower", "upper")]
        for epoch, value, interval in points:
            self._add_value(epoch, tag=tag, simple_value=float(value))
            if interval:
                self.margins[tag] = ends
                for end, bound in zip(ends, interval, strict=True):
                    self._add_value(epoch, tag=end, simple_value=float(bound))

    def add_histogram(self, tag: str, counts: Array, edges: Array, epoch: int) -> None:
        """Add how many values lie in each bin between neighbours of `edges`, `(bins + 1,)`."""
        (filled,) = np.nonzero(counts)
        low, high = edges[filled[0]], edges[filled[-1] + 1]
        bars = slice(filled[0], filled[-1] + 1)
        ends = {"min": low, "max": high, "num": counts.sum()}
        histogram = HistogramProto(**ends, bucket_limit=edges[1:][bars], bucket=counts[bars])
        self._add_value(epoch, tag=tag, histo=histogram)

    def add_once(self, text: str, pictures: Sequence[Picture]) -> None:
        """Add a text in Markdown, pictures, and a chart for each curve that has intervals."""
        epoch = self.last_epoch
        self._add(step=epoch, summary=text_pb("answer", text))
        for picture in pictures:
            size = {"width": picture.width, "height": picture.height, "colorspace": 3}
            image = Summary.Image(encoded_image_string=picture.files["png"], **size)
            self._add_value(epoch, tag=picture.name, image=image)
        charts = []
        for tag, (lower, upper) in self.margins.items():
            series = layout.MarginChartContent.Series(value=tag, lower=lower, upper=upper)
            content = layout.MarginChartContent(series=[series])
            charts.append(layout.Chart(title=tag, margin=content))
        if charts:
            category = layout.Category(title="means and their intervals", chart=charts)
            shown = make_tensor_proto(layout.Layout(category=[category]).SerializeToString())
            kind = layouts.create_summary_metadata()
            self._add_value(0, tag=layouts.CONFIG_SUMMARY_TAG, metadata=kind, tensor=shown)

    def write(self, folder: Path, name: str = "regbench") -> None:
        """Write the log into a folder, which is made where it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"events.out.tfevents.{name}"  # TensorBoard looks for `tfevents`
        write_whole(path, [self.buffer.getbuffer()])
