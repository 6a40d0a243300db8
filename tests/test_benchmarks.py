"""The scripts under benchmarks/ and examples/ run, and print what the docs say that they do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = {
    path.stem: path
    for room in ("benchmarks", "examples", "docs/pictures")
    for path in ROOT.glob(f"{room}/*.py")
}
TINY = {
    "throughput": (
        ["--replicates=2", "--epochs=4", "--rounds=1", "--hidden=8"],
        ["plain loop  ", "torch.func vmap ", "regbench batched, wdecay, 1 threads ",
         "regbench fused, dropout, 1 threads ", "a process per core ", "regbench fused, Adam, ",
         "regbench fused, hidden 20, ", "regbench batched, points 1000, "],
    ),
    "startup": (["--rounds=1", "--only=help"], ["regbench --help "]),
    "steps": (
        ["--replicates=2", "--epochs=4"],
        ["import of torch ", "training and measuring ", "picture fan ", "files of html ", " 100%"],
    ),
    "scaling": (["--largest=1"], ["replicates 1 "]),
    "interval_coverage": (
        ["--experiments=4"],
        ["interval of the mean (t)", "sign flips", "intervals of all arms hold together",
         "difference of variance", "--target-width W", "skewness"],
    ),
    "best_epochs_coverage": (
        ["dropout=0.5", "--replicates=4", "--epochs=9", "--experiments=4"],
        ["| at best epochs | R = 10 ", "| p=0.5: two halves |", "| p=0.5: epochs known, t |"],
    ),
    "table_coverage": (
        ["dropout=0.5", "--tables=3", "--networks=2", "--replicates", "10", "20", "--kinds=1",
         "--epochs=4"],
        ["| the risk | Δ | R = 10 | R = 20 |", "| 50, 20, 1, 0.2 | ", "| Δbias², R = 20 |",
         "| Friedman, 60, 5, 3: p=0.5 |", ": all arms |", "| best epochs, t, R = 20 |"],
    ),
    "machines": (
        ["--hidden=4", "--batches=2"],
        ["a block, an arm of 64 replicates", " ms\n", "31,250 blocks", "\n 1024  ", " 1,000,000 "],
    ),
    "one_pair": ([".", "--epochs=2"], []),
    "fit": (["fit.png", "--epochs=20"], []),
    "from_python": (
        ["--epochs=20", "--replicates=3"],
        ["wdecay=0.01+dropout=0.5  ", "summary.json", "exit code", "p=0.5: ", "refused: "],
    ),
}  # fmt: skip
"""Arguments of each script that take seconds, and what it prints among other things."""


@pytest.mark.parametrize("name", sorted(TINY))
def test_script_runs(name: str, tmp_path: Path) -> None:
    arguments, printed = TINY[name]
    finished = subprocess.run(
        [sys.executable, str(SCRIPTS[name]), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    for text in printed:
        assert text in finished.stdout
    for drawn in {"one_pair": ["2.png"], "fit": ["fit.png"]}.get(name, []):
        assert (tmp_path / drawn).exists()


def test_every_script_is_run() -> None:
    assert SCRIPTS.keys() == TINY.keys()
