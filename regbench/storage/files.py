"""Files that are whole or absent, and a store of immutable ones that notices damage.

A file is written under a temporary name, flushed to disk and renamed. A stored file begins with
the SHA-256 of the rest, which is checked at every read. Knows nothing about what the files say.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from regbench.errors import RunError, cannot_read, cannot_write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

SUFFIX = ".block"
TEMPORARY_BYTES = 8
TEMPORARY = f".{2 * TEMPORARY_BYTES * '[0-9a-f]'}.part"
"""The pattern of temporary names; what has one and is in no process's hands is left of a kill."""
UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""What a file system answers that cannot do what was asked at all."""
DIGEST_BYTES = hashlib.sha256().digest_size
_unfinished: set[Path] = set()
"""Temporary names in use, for a signal that ends the process."""


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


def seal(content: bytes) -> bytes:
    """Return the content behind its SHA-256."""
    return hashlib.sha256(content).digest() + content


def unseal(sealed: bytes) -> bytes | None:
    """Return the content of sealed bytes, or None where they are damaged."""
    digest, content = sealed[:DIGEST_BYTES], sealed[DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


@dataclass(frozen=True)
class Store:
    """A folder of sealed, immutable files by name.

    Two processes that save the same name rename identical bytes, so nothing is ever locked. A
    missing file may be found `elsewhere`. Where the folder is writable, damaged files are put aside
    and found ones copied. `note` is called with a line about each damaged file.
    """

    folder: Path
    elsewhere: Sequence[Path] = ()
    is_writable: bool = True
    note: Callable[[str], None] = field(default=lambda line: None)

    def save(self, name: str, content: bytes) -> None:
        """Save a file; see `write_whole`."""
        write_whole(self.folder / f"{name}{SUFFIX}", [seal(content)])

    def load(self, name: str) -> bytes | None:
        """Return a file's content, or None where there is none that is whole.

        A damaged file is put aside, so that it is made anew. Raises `RunError` where a file is
        there and cannot be read: it may well be whole.
        """
        file = f"{name}{SUFFIX}"
        if (sealed := read_bytes(self.folder / file)) is not None:
            if (content := unseal(sealed)) is not None:
                return content
            self.put_aside(name)
        for folder in self.elsewhere:
            if (content := read(folder / file)) is not None:
                if self.is_writable:
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


def read_bytes(path: Path) -> bytes | None:
    """Return the bytes of a file, of a folder or device no bytes, or None where there is nothing.

    Raises `RunError` where it cannot be read.
    """
    try:
        if not path.is_file():
            return b"" if path.exists() else None
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(cannot_read(error, path)) from None


def read(path: Path) -> bytes | None:
    """Return the content of a sealed file, or None where it is missing, unreadable or damaged."""
    with suppress(RunError):
        return unseal(read_bytes(path) or b"")
    return None
