"""The first Ctrl-C or SIGTERM stops work in order, and nothing keeps the process from ending."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

BEGINNING = """
import signal, sys, time
from regbench import signals
from regbench.signals import Stopped, stopping
signals.PATIENCE_SECONDS = 0.3
NUMBER = signal.Signals[sys.argv[1]]
"""
INTERRUPTED = {
    "work that can be interrupted": """
try:
    with stopping("interrupted; go on"):
        signal.raise_signal(NUMBER)
        time.sleep(60)
except Stopped as stopped:
    print("\\nregbench: error:", stopped, file=sys.stderr)
    sys.exit(stopped.exit_code)
""",
    "work that goes on": """
with stopping("interrupted; go on"):
    try:
        signal.raise_signal(NUMBER)
        time.sleep(60)
    except BaseException:
        time.sleep(60)
""",
    "work that makes another error of it": """
try:
    with stopping("interrupted; go on"):
        try:
            signal.raise_signal(NUMBER)
        except BaseException:
            raise ImportError("cannot load module more than once per process")
except Stopped as stopped:
    print("\\nregbench: error:", stopped, file=sys.stderr)
    sys.exit(stopped.exit_code)
""",
    "work that ends as if nothing had been": """
try:
    with stopping("interrupted; go on"):
        try:
            signal.raise_signal(NUMBER)
        except BaseException:
            pass
except Stopped as stopped:
    print("\\nregbench: error:", stopped, file=sys.stderr)
    sys.exit(stopped.exit_code)
""",
    "a finalizer, whose exceptions Python ignores": """
class Trap:
    def __del__(self):
        signal.raise_signal(NUMBER)
with stopping("interrupted; go on"):
    Trap()
    time.sleep(60)
""",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", sorted(INTERRUPTED))
def test_first_signal_ends_the_process_with_one_line(number: signal.Signals, where: str) -> None:
    process = subprocess.run(
        [sys.executable, "-c", BEGINNING + INTERRUPTED[where], number.name],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert process.returncode == 128 + number
    assert process.stderr == "\nregbench: error: interrupted; go on\n"


def test_second_signal_ends_the_process_at_once() -> None:
    program = """
signals.PATIENCE_SECONDS = 60
with stopping("interrupted; go on"):
    try:
        signal.raise_signal(signal.SIGTERM)
    except BaseException:
        signal.raise_signal(signal.SIGINT)
        time.sleep(60)
"""
    process = subprocess.run(
        [sys.executable, "-c", BEGINNING + program, "SIGINT"],
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert process.returncode == 130
    assert process.stderr == "\nregbench: error: interrupted; go on\n"


def test_handlers_are_put_back_after_undisturbed_work() -> None:
    program = """
def hooks():
    return [*map(signal.getsignal, (signal.SIGINT, signal.SIGTERM)), sys.unraisablehook]
before = hooks()
with stopping("interrupted"):
    assert hooks()[0] is not before[0]
assert hooks() == before
"""
    subprocess.run([sys.executable, "-c", BEGINNING + program, "SIGINT"], check=True)


def test_ctrl_c_before_the_command_line_is_loaded_leaves_no_traceback(tmp_path: Path) -> None:
    # A package that takes its time stands in for the one that the entry point loads.
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    process = subprocess.run(
        [sys.executable, "-m", "regbench"],
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (-signal.SIGINT, "")
