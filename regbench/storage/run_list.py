"""Lists of runs: what a list says about each, and which of them nobody will finish.

Knows nothing about what blocks hold, or how a list is shown.
"""

from __future__ import annotations

import datetime
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regbench.storage.files import SUFFIX, TEMPORARY, find_paths
from regbench.storage.run_folder import BLOCKS, MANIFEST, ROOT, alone, open_run, resume_line

if TYPE_CHECKING:
    from regbench.storage.run_folder import Find

ABANDONED = datetime.timedelta(hours=1)
"""A run that is not done and not in use counts as abandoned after this time."""


def run_names() -> list[str]:
    """Return the runs below the usual folder, the newest first."""
    return [str(folder) for folder in reversed(find_runs(ROOT))]


def named_run(name: str) -> str:
    """Return a run's path; `latest` is that of the newest run, where nothing has that name."""
    newest = run_names()[:1] if name == "latest" and not Path(name).exists() else []
    return newest[0] if newest else name


def find_runs(root: Path) -> list[Path]:
    """Return the folders in `root`, and in its folders, that hold a run: the oldest first."""
    begun: dict[Path, float] = {}
    for manifest in find_paths(root, MANIFEST, 2):
        with suppress(OSError):  # removed just now, or in a folder that cannot be entered
            if manifest.parent != root:
                begun[manifest.parent] = manifest.lstat().st_mtime
    return sorted(begun, key=begun.__getitem__)


def find_unfinished(root: Path, now: datetime.datetime) -> list[Path]:
    """Return what processes left unfinished in runs below a folder, `ABANDONED` for so long."""
    found = []
    for path in find_paths(root, TEMPORARY):
        with suppress(OSError):
            if now.timestamp() - path.lstat().st_mtime > ABANDONED.total_seconds():
                found.append(path)
    return found


@dataclass(frozen=True)
class Summary:
    """One line of a list of runs: `state` is `done`, `shard I/N`, `not done` or `unreadable`.

    `blocks` counts files, `touched` is when anything changed last, `arms` has no baseline. By arm
    are `verdicts` and `effects`, the headline difference and its interval; by key `settings`.
    `bytes` are those of all files, and `resume` is the command that finishes a run.
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
    bytes: int = 0
    resume: str | None = None


def summarize_run(folder: Path, find_command: Find) -> Summary:
    """Return what a list says about a run folder, whatever state it is in; see `open_run`."""
    blocks, times, size = find_paths(folder / BLOCKS, f"*{SUFFIX}", 0), [], 0
    for path in (folder, *find_paths(folder, "*", 2)):
        with suppress(OSError):  # removed just now
            known = path.lstat()
            size += known.st_size
            if path.parent == folder / BLOCKS or path in (folder, folder / BLOCKS):
                times.append(known.st_mtime)
    touched = datetime.datetime.fromtimestamp(max(times, default=time.time()), datetime.UTC)
    try:
        run = open_run(str(folder), find_command)
        started = datetime.datetime.fromisoformat(run.environment.started)
    except Exception:  # whatever is wrong with a run, it is one row
        return Summary(folder, "unreadable", len(blocks), None, touched, bytes=size)
    request, shard, done = run.request, run.environment.shard, run.done or {}
    state = "not done" if run.done is None else f"shard {shard}" if shard else "done"
    found = dict(done.get("verdicts", {})), dict(done.get("effects", {}))
    told = request.study.compared, *found, request.to_file()
    line = resume_line(run) if run.done is None else None
    return Summary(folder, state, len(blocks), started, touched, *told, size, line)


def is_prunable(summary: Summary, now: datetime.datetime) -> bool:
    """Whether a run is not done and `ABANDONED`."""
    return summary.state == "not done" and now - summary.touched > ABANDONED


def remove_abandoned(folder: Path, find_command: Find, now: datetime.datetime) -> bool:
    """Delete a run folder that is `ABANDONED` and not in use, and return whether it was.

    Its manifest goes first, so that what is left by a fault is no run.
    """
    with alone(folder) as is_alone:
        if not (is_alone and is_prunable(summarize_run(folder, find_command), now)):
            return False
        with suppress(FileNotFoundError):  # another process removes it too
            (folder / MANIFEST).unlink()
            shutil.rmtree(folder)
        return True
