"""What Numba compiles is kept on disk, and who waits for it is told.

Knows nothing about what is compiled, but that it is written with `simd.py`.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from numba import njit
from numba.core.caching import FunctionCache
from numba.core.event import Listener, install_listener

from regbench.engines.fused import simd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIMD_DIGEST = hashlib.sha256(Path(simd.__file__).read_bytes()).hexdigest()
"""Numba compares the file of a function with what it has compiled, but none that this imports."""


class KernelCache(FunctionCache):
    """Numba's cache on disk, which must never stop or mislead a run.

    A full disk or a damaged file costs a compilation, and no more. Numba numbers its files from 1,
    so that two processes which compile at once could take each other's; here each begins at random.
    """

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
    with suppress(RuntimeError):  # neither the package's folder nor the user's cache is writable
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
