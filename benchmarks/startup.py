"""Seconds of whole processes: start-up, wrong options, one pair, thirty pairs.

    python benchmarks/startup.py [--rounds 5] [--only PART_OF_A_NAME]

The commands take turns, round after round, each in a new folder; the table shows medians and the
ratio to `one_pair.py`, a plain PyTorch program for one pair with pictures and TensorBoard.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ONE_PAIR = str(Path(__file__).with_name("one_pair.py"))
WRONG = "regbench wdecay --lambda x"
COMMANDS = {
    "one_pair.py": [ONE_PAIR, "."],
    "import torch": ["-c", "import torch"],
    "regbench --help": ["-m", "regbench", "--help"],
    WRONG: ["-m", "regbench", "wdecay", "--lambda", "x"],
    "regbench wdecay --replicates 1": ["-m", "regbench", "wdecay", "--replicates", "1"],
    "regbench wdecay": ["-m", "regbench", "wdecay"],
    "regbench dropout": ["-m", "regbench", "dropout"],
    "regbench dropout-scale": ["-m", "regbench", "dropout-scale"],
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="leave out commands without this in the name")
    given = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS if given.only in name}
    for turn in range(given.rounds + 1):
        for name in times:
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                finished = subprocess.run(
                    [sys.executable, *COMMANDS[name]], cwd=folder, capture_output=True, check=False
                )
                seconds = time.perf_counter() - start
            if finished.returncode != (2 if name == WRONG else 0):
                raise SystemExit(f"{name}: exit {finished.returncode}")
            if turn > 0:  # the first turn compiles and fills caches
                times[name].append(seconds)
    whole = statistics.median(times.get("one_pair.py", [math.nan]))
    print(f"{'seconds of the whole process':35}  median    min    max  one_pair / this")
    for name, values in times.items():
        median = statistics.median(values)
        print(
            f"{name:35}  {median:6.2f}  {min(values):5.2f}  {max(values):5.2f}  "
            f"{whole / median:15.1f}"
        )


if __name__ == "__main__":
    main()
