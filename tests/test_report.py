"""`regbench report`: a run is shown from its blocks, finished or not, and its files made again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY
from runs import THREE_PARTS

if TYPE_CHECKING:
    from commands import Command

SUMS = ["compare", "wdecay=0.1", "dropout=0.5+l1=0.1", *TINY]


@pytest.mark.parametrize(
    "options", [["wdecay", "--lambda=0.1,0.2", *TINY, *NO_FILES], [*SUMS, *NO_FILES]]
)
def test_report_shows_what_the_run_has_shown(regbench: Command, options: list[str]) -> None:
    first = regbench(*options, "--out=run")
    again = regbench("report", "run")
    assert (again.code, again.err) == (0, "")
    assert again.out == first.out.replace("Results: run\n", "")
    document = regbench("report", "run", "--json")
    assert (document.code, document.out) == (0, Path("run/summary.json").read_text())


def test_blocks_of_a_pilot_are_counted_once(regbench: Command) -> None:
    tiny = [option for option in TINY if not option.startswith("--replicates")]
    planned = regbench("wdecay", "--target-width=0.0003", *tiny, *NO_FILES, "--out=run", "--json")
    assert len(planned.document["seeds"]) > 10
    blocks = list(Path("run/blocks").iterdir())
    max(blocks, key=lambda path: path.stat().st_mtime_ns).unlink()  # the last, not a pilot's
    reported = regbench("report", "run", "--quiet")
    assert reported.code == 1
    assert f"it has {len(blocks) - 1} of {len(blocks)} blocks" in reported.err


@pytest.mark.parametrize("options", [["wdecay", *TINY], ["l1", *TINY], SUMS])
def test_report_makes_every_file_again_without_torch(
    regbench: Command, tmp_path: Path, options: list[str]
) -> None:
    regbench(*options, "--out=run")
    kept = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    for name in ("figures", "tensorboard"):
        shutil.rmtree(Path("run", name))
    for name in ("history.csv", "summary.json"):
        Path("run", name).unlink()
    program = (
        "import sys\n"
        "from regbench.cli import main\n"
        "try:\n"
        "    main(['report', 'run', '--files'])\n"
        "except SystemExit as stopped:\n"
        "    assert stopped.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    made = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert set(made) == set(kept)
    for path, content in kept.items():
        if not {"tensorboard", "DONE"} & {*path.parts}:  # events carry the time, DONE their digest
            assert made[path] == content, path


def test_report_of_a_run_whose_blocks_are_gone_is_a_document_too(regbench: Command) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run")
    for path in [Path("run/DONE"), *Path("run/blocks").iterdir()]:
        path.unlink()
    reported = regbench("report", "run", "--json")
    assert reported.code == 1
    assert reported.document["is_complete"] is False
    assert reported.document["experiment"] == "wdecay"
    assert reported.document["run_dir"] == "run"
    assert "it has 0 of 2 blocks" in reported.err


def test_partial_document_says_that_it_is(regbench: Command) -> None:
    regbench(*THREE_PARTS, "--out=run")
    whole = json.loads(Path("run/summary.json").read_text())
    assert whole["is_complete"] is True
    for path in sorted(Path("run/blocks").iterdir()):
        content = path.read_bytes()
        path.unlink()
        partial = regbench("report", "run", "--json")
        path.write_bytes(content)
        assert partial.code == 1
        document = partial.document
        assert document["is_complete"] is False
        if "seeds" in document:  # else the first part is missing, and there is nothing to show
            shown = len(document["seeds"])
            assert shown in (64, 128)
            for name, history in document["history"].items():
                for key, losses in history.items():
                    expected = [row[:shown] for row in whole["history"][name][key]]
                    assert losses == expected
