"""The promises of docs/reliability.md, each by a script of its own with few trials.

`pytest --faults` makes as many as the page says, which takes half an hour.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FAULTS = Path(__file__).parent / "faults"
FEW = {
    "kill": (["--kills=3", "--stride=40"], "nothing lost"),
    "signals": (["--each=3", "--seconds=60"], "SIGTERM: 3 trials"),  # the machine may be busy
    "disk": (["--sizes=4", "--file-systems=2"], "limits of a file"),
    "corruption": (["--flips=60", "--truncations=20"], "none silent"),
    "cluster": (["--trials=7"], "7 trials: nothing lost"),
    "concurrency": (["--runs=2", "--processes=4"], "no block lost, doubled or different"),
    "weather": (["--combinations=4"], "4 of 4 runs ended well"),
    "memory": (["--replicates=1000", "--hidden=50"], "KB for each more"),
}
"""Options of each script for a short form, and what it says in the end."""


@pytest.mark.parametrize("name", sorted(FEW))
def test_promise_is_kept(name: str, request: pytest.FixtureRequest) -> None:
    options, closing = FEW[name]
    is_full = request.config.getoption("--faults")
    finished = subprocess.run(
        [sys.executable, str(FAULTS / f"{name}.py"), *([] if is_full else options)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    if is_full:
        print(finished.stdout)
    else:
        assert closing in finished.stdout


def test_every_script_is_run() -> None:
    scripts = {path.stem for path in FAULTS.glob("*.py")} - {"forks", "results"}
    assert scripts == set(FEW)
