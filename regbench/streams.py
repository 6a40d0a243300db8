"""Standard input, output and error, made such that no shell can make a command fail by them.

Knows nothing about what is printed.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Outlet(io.FileIO):
    """A descriptor that fails once, as on a full disk, and then takes everything and keeps nothing.

    A reader that leaves, such as `head`, is no failure.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes and return how many were taken."""
        try:
            return super().write(data)
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if not isinstance(error, BrokenPipeError):
                raise
            return super().write(data)


def open_streams() -> None:
    """Put streams with these properties in the place of stdout and stderr."""
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(Outlet(stream.fileno(), "w", closefd=False)),
            encoding=stream.encoding,
            errors="backslashreplace",
            line_buffering=bool(stream.line_buffering),
        )
        for stream in (sys.stdout, sys.stderr)
    )
