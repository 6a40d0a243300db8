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
    """Return the outputs into files that were asked for; they are imported here."""
    wanted = {
        "figures": output.plots,
        "tensorboard": output.tensorboard,
        "csv": True,
        "json": True,
    }
    names = [name for name, is_wanted in wanted.items() if is_wanted]
    return [cast("Sink", importlib.import_module(f"regbench.report.{name}")) for name in names]
