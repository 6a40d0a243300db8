"""What the subcommands do: open a run, complete it, show it. No parsing and no arithmetic."""

from __future__ import annotations

import dataclasses
import datetime
import errno
import os
import sys
import time
import traceback
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from regbench.experiments import experiment_of, stored_command
from regbench.process.signals import stopping
from regbench.regularizers import REGULARIZERS
from regbench.regularizers.plugins import require
from regbench.report import VIEWS, report_of, sink, sinks_of, text_of
from regbench.settings.output import FORMATS
from regbench.storage import run_folder
from regbench.storage.files import SUFFIX, Store, find_paths, remove, unfinished, write_text
from regbench.storage.key import user_key
from regbench.storage.run_list import (
    find_runs,
    find_unfinished,
    is_prunable,
    remove_abandoned,
    summarize_run,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regbench.experiments import Observer, Plan
    from regbench.report.base import View
    from regbench.report.terminal.screen import Screen
    from regbench.settings.command import Request
    from regbench.settings.machine import Environment, Machine
    from regbench.settings.output import Output
    from regbench.storage.blocks import Archive
    from regbench.storage.run_folder import Run


is_debugging = False
"""Whether the traceback of an error that nobody expected is shown where it is survived."""


def run_experiment(request: Request) -> int:
    """Compute, show and record what was asked; returns the exit code."""
    require_exports(request, request.machine.shard)
    planned = plan(request, request.machine)
    run = run_folder.create_run(request, planned.environment, planned.provenance, sys.argv)
    return complete(run, planned)


def plan(request: Request, machine: Machine, began: Environment | None = None) -> Plan:
    """Return the plan of a request on a machine; `began` is where a run began that goes on."""
    try:
        return experiment_of(request.study).plan(request.study, request.question, machine, began)
    except UsageError as error:
        origins = {} if began else request.origins  # of a run that goes on, the machine is recorded
        raise error.named(origins) from None


def resume_run(
    name: str, options: Mapping[str, Any], is_mixed_allowed: bool, scheduler: str | None = None
) -> int:
    """Finish a run that was cut off, with fields of `Output` to set; returns the exit code."""
    with run_folder.in_use(Path(os.path.expanduser(name))):  # noqa: PTH111
        run = run_folder.open_run(name, stored_command, options)
        if run.request.study.plugins:
            require(run.request.study.plugins, name, run_folder.resume_line(run))
            run = run_folder.open_run(name, stored_command, options)  # now with the classes
        machine, began = run.request.machine, run.environment
        require_exports(run.request, began.shard)
        machine = machine.replaced(scheduler=scheduler, allow_mixed=is_mixed_allowed)
        run = dataclasses.replace(run, request=dataclasses.replace(run.request, machine=machine))
        if run.done is not None:
            _, done, total = read_back(run)
            if done == total:
                print(f"regbench: {visible(name)} is complete: nothing to train", file=sys.stderr)
                return report_run(name, options, is_rewriting=False)
        if began.engine and not is_mixed_allowed:
            machine = machine.replaced(engine=began.engine, device=began.device)
        planned = plan(run.request, machine, began)
        return complete(run_folder.admit(run, planned.provenance, is_mixed_allowed), planned)


def report_run(name: str, options: Mapping[str, Any], is_rewriting: bool) -> int:
    """Show a run, finished or not, from its blocks; returns the exit code: 1 where it is not.

    Files of a finished one that are missing or were changed are made again, or all are.
    """
    from regbench.report.terminal.screen import Screen

    with run_folder.in_use(Path(os.path.expanduser(name))):  # noqa: PTH111
        run = run_folder.open_run(name, stored_command, options)
        request, began = run.request, run.environment
        require_exports(request, began.shard)
        result, done, total = read_back(run)
        report, screen, notes = report_of(request.study), Screen(request.output), list[str]()
        view = report.view(run, result, is_complete=done == total and not began.shard)
        if began.shard and run.done is not None and done == total:
            return show_shard(run, screen)
        if result is not None:
            screen.begin(report.header(request, result.study, began.engine or "", began.device))
            screen.show(view)
            if done == total:
                notes = write_again(run, view, screen, is_rewriting)
        export(run, view)
        screen.close(view, notes, is_new=False)
    if run.done is not None and done == total:
        return view.exit_code
    what = f"{done} of {total} blocks" if done < total else "all blocks, but its files are not"
    hint = f"finish it with: {run_folder.resume_line(run)}"
    name = f"shard {began.shard}" if began.shard else "run"
    print(f"regbench: this {name} is not complete: it has {what}; {hint}", file=sys.stderr)
    return 1


def write_again(run: Run, view: View, screen: Screen, is_rewriting: bool) -> list[str]:
    """Write a run's files again, if asked to or if they differ; returns what there is to say."""
    changed = run_folder.changed_views(run)
    if not (changed or is_rewriting):
        return []
    lost = f"note: missing or changed: {', '.join(changed[:3])}{' ...' if changed[3:] else ''}"
    try:
        notes = write(run, view, screen)
        if run.done is not None:
            run_folder.mark_done(run.folder, run.done)
    except RunError as error:
        if is_rewriting:
            raise
        return [f"{lost}; {error}"]
    return [*notes, f"{lost}; all files were made again"] if changed else notes


def complete(run: Run, planned: Plan) -> int:
    """Compute what is missing of a run, show it and write its files; returns the exit code."""
    from regbench.report.terminal.screen import Screen

    with resumable(run):
        output, report = run.request.output, report_of(planned.study)
        others = run_folder.other_blocks(run.folder) if output.cache else ()
        screen, archive = Screen(output), open_archive(run, others)
        device = planned.device + planned.reason
        screen.begin(report.header(run.request, planned.study, planned.engine, device))
        screen.estimate(planned.work, planned.seconds)
        started = time.perf_counter()
        result = experiment_of(planned.study).run(planned, archive, screen)
        for source, count in run.manifest.get("sources", {}).items():
            total = len(find_paths(run.blocks, f"*{SUFFIX}", 0))
            screen.warn(f"{count} of {total} blocks are those of {visible(source, 200)[1:-1]}")
        if result is None:
            duration = round(time.perf_counter() - started, 3)
            run_folder.mark_done(run.folder, {"duration_seconds": duration, "verdicts": {}})
            return show_shard(run, screen)
        return show_new(run, result, screen)


def show_new(run: Run, result: Any, screen: Screen) -> int:
    """Show a result and write its run's files; returns the exit code."""
    view = report_of(run.request.study).view(run, result, is_complete=True)
    screen.show(view)
    notes = record(run, view, result.environment.duration_seconds, screen)
    export(run, view)
    screen.close(view, notes, is_new=True)
    return view.exit_code


def show_shard(run: Run, screen: Screen) -> int:
    """Say of a shard that is done how it becomes a part of a run; returns the exit code."""
    view = report_of(run.request.study).view(run, None, is_complete=False)
    view.sentences = [
        f"Shard {run.environment.shard} is done. When all are: regbench merge "
        f"{shown_folder(run)} ... --out DIR"
    ]
    screen.show(view)
    screen.close(view, [], is_new=False)
    return view.exit_code


def require_exports(request: Request, shard: str | None = None) -> None:
    """Raise `UsageError` where a file of `--export` cannot be written, or a shard has none."""
    for name in request.output.export:
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


def export(run: Run, view: View) -> None:
    """Write the files that `--export` names; where one is a link, what it leads to."""
    for name in run.request.output.export:
        write_text(Path(os.path.realpath(name)), text_of(view, FORMATS[Path(name).suffix]))


def record(run: Run, view: View, duration: float, screen: Observer) -> list[str]:
    """Write the files of a run and mark it as done; returns what there is to say about them."""
    notes = write(run, view, screen)
    facts = {"verdicts": view.verdicts, "effects": view.effects}
    run_folder.mark_done(run.folder, {"duration_seconds": duration, **facts})
    return notes


def write(run: Run, view: View, screen: Observer) -> list[str]:
    """Write the files of a run; returns what there is to say about them."""
    output, pictures, notes = run.request.output, list[Any](), list[str]()
    names, drawn = sinks_of(output), view.pictures if output.plots else ()
    needed = {"figures": output.figure_format, "tensorboard": "png", "html": "html"}
    wanted = {needed[name] for name in names if name in needed}
    hint = f"make them again with: regbench report --files {shown_folder(run)}"
    with screen.stage("pictures and logs", len(drawn)) as advance:
        for name in drawn:
            with survived(f"picture of {name}", hint, notes):
                from regbench.report.figures import draw

                formats = wanted - {"html"} if name in view.moved else wanted
                pictures.append(draw(name, view.subject, formats))
            advance(1)
        for name in names:
            with survived(name, hint, notes) if name in VIEWS else nullcontext():
                notes += sink(name).write(view, pictures)
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


def read_back(
    run: Run, named: Sequence[Path] = (), is_writable: bool = False
) -> tuple[Any, int, int]:
    """Return the result of the blocks that are there or None, their number, and of how many.

    They may be in folders that the user has named, too, and are copied where the run is writable.
    """
    request, archive = run.request, open_archive(run, named, is_writable, is_trusting=True)
    experiment = experiment_of(request.study)
    return experiment.read_back(request.study, request.question, run.environment, archive)


def open_archive(
    run: Run, others: Sequence[Path] = (), is_writable: bool = True, is_trusting: bool = False
) -> Archive:
    """Open a run's blocks, and those in other folders that this user has signed, or trusts."""
    from regbench.storage.blocks import Archive

    note, take = partial(print, "regbench:", file=sys.stderr), partial(run_folder.add_source, run)
    key = user_key() if is_writable else b""
    store = Store(run.blocks, others, is_writable, note, key, is_trusting, take)
    return Archive(store, run.manifest["provenances"], partial(run_folder.add_provenance, run))


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


def shown_folder(run: Run) -> str:
    """Return a run's folder as a word of a command."""
    return shell_word(run.folder)


def verify_cases(request: Request, names: list[str], output: Output) -> int:
    """Verify the cases of some names, or all; returns 1 where one fails or none was run."""
    from regbench.report.base import View
    from regbench.report.terminal import verification
    from regbench.report.terminal.screen import Screen
    from regbench.verify.cases import CASES
    from regbench.verify.conformance import conformance
    from regbench.verify.runner import select, verify

    plugins = [kind for kind in REGULARIZERS.values() if kind.origin]
    own = [case for kind in plugins for case in conformance(kind)]
    cases = select([*CASES, *own], names) if names or not own else own
    screen = Screen(output)
    with (
        stopping("interrupted; nothing was verified"),
        screen.stage("verifying", len(cases)) as advance,
    ):
        try:
            verified = verify(cases, request.machine, advance, screen.warn)
        except UsageError as error:
            raise error.named(request.origins) from None
    if output.form == "table":
        verification.print_verification(screen.details, verified)
        verification.print_closing(screen.closing, verified)
    document = partial(verification.verification_document, verified, request.machine, names)
    view = View(document, tables=[verification.rows_table(verified)])
    screen.close(view, (), is_new=False)
    return 0 if verified.holds else 1


def show_run(name: str, options: Mapping[str, Any]) -> int:
    """Show how a run was made, and what is there of it; returns the exit code."""
    from regbench.report import run_page
    from regbench.report.terminal.screen import Screen

    run = run_folder.open_run(name, stored_command, options)
    _, done, total = read_back(run)
    Screen(run.request.output).show_page(run_page.view(run, done, total))
    return 0


def show_information(output: Output) -> int:
    """Say what is installed, on what, and which regularizers there are; returns the exit code."""
    from regbench.experiments.installation import describe_installation
    from regbench.report import information
    from regbench.report.terminal.screen import Screen

    Screen(output).show_page(information.view(describe_installation()))
    return 0


def list_runs(root: str | None, output: Output, is_pruning: bool, is_sure: bool) -> int:
    """List the runs below a folder, or remove the abandoned ones; returns the exit code."""
    from regbench.report.format import count
    from regbench.report.run_list import MOST_ARMS, runs_view
    from regbench.report.terminal.screen import Screen

    if root is not None and not os.path.isdir(root):  # noqa: PTH112 - no name is too long for it
        raise UsageError("--root", root, "a folder that is there")
    folder = run_folder.ROOT if root is None else Path(root)
    now = datetime.datetime.now(datetime.UTC)
    screen = Screen(output)
    found = [summarize_run(folder, stored_command) for folder in find_runs(folder)]
    unfinished = find_unfinished(folder, now) if is_pruning else []
    if is_pruning:
        found = [r for r in found if is_prunable(r, now) and not run_folder.is_in_use(r.folder)]
    most = MOST_ARMS if output.form == "table" else max((len(run.arms) for run in found), default=0)
    screen.show_page(runs_view(found, now, most))
    if not found and output.form == "table" and not unfinished:
        what = "abandoned runs: not done, and untouched for an hour" if is_pruning else "runs"
        screen.errors.print(f"no {what}, below {visible(folder)}", soft_wrap=True)
    if not (is_pruning and (found or unfinished)):
        return 0
    parts = f" and {count(len(unfinished), 'unfinished file')} of killed processes"
    also = parts if unfinished else ""
    if not is_sure and sys.stdin.isatty():
        question = f"remove {count(len(found), 'run')} with all their blocks{also}? [y/N] "
        print(question, end="", file=sys.stderr, flush=True)
        is_sure = sys.stdin.readline().strip().lower() in {"y", "yes"}
    if not is_sure:
        what = f"{count(len(found), 'run')}{also}"
        screen.errors.print(f"nothing was removed; --yes removes {what}", soft_wrap=True)
        return 0
    removed = sum(remove_abandoned(run.folder, stored_command, now) for run in found)
    for path in unfinished:
        remove(path)
    screen.errors.print(f"removed {count(removed, 'run')}{also}", soft_wrap=True)
    return 0
