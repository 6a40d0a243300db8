"""Run folders of other people: nothing of them is executed, and none decides a run's answer."""

from __future__ import annotations

import datetime
import json
import os
import shlex
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import NO_FILES, TINY
from runs import assert_one_line, blocks_of, change_manifest
from training import ENVIRONMENT

import regbench as rb
from regbench.engines import ENGINES
from regbench.errors import shareable
from regbench.experiments import stored_command
from regbench.storage import files, run_folder
from regbench.storage.files import SEAL_BYTES, seal, unseal
from regbench.storage.records import read_record, write_record
from regbench.storage.run_list import remove_abandoned

if TYPE_CHECKING:
    from commands import Command
    from runs import Trained

RUN = ["wdecay", "--lambda=0.1", *TINY, *NO_FILES, "--engine=batched"]
VIEWS = ["show", "report", "resume", "merge"]


def as_somebody_else(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Let blocks be signed by another key from now on."""
    monkeypatch.setenv("XDG_STATE_HOME", str(Path(folder).resolve()))


def doctor(run: Path) -> None:
    """Change the last numbers of every block that is not the baseline's, as a person could."""
    for path in (run / "blocks").iterdir():
        content = unseal(path.read_bytes())
        assert content
        if b"wdecay" in content[:2000]:
            path.write_bytes(seal(content[:-8] + np.zeros(2, "f4").tobytes()))


def test_blocks_of_somebody_else_are_used_by_no_run_and_by_a_merge_that_names_them(
    regbench: Command, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert regbench(*RUN, "--out=honest").code == 0
    as_somebody_else(monkeypatch, "another")
    assert regbench(*RUN, "--out=again", "--json").code == 0
    assert len(trained) == 2, "the first run is somebody else's"
    shutil.rmtree("again")
    assert regbench("merge", "honest", "--out=merged", "--quiet").code == 0
    trained.clear()
    reused = regbench(*RUN, "--out=again")
    assert not trained
    assert "regbench: " not in reused.err
    assert "2 of 2 blocks are those of merged" in reused.err
    manifest = read_record(Path("again/environment.json"))
    assert manifest
    assert manifest["sources"] == {"merged": 2}
    assert regbench("show", "again", "--json").document["sources"] == {"merged": 2}


def test_doctored_neighbour_changes_no_answer(regbench: Command, trained: Trained) -> None:
    expected = regbench(*RUN, "--out=honest", "--json").document
    doctor(Path("honest"))
    for trial in ("beside", "runs/wdecay/below"):
        if trial != "beside":
            Path(trial).parent.mkdir(parents=True)
            Path("honest").rename(trial)
        trained.clear()
        found = regbench(*RUN, f"--out=new-{len(trial)}", "--json")
        assert found.document["comparisons"] == expected["comparisons"]
        assert trained[0][1] == ("wdecay=0.1",), "the baseline is whole, and this user's"
        shutil.rmtree(f"new-{len(trial)}")


@pytest.mark.parametrize("content", [b"", b"\0" * 63, b"PK\x03\x04" * 10**5, b"x" * 700])
def test_sealed_block_of_another_size_is_trained_anew(regbench: Command, content: bytes) -> None:
    assert regbench(*RUN, "--out=run").code == 0
    whole = blocks_of("run")
    (name, *_) = whole
    Path("run/blocks", name).write_bytes(seal(content))
    Path("run/DONE").unlink()
    resumed = regbench("resume", "run")
    assert resumed.code == 0, resumed.err
    assert f"block {name.removesuffix('.block')} is damaged and not used" in resumed.err
    assert blocks_of("run") == whole


def test_block_is_its_key_and_its_numbers_and_nothing_that_is_executed(regbench: Command) -> None:
    assert regbench(*RUN, "--out=run").code == 0
    for content in blocks_of("run").values():
        length = len(content) - SEAL_BYTES
        text = content[SEAL_BYTES:].decode("latin-1")
        record, end = json.JSONDecoder().raw_decode(text)
        start = -(-end // 8) * 8
        epochs = np.frombuffer(content, "int64", 4, SEAL_BYTES + start)
        assert epochs.tolist() == [0, 1, 2, 4]
        assert record["seeds"] == [1, 2]
        assert length > start


WHOLE = ENVIRONMENT.to_record()
HOSTILE: dict[str, dict[str, Any]] = {
    "no list": {"provenances": {}},
    "no provenance": {"provenances": []},
    "a number": {"command": 3},
    "no environment": {"environment": []},
    "an odd environment": {"environment": {"device": "cpu"}},
    "words that are no words": {"plugins": [{"command": "x", "words": {"symbol": []}}]},
    "a plug-in without words": {"plugins": [{"command": "x", "file": "evil.py"}]},
    "a shard that is none": {"environment": {**WHOLE, "shard": "x/y"}},
    "batches of nothing": {"environment": {**WHOLE, "batch_replicates": 0}},
    "an experiment of nobody": {"experiment": "evil"},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_manifest_that_regbench_has_not_written_is_one_line_and_one_row(
    regbench: Command, what: str
) -> None:
    for name in ("good", "bad"):
        assert regbench(*RUN, f"--out=all/{name}").code == 0
    Path("evil.py").write_text("import pathlib\npathlib.Path('executed').touch()\n")
    change_manifest(Path("all/bad"), **HOSTILE[what])
    for command in VIEWS:
        assert_one_line(regbench(command, "all/bad"), 2, "RUN: got 'all/bad'")
    with pytest.raises(rb.UsageError):
        rb.load("all/bad")
    listed = regbench("runs", "--root=all", "--json").document["runs"]
    assert {run["run_dir"]: run["state"] for run in listed} == {
        "all/good": "done", "all/bad": "unreadable",
    }  # fmt: skip
    assert not Path("executed").exists()


def test_stored_output_does_not_choose_where_to_write(regbench: Command) -> None:
    assert regbench(*RUN, "--out=run").code == 0
    Path("mine.md").write_text("mine")
    config = Path("run/config.toml")
    lines = 'export = ["mine.md"]\nout = "elsewhere"\nformat = "json"\nquiet = true\n'
    config.write_text(config.read_text() + lines)
    for command in VIEWS:
        finished = regbench(command, "run")
        assert finished.code == 0, finished.err
        assert "{" not in finished.out[:1]
        assert "λ=0.1" in finished.out or command == "show"
    assert Path("mine.md").read_text() == "mine"
    assert not Path("elsewhere").exists()


@pytest.mark.parametrize("name", ["blocks", "figures", "tensorboard", "DONE", "config.toml"])
def test_run_with_a_link_is_refused_and_nothing_is_changed_behind_it(
    regbench: Command, name: str
) -> None:
    assert regbench(*RUN, "--out=run").code == 0
    Path("outside").mkdir()
    part = Path("outside/.0123456789abcdef.part")
    part.touch()
    path = Path("run", name)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(Path("outside").resolve())
    for command in (*VIEWS, "report --files"):
        assert_one_line(regbench(*command.split(), "run"), 2, f"holds the link '{name}'")
    regbench("runs", "--root=.", "--prune", "--yes")
    assert [*Path("outside").iterdir()] == [part]


def test_prune_enters_no_link(regbench: Command) -> None:
    for name in ("root/a", "outside/b"):
        assert regbench(*RUN, f"--out={name}").code == 0
        Path(name, "DONE").unlink()
        for path in (*Path(name).rglob("*"), Path(name)):
            os.utime(path, (0, 0))
    Path("root/link").symlink_to(Path("outside").resolve())
    Path("root/loop").symlink_to(Path("root").resolve())
    assert "removed 1 run" in regbench("runs", "--root=root", "--prune", "--yes").err
    assert Path("outside/b/environment.json").exists()


def test_unreadable_file_is_called_so_and_is_one_row(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("good", "bad"):
        assert regbench(*RUN, f"--out=all/{name}").code == 0
    open_file = os.open

    def refuse(path: Any, *others: Any, **more: Any) -> int:
        if str(path).endswith("bad/environment.json"):
            raise PermissionError(13, "Permission denied")
        return open_file(path, *others, **more)

    monkeypatch.setattr(os, "open", refuse)
    said = "cannot read 'all/bad/environment.json': Permission denied"
    for command in VIEWS:
        assert_one_line(regbench(command, "all/bad"), 1, said)
    listed = regbench("runs", "--root=all", "--json").document["runs"]
    assert sorted(run["state"] for run in listed) == ["done", "unreadable"]


def test_what_is_made_of_blocks_is_made_again_where_it_is_missing_or_was_changed(
    regbench: Command,
) -> None:
    views = [option for option in RUN if option not in NO_FILES]
    assert regbench(*views, "--out=run").code == 0
    whole = Path("run/summary.json").read_bytes(), Path("run/report.html").read_bytes()
    assert "made again" not in regbench("report", "run").err
    for command in ("report", "resume"):
        Path("run/summary.json").write_text("{}")
        Path("run/report.html").unlink()
        said = regbench(command, "run")
        assert said.code == 0
        assert (
            "missing or changed: report.html, summary.json; all files were made again" in said.err
        )
        assert whole == (
            Path("run/summary.json").read_bytes(), Path("run/report.html").read_bytes()
        )  # fmt: skip
        assert "made again" not in regbench("report", "run").err


def test_key_is_made_once_for_this_user_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    umask = os.umask(0)
    try:
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        first = files.user_key()
    finally:
        os.umask(umask)
    file = tmp_path / "state/regbench/key"
    assert (len(first), files.user_key()) == (32, first)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["key"]
    file.chmod(0o640)
    assert files.user_key() == b"", "others could have read it"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "nowhere")
    monkeypatch.chdir(tmp_path)
    assert files.user_key() == files.user_key() == first if Path("~").exists() else True
    assert not (tmp_path / "relative").exists()


def test_variable_names_another_key(
    regbench: Command, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = Path("secret")
    secret.write_text("sixteen letters!")
    secret.chmod(0o600)
    monkeypatch.setenv("REGBENCH_KEY_FILE", "secret")
    assert regbench(*RUN, "--out=one").code == 0
    as_somebody_else(monkeypatch, "another machine")
    trained.clear()
    assert regbench(*RUN, "--out=two").code == 0
    assert not trained
    secret.chmod(0o644)
    assert_one_line(
        regbench(*RUN, "--out=three"), 2, "REGBENCH_KEY_FILE: got 'secret'", "chmod 600"
    )
    monkeypatch.setenv("REGBENCH_KEY_FILE", "missing")
    assert_one_line(regbench(*RUN, "--out=three"), 2, "REGBENCH_KEY_FILE: got 'missing'")


def test_shareable_path_has_no_home_and_no_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    for word, shown in {
        f"{tmp_path}/home/a/b": "~/a/b",
        f"{tmp_path}/homely": "homely",
        f"--out={tmp_path}/home/a": "--out=~/a",
        f"{tmp_path.parent}/x": "../x",
        "a/b": "a/b",
        "--lambda=0.1": "--lambda=0.1",
    }.items():
        assert shareable(word) == shown


def test_done_of_another_kind_is_refused(regbench: Command) -> None:
    assert regbench(*RUN, "--out=run").code == 0
    write_record(Path("run/DONE"), {"duration_seconds": "long", "verdicts": []})
    assert_one_line(regbench("report", "run"), 2, "is not as regbench writes it")


def test_shard_of_very_many_is_refused_at_once(regbench: Command) -> None:
    assert regbench(*RUN, "--shard=1/2", "--out=part").code == 0
    environment = json.loads(Path("part/environment.json").read_text())["environment"]
    change_manifest(Path("part"), environment={**environment, "shard": "1/999999999"})
    for command in VIEWS:
        assert_one_line(regbench(command, "part"), 2, "got '1/999999999'", "the number of blocks")


def test_line_after_a_failure_does_what_was_asked(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    asked = ["--export=x.md", "--export=a b.csv", "--details", "--format=markdown"]
    with monkeypatch.context() as patch:
        patch.setitem(ENGINES, "batched", fail)
        failed = regbench(*RUN, *asked, "--out=run")
    line = failed.err.rstrip().partition("go on with: regbench ")[2]
    assert line == "resume run --export x.md --export 'a b.csv' --format markdown --details"
    whole = regbench(*RUN, *asked, "--out=whole")
    for name in ("x.md", "a b.csv"):
        Path(name).unlink()
    resumed = regbench(*shlex.split(line))
    assert (resumed.code, resumed.out) == (0, whole.out)
    assert Path("x.md").read_text() == whole.out
    assert Path("a b.csv").exists()


def test_prune_removes_no_run_that_is_just_being_opened(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert regbench(*RUN, "--out=run").code == 0
    Path("run/DONE").unlink()
    for path in (*Path("run").rglob("*"), Path("run")):
        os.utime(path, (0, 0))
    open_run, removed = run_folder.open_run, list[bool]()

    def open_slowly(*given: Any) -> run_folder.Run:
        now = datetime.datetime.now(datetime.UTC)
        removed.append(remove_abandoned(Path("run"), stored_command, now))
        return open_run(*given)

    monkeypatch.setattr(run_folder, "open_run", open_slowly)
    assert regbench("resume", "run").code == 0
    assert removed == [False]


def test_export_through_a_link_keeps_the_link(regbench: Command) -> None:
    Path("there").mkdir()
    Path("x.md").symlink_to("there/y.md")
    assert regbench(*RUN, "--out=run", "--export=x.md").code == 0
    assert Path("x.md").is_symlink()
    assert Path("there/y.md").read_text().startswith("### regbench wdecay")


def test_mount_is_no_target_of_an_export(
    regbench: Command, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os.path, "ismount", lambda path: path.name == "x.md")
    finished = regbench(*RUN, "--out=run", "--export=x.md")
    assert_one_line(finished, 2, "--export: cannot write 'x.md': Device or resource busy")
    assert not trained


def test_run_in_the_home_folder_is_found(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(Path("home").resolve()))
    assert regbench(*RUN, "--out=~/run").code == 0
    Path("home/run/DONE").unlink()
    assert regbench("report", "~/run").err.endswith("/home/run\n")
    for command in ("resume", "report", "show"):
        assert regbench(command, "~/run").code == 0
    assert rb.load("~/run").study.compared == ["wdecay=0.1"]


def test_view_of_absurd_size_is_not_read(regbench: Command) -> None:
    views = [option for option in RUN if option not in NO_FILES]
    assert regbench(*views, "--out=run").code == 0
    page = Path("run/report.html")
    os.truncate(page, 2**40)  # reading it would take an hour
    reported = regbench("report", "run")
    assert (reported.code, page.stat().st_size < 2**30) == (0, True)
    assert "missing or changed: report.html; all files were made again" in reported.err


def test_run_from_python_in_the_home_folder_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    network, training = rb.Network(hidden=4, depth=1), rb.Training(epochs=3)
    study = rb.Study(arms=rb.WeightDecay(0.1), network=network, training=training, replicates=2)
    for _ in ("new", "again"):
        result = rb.run(study, folder="~/run")
    assert (rb.load("~/run").history.risk == result.history.risk).all()
    assert (tmp_path / "run/DONE").exists()
