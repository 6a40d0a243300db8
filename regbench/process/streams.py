"""Standard input, output and error as shells need them, so that none makes a command fail.

Knows nothing about what is printed.
"""

from __future__ import annotations

import io
import os
import re
import select
import sys
from contextlib import redirect_stdout, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from _typeshed import ReadableBuffer


class Outlet(io.FileIO):
    """A descriptor that fails once, as on a full disk, and then takes everything and keeps nothing.

    A reader that leaves, such as `head`, is no failure; one that is slow is waited for, also where
    whoever else has the descriptor has set it not to block.
    """

    def write(self, data: ReadableBuffer, /) -> int:
        """Write bytes and return how many were taken."""
        try:
            while (taken := super().write(data)) is None:
                select.select([], [self], [])
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())
            if not isinstance(error, BrokenPipeError):
                raise
            return super().write(data)
        return taken


def open_streams() -> None:
    """Put such streams in the place of stdout and stderr, and open what a shell has closed.

    Otherwise the next file that is opened would be taken for it.
    """
    for descriptor, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    sys.stdin = sys.stdin or io.StringIO()
    sys.stdout, sys.stderr = outlet(1, sys.stdout), outlet(2, sys.stderr)


def outlet(descriptor: int, stream: TextIO | None) -> TextIO:
    """Return what a stream is replaced by, with its encoding; what that lacks is escaped."""
    writer = io.BufferedWriter(Outlet(descriptor, "w", closefd=False))
    encoding = stream.encoding if stream else "utf-8"
    by_line = bool(stream and stream.line_buffering)
    return io.TextIOWrapper(writer, encoding, "backslashreplace", line_buffering=by_line)


def forget_odd_sizes() -> None:
    """Unset variables of a terminal's size that hold none: libraries fail, or print nothing."""
    for name in ("COLUMNS", "LINES", "TERMINAL_WIDTH"):
        text = os.environ.get(name, "")
        if not (text.isascii() and text.isdigit() and 20 <= int(text[:9]) <= 1000):
            os.environ.pop(name, None)
    if "_REGBENCH_COMPLETE" in os.environ:  # a shell asks: each answer is one line
        os.environ["COLUMNS"] = "1000"


def complete(answer: Callable[[], object], shell: str) -> int:
    """Print what may follow in a shell. bash splits words at an equals sign, and so does typer."""
    line, kept = os.environ.get("_TYPER_COMPLETE_ARGS", ""), ""
    if shell == "bash":
        words = os.environ["COMP_WORDS"].split("\n")[: int(os.environ["COMP_CWORD"]) + 1]
        line = re.sub("\n=(\n|$)", "=", "\n".join(words))
        os.environ |= {"COMP_WORDS": line, "COMP_CWORD": str(line.count("\n"))}
        kept = line.rpartition("\n")[2].removesuffix(words[-1].removeprefix("="))
    with redirect_stdout(io.StringIO()) as said, suppress(SystemExit):
        answer()
    option = re.sub(r"(?s)(.*\s)?(--\S+?=)?\S*", r"\2", line, count=1)
    found = [(option + word).removeprefix(kept) for word in said.getvalue().splitlines()]
    print(f"compset -P 1 '--*='; {said.getvalue()}" if shell == "zsh" else "\n".join(found))
    return 0
