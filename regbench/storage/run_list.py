"""Lists of runs: what a list says about each, and which of them nobody will finish.

Knows nothing about what blocks hold, or how a list is shown.
"""

from __future__ import annotations

import datetime
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from regbench.errors import UsageError
from regbench.storage.files import SUFFIX, TEMPORARY
from regbench.storage.run_folder import BLOCKS, MANIFEST, find_paths, is_in_use, open_run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from regbench.settings.command import Command

ABANDONED = datetime.timedelta(hours=1)
"""A run that is not done, was not touched for so long and is not in use is taken for abandoned."""


def find_runs(root: Path) -> list[Path]:
    """Return the folders in `root`, and in its folders, that hold a run: the oldest first."""
    begun: dict[Path, float] = {}
    for depth in ("*", "*/*"):
        for manifest in find_paths(root, f"{depth}/{MANIFEST}"):
            with suppress(FileNotFoundError):  # removed just now
                begun[manifest.parent] = manifest.stat().st_mtime
    return sorted(begun, key=begun.__getitem__)


def find_unfinished(root: Path, now: datetime.datetime) -> list[Path]:
    """Return what processes left unfinished in runs below a folder, `ABANDONED` for so long."""
    found = []
    for path in find_paths(root, f"**/{TEMPORARY}"):
        with suppress(FileNotFoundError):
            if now.timestamp() - path.stat().st_mtime > ABANDONED.total_seconds():
                found.append(path)
    return found


def remove_run(folder: Path) -> None:
    """Delete a run folder, its manifest first, so that what is left by a fault is no run."""
    with suppress(FileNotFoundError):  # another process removes it too
        (folder / MANIFEST).unlink()
        shutil.rmtree(folder)


@dataclass(frozen=True)
class Summary:
    """One line of a list of runs: `state` is `done`, `shard I/N`, `not done` or `unreadable`.

    `blocks` counts files, `touched` is when anything changed last, `arms` has no baseline. By arm
    are `verdicts` and `effects`, the headline difference and its interval; by key `settings`.
    """

    folder: Path
    state: str
    blocks: int
    started: datetime.datetime | None
    touched: datetime.datetime
    arms: list[str] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    effects: dict[str, list[float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


def summarize_run(folder: Path, commands: Mapping[str, Command]) -> Summary:
    """Return what a list says about a run folder, whatever state it is in; see `open_run`."""
    blocks = find_paths(folder / BLOCKS, f"*{SUFFIX}")
    times = []
    for path in (folder, folder / BLOCKS, *blocks):
        with suppress(FileNotFoundError):  # removed just now
            times.append(path.stat().st_mtime)
    touched = datetime.datetime.fromtimestamp(max(times, default=time.time()), datetime.UTC)
    try:
        run = open_run(str(folder), commands)
        started = datetime.datetime.fromisoformat(run.environment.started)
        done = {"verdicts": {}} if run.done is None else run.done
        found = dict(done["verdicts"]), dict(done.get("effects", {}))  # runs of before have none
    except (UsageError, KeyError, TypeError, ValueError):
        return Summary(folder, "unreadable", len(blocks), None, touched)
    request, shard = run.request, run.environment.shard
    state = "not done" if run.done is None else f"shard {shard}" if shard else "done"
    told = request.study.compared, *found, request.to_file()
    return Summary(folder, state, len(blocks), started, touched, *told)


def is_prunable(summary: Summary, now: datetime.datetime) -> bool:
    """Whether a run, not a link to one, is not done, `ABANDONED`, and not in use."""
    is_old = summary.state == "not done" and now - summary.touched > ABANDONED
    return is_old and not summary.folder.is_symlink() and not is_in_use(summary.folder)
