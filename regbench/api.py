"""Experiments from Python: run a study, or load a run that is stored.

The command line does the same with texts. Knows nothing about which experiments there are.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from regbench.commands import open_archive, read_back, record, resumable
from regbench.errors import UsageError
from regbench.experiments import command_of, experiment_of, stored_command
from regbench.regularizers import REGULARIZERS
from regbench.report import report_of
from regbench.settings.command import Request
from regbench.settings.machine import Machine
from regbench.settings.output import Output
from regbench.settings.question import Question
from regbench.settings.study import BaseStudy
from regbench.storage.run_folder import create_run, open_run

if TYPE_CHECKING:
    from pathlib import Path


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
        folder: A new or empty one in which to store the run, with the files of a command; None
            stores nothing.
        progress: Whether to show on stderr how far it is.

    Raises:
        UsageError: A value is wrong, the machine lacks what was asked for, the work is out of all
            proportion, or the folder is in use or cannot be written to.
        RunError: The machine ran out of memory, or a file cannot be read or written.
    """
    from regbench.report.terminal.screen import Screen

    question, machine = question or Question(), machine or Machine()
    for value, kind in ((study, BaseStudy), (question, Question), (machine, Machine)):
        if not isinstance(value, kind):
            raise UsageError("run", value, f"a {kind.__name__.removeprefix('Base')}")
    study.check_question(question)
    if folder is not None:  # else it could not be read back
        known = REGULARIZERS.values()
        for kind in {type(part) for arm in getattr(study, "arms", ()) for part in arm.parts}:
            if kind not in known:
                raise UsageError(
                    "run", kind.__name__, problem="which regbench.register has not seen"
                )
    experiment = experiment_of(study)
    planned = experiment.plan(study, question, machine)
    if planned.environment.shard:
        hint = "use the command line, or give machine=Machine(scheduler=...)"
        raise UsageError("shard", machine.shard, problem="but it gives no result", hint=hint)
    screen = Screen(Output(json=True, quiet=not progress))
    if folder is None:
        return experiment.run(planned, observer=screen)
    request = Request(command_of(study), study, question, machine, Output(out=str(folder)))
    try:
        made = create_run(request, planned.environment, planned.provenance, sys.argv)
    except UsageError as error:
        raise error.named({"--out": "folder"}) from None
    with resumable(made):
        result = experiment.run(planned, open_archive(made), screen)
        view = report_of(study).view(made, result, is_complete=True)
        record(made, view, result.environment.duration_seconds, screen)
    return result


def load(folder: str | Path) -> Any:
    """Return the result of a run that is stored.

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
        problem, hint = f"which has {done} of {total} blocks", "regbench resume finishes it"
        raise UsageError("load", str(folder), problem=problem, hint=hint)
    return result
