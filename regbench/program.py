"""The program: the one life of a run, whichever command or Python call it is for.

`carry_out` is all of it. Who calls it has opened the run and planned what is left of it.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from regbench.errors import (
    OUT_OF_MEMORY,
    RegbenchError,
    RunError,
    UsageError,
    cannot_write,
    shell_word,
    unexpected,
    visible,
)
from regbench.experiments import Plan, stored_command
from regbench.process import stopping
from regbench.report import VIEWS, header_of, outputs_of, text_of, view_of, write_output
from regbench.settings.groups import FORMATS
from regbench.storage import run_folder
from regbench.storage.files import SUFFIX, Store, find_paths, unfinished, user_key, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regbench.experiments import Observer
    from regbench.experiments.training import Completed
    from regbench.report.base import View, Viewer
    from regbench.settings.command import Request
    from regbench.settings.groups import Environment, Machine, Output
    from regbench.storage.blocks import Archive
    from regbench.storage.run_folder import Run

is_debugging = False
"""Whether to show the traceback of an unexpected error that the run survives."""


class Ended(NamedTuple):
    """What became of a run: its result, how many blocks are there and of how many, its code."""

    result: Any
    done: int
    total: int
    exit_code: int


def carry_out(
    run: Run, plan: Plan, viewer: Viewer, named: Sequence[Path] = (), is_rewriting: bool = False
) -> Ended:
    """Complete a run by its plan, show the result, and write the run's files.

    A plan with an executor trains what is missing. Without one, blocks are only read: those of the
    run, or those in the folders `named` too, which are copied into it. A run that is read alone
    keeps its files, but for those that are missing or were changed, or all where `is_rewriting`.
    """
    from regbench.experiments.training import complete

    is_new = bool(plan.executor or named)
    observer = follow(run, viewer) if plan.executor else viewer
    if plan.executor:
        viewer.begin(header_of(run.request, plan.study, plan.engine, plan.device + plan.reason))
        viewer.estimate(plan.work, plan.seconds)
    result, done, total, seconds = complete(plan, open_archive(run, plan, named, is_new), observer)
    if plan.executor:
        warn_of_sources(run, viewer)
    elif result is not None:
        viewer.begin(header_of(run.request, result.study, plan.engine, plan.device))
    view = view_of(run, result, is_whole=done == total)
    viewer.show(view)
    if is_new:
        notes = record(run, view, seconds, viewer)
    else:
        notes = write_again(run, view, viewer, is_rewriting) if done == total else []
    export(run.request.output, view)
    viewer.close(view, notes, is_new=is_new and result is not None)
    return Ended(result, done, total, view.exit_code)


def follow(run: Run, viewer: Viewer) -> Observer:
    """Return who hears of a run that trains: the viewer, and TensorBoard where it was asked for."""
    from regbench.report.so_far import SoFar

    return SoFar(viewer, run.folder) if run.request.output.tensorboard else viewer


def measure_scale(request: Request, viewer: Viewer, command: list[str]) -> Ended:
    """Measure a dropout layer, show the result, and write its files: it has no blocks."""
    from regbench.verify.dropout_scale import measure, plan

    planned = plan(request.study)
    run = run_folder.create_run(request, planned.environment, [planned.provenance], command)
    with run_folder.in_use(run.folder):
        viewer.begin(header_of(request, request.study, "", ""))
        viewer.estimate(planned.work, planned.seconds)
        result = measure(planned, viewer)
        view = view_of(run, result, is_whole=True)
        viewer.show(view)
        notes = record(run, view, result.environment.duration_seconds or 0.0, viewer)
        run.blocks.rmdir()
        export(run.request.output, view)
        viewer.close(view, notes, is_new=True)
    return Ended(result, 0, 0, view.exit_code)


def plan(request: Request, machine: Machine, began: Environment | None = None) -> Plan:
    """Return the plan of a request on a machine; `began` is where a run began that goes on."""
    from regbench.experiments import training

    return training.plan(request.study, request.question, machine, began)


def go_on(run: Run, machine: Machine) -> tuple[Run, Plan]:
    """Plan what is left of a run on today's machine; raises `UsageError` where that is another."""
    began = run.environment
    if began.engine and not machine.allow_mixed:
        machine = machine.replaced(engine=began.engine, device=began.device)
    planned = plan(run.request, machine, began)
    return run_folder.admit(run, planned.provenance, machine.allow_mixed), planned


def open_run(name: str | Path, options: Mapping[str, Any] = MappingProxyType({})) -> Run:
    """Open a run to read or finish it; see `run_folder.open_run`."""
    run = run_folder.open_run(str(name), stored_command, options)
    if not run.request.study.has_blocks:
        hint = f"measure again with: {run.request.command_line}"
        raise UsageError("RUN", name, problem="which has no blocks to read or finish", hint=hint)
    return run


def reading(run: Run) -> Plan:
    """Return the plan by which a run is only read."""
    began = run.environment
    request, where = run.request, (began.engine or "", began.device)
    return Plan(request.study, request.question, began, *where)


def read_back(run: Run, named: Sequence[Path] = ()) -> Completed:
    """Return the result of the blocks that are there, in folders that the user has named too."""
    from regbench.experiments.training import complete

    plan = reading(run)
    return complete(plan, open_archive(run, plan, named, is_writable=False))


def warn_of_sources(run: Run, viewer: Viewer) -> None:
    """Say how many blocks are those of which other runs."""
    total = len(find_paths(run.blocks, f"*{SUFFIX}", 0))
    for source, count in run.manifest.get("sources", {}).items():
        viewer.warn(f"{count} of {total} blocks are those of {visible(source, 200)[1:-1]}")


def open_archive(run: Run, plan: Plan, named: Sequence[Path], is_writable: bool) -> Archive:
    """Open a run's blocks and those in other folders, which are copied where it is writable.

    To train, that is those of its neighbours that this user has signed; to read, those in folders
    that the user has named, whoever has signed them.
    """
    from regbench.storage.blocks import Archive

    is_cached = plan.executor and run.request.output.cache
    others = run_folder.other_blocks(run.folder) if is_cached else named
    note, take = partial(print, "regbench:", file=sys.stderr), partial(run_folder.add_source, run)
    key, is_trusting = user_key() if is_writable else b"", plan.executor is None
    store = Store(run.blocks, others, is_writable, note, key, is_trusting, take)
    return Archive(store, run.manifest["provenances"], partial(run_folder.add_provenance, run))


def write_again(run: Run, view: View, viewer: Viewer, is_rewriting: bool) -> list[str]:
    """Write a run's files again, if asked to or if they differ; returns what there is to say."""
    changed = run_folder.changed_views(run)
    if view.subject is None or not (changed or is_rewriting):
        return []
    lost = f"note: missing or changed: {', '.join(changed[:3])}{' ...' if changed[3:] else ''}"
    try:
        notes = write(run, view, viewer)
        if run.done is not None:
            run_folder.mark_done(run.folder, run.done)
    except RunError as error:
        if is_rewriting:
            raise
        return [f"{lost}; {error}"]
    return [*notes, f"{lost}; all files were made again"] if changed else notes


def record(run: Run, view: View, duration: float, viewer: Viewer) -> list[str]:
    """Write the files of a run and mark it as done; returns what there is to say about them.

    A shard has no result to write files of.
    """
    notes = [] if view.subject is None else write(run, view, viewer)
    facts = {"verdicts": view.verdicts, "effects": view.effects}
    run_folder.mark_done(run.folder, {"duration_seconds": duration, **facts})
    return notes


def write(run: Run, view: View, viewer: Viewer) -> list[str]:
    """Write the files of a run; returns what there is to say about them."""
    output, pictures, notes = run.request.output, list[Any](), list[str]()
    names, drawn = outputs_of(output), view.pictures if output.plots else ()
    needed = {"figures": output.figure_format, "tensorboard": "png", "html": "html"}
    wanted = {needed[name] for name in names if name in needed}
    again = f"regbench report --files {shell_word(run.folder)}"
    again = again if run.request.study.has_blocks else run.request.command_line
    hint = f"make them again with: {again}"
    with viewer.stage("pictures and logs", len(drawn)) as advance:
        for name in drawn:
            with survived(f"picture of {name}", hint, notes):
                from regbench.report.figures import draw

                formats = wanted - {"html"} if name in view.moved else wanted
                pictures.append(draw(name, view.subject, formats))
            advance(1)
        for name in names:
            with survived(name, hint, notes) if name in VIEWS else nullcontext():
                notes += write_output(name, view, pictures)
    return notes


@contextmanager
def survived(what: str, hint: str, notes: list[str]) -> Iterator[None]:
    """Note that a view could not be made, whatever is wrong; the disk and the memory go on."""
    try:
        yield
    except (OSError, MemoryError, RegbenchError):
        raise
    except Exception as error:
        if is_debugging:
            traceback.print_exc()
        notes.append(f"note: no {what}: {unexpected(error)}; {hint}")


def require_exports(output: Output, shard: str | None = None) -> None:
    """Raise `UsageError` where a file of `--export` cannot be written, or a shard has none."""
    for name in output.export:
        if shard:
            hint = "give it to regbench merge"
            raise UsageError("export", problem="not of a shard, which has no result", hint=hint)
        path = Path(os.path.realpath(name))
        try:
            if odd := errno.EISDIR if path.is_dir() else errno.EBUSY * os.path.ismount(path):
                raise OSError(odd, os.strerror(odd))  # nothing can be renamed to it
            with unfinished(path) as probe:
                probe.touch()
        except OSError as error:
            raise UsageError("export", problem=cannot_write(error, name)) from None


def export(output: Output, view: View) -> None:
    """Write the files that `--export` names; where one is a link, what it leads to."""
    for name in output.export:
        write_text(Path(os.path.realpath(name)), text_of(view, FORMATS[Path(name).suffix]))


@contextmanager
def resumable(run: Run) -> Iterator[None]:
    """Say how to go on where the work within is interrupted or fails."""
    resume = f"go on with: {run_folder.resume_line(run)}"
    hint = f"finished blocks are kept; {resume}"
    try:
        with stopping(f"interrupted; {hint}"), run_folder.in_use(run.folder):
            yield
    except UsageError as error:  # a pilot asks for too much: resuming would not help
        raise RegbenchError(str(error.named(run.request.origins))) from error
    except RunError as error:
        raise RunError(f"{error}; {hint}") from error
    except (OSError, MemoryError) as error:
        problem = cannot_write(error) if isinstance(error, OSError) else OUT_OF_MEMORY
        raise RunError(f"{problem}; {hint}") from error
    except RegbenchError:
        raise
    except Exception as error:
        if plugins := run.request.study.plugins:  # its hooks are called by what it knows nothing of
            fault = f"if {plugins[0]['command']!r} is at fault, correct it and begin a new run"
            hint = f"{fault}; else {resume}"
        raise RunError(f"{unexpected(error)}; {hint}") from error
