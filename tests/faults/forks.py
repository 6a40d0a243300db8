"""The command line in children that are forked from a process which has imported everything.

A child differs from a fresh process in nothing but its start, which takes milliseconds instead of
seconds: hundreds can be killed. The parent must never train, since torch's threads do not survive a
fork.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba  # noqa: F401
import scipy.optimize
import scipy.stats  # noqa: F401

import regbench.analysis.best
import regbench.engines
import regbench.engines.fused.network
import regbench.engines.machine
import regbench.experiments.feasibility
import regbench.experiments.training
import regbench.report.csv
import regbench.report.dropout_scale
import regbench.report.figures
import regbench.report.html.moving
import regbench.report.over
import regbench.report.tensorboard
import regbench.report.terminal.screen
import regbench.report.training
import regbench.verify.dropout_scale  # noqa: F401
from regbench.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOREVER = 120.0
"""Seconds after which a child is taken to hang."""


@dataclass(frozen=True)
class Child:
    """A command line at work: its process, and the folder where `out` and `err` collect."""

    pid: int
    folder: Path

    def wait(self) -> int:
        """Return its exit code, or minus the number of the signal that ended it."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send it a signal, if it is still there."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def out(self) -> str:
        """What it printed on stdout."""
        return (self.folder / "out").read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """What it printed on stderr."""
        return (self.folder / "err").read_text(encoding="utf-8")


def start(arguments: list[str], folder: Path, prepare: Callable[[], None] = lambda: None) -> Child:
    """Run `regbench ARGUMENTS` in a folder; `prepare` is called in the child before."""

    def run() -> None:
        signal.alarm(int(FOREVER))
        prepare()
        main(arguments)

    return fork(folder, run)


def fork(folder: Path, run: Callable[[], None]) -> Child:
    """Call a function in a child with a folder as the current one, where its output goes."""
    sys.stdout.flush()
    (folder / "err").write_bytes(b"")  # to be read at once
    pid = os.fork()
    if pid:
        return Child(pid, folder)
    code = 1
    try:
        os.chdir(folder)
        for descriptor, name in ((1, "out"), (2, "err")):
            target = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(target, descriptor)
        run()
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def finish(arguments: list[str], folder: Path) -> Child:
    """Run a command to its end, which must be exit code 0."""
    child = start(arguments, folder)
    code = child.wait()
    assert code == 0, f"{arguments}: exit {code}\n{child.err}"
    return child
