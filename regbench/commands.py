"""What the subcommands do: open a run, complete it, show it. No parsing and no arithmetic."""

from __future__ import annotations

import dataclasses
import datetime
import sys
from contextlib import contextmanager
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
    visible,
)
from regbench.process.signals import interruptible, stopping
from regbench.settings.study import DropoutScale, TrainingExperiment
from regbench.storage.files import Store, unfinished
from regbench.storage.run_folder import (
    DONE,
    ROOT,
    Run,
    create_run,
    describe_run,
    in_use,
    mark_done,
    open_run,
    other_blocks,
    write_manifest,
)
from regbench.storage.run_list import find_runs, is_prunable, remove_run, summarize_run

NOT_MET = 3
INCONCLUSIVE = 4

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.console import Console

    from regbench.analysis.result import Result
    from regbench.experiments.training import Plan
    from regbench.settings.study import Experiment
    from regbench.storage.archive import Archive
    from regbench.storage.blocks import Provenance


def run_training(settings: TrainingExperiment) -> int:
    """Train, show and record an experiment; returns the exit code."""
    from regbench.experiments.training import plan

    work = plan(settings)
    run = begin(settings, work.environment, work.provenance)
    with kept(run):
        return complete_training(run, work)


def run_scale(settings: DropoutScale) -> int:
    """Draw, show and record the dropout-scale experiment; returns the exit code."""
    from regbench.experiments.dropout_scale import scale_environment

    run = begin(settings, *scale_environment())
    with kept(run):
        return complete_scale(run)


def begin(settings: Experiment, environment: dict[str, Any], provenance: Provenance) -> Run:
    """Make the folder of a new run and say in it what is about to run."""
    manifest = describe_run(settings, environment, [provenance], sys.argv)
    return Run(create_run(settings, manifest), settings, manifest, None)


def resume_run(name: str, options: Mapping[str, Any], is_mixed_allowed: bool) -> int:
    """Finish a run that was cut off; returns the exit code.

    Args:
        name: The run's folder.
        options: Settings that change no number, by field: `quiet`, `json_`.
        is_mixed_allowed: Whether other versions or another device may finish it.

    Raises:
        UsageError: The folder is no run, or was computed otherwise than it would be now.
    """
    run = open_run(name)
    if run.done is not None and is_whole(run):
        print(f"regbench: {visible(name)} is complete: nothing to train", file=sys.stderr)
        return report_run(name, options, is_rewriting=False)
    settings = run.settings.model_copy(update=dict(options))
    run = dataclasses.replace(run, settings=settings)
    if isinstance(settings, DropoutScale):
        from regbench.experiments.dropout_scale import scale_environment

        run = admit(run, scale_environment()[1], is_mixed_allowed)
        with kept(run):
            return complete_scale(run)
    from regbench.experiments.training import plan_again

    assert isinstance(settings, TrainingExperiment)
    work = plan_again(settings, run.manifest["environment"], is_mixed_allowed)
    run = admit(run, work.provenance, is_mixed_allowed)
    with kept(run):
        return complete_training(run, work)


def is_whole(run: Run) -> bool:
    """Whether every block of a run is there and undamaged."""
    from regbench.storage.archive import Archive

    archive = Archive(Store(run.blocks, is_writable=False), run.manifest["provenances"])
    if isinstance(run.settings, DropoutScale):
        from regbench.experiments.dropout_scale import load_scale

        return all(load_scale(archive, run.settings, p) for p in run.settings.p)
    from regbench.experiments.stages import read_back

    assert isinstance(run.settings, TrainingExperiment)
    _, done, total = read_back(run.settings, run.manifest["environment"], archive)
    return done == total


def admit(run: Run, provenance: Provenance, is_mixed_allowed: bool) -> Run:
    """Return the run with today's provenance as its last one.

    Raises:
        UsageError: It is a new one, and mixing is not allowed; or the run cannot be written to.
    """
    known = [known for known in run.manifest["provenances"] if known != provenance]
    if len(known) == len(run.manifest["provenances"]) and not is_mixed_allowed:
        before = known[-1]
        differences = ", ".join(
            f"{key} {before.get(key)} then and {provenance.get(key)} now"
            for key in sorted({*before, *provenance})
            if before.get(key) != provenance.get(key)
        )
        raise UsageError(
            f"RUN: got {visible(run.folder)}, which was computed otherwise: {differences}; "
            f"use the same, or --allow-mixed to finish it nevertheless"
        )
    check_writable(run)
    manifest = {**run.manifest, "provenances": [*known, provenance]}
    if manifest != run.manifest:
        write_manifest(run.folder, manifest)
    return dataclasses.replace(run, manifest=manifest)


def check_writable(run: Run) -> None:
    """See that blocks and files can be written; a folder of blocks that is missing is made.

    Raises:
        UsageError: They cannot.
    """
    for folder in (run.folder, run.blocks):
        try:
            folder.mkdir(exist_ok=True)
            with unfinished(folder / "probe") as probe:
                probe.touch()
        except OSError as error:
            raise UsageError(
                f"RUN: {cannot_write(error, folder)}; make it writable, or resume a copy"
            ) from None
    for name in (DONE, "history.csv", "summary.json"):
        if (run.folder / name).is_dir():
            raise UsageError(
                f"RUN: got {visible(run.folder)}, where {name} is a folder; remove that"
            )


def report_run(name: str, options: Mapping[str, Any], is_rewriting: bool) -> int:
    """Show a run, finished or not, from its blocks; returns the exit code: 1 where it is not.

    Args:
        name: The run's folder.
        options: Settings that change no number, by field: `quiet`, `json_`.
        is_rewriting: Whether to make the files of a finished run again.

    Raises:
        UsageError: The folder is no run.
    """
    run = open_run(name)
    run = dataclasses.replace(run, settings=run.settings.model_copy(update=dict(options)))
    show = show_scale if isinstance(run.settings, DropoutScale) else show_training
    done, total, code = show(run, is_rewriting)
    if run.done is not None and done == total:
        return code
    what = f"{done} of {total} blocks" if done < total else "all blocks, but its files"
    print(
        f"regbench: this run is not complete: it has {what}{'' if done < total else ' are not'}; "
        f"finish it with: {resume_command(run)}",
        file=sys.stderr,
    )
    return 1


def show_training(run: Run, is_rewriting: bool) -> tuple[int, int, int]:
    """Show what is there of a training run; returns blocks, of how many, and the exit code."""
    from regbench.experiments.stages import read_back
    from regbench.report import files, tables
    from regbench.report.terminal.console import make_consoles, print_line, progress

    settings, environment = run.settings, {**run.manifest["environment"], **times(run)}
    assert isinstance(settings, TrainingExperiment)
    details, closing, errors = make_consoles(settings.quiet, settings.json_)
    result, done, total = read_back(settings, environment, open_archive(run, is_writable=False))
    if result is None:
        if settings.json_:
            sys.stdout.write(files.empty_text(settings, environment, run.folder))
        return done, total, 1
    tables.print_training_header(
        details, result.settings, environment["engine"], environment["device"]
    )
    show_result(result, details, closing)
    if settings.json_:
        sys.stdout.write(files.training_text(result, run.folder, (done, total)))
    if is_rewriting and done == total:
        logged = len(result.history.epochs)
        with progress(errors, "pictures and logs", logged, settings.quiet) as advance:
            for note in files.write_training(result, run.folder, advance)[1]:
                print_line(errors, note)
    for line in tables.divergence_lines(result):
        print_line(errors, line)
    return done, total, exit_code(result, errors)


def show_scale(run: Run, is_rewriting: bool) -> tuple[int, int, int]:
    """Show what is there of a dropout-scale run; see `show_training`."""
    from regbench.experiments.dropout_scale import ScaleResult, load_scale
    from regbench.report import dropout_scale as scale_tables
    from regbench.report import files
    from regbench.report.terminal.console import make_consoles, progress

    settings = run.settings
    assert isinstance(settings, DropoutScale)
    details, closing, errors = make_consoles(settings.quiet, settings.json_)
    archive = open_archive(run, is_writable=False)
    loaded = [load_scale(archive, settings, p) for p in settings.p]
    scales = [scale for scale in loaded if scale is not None]
    result = ScaleResult(settings, {**run.manifest["environment"], **times(run)}, scales)
    scale_tables.print_scale_header(details, settings)
    scale_tables.print_scale_tables(details, result)
    scale_tables.print_scale_verdicts(closing, result)
    counts = len(scales), len(loaded)
    if settings.json_:
        sys.stdout.write(files.scale_text(result, run.folder, counts))
    if is_rewriting and len(scales) == len(loaded):
        with progress(errors, "pictures and logs", len(scales), settings.quiet) as advance:
            files.write_scale(result, run.folder, advance)
    return *counts, 0 if all(scale.fits_law for scale in scales) else 1


def complete_training(run: Run, work: Plan) -> int:
    """Train what is missing of a run, show it and write its files; returns the exit code."""
    from regbench.experiments import training as experiment
    from regbench.report import files, tables
    from regbench.report.terminal.console import make_consoles, print_line, progress

    settings = work.settings
    details, closing, errors = make_consoles(settings.quiet, settings.json_)
    archive = open_archive(run, is_cached=settings.cache)
    tables.print_training_header(details, settings, work.engine, str(work.device))
    tables.print_estimate(errors, experiment.seconds_estimate(work))
    track = partial(progress, errors, is_quiet=settings.quiet)
    say = partial(print_line, details)
    result = interruptible(partial(experiment.run, work, archive, track, say))
    show_result(result, details, closing)
    logged = len(result.history.epochs)
    with progress(errors, "pictures and logs", logged, settings.quiet) as advance:
        document, notes = files.write_training(result, run.folder, advance)
    finish(run, result.environment, result.verdicts)
    close(settings, document, run.folder, closing)
    for line in [*notes, *tables.divergence_lines(result)]:
        print_line(errors, line)
    return exit_code(result, errors)


def complete_scale(run: Run) -> int:
    """Draw what is missing of a dropout-scale run; see `complete_training`."""
    from regbench.experiments.dropout_scale import run_dropout_scale, seconds_estimate
    from regbench.report import dropout_scale as scale_tables
    from regbench.report import files, tables
    from regbench.report.terminal.console import make_consoles, progress

    settings = run.settings
    assert isinstance(settings, DropoutScale)
    details, closing, errors = make_consoles(settings.quiet, settings.json_)
    scale_tables.print_scale_header(details, settings)
    tables.print_estimate(errors, seconds_estimate(settings), "drawing")
    trials, archive = settings.trials * len(settings.p), open_archive(run, settings.cache)
    with progress(errors, "drawing", trials, settings.quiet) as advance:
        environment = run.manifest["environment"]
        result = interruptible(partial(run_dropout_scale, settings, advance, environment, archive))
    scale_tables.print_scale_tables(details, result)
    scale_tables.print_scale_verdicts(closing, result)
    with progress(errors, "pictures and logs", len(settings.p), settings.quiet) as advance:
        document = files.write_scale(result, run.folder, advance)
    verdicts = {
        f"p={scale.drop_probability!r}": "fits" if scale.fits_law else "does not fit"
        for scale in result.scales
    }
    finish(run, result.environment, verdicts)
    close(settings, document, run.folder, closing)
    return 0 if all(scale.fits_law for scale in result.scales) else 1


def show_result(result: Result, details: Console, closing: Console) -> None:
    """Print the tables and verdicts of a training experiment."""
    from regbench.report import tables

    tables.print_tables(details, result)
    tables.print_verdicts(closing, result)


def exit_code(result: Result, errors: Console) -> int:
    """Return 1 where an arm diverged, and else what `--require` says, with the reason on stderr.

    The gate is met when every arm meets it; where an arm was confirmed, that one alone counts.
    """
    from regbench.analysis.statistics import judge
    from regbench.report.terminal.console import arm_label, print_line
    from regbench.report.verdicts import gate_line

    if result.has_diverged:
        return 1
    subject, requirement = result.confirmation or result, result.settings.require
    if requirement is None:
        return 0
    judgements = [judge(c.ci, requirement, result.settings.margin) for c in subject.comparisons]
    for arm, comparison, judgement in zip(
        subject.settings.arms[1:], subject.comparisons, judgements, strict=True
    ):
        label = arm_label(errors, arm)
        print_line(errors, gate_line(label, subject, comparison, judgement))
    if "not met" in judgements:
        return NOT_MET
    return INCONCLUSIVE if "inconclusive" in judgements else 0


def open_archive(run: Run, is_cached: bool = False, is_writable: bool = True) -> Archive:
    """Open the blocks of a run, and with a cache those of other runs."""
    from regbench.storage.archive import Archive

    store = Store(
        run.blocks,
        other_blocks(run.folder) if is_cached else (),
        is_writable,
        lambda line: print(f"regbench: {line}", file=sys.stderr),
    )
    return Archive(store, run.manifest["provenances"])


def times(run: Run) -> dict[str, Any]:
    """Return what a finished run says about its duration."""
    return {"duration_seconds": run.done["duration_seconds"]} if run.done else {}


def finish(run: Run, environment: Mapping[str, Any], verdicts: Mapping[str, Any]) -> None:
    """Mark a run as done, with what lists of runs show."""
    duration = environment["duration_seconds"]
    mark_done(run.folder, {"duration_seconds": duration, "verdicts": verdicts})


def close(settings: Experiment, document: str, folder: Path, closing: Console) -> None:
    """Say where the files are, or print the document."""
    from regbench.report import tables

    if settings.json_:
        sys.stdout.write(document)
    else:
        tables.print_files(closing, folder, settings.tensorboard)


@contextmanager
def kept(run: Run) -> Iterator[None]:
    """Say how to go on where the work within is interrupted or fails."""
    hint = f"finished blocks are kept; go on with: {resume_command(run)}"
    try:
        with stopping(f"interrupted; {hint}"), in_use(run.folder):
            yield
    except UsageError as error:  # a pilot asks for too much: resuming would not help
        raise RegbenchError(str(error)) from error
    except RunError as error:
        raise RunError(f"{error}; {hint}") from error
    except OSError as error:
        raise RunError(f"{cannot_write(error)}; {hint}") from error
    except MemoryError as error:
        raise RunError(f"{OUT_OF_MEMORY}; {hint}") from error


def resume_command(run: Run) -> str:
    """Return the command that finishes a run."""
    return f"regbench resume {shell_word(run.folder, sys.stderr.encoding)}"


def verify_cases(machine: Experiment, names: list[str], is_json: bool, is_quiet: bool) -> int:
    """Verify the cases of some names, or all; returns 1 where one fails or none was run.

    Args:
        machine: Of training, whose engine, device and threads to use.
        names: From `--only`.
        is_json: Whether to print one document and nothing else.
        is_quiet: Whether to print the closing line only.
    """
    from regbench.engines import choose_device
    from regbench.report import json as result_json
    from regbench.report.terminal import verification
    from regbench.report.terminal.console import make_consoles, progress
    from regbench.verify.cases import CASES
    from regbench.verify.runner import select, verify

    assert isinstance(machine, TrainingExperiment)
    cases, device = select(CASES, names), choose_device(machine)
    details, closing, errors = make_consoles(is_quiet, is_json)
    with (
        stopping("interrupted; nothing was verified"),
        progress(errors, "verifying", len(cases), is_quiet) as advance,
    ):
        verified = interruptible(partial(verify, cases, machine, device, advance))
    if is_json:
        document = verification.verification_document(verified, machine, names)
        sys.stdout.write(result_json.to_text(document))
    else:
        verification.print_verification(details, verified)
        verification.print_closing(closing, verified)
    return 0 if verified.holds else 1


def list_runs(root: str | None, is_json: bool, is_pruning: bool, is_sure: bool) -> int:
    """List the runs below a folder, or remove the abandoned ones; returns the exit code.

    Raises:
        UsageError: The folder that was named is none.
    """
    from regbench.report.format import count
    from regbench.report.terminal.console import make_consoles, print_whole
    from regbench.report.terminal.run_list import print_runs, runs_text

    folder = ROOT if root is None else named_folder(root)
    now = datetime.datetime.now(datetime.UTC)
    _, console, errors = make_consoles(is_quiet=False, is_json=False)
    found = [summarize_run(folder) for folder in find_runs(folder)]
    if is_pruning:
        found = [run for run in found if is_prunable(run, now)]
    if is_json:
        sys.stdout.write(runs_text(found))
    elif found:
        print_runs(console, found, now)
    else:
        what = "abandoned runs: not done, and untouched for an hour" if is_pruning else "runs"
        print_whole(errors, f"no {what}, below {visible(folder)}")
    if not (is_pruning and found):
        return 0
    question = f"remove {count(len(found), 'run')} with all their blocks? [y/N] "
    if not is_sure and not (sys.stdin.isatty() and ask(question)):
        print_whole(errors, "nothing was removed; --yes removes them")
        return 0
    found = [run for run in found if is_prunable(summarize_run(run.folder), now)]  # since asked
    for run in found:
        remove_run(run.folder)
    print_whole(errors, f"removed {count(len(found), 'run')}")
    return 0


def named_folder(root: str) -> Path:
    """Return the folder that `--root` names.

    Raises:
        UsageError: There is none.
    """
    try:
        is_folder = bool(root) and Path(root).is_dir()
    except OSError:  # a name that is too long
        is_folder = False
    if not is_folder:
        raise UsageError(f"--root: got {visible(root)}; allowed: a folder that is there")
    return Path(root)


def ask(question: str) -> bool:
    """Whether the user answers yes."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
