"""Ctrl-C and SIGTERM: the process ends at once, with a line that says how to go on."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from regbench.errors import error_line
from regbench.storage.files import discard_unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

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
