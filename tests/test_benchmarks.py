"""The scripts under benchmarks/ run, and print what docs/performance.md and statistics.md hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
TINY = {
    "throughput": (
        ["--replicates=2", "--epochs=4", "--rounds=1", "--hidden=8"],
        ["plain loop  ", "torch.func vmap ", "regbench batched, wdecay, 1 threads ",
         "regbench fused, dropout, 1 threads "],
    ),
    "startup": (["--rounds=1", "--only=help"], ["regbench --help "]),
    "scaling": (["--largest=1"], ["replicates 1 "]),
    "interval_coverage": (
        ["--experiments=4"],
        ["interval of the mean (t)", "sign flips", "jackknife", "--target-width W", "skewness"],
    ),
    "one_pair": ([".", "--epochs=2"], []),
}  # fmt: skip
"""Arguments of each script that take seconds, and what it prints among other things."""


@pytest.mark.parametrize("name", sorted(TINY))
def test_script_runs(name: str, tmp_path: Path) -> None:
    arguments, printed = TINY[name]
    finished = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{name}.py"), *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    for text in printed:
        assert text in finished.stdout
    if name == "one_pair":
        assert (tmp_path / "2.png").exists()


def test_every_script_is_run() -> None:
    assert {path.stem for path in BENCHMARKS.glob("*.py")} == set(TINY)
