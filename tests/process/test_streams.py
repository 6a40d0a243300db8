"""Whatever a shell makes of stdin, stdout and stderr, a command does its work."""

from __future__ import annotations

import subprocess
import sys
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
        "from regbench.process.streams import open_streams\n"
        "open_streams()\n"
        "print('λ\\udcff')\n"
        "print('é', file=sys.stderr)\n"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env={"PYTHONIOENCODING": "ascii"}, capture_output=True, check=True,
    )  # fmt: skip
    assert (process.stdout, process.stderr) == (b"\\u03bb\\udcff\n", b"\\xe9\n")
