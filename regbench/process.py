"""What a process owes its shell: signals, and standard streams that make no command fail.

Ctrl-C and SIGTERM end the process at once, with a line that says how to go on. Knows nothing about
what is printed.
"""

from __future__ import annotations

import io
import os
import re
import select
import signal
import sys
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING

from regbench.errors import error_line
from regbench.storage.files import discard_unfinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType
    from typing import TextIO

    from _typeshed import ReadableBuffer

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping(message: str) -> Iterator[None]:
    """Let a signal within end the process with 130 or 143 and a message of one line on stderr.

    It ends there and then, since every file is whole or absent at any time. An exception would not
    do: raised inside a library it may become another one, be ignored, or abort the process. A
    second signal spares itself the message. One that the parent ignores, as a shell does for what a
    script puts in the background, stays ignored.
    """
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"  # before a progress bar wraps it
    line = f"\n{error_line(message)}\n".encode(encoding, "backslashreplace")
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]

    def leave(number: int, frame: FrameType | None) -> None:
        for other in heard:
            signal.signal(other, signal.SIG_DFL)
        try:
            discard_unfinished()
            os.write(2, line)  # `print` cannot be entered twice, and may be what was interrupted
        finally:
            os._exit(128 + number)

    before = {number: signal.signal(number, leave) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
