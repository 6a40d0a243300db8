"""Whatever a shell makes of stdin, stdout and stderr, a command does its work."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY

if TYPE_CHECKING:
    from pathlib import Path


def run_in_shell(redirection: str, arguments: list[str], folder: Path) -> tuple[int, str, str]:
    """Run a command with descriptors as a shell sets them; return exit code and output."""
    process = subprocess.run(
        ["sh", "-c", f'"$0" -m regbench "$@" {redirection}', sys.executable, *arguments],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return process.returncode, process.stdout, process.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_take_nothing_and_end_nothing(tmp_path: Path, closed: str) -> None:
    code, out, err = run_in_shell(closed, ["wdecay", *TINY, *NO_FILES, "--out=run"], tmp_path)
    assert code == 0, err
    assert "Traceback" not in err
    assert "error" not in err
    assert bool(out) == (">&-" not in closed.split())
    assert (tmp_path / "run" / "DONE").exists()
    (tmp_path / "run" / "DONE").unlink()
    assert run_in_shell(closed, ["report", "run"], tmp_path)[0] == 1
    assert run_in_shell(closed, ["runs", "--prune"], tmp_path)[0] == 0
    assert run_in_shell(closed, ["wdecya"], tmp_path)[0] == 2


def test_what_an_encoding_lacks_is_escaped(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from regbench.process import open_streams\n"
        "open_streams()\n"
        "print('λ\\udcff')\n"
        "print('é', file=sys.stderr)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True,
    )  # fmt: skip
    assert (process.stdout, process.stderr) == (b"\\u03bb\\udcff\n", b"\\xe9\n")


KINDS = ["pipe", "socket", "terminal"]


@pytest.mark.parametrize("is_blocking", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_slow_reader_gets_every_byte_of_a_megabyte(
    tmp_path: Path, kind: str, is_blocking: bool, stream: str
) -> None:
    if kind == "pipe":
        source, target = os.pipe()
    elif kind == "socket":
        source, target = (end.detach() for end in socket.socketpair())
    else:
        source, target = pty.openpty()
    os.set_blocking(target, is_blocking)
    program = (
        "import sys\n"
        "from regbench.process import open_streams\n"
        "open_streams()\n"
        f"sys.{stream}.write(''.join(f'{{number:07d}}\\n' for number in range(2**17)))\n"
        f"sys.{stream}.flush()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        stdout=target if stream == "stdout" else None,
        stderr=target if stream == "stderr" else None,
    )
    os.close(target)
    taken = bytearray()
    with suppress(OSError):  # a terminal's end
        while part := os.read(source, 8192):
            taken += part
    os.close(source)
    assert process.wait() == 0
    lines = bytes(taken).split()
    assert [int(line) for line in lines] == list(range(2**17))
