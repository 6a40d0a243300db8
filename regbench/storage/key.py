"""This user's key: a run uses only those blocks of earlier runs that are signed by it.

Knows nothing about blocks.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from regbench.errors import RunError, UsageError
from regbench.storage.files import read_plain, unfinished

VARIABLE = "REGBENCH_KEY_FILE"
SHORTEST, LONGEST = 16, 4096
"""Shortest and longest key file in bytes."""


def user_key() -> bytes:
    """Return this user's key, or nothing where there is no proper place to keep one.

    It is in the file that `REGBENCH_KEY_FILE` names, or else in `regbench/key` of the state folder,
    `XDG_STATE_HOME` or `~/.local/state`, made when it is first needed. Raises `UsageError` where
    the variable names no plain file of this user alone.
    """
    named = os.environ.get(VARIABLE)
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = os.path.expanduser(named or f"{state}/regbench/key")  # noqa: PTH111
    if not named and not os.path.isabs(path):  # noqa: PTH117
        return b""
    file = Path(os.path.realpath(path))
    with suppress(RunError, OSError):
        if not named:
            make(file)
        content, known = read_plain(file, LONGEST), file.stat()
        is_private = known.st_uid in (0, os.geteuid()) and not known.st_mode & 0o077
        if content and len(content) >= SHORTEST and is_private:
            return hashlib.sha256(content).digest()
    if named:
        allowed = f"a plain file of {SHORTEST} to {LONGEST} bytes that only you can read"
        raise UsageError(VARIABLE, named, allowed, hint="chmod 600 takes it from all others")
    return b""


def make(path: Path) -> None:
    """Write a new key, whole and readable by this user alone, unless there is one."""
    if path.exists():
        return
    path.parent.mkdir(0o700, parents=True, exist_ok=True)
    with unfinished(path) as draft:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            os.fsync(descriptor)
        with suppress(FileExistsError):  # another process was first
            path.hardlink_to(draft)
