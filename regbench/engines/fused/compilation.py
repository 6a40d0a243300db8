"""What Numba compiles, kept on disk in a folder that belongs to this user alone.

What lies in it is run, so that a folder which others can write to is worse than none. It is good
until the file of the function or `simd.py` changes.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from numba import njit
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserWideCacheLocator
from numba.core.event import Listener, install_listener

from regbench.engines.fused import simd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIMD_DIGEST = hashlib.sha256(inspect.getsource(simd).encode()).hexdigest()
"""Numba notices a change of a function's own file, but not of a file that it imports."""


def cache_folder() -> Path | None:
    """Return where to keep what is compiled, or None where there is no proper place.

    That is `NUMBA_CACHE_DIR`, or `regbench` in `XDG_CACHE_HOME` or in `~/.cache`: an absolute path,
    made where its parent's folder is there, and `private`.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111
    folder = Path(os.environ.get("NUMBA_CACHE_DIR") or f"{caches}/regbench")
    with suppress(OSError, ValueError):
        if folder.is_absolute():
            folder.parent.mkdir(0o700, exist_ok=True)
            return private(folder)
    return None


def private(folder: Path) -> Path:
    """Make a folder if missing, and return its real path; refuse one that others can change."""
    folder.mkdir(0o700, exist_ok=True)
    folder, user = folder.resolve(), os.geteuid()
    own, *outer = (path.stat() for path in (folder, *folder.parents))
    is_own = own.st_uid == user and not own.st_mode & 0o022 and os.access(folder, os.W_OK)
    # A sticky folder lets nobody rename what is another's.
    is_loose = any(p.st_uid not in (0, user) or 0 < p.st_mode & 0o1022 < 0o1000 for p in outer)
    if is_loose or not is_own:
        raise PermissionError
    return folder


class OwnFolder(UserWideCacheLocator):
    """Numba's way to say where files are: below `cache_folder`."""

    def __init__(self, function, file):
        super().__init__(function, file)
        if (folder := cache_folder()) is None:
            raise PermissionError
        self._cache_path = str(private(folder / self.get_suitable_cache_subpath(file)))


class Implementation(CompileResultCacheImpl):
    """Numba's way to write what it has compiled, in no other folder."""

    _locator_classes = (OwnFolder,)


class KernelCache(FunctionCache):
    """Numba's cache on disk, which must never stop or mislead a run.

    A full disk or a damaged file costs a compilation, and no more. Numba numbers its files from 1,
    so that two processes which compile at once could take each other's; here each begins at random.
    """

    _impl_class = Implementation

    def __init__(self, function):
        super().__init__(function)
        files, first = self._cache_file, secrets.randbits(60)
        files._data_name = lambda number: files._data_name_pattern.format(number=first + number)

    def _index_key(self, *arguments):
        return *super()._index_key(*arguments), SIMD_DIGEST

    def load_overload(self, *arguments):
        """Return what was compiled earlier, or None."""
        with suppress(Exception):  # whatever unpickling damaged bytes may raise
            return super().load_overload(*arguments)

    def save_overload(self, *arguments):
        """Keep what was compiled, if that is possible."""
        with suppress(OSError):
            super().save_overload(*arguments)


def compiled(function):
    """Compile a function when it is first called, and keep the result on disk where possible."""
    dispatcher = njit(nogil=True, error_model="numpy")(function)
    with suppress(OSError, RuntimeError):  # there is no such folder, or none that can be used
        dispatcher._cache = KernelCache(function)
    return dispatcher


@contextmanager
def compilation_noted(note: Callable[[], None]) -> Iterator[None]:
    """Call `note` once where something is compiled, which takes some seconds, and not loaded."""
    note_once = functools.cache(note)

    class Compilation(Listener):
        def on_start(self, event):
            note_once()

        def on_end(self, event):
            pass

    with install_listener("numba:compile", Compilation()):
        yield
