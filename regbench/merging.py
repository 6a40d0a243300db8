"""`regbench merge`: the runs of a study's shards, joined to the run that one machine had made."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from typing import TYPE_CHECKING, Any

from regbench.commands import read_back, require_exports, resumable, show_new
from regbench.errors import UsageError, visible
from regbench.experiments import stored_command
from regbench.report import report_of
from regbench.storage import run_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regbench.storage.run_folder import Run


def merge_runs(names: list[str], options: Mapping[str, Any], is_mixed_allowed: bool) -> int:
    """Join runs of one study, such as its shards, to a run, with fields of `Output` to set.

    Returns the exit code. Raises `UsageError` where they differ, or a block is in none of them.
    """
    from regbench.report.terminal.screen import Screen

    runs = [run_folder.open_run(name, stored_command, options) for name in names]
    run_folder.check_alike(runs, is_mixed_allowed)
    first, request, blocks = runs[0], runs[0].request, [run.blocks for run in runs]
    require_exports(request)
    *others, last = first.manifest["provenances"]
    for provenance in (known for run in runs for known in run.manifest["provenances"]):
        others += [provenance] if provenance not in (*others, last) else []
    began = dataclasses.replace(first.environment, shard=None, duration_seconds=None)
    all_in_one = {**began.to_record(), "shard": "1/1"}  # counts the blocks, and keeps none of them
    manifest = {**first.manifest, "environment": all_in_one, "provenances": [*others, last]}
    _, done, total = read_back(dataclasses.replace(first, manifest=manifest), blocks)
    if done < total:
        problem = f"{done} of {total} blocks are there"
        raise UsageError("RUN", problem=problem, hint="; ".join(lacking(runs)))
    duration = round(sum(run.environment.duration_seconds or 0 for run in runs), 3)
    run = run_folder.create_run(request, began, last, sys.argv)
    run = dataclasses.replace(run, done={"duration_seconds": duration})
    with resumable(run):
        for provenance in others:
            run_folder.add_provenance(run, provenance)
        result, _, _ = read_back(run, blocks, is_writable=True)
        screen = Screen(request.output)
        header = report_of(request.study).header
        screen.begin(header(request, result.study, began.engine or "", began.device))
        return show_new(run, result, screen)


def lacking(runs: Sequence[Run]) -> Iterator[str]:
    """Yield in words which shards are missing among some, and which runs are not complete."""
    shards = [run.environment.shard or "1/1" for run in runs]
    for count in dict.fromkeys(shard.partition("/")[2] for shard in shards):
        expected = (f"{part}/{count}" for part in range(1, int(count) + 1))
        missing = (shard for shard in expected if shard not in shards)
        if named := [*itertools.islice(missing, 100)]:
            yield f"missing: shard {', '.join(named)}"
    for run in runs:
        _, done, total = read_back(run)
        if done < total:
            yield f"{visible(run.folder)} has {done} of its {total}: {run_folder.resume_line(run)}"
