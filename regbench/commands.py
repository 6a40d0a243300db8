"""What the subcommands do: open a run, plan it, carry it out. No parsing and no arithmetic."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import os
import sys
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from regbench.errors import UsageError, option_of, shell_word, visible
from regbench.experiments import read, stored_command
from regbench.process import stopping
from regbench.program import (
    carry_out,
    export,
    go_on,
    measure_scale,
    open_run,
    plan,
    read_back,
    reading,
    require_exports,
    resumable,
    write,
)
from regbench.regularizers import REGULARIZERS
from regbench.regularizers.plugins import require
from regbench.report import view_of
from regbench.storage import run_folder
from regbench.storage.files import remove
from regbench.storage.run_list import (
    find_runs,
    find_unfinished,
    is_prunable,
    remove_abandoned,
    summarize_run,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regbench.settings.command import Request
    from regbench.settings.groups import Output
    from regbench.storage.run_folder import Run


def run_experiment(request: Request) -> int:
    """Compute, show and record what was asked; returns the exit code."""
    from regbench.report.terminal.screen import Screen

    require_exports(request.output, request.machine.shard)
    screen = Screen(request.output)
    screen.wait()
    if not request.study.has_blocks:
        with stopping("interrupted; there is nothing to finish: run it again"):
            return measure_scale(request, screen, sys.argv).exit_code
    try:
        planned = plan(request, request.machine)
    except UsageError as error:
        raise error.named(request.origins) from None
    run = run_folder.create_run(request, planned.environment, [planned.provenance], sys.argv)
    with resumable(run):
        return carry_out(run, planned, screen).exit_code


def resume_run(
    name: str,
    options: Mapping[str, Any],
    is_mixed_allowed: bool,
    scheduler: str | None = None,
    data: str | None = None,
    test_data: str | None = None,
) -> int:
    """Finish a run that was cut off, with fields of `Output` to set; returns the exit code.

    One of a table takes the file of its `data` again, and that of its `test_data`.
    """
    from regbench.report.terminal.screen import Screen

    with run_folder.in_use(Path(os.path.expanduser(name))):  # noqa: PTH111
        run = open_run(name, options)
        if run.request.study.plugins:
            require(run.request.study.plugins, name, run_folder.resume_line(run))
            run = open_run(name, options)  # now with the classes
        require_exports(run.request.output, run.environment.shard)
        machine = run.request.machine
        machine = machine.replaced(scheduler=scheduler, allow_mixed=is_mixed_allowed)
        run = dataclasses.replace(run, request=dataclasses.replace(run.request, machine=machine))
        if run.done is not None:
            _, done, total, _ = read_back(run)
            if done == total:
                print(f"regbench: {visible(name)} is complete: nothing to train", file=sys.stderr)
                return report_run(name, options, is_rewriting=False)
        run, planned = go_on(with_table(run, data=data, test_data=test_data), machine)
        with resumable(run):
            return carry_out(run, planned, Screen(run.request.output)).exit_code


def with_table(run: Run, **files: str | None) -> Run:
    """Return a run with the rows of its table, which are read again from files by key."""
    request, named = run.request, {key: path for key, path in files.items() if path}
    names = {key: name for key in files if (name := getattr(request.source, key))}
    if not names and "digest" in request.study.by_key():
        hint = "go on from Python: regbench.run with its study and this folder"
        raise UsageError("RUN", run.folder, problem="whose table came from memory", hint=hint)
    for key in [key for key in names if key not in named]:
        hint = f"name its file: {option_of(key)} {shell_word(names[key])}"
        raise UsageError(key, problem="is missing: no run stores its table", hint=hint)
    for key in [key for key in named if key not in names]:
        raise UsageError(key, named[key], problem="but the run has no such table")
    if not named:
        return run
    study = request.study.with_rows(read(request.source.replaced(**named)))
    # The run's files keep the first names of these.
    kept = {key: path for key, path in named.items() if PurePath(path).name == names[key]}
    request = dataclasses.replace(request, study=study, source=request.source.replaced(**kept))
    return dataclasses.replace(run, request=request)


def report_run(name: str, options: Mapping[str, Any], is_rewriting: bool) -> int:
    """Show a run, finished or not, from its blocks; returns the exit code: 1 where it is not.

    Files of a finished one that are missing or were changed are made again, or all are.
    """
    from regbench.report.terminal.screen import Screen

    with run_folder.in_use(Path(os.path.expanduser(name))):  # noqa: PTH111
        run = open_run(name, options)
        shard, screen = run.environment.shard, Screen(run.request.output)
        require_exports(run.request.output, shard)
        _, done, total, code = carry_out(run, reading(run), screen, is_rewriting=is_rewriting)
    if run.done is not None and done == total:
        return code
    what = f"{done} of {total} blocks" if done < total else "all blocks, but its files are not"
    hint = f"finish it with: {run_folder.resume_line(run)}"
    name = f"shard {shard}" if shard else "run"
    print(f"regbench: this {name} is not complete: it has {what}; {hint}", file=sys.stderr)
    return 1


def merge_runs(names: list[str], options: Mapping[str, Any], is_mixed_allowed: bool) -> int:
    """Read the blocks of runs of one study, such as its shards, into a run that has them all.

    Returns the exit code. Raises `UsageError` where the runs differ, or a block is in none of them.
    """
    from regbench.report.terminal.screen import Screen

    runs = [open_run(name, options) for name in names]
    run_folder.check_alike(runs, is_mixed_allowed)
    first, request, blocks = runs[0], runs[0].request, [run.blocks for run in runs]
    require_exports(request.output)
    *others, last = first.manifest["provenances"]
    for provenance in (known for run in runs for known in run.manifest["provenances"]):
        others += [provenance] if provenance not in (*others, last) else []
    provenances = [*others, last]
    began = dataclasses.replace(first.environment, shard=None, duration_seconds=None)
    all_in_one = {**began.to_record(), "shard": "1/1"}  # counts the blocks, and keeps none of them
    manifest = {**first.manifest, "environment": all_in_one, "provenances": provenances}
    _, done, total, _ = read_back(dataclasses.replace(first, manifest=manifest), blocks)
    if done < total:
        problem = f"{done} of {total} blocks are there"
        raise UsageError("RUN", problem=problem, hint="; ".join(lacking(runs)))
    duration = round(sum(run.environment.duration_seconds or 0 for run in runs), 3)
    run = run_folder.create_run(request, began, provenances, sys.argv)
    run = dataclasses.replace(run, done={"duration_seconds": duration})
    with resumable(run):
        return carry_out(run, reading(run), Screen(request.output), blocks).exit_code


def lacking(runs: Sequence[Run]) -> Iterator[str]:
    """Yield in words which shards are missing among some, and which runs are not complete."""
    shards = [run.environment.shard or "1/1" for run in runs]
    for count in dict.fromkeys(shard.partition("/")[2] for shard in shards):
        expected = (f"{part}/{count}" for part in range(1, int(count) + 1))
        missing = (shard for shard in expected if shard not in shards)
        if named := [*itertools.islice(missing, 100)]:
            yield f"missing: shard {', '.join(named)}"
    for run in runs:
        _, done, total, _ = read_back(run)
        if done < total:
            yield f"{visible(run.folder)} has {done} of its {total}: {run_folder.resume_line(run)}"


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


def judge_scores(request: Request, output: Output) -> int:
    """Judge the scores in a file or of runs; returns the exit code."""
    from regbench.report.terminal.screen import Screen
    from regbench.scores import judge_named

    require_exports(output)
    result = judge_named(request.study.scores, request.question)
    folder = run_folder.empty_folder(output.out) if output.out else Path()
    run = run_folder.Run(folder, dataclasses.replace(request, output=output), {"provenances": []})
    screen, view = Screen(output), view_of(run, result, is_whole=True)
    screen.show(view)
    notes = write(run, view, screen) if output.out else []
    export(output, view)
    screen.close(view, notes, is_new=bool(output.out))
    return view.exit_code


def show_run(name: str, options: Mapping[str, Any]) -> int:
    """Show how a run was made, and what is there of it; returns the exit code."""
    from regbench.report import run_page
    from regbench.report.terminal.screen import Screen

    run = run_folder.open_run(name, stored_command, options)
    done, total = read_back(run)[1:3] if run.request.study.has_blocks else (0, 0)
    Screen(run.request.output).show_page(run_page.view(run, done, total))
    return 0


def show_information(output: Output) -> int:
    """Say what is installed, on what, and which regularizers there are; returns the exit code."""
    from regbench.experiments.feasibility import describe_installation
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
