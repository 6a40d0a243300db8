"""What people look at, derived from finished results: tables, figures, TensorBoard, JSON.

What draws, and what else is slow to import, is imported where it is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from regbench.errors import in_python
from regbench.experiments import command_of
from regbench.settings.command import Request
from regbench.settings.groups import Question, Scores
from regbench.settings.over import Over
from regbench.settings.study import DropoutScale
from regbench.storage.files import remove
from regbench.storage.run_folder import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regbench.report.base import View
    from regbench.report.figures import Picture
    from regbench.settings.groups import Output

VIEWS = ("figures", "tensorboard", "html")
"""The outputs that can be left out, and made again from a run's blocks."""


def header_of(request: Request, study: Any, engine: str, device: str) -> list[str]:
    """Return what is about to run, a paragraph each."""
    from regbench.report import dropout_scale, over, training

    if isinstance(study, DropoutScale):
        return dropout_scale.header(request, study)
    if isinstance(study, Over):
        return over.header(request, study, engine, device)
    return training.header(request, study, engine, device)


def view_of(run: Run, result: Any, is_whole: bool) -> View:
    """Return the view of a result, of all blocks if it is whole.

    Where there is none, as of a shard, it has a document only.
    """
    from regbench.report import dropout_scale, over, scores, training

    study = run.request.study
    if isinstance(study, Scores):
        return scores.view(run, result)
    if result is None:
        return training.view_without_result(run, is_whole)
    if isinstance(study, DropoutScale):
        return dropout_scale.view(run, result)
    if isinstance(study, Over):
        return over.view(run, result, is_whole)
    return training.view(run, result, is_whole)


def notebook(result: Any) -> str:
    """Return the answer and its tables as HTML for a notebook, of light or dark ground."""
    from regbench.report.html import render

    study = result.study
    request = Request(command_of(study), study, question=getattr(result, "question", Question()))
    view = view_of(Run(Path(), request, {}), result, is_whole=True)
    view.sentences, view.cautions, view.warnings = (
        [*map(in_python, lines)] for lines in (view.sentences, view.cautions, view.warnings)
    )
    return render("notebook.html", view=view)


def outputs_of(output: Output) -> list[str]:
    """Return the names of the outputs into files that were asked for."""
    wanted = {"figures": output.plots, "tensorboard": output.tensorboard, "html": output.report}
    return ["json", "csv", *(name for name in VIEWS if wanted[name])]


def write_output(name: str, view: View, pictures: Sequence[Picture]) -> Iterable[str]:
    """Write an output's files into the run's folder; returns what there is to say about them."""
    from regbench.report import csv, html, json

    if name == "figures":
        from regbench.report import figures

        return figures.write(view, pictures)
    if name == "tensorboard":
        from regbench.report import so_far, tensorboard

        remove(so_far.folder_of(view.folder))
        return tensorboard.write(view, pictures)
    return {"json": json.write, "csv": csv.write, "html": html.write}[name](view, pictures)


def text_of(view: View, form: str) -> str:
    """Return a view as one text in a form of `settings.groups.FORMATS`."""
    from regbench.report import csv, html, json, markdown

    forms = {"json": json.text_of, "csv": csv.text_of, "html": html.text_of}
    return {**forms, "markdown": markdown.text_of}[form](view)
