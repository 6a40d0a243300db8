"""A user's table at the command line: from its file to a page, on with a run, and what is refused.

The table is tiny; `tests/tasks/test_table.py` has its numbers, `tests/settings` its facts.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from commands import NO_FILES, TINY
from distributed import LocalCluster
from jsonschema import Draft202012Validator
from runs import assert_one_line, blocks_of, numbers_of

import regbench as rb

if TYPE_CHECKING:
    from commands import Command
    from runs import Trained

ROOT = Path(__file__).parents[1]
SMALL = ["--hidden=4", "--depth=1", "--epochs=4", "--log-every=2", "--device=cpu"]
SMALL += ["--engine=batched", "--folds=4", "--replicates=8"]
ASKED = ["wdecay", "--data=my.csv", "--target=price", "--missing=median", "--lambda=0.1,0.2"]
ASKED += [*SMALL, *NO_FILES]
SEEN = 7731.25
"""About the values of an input, which stand nowhere but in the file."""
MARKUP, ESCAPE = "<script>alert(1)</script>", "\x1b[31m"


def asked(*options: str, files: bool = False) -> list[str]:
    """Return the words of a small run, with some options in place of its own."""
    given = {word.partition("=")[0] for word in options}
    usual = [word for word in ASKED if not files or word not in NO_FILES]
    return [word for word in usual if word.partition("=")[0] not in given] + [*options]


def table(path: str = "my.csv", size: str = "size", kind: str = "kind", level: str = "u") -> Path:
    """Write a table of 24 rows with a hole, three kinds and eight owners; return its path."""
    generator, lines = np.random.default_rng(1), [f"{size},rooms,{kind},owner,price"]
    for row in range(24):
        own, rooms = generator.normal(SEEN, 1e-3), "" if row == 5 else row % 5
        price = 1000 * (own - SEEN) + 2 * (row % 5) + generator.normal()
        lines.append(f"{own:.9f},{rooms},{level}{row % 3},p{row % 8},{price:.6f}")
    Path(path).write_text("\n".join(lines) + "\n", "utf-8")
    return Path(path)


def edited(path: str = "my.csv") -> None:
    """Change one digit of the table."""
    text = Path(path).read_text("utf-8")
    Path(path).write_text(text.replace(",3,u0", ",4,u0", 1), "utf-8")
    assert Path(path).read_text("utf-8") != text


@pytest.fixture
def ran(regbench: Command) -> Command:
    """Return the command line in a folder that has the table and its run."""
    table()
    finished = regbench(*asked("--out=run", "--no-cache"))
    assert finished.code == 0, finished.err
    return regbench


def cut_off(run: str = "run") -> None:
    """Leave a run as a process does that is killed: without one of its blocks, and not done."""
    sorted(Path(run, "blocks").iterdir())[0].unlink()
    Path(run, "DONE").unlink()


def test_document_of_a_table_is_what_the_schema_says(regbench: Command) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / "result.json").read_text("utf-8"))
    check = Draft202012Validator(schema)
    table()
    for options in (["--replicates=8"], ["--replicates=2", "--group=owner", "--drop=kind"]):
        found = regbench(*asked(*options), "--json").document
        check.validate(found)
        held_out = [row for fold in found["table"]["folds"][:4] for row in fold]
        assert len(held_out) == len({*held_out}) <= 24, "a row is held out once in a partition"
        rows = found["table"]["rows"]["wdecay=0.1"]
        never = {*range(24)} - {*held_out}
        assert {row for row, loss in enumerate(rows) if loss is None} == never
        parts = {key: value for key, value in found.items() if key != "table"}
        check.validate(parts)  # the article's task has none
        for key in found["table"]:
            lacking = {**found["table"], key: None}
            assert list(check.iter_errors({**found, "table": lacking})), key
    check.validate(regbench(*asked("--replicates=1"), "--json").document)
    over = regbench(*asked("--missing=drop", "--over=points=6,12", "--json")).document
    check.validate(over)
    assert [value["document"]["config"]["points"] for value in over["over"]] == [6, 12]


def test_run_that_was_cut_off_goes_on_with_the_same_file_alone(
    ran: Command, trained: Trained
) -> None:
    whole, numbers = blocks_of("run"), numbers_of("run")
    cut_off()
    partial = ran("report", "run")
    assert partial.err.endswith("finish it with: regbench resume run --data my.csv\n")
    trained.clear()
    lacking = "--data: is missing: no run stores its table; name its file: --data my.csv"
    assert_one_line(ran("resume", "run"), 2, lacking)
    edited()
    assert_one_line(ran("resume", "run", "--data=my.csv"), 2, "another table: digest")
    assert_one_line(ran("resume", "run", "--data=gone.csv"), 2, "--data: cannot read 'gone.csv'")
    assert trained == []
    table("other name.csv")
    assert ran("resume", "run", "--data=other name.csv").code == 0
    assert sum(len(arms) for _, arms in trained) == 1
    assert blocks_of("run") == whole
    assert numbers_of("run") == numbers
    Path("other name.csv").unlink()
    assert ran("resume", "run", "--quiet").err == "regbench: 'run' is complete: nothing to train\n"


def test_run_with_test_rows_goes_on_with_both_files(regbench: Command, trained: Trained) -> None:
    lines = table().read_text("utf-8").splitlines(keepends=True)
    Path("my.csv").write_text("".join(lines[:19]), "utf-8")
    Path("tests").mkdir()
    Path("tests/new.csv").write_text("".join([lines[0], *lines[19:]]), "utf-8")
    words = asked("--replicates=3", "--test-data=tests/new.csv", "--out=run")
    assert regbench(*[word for word in words if "folds" not in word]).code == 0
    whole, numbers = blocks_of("run"), numbers_of("run")
    cut_off()
    goes_on = "regbench resume run --data my.csv --test-data new.csv\n"
    assert regbench("report", "run").err.endswith(goes_on)
    lacking = "--test-data: is missing: no run stores its table; name its file: --test-data new.csv"
    assert_one_line(regbench("resume", "run", "--data=my.csv"), 2, lacking)
    trained.clear()
    files = ["--data=my.csv", "--test-data=tests/new.csv"]
    assert regbench("resume", "run", *files).code == 0
    assert sum(len(arms) for _, arms in trained) == 1
    assert (blocks_of("run"), numbers_of("run")) == (whole, numbers)
    for option in ("--folds=3", "--group=owner"):
        refused = regbench(*asked("--test-data=tests/new.csv", option))
        assert_one_line(refused, 2, "not together with --test-data, which says what is held out")
    regbench("wdecay", *TINY, *NO_FILES, "--out=other")
    cut_off("other")
    refused = regbench("resume", "other", "--data=my.csv")
    assert_one_line(refused, 2, "--data: got 'my.csv', but the run has no such table")


def test_run_is_read_back_without_its_file(ran: Command) -> None:
    Path("my.csv").unlink()
    for form in ("table", "markdown", "csv", "json"):
        for command in ("report", "show"):
            assert ran(command, "run", f"--format={form}").code == 0
    assert ran("report", "run", "--files", "--export=page.html").code == 0
    result = rb.load("run")
    assert result.history.r_squared.shape == (len(result.history.epochs), 3, 8)
    assert result.study.task.rows == 24
    with pytest.raises(rb.UsageError, match="the table is not at hand; name its file"):
        result.network()


def test_same_values_under_another_name_find_the_blocks(
    regbench: Command, trained: Trained
) -> None:
    table()
    assert regbench(*asked("--out=run")).code == 0
    trained.clear()
    Path("my.csv").rename("yours.csv")
    assert regbench(*asked("--data=yours.csv", "--out=again")).code == 0
    assert (trained, blocks_of("again")) == ([], blocks_of("run"))
    edited("yours.csv")
    assert regbench(*asked("--data=yours.csv", "--out=edited")).code == 0
    assert trained
    assert not {*blocks_of("edited")} & {*blocks_of("run")}


def test_configuration_of_a_run_repeats_it_and_takes_no_edited_table(
    ran: Command, trained: Trained
) -> None:
    trained.clear()
    assert ran("wdecay", "--config=run/config.toml", *NO_FILES, "--out=again").code == 0
    assert (len(trained), blocks_of("again")) == (1, blocks_of("run"))
    edited()
    refused = ran("wdecay", "--config=run/config.toml", "--out=third")
    assert_one_line(refused, 2, "run/config.toml", "which has other values than the run had")
    assert not Path("third").exists()


def test_run_of_a_table_from_memory_goes_on_from_python_alone(
    regbench: Command, trained: Trained
) -> None:
    regbench("--version")  # an empty folder to work in
    generator = np.random.default_rng(2)
    x, y = generator.normal(size=(24, 2)), generator.normal(size=24)
    asked: dict[str, Any] = {
        "arms": [rb.WeightDecay(0.1)],
        "network": rb.Network(hidden=4, depth=1),
        "training": rb.Training(epochs=4),
        "replicates": 4,
    }
    study = rb.Study(task=rb.Table(x, y, folds=4), **asked)
    machine = rb.Machine(engine="batched", device="cpu")
    first = rb.run(study, machine=machine, folder="run")
    assert len(trained) == 1
    cut_off()
    trained.clear()
    for words in (["resume", "run"], ["resume", "run", "--data=my.csv"]):
        refused = regbench(*words)
        assert_one_line(refused, 2, "whose table came from memory", "regbench.run with its study")
    again = rb.run(study, machine=machine, folder="run")
    assert sum(len(arms) for _, arms in trained) == 1
    np.testing.assert_array_equal(again.history.risk, first.history.risk)
    other = rb.Study(task=rb.Table(x + 1, y, folds=4), **asked)
    with pytest.raises(rb.UsageError, match="which holds another run: digest"):
        rb.run(other, folder="run")
    told = regbench("report", "run", "--export=a.md", "--format=markdown").out.splitlines()
    (command,) = (line for line in told if line.startswith("regbench compare "))
    assert "--data FILE --target COLUMN" in command


def test_shards_of_a_table_are_merged_into_the_run_of_one_machine(ran: Command) -> None:
    for part in ("1/3", "2/3", "3/3"):
        shard = ["--no-cache", f"--shard={part}", f"--out=part-{part[0]}"]
        assert ran(*asked(*shard)).code == 0
    Path("my.csv").unlink()
    assert ran("merge", "part-1", "part-2", "part-3", "--out=merged").code == 0
    assert blocks_of("merged") == blocks_of("run")
    assert numbers_of("merged") == numbers_of("run")


def test_workers_are_sent_the_rows(
    ran: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # the worker is in this process
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
        local_directory=str(tmp_path / "dask"),
    ) as cluster:
        there = ["--no-cache", "--out=there", f"--scheduler={cluster.scheduler_address}"]
        finished = ran(*asked(*there))
    assert finished.code == 0, finished.err
    assert blocks_of("there") == blocks_of("run")


NOTHING = "which means nothing with --data"
REFUSED = {
    "--truth=sine": f"--truth: got 'sine', {NOTHING}",
    "--noise=0.5": f"--noise: got '0.5', {NOTHING}",
    "--test-noise=0.1": f"--test-noise: got '0.1', {NOTHING}",
    "--x-min=-2": f"--x-min: got '-2.0', {NOTHING}",
    "--x-max=2": f"--x-max: got '2.0', {NOTHING}",
    "--slope=2": f"--slope: got '2.0', {NOTHING}",
    "--test-points=9": f"--test-points: got '9', {NOTHING}",
    "--over=noise=0,1": f"--over noise: got '0.0', {NOTHING}",
    "--features=polynomial:2": "--features: got 'polynomial:2', but a table has inputs of its own",
    "--vary=init": "--vary: got 'init', but on a table both the split and the weights vary",
    "--pairing=independent": "--pairing: got 'independent', but all arms start from the same "
    "weights on a table",
    "--confirm=5": "--confirm: got '5', but fresh splits of the same rows confirm nothing",
    "--target-width=3": "--target-width: got '3.0', but more splits of the same rows hardly narrow "
    "an interval: add rows",
    "--by=test-loss": "--by: got 'test-loss', but the rows that a table holds out have no other "
    "loss",
    "--folds=13": "--folds: got '13', but the table has 24 rows; allowed: from 2 to 12",
    "--points=19": "--points: got '19'; allowed: from 1 to 18, the smallest training part",
}


@pytest.mark.parametrize(("option", "line"), REFUSED.items(), ids=REFUSED)
def test_what_has_no_meaning_of_a_table_is_refused_in_one_line(
    regbench: Command, option: str, line: str
) -> None:
    table()
    words = [word for word in asked(option) if "width" not in option or "replicates" not in word]
    refused = regbench(*words)
    assert (refused.code, refused.out, refused.err) == (2, "", f"regbench: error: {line}\n")
    assert [path.name for path in Path().iterdir()] == ["my.csv"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--folds=5"], "--folds: got '5', but there is no table: add --data=FILE"),
        (["--target=y"], "--target: got 'y', but no table; add --data=FILE"),
        (["--data=my.csv"], "--data: got 'my.csv', but no target; name the column to predict: "
         "--target=COLUMN"),
        (["--over=inputs=2,3"], "--over: got 'inputs'; allowed: truth, points, test_points, noise, "
         "slope, x_min, x_max, test_noise, hidden, depth, features, epochs, lr, optimizer, "
         "momentum, log_every"),
        (["--rows=5"], "--rows: no option of wdecay"),
    ],
)  # fmt: skip
def test_options_of_a_table_take_a_table(regbench: Command, words: list[str], line: str) -> None:
    refused = regbench("wdecay", *words)
    assert (refused.code, refused.out, refused.err) == (2, "", f"regbench: error: {line}\n")
    assert not [*Path().iterdir()]


def test_fewer_replicates_than_folds_leave_rows_out_and_say_so(regbench: Command) -> None:
    table()
    never = "with 3 of 4 parts held out, other rows have no say; use --replicates 4 or more"
    once = "some rows are held out only once, so bias² and variance cannot be told apart; use "
    for options, said in (
        (["--replicates=3"], never),
        (["--replicates=7"], f"{once}--replicates 8 or more"),
        (["--replicates=8", "--seed=3"], f"{once}--replicates 12 or more"),
        (["--replicates=8"], ""),
        (["--replicates=11", "--seed=3"], ""),
    ):
        finished = regbench(*asked(*options))
        told = " ".join(finished.out.split())
        assert said in told
        assert bool(said) == any(words in told for words in ("held out,", "held out only"))
        assert ("Why: a difference of the risk" in told) == (not said)


def test_nothing_of_the_file_drives_a_terminal_or_a_page(regbench: Command) -> None:
    table(kind=f"kind{ESCAPE}", size=MARKUP, level=f"{MARKUP}{ESCAPE}")
    first = regbench(*asked("--out=run", files=True))
    assert first.code == 0
    shown = [first, regbench(*asked("--missing=error")), regbench(*asked(f"--drop={ESCAPE}x"))]
    for form in ("table", "markdown", "csv", "json"):
        shown += [regbench(command, "run", f"--format={form}") for command in ("report", "show")]
    shown.append(regbench(*asked(f"--target={MARKUP}", "--out=markup", files=True)))
    assert shown[-1].code == 0
    for finished in shown:
        for line in (finished.out + finished.err).split("\n"):
            assert line.isprintable(), line
    for run in ("run", "markup"):
        assert MARKUP not in Path(run, "report.html").read_text("utf-8")
    assert "&lt;script&gt;" in Path("markup/report.html").read_text("utf-8")


def test_folder_of_a_run_has_no_input_of_the_table(ran: Command) -> None:
    assert ran(*asked("--no-cache", "--out=whole", files=True)).code == 0
    lines = Path("my.csv").read_text("utf-8").splitlines()[1:]
    inputs = [float(line.split(",")[0]) for line in lines]
    kinds = (np.float32, np.float64)
    sought = [kind(value).tobytes() for value in inputs for kind in kinds]
    sought += [f"{int(SEEN)}.".encode()]
    for path in [path for path in Path("whole").rglob("*") if path.is_file()]:
        content = path.read_bytes()
        assert not [found for found in sought if found in content], path
    targets = [float(line.split(",")[-1]) for line in lines]
    history = rb.load("whole").history  # which has what was held out, as the documentation says
    kept = history.held_out_y[history.held_out >= 0]
    np.testing.assert_allclose(sorted({*kept}), sorted({*np.array(targets, np.float32)}))


def test_command_without_a_table_imports_nothing_of_tables(tmp_path: Path) -> None:
    code = (
        "import sys; from regbench.cli import main\n"
        "try: main(['wdecay', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'csv', 'zipfile'} & {*sys.modules}), file=sys.stderr)\n"
        "print([m for m in sys.modules if m.endswith(('.rows', '.reading'))], file=sys.stderr)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=tmp_path
    )
    heavy, own = finished.stderr.splitlines()
    assert "numpy" not in heavy
    assert "torch" not in heavy
    assert own == "[]"
