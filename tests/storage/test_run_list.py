"""`regbench runs`, what it removes, and blocks of earlier runs that are used again."""

from __future__ import annotations

import datetime
import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import NO_FILES, TINY
from runs import assert_one_line

from regbench.engines import ENGINES
from regbench.experiments import stored_command
from regbench.storage import blocks
from regbench.storage.run_folder import in_use, is_in_use
from regbench.storage.run_list import ABANDONED, remove_abandoned

if TYPE_CHECKING:
    from commands import Command

    from regbench.analysis.history import Batch, History

BATCHED = [*TINY, *NO_FILES, "--engine=batched", "--quiet"]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which every trained block adds its arms."""
    names: list[str] = []
    train = ENGINES["batched"]

    def record(batch: Batch, *others: Any) -> History:
        names.extend(arm.name for arm in batch.arms)
        return train(batch, *others)

    monkeypatch.setitem(ENGINES, "batched", record)
    return names


def folders() -> list[Path]:
    return sorted(Path("runs").glob("*/*"), key=lambda folder: folder.stat().st_mtime)


def age(folder: Path, minutes: float = ABANDONED.total_seconds() / 60 + 1) -> None:
    """Let a run look as if nothing had changed in it for so long: as an abandoned one, or less."""
    then = time.time() - 60 * minutes
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (then, then))


def test_only_the_arm_that_is_new_is_trained(regbench: Command, trained: list[str]) -> None:
    regbench("wdecay", "--lambda=0.1", *BATCHED)
    assert trained == ["baseline", "wdecay=0.1"]
    trained.clear()
    both = regbench("wdecay", "--lambda=0.1,0.2", *BATCHED, "--json").document
    assert trained == ["wdecay=0.2"]
    trained.clear()
    # Another regularizer on the same task has the same baseline.
    regbench("dropout", "--p=0.5", *BATCHED)
    assert trained == ["dropout=0.5"]
    trained.clear()
    alone = regbench("wdecay", "--lambda=0.1,0.2", *BATCHED, "--no-cache", "--json").document
    assert trained == ["baseline", "wdecay=0.1", "wdecay=0.2"]
    for key in ("history", "comparisons", "decomposition"):
        assert alone[key] == both[key]


def test_run_stays_whole_without_the_one_that_it_took_blocks_from(regbench: Command) -> None:
    regbench("wdecay", "--lambda=0.1", *BATCHED, "--out=first")
    regbench("wdecay", "--lambda=0.1", *BATCHED, "--out=second")
    shutil.rmtree("first")
    assert regbench("report", "second").code == 0


def test_damaged_block_of_another_run_is_not_used(regbench: Command, trained: list[str]) -> None:
    regbench("wdecay", "--lambda=0.1", *BATCHED, "--out=first")
    victims = list(Path("first/blocks").iterdir())
    for victim in victims:
        victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    trained.clear()
    assert regbench("wdecay", "--lambda=0.1", *BATCHED, "--out=second").code == 0
    assert trained == ["baseline", "wdecay=0.1"]
    assert sorted(Path("first/blocks").iterdir()) == sorted(victims), "it is not ours to touch"


BOTH = ["baseline", "wdecay=0.1"]
OTHERWISE = {
    "an arm whose initial weights depend on its index": (
        ["--pairing=independent", "--lambda=0.1,0.2", "--replicates=2"],
        ["--pairing=independent", "--lambda=0.2", "--replicates=2"],
        ["wdecay=0.2"],
    ),
    "replicates that share the initial weights of another first one": (
        ["--vary=data", "--lambda=0.1", "--replicates=256"],
        ["--vary=data", "--lambda=0.1", "--seed=65", "--replicates=192"],
        BOTH * 3,
    ),
    "replicates that share the data of another first one": (
        ["--vary=init", "--lambda=0.1", "--replicates=256"],
        ["--vary=init", "--lambda=0.1", "--seed=65", "--replicates=192"],
        BOTH * 3,
    ),
    "replicates of whose first one snapshots are kept": (
        ["--lambda=0.1", "--replicates=100"],
        ["--lambda=0.1", "--seed=65", "--replicates=36"],
        BOTH,
    ),
    "replicates of whose first one snapshots are kept, and not those after them": (
        ["--lambda=0.1", "--replicates=256"],
        ["--lambda=0.1", "--seed=65", "--replicates=192"],
        BOTH,
    ),
}


@pytest.mark.parametrize("what", sorted(OTHERWISE))
def test_what_was_trained_otherwise_is_trained_anew(
    regbench: Command, trained: list[str], what: str
) -> None:
    first, second, expected = OTHERWISE[what]
    common = [option for option in BATCHED if not option.startswith("--replicates")]
    regbench("wdecay", *common, *first, "--out=first")
    trained.clear()
    assert regbench("wdecay", *common, *second, "--out=second").code == 0
    assert trained == expected
    regbench("wdecay", *common, *second, "--out=alone", "--no-cache")
    used, made = (
        {path.name: path.read_bytes() for path in Path(run, "blocks").iterdir()}
        for run in ("second", "alone")
    )
    assert used == made


def test_blocks_of_another_schema_are_not_used(
    regbench: Command, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    regbench("wdecay", "--lambda=0.1", *BATCHED)
    trained.clear()
    monkeypatch.setattr(blocks, "BLOCK_SCHEMA", "regbench.block/0")
    regbench("wdecay", "--lambda=0.1", *BATCHED)
    assert trained == BOTH


def test_list_has_state_arms_verdict_and_age(regbench: Command) -> None:
    assert "no runs, below 'runs'" in regbench("runs").err
    regbench("wdecay", "--lambda=0.1,0.2", *BATCHED)
    regbench("dropout-scale", "--units=9", "--trials=9", "--quiet", *NO_FILES)
    regbench("l1", "--lambda=0.1", *BATCHED)
    done, scale, cut = folders()
    (cut / "DONE").unlink()
    (scale / "environment.json").write_text("{")
    listed = regbench("runs", "--json").document["runs"]
    states = {run["run_dir"]: run["state"] for run in listed}
    assert states == {str(done): "done", str(scale): "unreadable", str(cut): "not done"}
    by_folder = {run["run_dir"]: run for run in listed}
    assert by_folder[str(done)]["arms"] == ["wdecay=0.1", "wdecay=0.2"]
    verdicts = json.loads((done / "DONE").read_text())["verdicts"]
    assert by_folder[str(done)]["verdicts"] == verdicts
    assert by_folder[str(cut)]["blocks"] == 2
    shown = regbench("runs")
    assert shown.code == 0
    for folder in (done, scale, cut):
        assert str(folder) in shown.out
    assert "not done" in shown.out
    told = verdicts["wdecay=0.1"].replace("inconclusive", "cannot tell")
    assert f"wdecay=0.1 {told}" in shown.out
    Path("elsewhere").mkdir()
    assert regbench("runs", "--root=elsewhere").out == ""


def test_draft_of_a_run_is_not_listed_and_lends_no_blocks(
    regbench: Command, trained: list[str]
) -> None:
    regbench("wdecay", "--lambda=0.1", *BATCHED)
    regbench("wdecay", "--lambda=0.1", *BATCHED, "--out=run")
    (named,) = folders()
    for folder in (named, Path("run")):  # what a killed process leaves
        folder.rename(folder.with_name(".0123456789abcdef.part"))
    assert regbench("runs", "--json").document["runs"] == []
    assert regbench("runs", "--root=.", "--json").document["runs"] == []
    trained.clear()
    assert regbench("wdecay", "--lambda=0.1", *BATCHED, "--out=again").code == 0
    assert trained == ["baseline", "wdecay=0.1"]


@pytest.mark.parametrize("name", ["environment.json", "blocks", "DONE"])
@pytest.mark.parametrize("options", [[], ["--prune", "--yes"]])
def test_run_that_another_process_removes_meanwhile_breaks_no_list(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, name: str, options: list[str]
) -> None:
    for option in ("--lambda=0.1", "--lambda=0.2"):
        regbench("wdecay", option, *BATCHED)
    kept, removed = folders()
    for folder in (kept, removed):
        (folder / "DONE").unlink()
        age(folder)
    stat, path = Path.stat, removed / name

    def remove_first(looked_at: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if looked_at == path:
            shutil.rmtree(removed, ignore_errors=True)
        return stat(looked_at, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", remove_first)
    finished = regbench("runs", *options)
    assert finished.code == 0, finished.err
    assert str(kept) in finished.out


def test_prune_shows_first_and_removes_what_was_abandoned_and_nothing_else(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for option in ("--lambda=0.1", "--lambda=0.2", "--lambda=0.3"):
        regbench("wdecay", option, *BATCHED)
    done, recent, abandoned = folders()
    for folder in (recent, abandoned):
        (folder / "DONE").unlink()
    age(done)
    age(abandoned)
    for answer in ("", "n\n", "perhaps\n"):
        monkeypatch.setattr(sys, "stdin", Answer(answer))
        finished = regbench("runs", "--prune")
        assert finished.code == 0
        assert str(abandoned) in finished.out
        assert str(recent) not in finished.out
        assert str(done) not in finished.out
        assert "nothing was removed" in finished.err
        assert folders() == sorted([done, recent, abandoned], key=lambda f: f.stat().st_mtime)
    monkeypatch.setattr(sys, "stdin", Answer("y\n"))
    assert "removed 1 run" in regbench("runs", "--prune").err
    assert set(folders()) == {done, recent}
    age(recent)
    monkeypatch.setattr(sys, "stdin", Answer("", is_terminal=False))
    assert "--yes removes 1 run" in regbench("runs", "--prune").err
    assert set(folders()) == {done, recent}
    assert "removed 1 run" in regbench("runs", "--prune", "--yes").err
    assert folders() == [done]
    assert "no abandoned runs" in regbench("runs", "--prune", "--yes").err


def test_prune_waits_for_an_hour_and_not_for_longer(regbench: Command) -> None:
    for option in ("--lambda=0.1", "--lambda=0.2"):
        regbench("wdecay", option, *BATCHED)
    recent, abandoned = folders()
    parts = [folder / "blocks" / ".0123456789abcdef.part" for folder in (recent, abandoned)]
    for folder, part, minutes in zip((recent, abandoned), parts, (58, 61), strict=True):
        (folder / "DONE").unlink()
        part.touch()
        age(folder, minutes)
    assert "removed 1 run and 1 unfinished file" in regbench("runs", "--prune", "--yes").err
    assert folders() == [recent]
    assert parts[0].exists()


def test_run_with_a_fresh_block_or_without_a_manifest_is_not_taken_for_abandoned(
    regbench: Command,
) -> None:
    for option in ("--lambda=0.1", "--lambda=0.2", "--lambda=0.3"):
        regbench("wdecay", option, *BATCHED)
    fresh, unreadable, abandoned = folders()
    (unreadable / "environment.json").write_text("{")
    for folder in (fresh, unreadable, abandoned):
        (folder / "DONE").unlink()
        age(folder)
    os.utime(next((fresh / "blocks").iterdir()))
    assert "removed 1 run" in regbench("runs", "--prune", "--yes").err
    assert set(folders()) == {fresh, unreadable}


def test_prune_leaves_alone_what_a_process_works_on(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_long(batch: Batch, *_: Any) -> History:
        (folder,) = folders()
        age(folder)
        for at_work in (nullcontext(), in_use(folder)):  # this process alone, and a second one
            with at_work:
                now = datetime.datetime.now(datetime.UTC)
                assert not remove_abandoned(folder, stored_command, now)
        assert is_in_use(folder)
        raise MemoryError

    monkeypatch.setitem(ENGINES, "batched", take_long)
    assert "out of memory" in regbench("wdecay", *BATCHED).err
    (folder,) = folders()
    with in_use(folder):
        assert "no abandoned runs" in regbench("runs", "--prune", "--yes").err
    resumed = in_use(folder)

    class Later(Answer):
        def readline(self) -> str:
            resumed.__enter__()
            return super().readline()

    monkeypatch.setattr(sys, "stdin", Later("y\n"))
    assert "removed 0 runs" in regbench("runs", "--prune").err
    resumed.__exit__(None, None, None)
    assert "removed 1 run\n" in regbench("runs", "--prune", "--yes").err


def test_prune_leaves_a_link_and_what_it_leads_to(regbench: Command, tmp_path: Path) -> None:
    regbench("wdecay", *BATCHED, "--out=elsewhere/run")
    Path("elsewhere/run/DONE").unlink()
    age(Path("elsewhere/run"))
    Path("links").mkdir()
    Path("links/run").symlink_to(tmp_path / "elsewhere/run")
    assert "no abandoned runs" in regbench("runs", "--root=links", "--prune", "--yes").err
    assert Path("links/run/environment.json").exists()
    assert "removed 1 run" in regbench("runs", "--root=elsewhere", "--prune", "--yes").err


def test_killed_process_does_not_use_its_run_any_more(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys\n"
        "from regbench.storage.run_folder import in_use\n"
        "with in_use(pathlib.Path(sys.argv[1])):\n"
        "    print(flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_in_use(tmp_path)
        process.kill()
        process.wait()
        assert not is_in_use(tmp_path)


def test_file_system_without_locks_is_never_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with in_use(tmp_path):
        assert not is_in_use(tmp_path)
    with in_use(tmp_path / "gone"):
        assert not is_in_use(tmp_path / "gone")


class Answer:
    """What somebody types."""

    def __init__(self, text: str, is_terminal: bool = True) -> None:
        self.text, self.is_terminal = text, is_terminal

    def isatty(self) -> bool:
        """Whether it is a person who types."""
        return self.is_terminal

    def readline(self) -> str:
        """Return the answer."""
        return self.text


def test_yes_without_prune_is_a_mistake(regbench: Command) -> None:
    finished = regbench("runs", "--yes")
    assert finished.code == 2
    assert "--yes" in finished.err
    assert finished.err.count("\n") == 1


def test_latest_is_the_newest_run(regbench: Command) -> None:
    assert_one_line(regbench("show", "latest"), 2, "RUN: got 'latest', which is not a folder")
    regbench("wdecay", "--lambda=0.1", *BATCHED)
    regbench("wdecay", "--lambda=0.2", *BATCHED)
    for command in ("show", "report", "resume"):
        assert "0.2" in regbench(command, "latest").out
    regbench("wdecay", "--lambda=0.3", *BATCHED, "--out=latest")
    assert "0.3" in regbench("report", "latest").out, "a folder of that name"
