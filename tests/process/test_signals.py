"""The first Ctrl-C or SIGTERM ends the process with one line, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from commands import SOURCES

if TYPE_CHECKING:
    from pathlib import Path

BEGINNING = """
import signal, sys, time
from pathlib import Path
from regbench.process import stopping
from regbench.storage.files import unfinished, write_whole
NUMBER = signal.Signals[sys.argv[1]]
"""
INTERRUPTED = {
    "plain work": """
with stopping("interrupted; go on"):
    signal.raise_signal(NUMBER)
    time.sleep(60)
""",
    "work that lets nothing through": """
with stopping("interrupted; go on"):
    try:
        signal.raise_signal(NUMBER)
    except BaseException:
        pass
""",
    "work that makes another error of it": """
with stopping("interrupted; go on"):
    try:
        signal.raise_signal(NUMBER)
    except BaseException:
        raise ImportError("cannot load module more than once per process")
""",
    "a finalizer, whose exceptions Python ignores": """
class Trap:
    def __del__(self):
        signal.raise_signal(NUMBER)
with stopping("interrupted; go on"):
    Trap()
    time.sleep(60)
""",
    "a part of the work with a message of its own": """
with stopping("interrupted"), stopping("interrupted; go on"):
    signal.raise_signal(NUMBER)
""",
    "work after a part with a message of its own": """
with stopping("interrupted; go on"):
    with stopping("interrupted"):
        pass
    signal.raise_signal(NUMBER)
""",
    "work whose stderr is wrapped by a progress bar": """
import rich.console, rich.progress
bar = rich.progress.Progress(console=rich.console.Console(stderr=True, force_terminal=True))
with stopping("interrupted; go on"), open("/dev/null", "w") as nowhere:
    bar.live.console.file = nowhere
    with bar:
        signal.raise_signal(NUMBER)
""",
    "work with files under temporary names": """
def pieces():
    yield b"half"
    signal.raise_signal(NUMBER)
with stopping("interrupted; go on"), unfinished(Path("folder")) as draft:
    draft.mkdir()
    (draft / "file").touch()
    write_whole(Path("file"), pieces())
""",
}


def interrupt(program: str, number: signal.Signals, folder: Path) -> tuple[int, str]:
    """Run a program that sends itself a signal; return its exit code and what it says of it."""
    process = subprocess.run(
        [sys.executable, "-c", BEGINNING + program, number.name],
        cwd=folder, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    return process.returncode, process.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", sorted(INTERRUPTED))
def test_first_signal_ends_the_process_with_one_line(
    number: signal.Signals, where: str, tmp_path: Path
) -> None:
    code, said = interrupt(INTERRUPTED[where], number, tmp_path)
    assert code == 128 + number
    assert said == "\nregbench: error: interrupted; go on\n"
    assert not list(tmp_path.iterdir())


def test_message_is_one_line_without_control_characters(tmp_path: Path) -> None:
    program = """
with stopping("interrupted; go on with: regbench resume 'a\\x1b[2J\\n'"):
    signal.raise_signal(NUMBER)
"""
    _, said = interrupt(program, signal.SIGINT, tmp_path)
    expected = r"interrupted; go on with: regbench resume 'a\x1b[2J\n'"
    assert said == f"\nregbench: error: {expected}\n"


def test_message_that_cannot_be_written_keeps_nothing_alive(tmp_path: Path) -> None:
    program = """
import os
os.close(2)
with stopping("interrupted"):
    signal.raise_signal(NUMBER)
    time.sleep(60)
"""
    assert interrupt(program, signal.SIGTERM, tmp_path) == (143, "")


def test_second_signal_ends_a_process_whose_message_nobody_takes(tmp_path: Path) -> None:
    program = """
import os, threading
_, full = os.pipe()
os.set_blocking(full, False)
for size in (4096, 1):
    try:
        while os.write(full, bytes(size)):
            pass
    except BlockingIOError:
        pass
os.set_blocking(full, True)
os.dup2(full, 2)
def interrupt_again():
    while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # as before the message
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGTERM)
with stopping("interrupted"):
    threading.Thread(target=interrupt_again).start()
    signal.raise_signal(NUMBER)
"""
    assert interrupt(program, signal.SIGINT, tmp_path) == (-signal.SIGTERM, "")


def test_handlers_are_put_back(tmp_path: Path) -> None:
    program = """
def handlers():
    return [*map(signal.getsignal, (signal.SIGINT, signal.SIGTERM))]
before = handlers()
with stopping("interrupted"):
    assert handlers()[0] is not before[0]
assert handlers() == before
try:
    with stopping("interrupted"):
        raise ValueError
except ValueError:
    assert handlers() == before
"""
    assert interrupt(program, signal.SIGINT, tmp_path) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_that_the_parent_ignores_is_ignored(number: signal.Signals, tmp_path: Path) -> None:
    program = """
import os
signal.signal(NUMBER, signal.SIG_IGN)
with stopping("interrupted"), stopping("interrupted; go on"):
    os.kill(os.getpid(), NUMBER)
assert signal.getsignal(NUMBER) is signal.SIG_IGN
"""
    assert interrupt(program, number, tmp_path) == (0, "")


def test_ctrl_c_that_the_parent_ignores_ends_no_command(tmp_path: Path) -> None:
    # A package that takes its time stands in for the one that the entry point loads.
    (tmp_path / "typer.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise SystemExit(7)\n"
    )
    process = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$0" -m regbench', sys.executable],
        env={"PYTHONPATH": str(tmp_path)}, capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (7, b"")


def test_ctrl_c_before_the_command_line_is_loaded_leaves_no_traceback(tmp_path: Path) -> None:
    # A package that takes its time stands in for the one that the entry point loads.
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    paths = os.pathsep.join([str(tmp_path), *SOURCES.values()])
    process = subprocess.run(
        [sys.executable, "-m", "regbench"],
        env={"PYTHONPATH": paths}, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (-signal.SIGINT, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_training_stops_though_a_library_lets_nobody_in(
    number: signal.Signals, tmp_path: Path
) -> None:
    # A hash of hours stands in for an epoch of a huge network.
    program = """
import hashlib, os, threading
from regbench import cli
from regbench.engines import ENGINES
def train(*_):
    threading.Timer(0.5, os.kill, (os.getpid(), NUMBER)).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
ENGINES["batched"] = train
cli.main(["wdecay", "--engine=batched", "--device=cpu", "--out=run", "--quiet"])
"""
    code, said = interrupt(program, number, tmp_path)
    assert code == 128 + number
    assert said.endswith("interrupted; finished blocks are kept; go on with: regbench resume run\n")
