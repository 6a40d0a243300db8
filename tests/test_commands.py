"""Every command that reads a run, on a run of every experiment."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import NO_FILES, TINY
from jsonschema import Draft202012Validator
from runs import SCALE, blocks_of

import regbench as rb

if TYPE_CHECKING:
    from commands import Command

SUM = ["compare", "wdecay=0.1", "dropout=0.5", "wdecay=0.1+dropout=0.5"]
RUNS = {
    "one arm": ["wdecay", *TINY],
    "a sum": [*SUM, *TINY],
    "a setting's values": ["wdecay", *TINY[1:], "--over=points=5,10"],
    "dropout-scale": SCALE,
}
RUN = "runs/some/run"
READERS = {
    "show": ["show", RUN],
    "show --json": ["show", RUN, "--json"],
    "report": ["report", RUN],
    "report --json": ["report", RUN, "--json"],
    "report --details": ["report", RUN, "--details"],
    "runs": ["runs"],
    "runs --json": ["runs", "--json"],
    "resume": ["resume", RUN],
}
SCHEMAS = {"show --json": "show", "report --json": "result", "runs --json": "runs"}
PAIRS = [(name, reader) for name in RUNS for reader in READERS]


def check(document: dict[str, Any], schema: str) -> None:
    """Check a document against one of the published schemas."""
    path = Path(__file__).parents[1] / "docs" / "schemas" / f"{schema}.json"
    Draft202012Validator(json.loads(path.read_text(encoding="utf-8"))).validate(document)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which every run is kept, so that it is trained once."""
    return tmp_path_factory.mktemp("trained")


@pytest.fixture(autouse=True)
def _run(regbench: Command, trained: Path, name: str) -> None:
    """Put the run of some name where `RUN` says."""
    if (trained / name).exists():
        shutil.copytree(trained / name, RUN)
    else:
        finished = regbench(*RUNS[name], *NO_FILES, f"--out={RUN}")
        assert finished.code == 0, finished.err
        shutil.copytree(RUN, trained / name)


@pytest.mark.parametrize(("name", "reader"), PAIRS)
def test_every_experiment_is_read_by_every_command(regbench: Command, reader: str) -> None:
    finished = regbench(*READERS[reader])
    said = f"regbench: '{RUN}' is complete: nothing to train\n" if reader == "resume" else ""
    assert (finished.code, finished.err) == (0, said)
    assert finished.out
    if reader in SCHEMAS:
        check(finished.document, SCHEMAS[reader])


@pytest.mark.parametrize("name", RUNS)
def test_every_experiment_has_every_file_of_export(regbench: Command) -> None:
    files = [Path(f"result.{suffix}") for suffix in ("md", "csv", "json", "html")]
    finished = regbench("report", RUN, "--quiet", *(f"--export={file}" for file in files))
    assert (finished.code, finished.err) == (0, "")
    text, rows, document, page = (file.read_text(encoding="utf-8") for file in files)
    assert "|" in text
    assert "," in rows.splitlines()[0]
    assert json.loads(document) == json.loads(Path(RUN, "summary.json").read_text())
    check(json.loads(document), "result")
    assert page.rstrip().endswith("</html>")


@pytest.mark.parametrize("name", RUNS)
def test_every_experiment_merged_alone_is_itself(regbench: Command) -> None:
    finished = regbench("merge", RUN, "--out=merged", "--quiet")
    assert (finished.code, finished.err) == (0, "")
    assert blocks_of("merged") == blocks_of(RUN)
    merged, own = (regbench("report", run, "--format=csv").out for run in ("merged", RUN))
    assert merged == own


@pytest.mark.parametrize("name", RUNS)
def test_every_experiment_is_loaded_and_shows_itself(name: str) -> None:
    result = rb.load(RUN)
    document = json.loads(Path(RUN, "summary.json").read_text())
    assert result.environment.started == document["environment"]["started"]
    assert repr(result)
    assert "<" in result._repr_html_()
