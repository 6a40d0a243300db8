"""Every command that reads a run, on a run of every experiment."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import NO_FILES, TINY
from jsonschema import Draft202012Validator
from runs import SCALE, assert_one_line, blocks_of

import regbench as rb

if TYPE_CHECKING:
    from commands import Command

SUM = ["compare", "wdecay=0.1", "dropout=0.5", "wdecay=0.1+dropout=0.5"]
RUNS = {
    "one arm": ["wdecay", *TINY],
    "a sum": [*SUM, *TINY],
    "a setting's values": ["wdecay", *TINY[1:], "--over=points=5,10"],
}
FILES_OF_SCALE = ["DONE", "config.toml", "environment.json", "summary.json"]
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
        command = SCALE if name == "dropout-scale" else RUNS[name]
        finished = regbench(*command, *NO_FILES, f"--out={RUN}")
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


@pytest.mark.parametrize("reader", ["report", "resume", "merge"])
@pytest.mark.parametrize("name", ["dropout-scale"])
def test_run_without_blocks_is_measured_again_by_the_command_that_it_names(
    regbench: Command, reader: str
) -> None:
    assert sorted(path.name for path in Path(RUN).iterdir()) == FILES_OF_SCALE
    finished = regbench(reader, RUN, *(["--out=merged"] if reader == "merge" else []))
    assert_one_line(finished, 2, "no blocks")
    words = shlex.split(finished.err.split("measure again with: regbench ")[1])
    again = regbench(*words, "--json", *NO_FILES).document["scales"]
    assert again == json.loads(Path(RUN, "summary.json").read_text())["scales"]


@pytest.mark.parametrize("reader", ["show", "show --json", "runs", "runs --json"])
@pytest.mark.parametrize("name", ["dropout-scale"])
def test_run_without_blocks_is_shown_and_listed(regbench: Command, reader: str) -> None:
    finished = regbench(*READERS[reader])
    assert (finished.code, finished.err) == (0, "")
    assert "block" not in finished.out.replace('"blocks"', "")
    if reader in SCHEMAS:
        check(finished.document, SCHEMAS[reader])


@pytest.mark.parametrize("name", ["dropout-scale"])
def test_run_without_blocks_is_made_and_found_from_python(tmp_path: Path) -> None:
    study = rb.DropoutScale(p=[0.1, 0.5], units=9, trials=9)
    results = [rb.run(study, folder=tmp_path / "run") for _ in range(2)]
    assert [scale.outputs.tolist() for scale in results[0].scales] == [
        scale.outputs.tolist() for scale in results[1].scales
    ]
    with pytest.raises(rb.UsageError, match=r"no blocks; regbench\.run measures"):
        rb.load(tmp_path / "run")
    with pytest.raises(rb.UsageError, match="another run"):
        rb.run(rb.DropoutScale(p=0.2), folder=tmp_path / "run")
