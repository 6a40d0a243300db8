"""Wall and processor seconds of whole processes: start-up, wrong options, one pair, thirty pairs.

    python benchmarks/startup.py [--rounds 5] [--only PART_OF_A_NAME]

The commands take turns, round after round, each in a new folder; the table shows medians and the
part that it is of `one_pair.py`, a plain PyTorch program for one pair with pictures and logs.
"""

from __future__ import annotations

import argparse
import math
import resource
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


def spent() -> float:
    """Return the processor seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="leave out commands without this in the name")
    given = parser.parse_args()
    times: dict[str, list[tuple[float, float]]] = {
        name: [] for name in COMMANDS if given.only in name
    }
    for turn in range(given.rounds + 1):
        for name in times:
            with tempfile.TemporaryDirectory() as folder:
                wall, processor = time.perf_counter(), spent()
                finished = subprocess.run(
                    [sys.executable, *COMMANDS[name]], cwd=folder, capture_output=True, check=False
                )
                seconds = time.perf_counter() - wall, spent() - processor
            if finished.returncode != (2 if name == WRONG else 0):
                raise SystemExit(f"{name}: exit {finished.returncode}")
            if turn > 0:  # the first turn compiles and fills caches
                times[name].append(seconds)
    nothing = [(math.nan, math.nan)]
    whole = [
        statistics.median(each) for each in zip(*times.get("one_pair.py", nothing), strict=True)
    ]
    print(f"{'seconds of the whole process':32}  wall     min    max  of one  processor  of one")
    for name, values in times.items():
        walls, processors = zip(*values, strict=True)
        wall, processor = statistics.median(walls), statistics.median(processors)
        print(
            f"{name:32}  {wall:4.2f}  {min(walls):6.2f} {max(walls):6.2f}  {wall / whole[0]:6.2f}  "
            f"{processor:9.2f}  {processor / whole[1]:6.2f}"
        )


if __name__ == "__main__":
    main()
