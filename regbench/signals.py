"""Ctrl-C and SIGTERM: the first one stops the work in order, the second one at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

PATIENCE_SECONDS = 3.0
"""How long the work may take to stop in order."""


class Stopped(BaseException):
    """The user or the system asked the process to stop.

    Attributes:
        exit_code: 128 and the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


@contextmanager
def stopping(message: str) -> Iterator[None]:
    """Turn the first signal within into `Stopped` with a message of one line.

    Whatever the work makes of that exception (an import may turn it into another, a finalizer or a
    library may ignore it) the process ends: by `Stopped`, or there and then after
    `PATIENCE_SECONDS` or at a second signal, since every file is whole at any time. After the first
    signal the process is expected to exit, so the handlers stay.
    """
    stopped: Stopped | None = None
    timer: threading.Timer | None = None
    hook = sys.unraisablehook
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def leave(code: int) -> None:
        is_animated = sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}
        show_cursor = "\x1b[?25h" if is_animated else ""
        line = f"{show_cursor}\nregbench: error: {message}\n"
        # Not by `print`, which cannot be entered twice, and may have been interrupted.
        os.write(2, line.encode(sys.stderr.encoding, "backslashreplace"))
        os._exit(code)

    def leave_at_once(number: int, frame: FrameType | None) -> None:
        del frame
        leave(128 + number)

    def leave_if_ignored(ignored: sys.UnraisableHookArgs) -> None:
        if isinstance(ignored.exc_value, Stopped):
            leave(ignored.exc_value.exit_code)
        hook(ignored)

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopped, timer
        del frame
        for other in before:
            signal.signal(other, leave_at_once)
        timer = threading.Timer(PATIENCE_SECONDS, leave, [128 + number])
        timer.daemon = True
        timer.start()
        sys.unraisablehook = leave_if_ignored
        stopped = Stopped(number, message)
        raise stopped

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    except Stopped:
        raise
    except BaseException:
        if stopped is None:
            restore(before)
            raise
    finally:
        sys.unraisablehook = hook
        if timer is not None:
            timer.cancel()
    if stopped is not None:
        raise stopped
    restore(before)


def restore(handlers: Mapping[signal.Signals, Any]) -> None:
    """Set the signals' handlers back to what they were."""
    for number, handler in handlers.items():
        signal.signal(number, handler)
