"""What people look at, derived from finished results: tables, figures, TensorBoard, JSON."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from regbench.report.base import Report, Sink
    from regbench.settings.output import Output
    from regbench.settings.study import BaseStudy


def report_of(study: BaseStudy) -> Report:
    """Return the module that shows what a study gave."""
    return cast("Report", importlib.import_module(f"regbench.report.{study.experiment}"))


def sinks_of(output: Output) -> list[Sink]:
    """Return the outputs besides the terminal that were asked for. Heavy ones are imported here."""
    from regbench.report.csv import Csv
    from regbench.report.json import Json

    sinks: list[Sink] = []
    if output.plots:
        from regbench.report.figures import Figures

        sinks.append(Figures())
    if output.tensorboard:
        from regbench.report.tensorboard import TensorBoard

        sinks.append(TensorBoard())
    return [*sinks, Csv(), Json(is_printed=output.json_)]
