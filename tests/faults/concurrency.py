"""Let several processes finish the same run at once.

    python tests/faults/concurrency.py [--runs 20] [--processes 8]

They begin together on a run that has no blocks, or some. Each must end with exit code 0 and the
same result, and the folder must hold the bytes of a run that one process made, and nothing half.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

from forks import finish, start
from results import SWEEPS, fingerprint

RACES = ("fused", "batched")


def main() -> None:
    """Run the races."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--processes", type=int, default=8)
    given = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as top_name:
        top = Path(top_name)
        expected = {}
        for name in RACES:
            (top / name).mkdir()
            finish([*SWEEPS[name], "--out=run"], top / name)
            expected[name] = fingerprint(top / name / "run")
        for race in range(given.runs):
            name = RACES[race % len(RACES)]
            folder = top / "trial"
            folder.mkdir()
            while not (folder / "run").exists():  # until there is something to finish
                child = start([*SWEEPS[name], "--out=run"], folder)
                time.sleep(chance.uniform(0.1, 0.6))
                child.kill(signal.SIGKILL)
                child.wait()
            own_folders = [folder / f"process-{number}" for number in range(given.processes)]
            for own in own_folders:
                own.mkdir()
            children = [start(["resume", "../run", "--quiet"], own) for own in own_folders]
            for child in children:
                code = child.wait()
                assert code == 0, f"exit {code}: {child.err}"
            shown = {child.out.replace("../run", "run") for child in children}
            assert len({line for text in shown for line in text.splitlines()[:1]}) == 1, shown
            assert fingerprint(folder / "run") == expected[name]
            left = [p.name for p in (folder / "run").rglob("*") if p.suffix == ".damaged"]
            assert not left, left
            shutil.rmtree(folder)
            print(f"{name}: {given.processes} processes at once, one result", flush=True)
    print(f"{given.runs} runs: no block lost, doubled or different")


if __name__ == "__main__":
    main()
