"""Measure the memory that a run of many replicates takes at its peak, and how it grows with them.

    python tests/faults/memory.py [--replicates 10000] [--hidden 200] [--megabytes 1500]

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
FEW = 201
"""Replicates to compare with. Permutation tests of fewer take more memory than all of these."""
KILOBYTES = 76.0
"""Most that a replicate may add. Its predictions are 19: 200 of each of two arms at each of 12 kept
epochs, of which there are at most 20 however long a run is. The rest are its measures, most of all
as Python's numbers and text in the JSON document. Of few replicates the peak is that of pictures
and libraries. It differs by some megabytes from run to run, which is some kilobytes for each of a
thousand replicates."""


def peak(replicates: int, hidden: int) -> float:
    """Run once and return the megabytes it took at its peak."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "regbench", "wdecay", *EPOCHS, "--device=cpu", "--quiet",
             f"--hidden={hidden}", f"--replicates={replicates}", "--out=run"],
            cwd=folder, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return usage.ru_maxrss / 1024  # kilobytes on Linux


def main() -> None:
    """Run twice and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--megabytes", type=int, default=1500)
    given = parser.parse_args()
    few, many = (peak(count, given.hidden) for count in (FEW, given.replicates))
    growth = 1024 * (many - few) / (given.replicates - FEW)
    assert many < given.megabytes, f"{many:.0f} MB"
    assert growth < KILOBYTES, f"{growth:.1f} KB for each replicate"
    print(
        f"{given.replicates} replicates: {many:.0f} MB at the peak, {growth:.1f} KB for each more"
    )


if __name__ == "__main__":
    main()
