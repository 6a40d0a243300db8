"""Stop real processes with Ctrl-C's signal and with SIGTERM at random moments.

    python tests/faults/signals.py [--each 50] [--seconds 5]

Each must exit within so many seconds with 130 or 143, say in one line how to go on where there is
something to go on with, print no traceback, and leave only whole blocks; a finished run may come
before the signal, but for the first one, sent when there is a block. Every tenth is resumed, and
must end with the bytes of an undisturbed run.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import fingerprint

from regbench.storage.files import unseal

COMMAND = [sys.executable, "-m", "regbench"]
OPTIONS = ["wdecay", "--lambda=0.01,0.1", "--replicates=130", "--engine=fused", "--hidden=24",
           "--depth=2", "--epochs=1500", "--log-every=500", "--no-cache", "--out=run"]  # fmt: skip


def launch(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    """Start a command whose output is collected in pipes."""
    return subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )


def stop(number: int, after: float | None, longest: float, folder: Path) -> str:
    """Send one signal to a run after so many seconds; return what became of it.

    It may take `longest` seconds to end. None for `after` is when the first block is there.
    """
    process = launch(OPTIONS, folder)
    if after is None:
        while process.poll() is None and not any(folder.glob("run/blocks/*.block")):
            time.sleep(0.01)
    else:
        time.sleep(after)
    sent = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    took = time.monotonic() - sent
    assert took < longest, f"took {took:.1f} s to stop"
    if "Traceback" in err:
        assert "__main__.py" not in err, err
        return "was Python's that was starting"
    for block in (folder / "run" / "blocks").glob("*.block"):
        assert unseal(block.read_bytes()) is not None, f"{block} is not whole"
    if process.returncode == 0:
        assert (folder / "run" / "DONE").exists()
        return "had finished"
    if process.returncode == -number:  # before or after there was anything to say
        return "was starting or leaving"
    assert process.returncode == 128 + number, f"exit {process.returncode}: {err}"
    last = err.splitlines()[-1]
    assert last.startswith("regbench: error: interrupted"), err
    if not (folder / "run").exists():
        return "had not begun"
    if "regbench resume run" in last:
        return "says how to go on"
    # Between the folder and the first block, or after the last file.
    return "was between stages"


def main() -> None:
    """Run the trials and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--each", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    each = given.each
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        # Compiles the kernel where that is new, so that `whole` is the time of a run.
        warm_up = ["wdecay", "--engine=fused", "--epochs=1", "--no-plots", "--out=warm"]
        assert launch(warm_up, top).wait() == 0
        started = time.monotonic()
        assert launch(OPTIONS, top).wait() == 0
        whole, expected = time.monotonic() - started, fingerprint(top / "run")
        for number in (signal.SIGINT, signal.SIGTERM):
            found: collections.Counter[str] = collections.Counter()
            for trial in range(each):
                folder = top / "trial"
                folder.mkdir()
                after = chance.uniform(0, whole) if trial else None
                found[stop(number, after, given.seconds, folder)] += 1
                if trial % 10 == 0:
                    is_there = (folder / "run").exists()
                    arguments = ["resume", "run", "--quiet"] if is_there else OPTIONS
                    process = launch(arguments, folder)
                    err = process.communicate()[1]
                    assert process.returncode == 0, err
                    assert fingerprint(folder / "run") == expected
                shutil.rmtree(folder)
            assert found["says how to go on"], found
            outcomes = ", ".join(f"{outcome} {count}" for outcome, count in found.most_common())
            print(f"{signal.Signals(number).name}: {each} trials: {outcomes}", flush=True)


if __name__ == "__main__":
    main()
