"""Measure the memory that a run of many replicates takes at its peak.

    python tests/faults/memory.py [--replicates 10000] [--megabytes 1500]

Ten logged epochs of the article's network, a baseline and one arm; only few epochs are trained,
since what is kept depends on how many are logged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

EPOCHS = ["--epochs=20", "--log-every=2"]


def main() -> None:
    """Run once and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--megabytes", type=int, default=1500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "regbench", "wdecay", *EPOCHS, "--device=cpu", "--quiet",
             f"--replicates={given.replicates}", "--out=run"],
            cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    peak = usage.ru_maxrss / 1024  # kilobytes on Linux
    assert peak < given.megabytes, f"{peak:.0f} MB"
    print(f"{given.replicates} replicates: {peak:.0f} MB at the peak")


if __name__ == "__main__":
    main()
