"""Experiments from Python: run a study, or load a run that is stored.

The command line does the same with texts. Knows nothing about which experiments there are.
"""

from __future__ import annotations

import os
import random
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from regbench.commands import open_archive, read_back, record
from regbench.errors import UsageError, differences
from regbench.experiments import command_of, experiment_of, stored_command
from regbench.experiments.base import SILENT
from regbench.regularizers import REGULARIZERS
from regbench.report import report_of
from regbench.settings.command import Request
from regbench.settings.machine import Machine
from regbench.settings.output import Output
from regbench.settings.question import Question
from regbench.settings.study import BaseStudy
from regbench.storage.run_folder import MANIFEST, admit, create_run, in_use, open_run

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.experiments.dropout_scale import DropoutScale, ScaleResult
    from regbench.experiments.over import OverResult
    from regbench.settings.over import Over
    from regbench.settings.study import Study
    from regbench.storage.run_folder import Run


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
    experiment, screen = experiment_of(study), SILENT
    if progress:
        state = random.getstate()
        from regbench.report.terminal.screen import Screen  # whose library draws a number

        random.setstate(state)
        screen = Screen(Output(json=True))
    if folder is None:
        return experiment.run(experiment.plan(study, question, machine), observer=screen)
    for kind in {type(part) for arm in getattr(study, "arms", ()) for part in arm.parts}:
        if kind not in REGULARIZERS.values():  # it could not be read back
            raise UsageError("run", kind.__name__, problem="which regbench.register has not seen")
    folder = os.path.expanduser(folder)  # noqa: PTH111
    with in_use(Path(folder)):
        if stored := find_stored(str(folder), study, question):
            result, done, total = read_back(stored)
            if stored.done is not None and done == total:
                return result
            began = stored.environment
            if began.engine and not machine.allow_mixed:
                machine = machine.replaced(engine=began.engine, device=began.device)
            planned = experiment.plan(study, question, machine, began)
            made = admit(stored, planned.provenance, machine.allow_mixed)
        else:
            planned = experiment.plan(study, question, machine)
            output = Output(out=str(folder))
            request = Request(command_of(study), study, question, machine, output)
            words = shlex.split(request.command_line)
            try:
                made = create_run(request, planned.environment, planned.provenance, words)
            except UsageError as error:
                raise error.named({"--out": "folder"}) from None
    try:
        with in_use(made.folder):
            result = experiment.run(planned, open_archive(made), screen)
            view = report_of(study).view(made, result, is_complete=True)
            record(made, view, result.environment.duration_seconds, screen)
    except BaseException as error:
        same = f"regbench.run with the same study and folder={str(folder)!r}"
        error.add_note(f"finished blocks are kept; go on with: {same}")
        raise
    return result


def find_stored(folder: str, study: BaseStudy, question: Question) -> Run | None:
    """Return the run that a folder has of a study and question, or None where it has no run.

    Raises `UsageError` where the run is another one.
    """
    if not Path(folder, MANIFEST).exists():
        return None
    run = open_run(folder, stored_command)
    asked = run.request
    if (asked.study, asked.question) != (study, question) or run.environment.shard:
        one, other = (
            {**s.by_key(), **q.model_dump()}
            for s, q in ((asked.study, asked.question), (study, question))
        )
        apart = differences(one, other, "there", "here") or "a shard or a changed plug-in"
        problem = f"which holds another run: {apart}"
        raise UsageError("folder", folder, problem=problem, hint="name a new folder")
    return run


def load(folder: str | Path) -> Result | Any:
    """Return the result of a run that is stored: a `Result`, or what `run` returns of its study.

    Raises:
        UsageError: The folder is no run, or blocks of it are missing.
        RunError: A block cannot be read.
    """
    run = open_run(str(folder), stored_command)
    result, done, total = read_back(run)
    if result is None and done == total:
        problem = f"which is shard {run.environment.shard}"
        raise UsageError("load", str(folder), problem=problem, hint="regbench merge joins shards")
    if done < total:
        hint = "regbench.run with its study and this folder finishes it, or regbench resume"
        problem = f"which has {done} of {total} blocks"
        raise UsageError("load", str(folder), problem=problem, hint=hint)
    return result
