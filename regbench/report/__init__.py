"""What people look at, derived from finished results: tables, figures, TensorBoard, JSON."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from regbench.report.base import Report, Sink, View
    from regbench.settings.output import Output
    from regbench.settings.study import BaseStudy


def report_of(study: BaseStudy) -> Report:
    """Return the module that shows what a study gave."""
    return cast("Report", importlib.import_module(f"regbench.report.{study.experiment}"))


VIEWS = ("figures", "tensorboard", "html")
"""The outputs that can be left out, and made again from a run's blocks."""


def sinks_of(output: Output) -> list[str]:
    """Return the names of the outputs into files that were asked for."""
    wanted = {"figures": output.plots, "tensorboard": output.tensorboard, "html": output.report}
    return ["json", "csv", *(name for name in VIEWS if wanted[name])]


def text_of(view: View, form: str) -> str:
    """Return a view as one text in a form of `settings.output.FORMATS`."""
    return cast("str", importlib.import_module(f"regbench.report.{form}").text_of(view))


def sink(name: str) -> Sink:
    """Return the module that writes an output; it is imported here."""
    return cast("Sink", importlib.import_module(f"regbench.report.{name}"))
