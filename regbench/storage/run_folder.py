"""The run folder: made exclusively, described before the first block, marked when it is done.

`config.toml` and `environment.json` say what was asked and where, `DONE` that nothing is missing.
Knows nothing about what blocks hold.
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import glob
import hashlib
import itertools
import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regbench.errors import UsageError, shell_word, visible
from regbench.settings.parse import resolve
from regbench.settings.study import EXPERIMENTS, Experiment
from regbench.storage.files import canonical, flush_folder, unfinished, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path("runs")
SCHEMA = "regbench.run/1"
MANIFEST = "environment.json"
CONFIGURATION = "config.toml"
DONE = "DONE"
CHECKSUM = "sha256"
BLOCKS = "blocks"
LARGEST_MANIFEST = 1_000_000
"""Bytes; a larger file is not ours."""


@dataclass(frozen=True)
class Run:
    """A run folder that was opened.

    Attributes:
        folder: Its path.
        settings: From its `config.toml`.
        manifest: Its `environment.json`.
        done: What `DONE` says, or None where the run is not finished.
    """

    folder: Path
    settings: Experiment
    manifest: dict[str, Any]
    done: dict[str, Any] | None

    @property
    def blocks(self) -> Path:
        """The folder of the blocks."""
        return self.folder / BLOCKS


def create_run(settings: Experiment, manifest: Mapping[str, Any]) -> Path:
    """Make the folder of a new run with its configuration and manifest, all at once; return it.

    The folder is `settings.out`, which must be new or empty, or else a new one,
    `runs/<experiment>/<UTC time>-<hash>`, with `-2`, `-3`, … where another process was first. It
    is filled under a temporary name and renamed, so that there is never a run without a manifest.

    Raises:
        UsageError: The folder is in use or cannot be made or written to.
        RunError: A file cannot be written.
    """
    try:
        if settings.out is None:
            now = datetime.datetime.now(datetime.UTC)
            folder = ROOT / settings.experiment / f"{now:%Y%m%dT%H%M%SZ}-{settings.hash}"
        else:
            folder = Path(settings.out)
            if folder.exists():  # perhaps a mount, or in a folder that cannot be written to
                fill_empty(folder, settings, manifest)
                return folder
        with made(folder.parent), unfinished(folder) as draft:
            draft.mkdir()
            fill_empty(draft, settings, manifest)
            return publish(draft, folder, is_exact=settings.out is not None)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"--out: cannot write to {visible(settings.out or ROOT)}: {reason}; "
            f"name a folder that can be written to"
        ) from None


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder with its parents, and remove again what was made where the work within fails.

    Raises:
        OSError: It cannot be made.
    """
    new = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in new:
            with suppress(OSError):
                path.rmdir()
        raise


def fill_empty(folder: Path, settings: Experiment, manifest: Mapping[str, Any]) -> None:
    """Write what a run begins with into an empty folder.

    Raises:
        UsageError: It is not empty.
    """
    if any(folder.iterdir()):
        raise UsageError(occupied(folder))
    try:
        (folder / BLOCKS).mkdir()  # the first to make it has the folder
    except FileExistsError:
        raise UsageError(occupied(folder)) from None
    import tomli_w

    write_text(folder / CONFIGURATION, tomli_w.dumps(settings.to_file()))
    write_manifest(folder, manifest)


def publish(draft: Path, folder: Path, is_exact: bool) -> Path:
    """Rename a filled folder to `folder`, or else to `folder-2`, `folder-3`, …, and return it.

    Raises:
        UsageError: The exact name is taken.
    """
    for attempt in itertools.count(1):
        candidate = folder if attempt == 1 else folder.with_name(f"{folder.name}-{attempt}")
        try:
            draft.rename(candidate)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            if is_exact:
                raise UsageError(occupied(folder)) from None
            continue
        flush_folder(folder.parent)
        return candidate
    raise AssertionError


def occupied(folder: Path) -> str:
    """Return what to say about a folder that holds something."""
    is_run = (folder / MANIFEST).exists()
    hint = (
        f"; to finish a run: regbench resume {shell_word(folder, sys.stderr.encoding)}"
        if is_run
        else ""
    )
    return f"--out: got {visible(folder)}, which is not empty; name a new folder{hint}"


def describe_run(
    settings: Experiment,
    environment: Mapping[str, Any],
    provenances: Sequence[Mapping[str, str]],
    command: Sequence[str],
) -> dict[str, Any]:
    """Return the manifest of a new run."""
    return {
        "schema": SCHEMA,
        "experiment": settings.experiment,
        "configuration": settings.digest,
        "command": list(command),
        "git": git_state(),
        "provenances": list(provenances),
        "environment": dict(environment),
    }


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write `environment.json`."""
    write_record(folder / MANIFEST, manifest)


def mark_done(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `DONE`, after everything else."""
    finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_record(folder / DONE, {"finished": finished, **facts})


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a small JSON object with a checksum of all else in it."""
    sealed = {**record, CHECKSUM: checksum(record)}
    write_text(path, json.dumps(sealed, indent=1) + "\n")


def is_intact(record: Mapping[str, Any]) -> bool:
    """Whether a record is what was written."""
    rest = {key: value for key, value in record.items() if key != CHECKSUM}
    return record.get(CHECKSUM) == checksum(rest)


def checksum(record: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an object's canonical JSON."""
    return hashlib.sha256(canonical(record)).hexdigest()


def git_state() -> dict[str, Any] | None:
    """Return commit and cleanness of the current folder's repository, or None where there is none.

    What it is for: to find the script or configuration that was used.
    """
    here = Path.cwd()
    try:
        if not any((folder / ".git").exists() for folder in (here, *here.parents)):
            return None
        commit, status = (
            subprocess.run(
                ["git", "-c", "core.fsmonitor=false", *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                check=True,
                timeout=5,
            ).stdout
            for arguments in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "is_clean": not status.strip()}


def open_run(name: str) -> Run:
    """Open a run folder that exists.

    Raises:
        UsageError: There is none, it is another program's, it is of a newer version, or its
            configuration was changed since it began.
    """
    folder = Path(name)
    source = f"RUN: got {visible(name)}"
    try:
        if not folder.is_dir():
            raise UsageError(f"{source}, which is not a folder; `regbench runs` lists the runs")
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError):  # a name that is too long, a NUL byte
        raise UsageError(f"{source}, which is not a path") from None
    restart = (
        f"start a new run with --config {shell_word(folder / CONFIGURATION, sys.stderr.encoding)}, "
        f"which uses the blocks that are whole in this one"
    )
    if manifest is None and (folder / CONFIGURATION).is_file() and (folder / BLOCKS).is_dir():
        raise UsageError(f"{source}, whose {MANIFEST} is missing or damaged; {restart}")
    if manifest is None or not str(manifest.get("schema", "")).startswith("regbench.run/"):
        raise UsageError(
            f"{source}, which is not the folder of a run: no {MANIFEST} of regbench's in it"
        )
    if manifest["schema"] != SCHEMA:
        raise UsageError(
            f"{source}, whose schema is {visible(manifest['schema'])} and not {SCHEMA!r}; "
            f"use the version of regbench that made it"
        )
    if not is_intact(manifest):
        raise UsageError(f"{source}, whose {MANIFEST} is damaged; {restart}")
    del manifest[CHECKSUM]
    experiment = manifest["experiment"]
    if experiment not in EXPERIMENTS:
        raise UsageError(f"{source}, whose experiment {visible(experiment)} is not known here")
    try:
        settings = resolve(experiment, {}, {}, str(folder / CONFIGURATION))
    except UsageError as error:
        what = str(error).removeprefix("--config ")
        raise UsageError(f"{source}, which cannot be gone on with: {what}") from None
    if settings.digest != manifest["configuration"]:
        raise UsageError(
            f"{source}, whose {CONFIGURATION} was changed since the run began; start a new run "
            f"with --config"
        )
    done = read_json(folder / DONE)
    return Run(folder, settings, manifest, done if done and is_intact(done) else None)


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Let `is_in_use` be true of a run within, until the process ends in whatever way.

    Any number of processes may use a run at once, and none ever waits: the lock is shared, is given
    back by the system, and does without where the file system has no locks.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        yield


def is_in_use(folder: Path) -> bool:
    """Whether a process works on a run; never where the file system cannot tell."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the object of a small JSON file, or None where there is none."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST_MANIFEST:
            return None
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def other_blocks(folder: Path) -> list[Path]:
    """Return the block folders of the runs under `runs/` and of those beside `folder`."""
    found = {*find_paths(ROOT, f"*/*/{BLOCKS}"), *find_paths(folder.parent, f"*/{BLOCKS}")}
    own = (folder / BLOCKS).resolve()
    return sorted(path for path in found if path.resolve() != own)


def find_paths(root: Path, pattern: str) -> list[Path]:
    """Return the paths below a folder that fit a pattern, whatever comes and goes there meanwhile.

    Hidden names, such as those of drafts, fit no `*`.
    """
    names = glob.glob(pattern, root_dir=root)  # noqa: PTH207 - Path.glob finds hidden names
    return [root / name for name in names]
