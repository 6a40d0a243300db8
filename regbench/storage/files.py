"""Files that are whole or absent, and a store of immutable ones that notices damage.

A file is written under a temporary name, flushed to disk and renamed. A stored file begins with
the SHA-256 of the rest, which is checked at every read, and with a signature by this user's key,
which is checked where the file is another run's: a run uses only those that are signed by it. No
link is followed below a folder that is read. Knows nothing about what the files say.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import hmac
import json
import os
import secrets
import shutil
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regbench.errors import RunError, UsageError, cannot_read, cannot_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

SUFFIX = ".block"
TEMPORARY_BYTES = 8
TEMPORARY = f".{2 * TEMPORARY_BYTES * '[0-9a-f]'}.part"
"""Pattern of temporary names. A file that has one and that no process holds is left over."""
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""Errors of file systems that lack an operation."""
DIGEST_BYTES = hashlib.sha256().digest_size
SEAL_BYTES = 2 * DIGEST_BYTES
_unfinished: set[Path] = set()
"""Temporary files in use, which a signal handler removes."""
KEY_VARIABLE = "REGBENCH_KEY_FILE"
SHORTEST_KEY, LONGEST_KEY = 16, 4096
"""Shortest and longest key file in bytes."""


def canonical(record: Mapping[str, Any]) -> bytes:
    """Return the one JSON text of an object, to be hashed and compared."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")).encode("ascii")


def write_text(path: Path, text: str) -> None:
    """Write a whole text file or nothing; see `write_whole`."""
    write_whole(path, [text.encode("utf-8")])


def write_whole(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    """Write a whole file or nothing: under a temporary name, flushed to disk, then renamed.

    Raises `RunError` where it cannot be written.
    """
    try:
        with unfinished(path) as temporary:
            with temporary.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                flush(file.fileno())
            temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        raise RunError(cannot_write(error, path)) from None


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside a path; a file or folder that still has it then is removed."""
    temporary = path.with_name(f".{secrets.token_hex(TEMPORARY_BYTES)}.part")
    discard_at_signal(temporary)
    try:
        yield temporary
    finally:
        remove(temporary)
        _unfinished.discard(temporary)


def discard_at_signal(temporary: Path) -> None:
    """Let a file or folder be removed where a signal ends the process."""
    _unfinished.add(temporary)


def discard_unfinished() -> None:
    """Remove what this process has not finished writing, since it is about to end."""
    for temporary in list(_unfinished):  # another thread may begin one meanwhile
        remove(temporary)


def remove(path: Path) -> None:
    """Remove a file or folder if it is there and can be removed."""
    with suppress(OSError):
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


def flush_folder(folder: Path) -> None:
    """Flush a folder's names to disk, so that a rename in it outlives a power cut; see `flush`."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # a folder in which one may write and not look
        return
    try:
        flush(descriptor)
    finally:
        os.close(descriptor)


def flush(descriptor: int) -> None:
    """Flush a file or folder to disk, where its file system can: some network ones cannot."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise


def seal(content: bytes, key: bytes = b"") -> bytes:
    """Return the content behind its signature (HMAC, RFC 2104), and both behind their SHA-256."""
    signed = hmac.digest(key, content, "sha256") + content
    return hashlib.sha256(signed).digest() + signed


def unseal(sealed: bytes, key: bytes | None = None) -> bytes | None:
    """Return the content of sealed bytes, or None where they are damaged or not signed by a key."""
    digest, content = sealed[:DIGEST_BYTES], sealed[SEAL_BYTES:]
    if hashlib.sha256(sealed[DIGEST_BYTES:]).digest() != digest:
        return None
    if key is None:
        return content
    signature = hmac.digest(key, content, "sha256")
    is_own = hmac.compare_digest(signature, sealed[DIGEST_BYTES:SEAL_BYTES])
    return content if key and is_own else None


@dataclass(frozen=True)
class Store:
    """A folder of sealed, immutable files by name.

    Two processes that save the same name rename identical bytes, so nothing is ever locked. A
    missing file may be found `elsewhere`, if it is signed by the `key` or all that is there is
    trusted. Where the folder is writable, damaged files are put aside and found ones copied: `take`
    is called with the folder of each. `note` is called with a line about each damaged file.
    """

    folder: Path
    elsewhere: Sequence[Path] = ()
    is_writable: bool = True
    note: Callable[[str], None] = field(default=lambda line: None)
    key: bytes = b""
    is_trusting: bool = False
    take: Callable[[Path], None] = field(default=lambda folder: None)

    def save(self, name: str, content: bytes) -> None:
        """Save a file; see `write_whole`."""
        write_whole(self.folder / f"{name}{SUFFIX}", [seal(content, self.key)])

    def load(self, name: str, size: int) -> bytes | None:
        """Return the content of a file, `size` bytes, or None where there is none that is whole.

        A damaged file is put aside, so that it is made anew. Raises `RunError` where a file is
        there and cannot be read: it may well be whole.
        """
        file = f"{name}{SUFFIX}"
        if (sealed := read_plain(self.folder / file, SEAL_BYTES + size)) is not None:
            content = unseal(sealed)
            if content is not None and len(content) == size:
                return content
            self.put_aside(name)
        for folder in self.elsewhere:
            content = None
            with suppress(RunError):  # another run's file is not needed
                sealed = read_plain(folder / file, SEAL_BYTES + size) or b""
                content = unseal(sealed, None if self.is_trusting else self.key)
            if content is not None and len(content) == size:
                if self.is_writable:
                    self.take(folder)
                    self.save(name, content)
                return content
        return None

    def put_aside(self, name: str) -> None:
        """Give a file another name whose content is not what its name says."""
        if self.is_writable:
            path = self.folder / f"{name}{SUFFIX}"
            with suppress(OSError):
                path.replace(path.with_suffix(".damaged"))
        self.note(f"block {name} is damaged and not used")


def read_plain(path: Path, most: int) -> bytes | None:
    """Return the bytes of a plain file, or None where there is nothing.

    What is there and is a link, no plain file or larger than `most` bytes is not read: it gives no
    bytes. Raises `RunError` where a file cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would wait
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket
            return b""
        raise RunError(cannot_read(error, path)) from None
    try:
        known = os.fstat(descriptor)
        if not stat.S_ISREG(known.st_mode) or known.st_size > most:
            return b""
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    except OSError as error:
        raise RunError(cannot_read(error, path)) from None
    finally:
        os.close(descriptor)


def find_paths(root: Path, pattern: str, depth: int = 100) -> list[Path]:
    """Return what has a name that fits a pattern, below a folder and so many folders in it.

    Whatever comes and goes there meanwhile. Hidden folders and links are not entered.
    """
    found: list[Path] = []
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        found += [here / name for name in fnmatch.filter([*folders, *files], pattern)]
        is_deepest = len(here.relative_to(root).parts) >= depth
        folders[:] = [] if is_deepest else [name for name in folders if name[0] != "."]
    return found


def user_key() -> bytes:
    """Return this user's key, or nothing where there is no proper place to keep one.

    It is in the file that `REGBENCH_KEY_FILE` names, or else in `regbench/key` of the state folder,
    `XDG_STATE_HOME` or `~/.local/state`, made when it is first needed. Raises `UsageError` where
    the variable names no plain file of this user alone.
    """
    named = os.environ.get(KEY_VARIABLE)
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    path = os.path.expanduser(named or f"{state}/regbench/key")  # noqa: PTH111
    if not named and not os.path.isabs(path):  # noqa: PTH117
        return b""
    file = Path(os.path.realpath(path))
    with suppress(RunError, OSError):
        if not named:
            make_key(file)
        content, known = read_plain(file, LONGEST_KEY), file.stat()
        is_private = known.st_uid in (0, os.geteuid()) and not known.st_mode & 0o077
        if content and len(content) >= SHORTEST_KEY and is_private:
            return hashlib.sha256(content).digest()
    if named:
        allowed = f"a plain file of {SHORTEST_KEY} to {LONGEST_KEY} bytes that only you can read"
        raise UsageError(KEY_VARIABLE, named, allowed, hint="chmod 600 takes it from all others")
    return b""


def make_key(path: Path) -> None:
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
