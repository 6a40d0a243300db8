"""Experiments from Python: run a study, or load a run that is stored.

The command line does the same with texts. Knows nothing about which experiments there are.
"""

from __future__ import annotations

import dataclasses
import os
import random
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from regbench.analysis.result import Shown
from regbench.errors import UsageError, differences
from regbench.experiments import command_of, stored_command
from regbench.program import carry_out, go_on, measure_scale, plan, read_back
from regbench.regularizers import REGULARIZERS
from regbench.report import notebook
from regbench.report.base import Viewer
from regbench.settings.command import Request
from regbench.settings.groups import Machine, Output, Question
from regbench.settings.study import BaseStudy, DropoutScale
from regbench.storage import run_folder
from regbench.storage.run_folder import MANIFEST, create_run, in_use

if TYPE_CHECKING:
    from regbench.analysis.result import OverResult, Result
    from regbench.report.figures import Figures
    from regbench.settings.over import Over
    from regbench.settings.study import Study
    from regbench.storage.run_folder import Run
    from regbench.verify.dropout_scale import ScaleResult


def figures_of(result: Shown) -> Figures:
    """Return the pictures of a result."""
    from regbench.report.figures import Figures

    return Figures(result)


def network_of(result: Result, seed: int | None, arm: str | None) -> Any:
    """Train a network of a result again."""
    from regbench.experiments.training import network

    return network(result, seed, arm)


Shown.make_figures, Shown.make_html = staticmethod(figures_of), staticmethod(notebook)
Shown.make_network = staticmethod(network_of)


# fmt: off
@overload
def run(study: Study, question: Question | None = ..., machine: Machine | None = ..., *,
        folder: str | Path | None = ..., progress: bool = ...) -> Result: ...
@overload
def run(study: Over, question: Question | None = ..., machine: Machine | None = ..., *,
        folder: str | Path | None = ..., progress: bool = ...) -> OverResult: ...
@overload
def run(study: DropoutScale, question: Question | None = ..., machine: Machine | None = ..., *,
        folder: str | Path | None = ..., progress: bool = ...) -> ScaleResult: ...
# fmt: on
def run(
    study: BaseStudy,
    question: Question | None = None,
    machine: Machine | None = None,
    *,
    folder: str | Path | None = None,
    progress: bool = False,
) -> Any:
    """Run a study and return its result: a `Result`, of an `Over` an `OverResult`, and so on.

    Args:
        study: What to compute.
        question: What is asked of it; with the defaults where not given.
        machine: Where to compute; chosen where not given.
        folder: Where to store the run, with the files of a command; None stores nothing. Where
            this run is there already, it is finished if it was cut off, and its result returned.
        progress: Whether to show on stderr how far it is.

    Raises:
        UsageError: A value is wrong, the machine lacks what was asked for, the work is out of all
            proportion, or the folder holds something else or cannot be written to.
        RunError: The machine ran out of memory, or a file cannot be read or written.
    """
    question, machine = question or Question(), machine or Machine()
    for value, kind in ((study, BaseStudy), (question, Question), (machine, Machine)):
        if not isinstance(value, kind):
            raise UsageError("run", value, f"a {kind.__name__.removeprefix('Base')}")
    study.check_question(question)
    if machine.shard:
        hint = "use the command line, or give machine=Machine(scheduler=...)"
        raise UsageError("shard", machine.shard, problem="but it gives no result", hint=hint)
    viewer = viewer_of(progress)
    if folder is None:
        return compute(study, question, machine, viewer)
    for kind in {type(part) for arm in getattr(study, "arms", ()) for part in arm.parts}:
        if kind not in REGULARIZERS.values():  # it could not be read back
            raise UsageError("run", kind.__name__, problem="which regbench.register has not seen")
    folder = Path(os.path.expanduser(folder))  # noqa: PTH111
    request = Request(
        command_of(study),
        study,
        question=question,
        machine=machine,
        output=Output(out=str(folder)),
    )
    words = shlex.split(request.command_line)
    with in_use(folder):
        stored = find_stored(folder, study, question)
        if stored and not study.has_blocks:  # it takes a second, and gives the same numbers
            return compute(study, question, machine, viewer)
        if stored and stored.done is not None:
            result, done, total, _ = read_back(stored)
            if done == total:
                return result
        if stored:
            run, planned = go_on(stored, machine)
        else:
            try:
                if not study.has_blocks:
                    return measure_scale(request, viewer, words).result
                planned = plan(request, machine)
                run = create_run(request, planned.environment, [planned.provenance], words)
            except UsageError as error:
                raise error.named({"--out": "folder"}) from None
    try:
        with in_use(run.folder):
            return carry_out(run, planned, viewer).result
    except BaseException as error:
        same = f"regbench.run with the same study and folder={str(folder)!r}"
        error.add_note(f"finished blocks are kept; go on with: {same}")
        raise


def viewer_of(progress: bool) -> Viewer:
    """Return who shows on stderr how far a call from Python is, or nothing."""
    if not progress:
        return Viewer()
    state = random.getstate()
    from regbench.report.terminal.screen import Progress  # whose library draws a number

    random.setstate(state)
    return Progress(Output(json=True))


def compute(study: Any, question: Question, machine: Machine, viewer: Viewer) -> Any:
    """Return the result of a study, of which nothing is stored."""
    if isinstance(study, DropoutScale):
        from regbench.verify import dropout_scale

        return dropout_scale.measure(dropout_scale.plan(study), viewer)
    from regbench.experiments import training

    return training.complete(training.plan(study, question, machine), observer=viewer).result


def find_stored(folder: Path, study: BaseStudy, question: Question) -> Run | None:
    """Return the run that a folder has of a study and question, or None where it has no run.

    Raises `UsageError` where the run is another one.
    """
    if not (folder / MANIFEST).exists():
        return None
    run = run_folder.open_run(str(folder), stored_command)
    asked = run.request
    if (asked.study, asked.question) != (study, question) or run.environment.shard:
        one, other = (
            {**s.by_key(), **q.model_dump()}
            for s, q in ((asked.study, asked.question), (study, question))
        )
        apart = differences(one, other, "there", "here") or "a shard or a changed plug-in"
        problem = f"which holds another run: {apart}"
        raise UsageError("folder", folder, problem=problem, hint="name a new folder")
    return dataclasses.replace(run, request=dataclasses.replace(asked, study=study))


def load(folder: str | Path) -> Result | Any:
    """Return the result of a run that is stored: a `Result`, or what `run` returns of its study.

    Raises:
        UsageError: The folder is no run, or blocks of it are missing.
        RunError: A block cannot be read.
    """
    run = run_folder.open_run(str(folder), stored_command)
    if not run.request.study.has_blocks:
        hint = "regbench.run measures a DropoutScale again, in a second"
        raise UsageError("load", str(folder), problem="which has no blocks", hint=hint)
    result, done, total, _ = read_back(run)
    if result is None and done == total:
        problem = f"which is shard {run.environment.shard}"
        raise UsageError("load", str(folder), problem=problem, hint="regbench merge joins shards")
    if done < total:
        hint = "regbench.run with its study and this folder finishes it, or regbench resume"
        problem = f"which has {done} of {total} blocks"
        raise UsageError("load", str(folder), problem=problem, hint=hint)
    return result
