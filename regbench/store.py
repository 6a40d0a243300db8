"""The run folder: made exclusively, filled with whole files.

Knows nothing about what the files say.
"""

from __future__ import annotations

import datetime
import itertools
import os
from contextlib import suppress
from pathlib import Path

from regbench.errors import RunError, UsageError, visible


def create_run_folder(out: str | None, experiment: str, configuration_hash: str) -> Path:
    """Make and return a new, empty folder.

    Args:
        out: The folder to use, which must be new or empty; None for a new one,
            `runs/<experiment>/<UTC time>-<hash>`.
        experiment: The subcommand.
        configuration_hash: Eight hexadecimal digits.

    Raises:
        UsageError: The folder is in use or cannot be made or written to.
    """
    try:
        if out is None:
            now = datetime.datetime.now(datetime.UTC)
            folder = Path("runs", experiment, f"{now:%Y%m%dT%H%M%SZ}-{configuration_hash}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder = make_exclusively(folder)
        else:
            folder = Path(out)
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UsageError(
                    f"--out: got {visible(folder)}, which is not empty; name a new folder"
                )
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(
            f"--out: cannot write to {visible(error.filename or out)}: {reason}; "
            f"name a folder that can be written to"
        ) from None
    return folder


def make_exclusively(folder: Path) -> Path:
    """Make `folder`, or where it exists `folder-2`, `folder-3`, …, and return it."""
    for attempt in itertools.count(1):
        candidate = folder if attempt == 1 else folder.with_name(f"{folder.name}-{attempt}")
        try:
            candidate.mkdir()
        except FileExistsError:
            continue
        return candidate
    raise AssertionError


def write_text(path: Path, text: str) -> None:
    """Write a whole file or nothing: under a temporary name, flushed to disk, then renamed.

    Raises:
        RunError: The file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise RunError(f"cannot write {visible(path)}: {error.strerror or error}") from None
