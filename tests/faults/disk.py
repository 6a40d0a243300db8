"""Let the disk run full at many sizes, and lose nothing that was there before.

    python tests/faults/disk.py [--sizes 50] [--file-systems 10]

Each trial limits how large a file may become (RLIMIT_FSIZE), or runs in a small tmpfs (where this
process may mount one). The run must end with exit code 1 and one line on stderr that says how to go
on, unless everything fits; every block that is there must be whole; and with room again the run
must be resumed to the bytes of an undisturbed one.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

from forks import Child, finish, start
from results import SWEEPS, fingerprint

from regbench.storage.files import unseal

OPTIONS = [*SWEEPS["batched"], "--quiet", "--out=run"]
SMALLEST = 4000
"""Bytes: what is printed must fit."""


def judge(child: Child, run: Path) -> str:
    """Check a run that had too little room; return what became of it."""
    code = child.wait()
    assert "Traceback" not in child.err, child.err
    if code == 0:
        assert (run / "DONE").exists()
        return "had room"
    assert code in (1, 2), f"exit {code}: {child.err}"
    assert child.err.count("\n") == 1, child.err
    assert child.err.startswith("regbench: error: "), child.err
    assert "cannot write" in child.err, child.err
    for block in (run / "blocks").glob("*.block"):
        assert unseal(block.read_bytes()) is not None, f"{block} is not whole"
    if not run.exists():
        return "had not begun"
    assert "go on with: regbench resume" in child.err, child.err
    return "was told how to go on"


def go_on(folder: Path, expected: dict[str, str]) -> None:
    """Resume a run with room enough, or begin it."""
    arguments = ["resume", "run", "--quiet"] if (folder / "run").exists() else OPTIONS
    finish(arguments, folder)
    assert fingerprint(folder / "run") == expected


def limit_files(sizes: int, top: Path, expected: dict[str, str], largest: int) -> None:
    """Limit the size of a file."""
    chance, outcomes = random.Random(1), []
    for _ in range(sizes):
        size = int(SMALLEST * (1.2 * largest / SMALLEST) ** chance.random())

        def limit(size: int = size) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        folder = top / "trial"
        folder.mkdir()
        outcomes.append(judge(start(OPTIONS, folder, limit), folder / "run"))
        go_on(folder, expected)
        shutil.rmtree(folder)
    print(f"{sizes} limits of a file: {summary(outcomes)}")


def fill_file_systems(count: int, top: Path, expected: dict[str, str], total: int) -> None:
    """Run in file systems from almost nothing to just enough."""
    outcomes = []
    for number in range(1, count + 1):
        disk, folder = top / "disk", top / "trial"
        disk.mkdir()
        folder.mkdir()
        pages = 4 + number * (total // 4096) // count
        mount = ["mount", "-t", "tmpfs", "-o", f"size={pages * 4096}", "tmpfs", str(disk)]
        if subprocess.run(mount, check=False, capture_output=True).returncode:
            print("no file system could be mounted: left out")
            return
        try:
            options = [*OPTIONS[:-1], f"--out={disk / 'run'}"]
            outcomes.append(judge(start(options, folder), disk / "run"))
            if (disk / "run").exists():  # carried to where there is room
                shutil.copytree(disk / "run", folder / "run")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        go_on(folder, expected)
        shutil.rmtree(folder)
        disk.rmdir()
    print(f"{count} small file systems: {summary(outcomes)}")


def summary(outcomes: list[str]) -> str:
    """Return how often there was which outcome."""
    return ", ".join(f"{outcome} {outcomes.count(outcome)}" for outcome in sorted(set(outcomes)))


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, default=50)
    parser.add_argument("--file-systems", type=int, default=10)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        (top / "whole").mkdir()
        finish(OPTIONS, top / "whole")
        files = [path.stat().st_size for path in (top / "whole").rglob("*") if path.is_file()]
        expected = fingerprint(top / "whole" / "run")
        limit_files(given.sizes, top, expected, max(files))
        fill_file_systems(given.file_systems, top, expected, sum(files) + 4096 * len(files))


if __name__ == "__main__":
    main()
