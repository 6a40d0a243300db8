"""Time and peak memory of training against replicates, hidden units and points.

    python benchmarks/scaling.py [--engine fused] [--device cpu] [--largest 10000]

Every row is a process of its own, without pictures and TensorBoard.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from typing import Any

DEFAULT = {"replicates": 30, "hidden": 200, "points": 10, "epochs": 200}
SIZES = {
    "replicates": (1, 4, 16, 64, 256, 1024, 4096, 10_000),
    "hidden": (50, 100, 200, 400, 800),
    "points": (10, 30, 100, 300, 1000),
}
"""What each row changes in the defaults; `--largest` leaves out what is larger."""


def measure(options: dict[str, int], engine: str, device: str) -> tuple[float, float]:
    """Return the seconds of training and the peak memory of the process in MB."""
    arguments = [f"--{name}={value}" for name, value in options.items()]
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "regbench", "wdecay", "--json", "--no-plots"),
                *("--no-tensorboard", "--engine", engine, "--device", device, *arguments),
            ],
            cwd=folder,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{arguments}: exit {process.returncode}")
        out.seek(0)
        document: dict[str, Any] = json.load(out)
    return document["environment"]["duration_seconds"], usage.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--largest", type=int, default=10_000)
    given = parser.parse_args()
    rows = [
        {name: size} for name, sizes in SIZES.items() for size in sizes if size <= given.largest
    ]
    print(f"{'':20}  seconds  us per network and epoch  peak MB")
    for row in rows:
        options = DEFAULT | row
        seconds, megabytes = measure(options, given.engine, given.device)
        epochs = 2 * options["replicates"] * options["epochs"]
        name = " ".join(f"{key} {value}" for key, value in row.items())
        print(
            f"{name:20}  {seconds:7.2f}  {seconds / epochs * 1e6:24.1f}  {megabytes:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
