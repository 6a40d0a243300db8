"""The run folder: exclusive, described, refused where unusable or not ours; and lists of runs."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY, run_process
from training import ENVIRONMENT, make_request

from regbench.errors import RunError, UsageError
from regbench.experiments import COMMANDS, resolve, stored_command
from regbench.storage.records import git_state, without_places
from regbench.storage.run_folder import Run, create_run, open_run

if TYPE_CHECKING:
    from commands import Command

    from regbench.settings.command import Request


def create(request: Request) -> Run:
    """Return a new run."""
    return create_run(request, ENVIRONMENT, [{"engine": "batched"}], ["regbench"])


def begin(out: str | None) -> Path:
    """Return the folder of a new run."""
    return create(make_request(out=out)).folder


def assert_same_request(found: Request, asked: Request) -> None:
    """Check that a folder repeats what was asked."""
    assert (found.command.name, found.study) == (asked.command.name, asked.study)
    assert (found.question, found.machine) == (asked.question, asked.machine)
    assert found.output == asked.output


def test_manifest_keeps_the_four_values_and_where_each_setting_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = Path("settings.toml")
    config.write_text("lambda = [0.3, 0.4]\nepochs = 3\n")
    environment = {"REGBENCH_CONFIDENCE": "0.9", "REGBENCH_EPOCHS": "4"}
    flags: dict[str, list[str] | bool] = {
        "hidden": ["5"], "threads": ["2"], "out": [str(tmp_path / "run")], "plots": False,
    }  # fmt: skip
    run = create(resolve("wdecay", flags, environment, str(config)))
    manifest = json.loads((run.folder / "environment.json").read_text(encoding="utf-8"))
    assert manifest["schema"] == "regbench.run/2"
    study = manifest["study"]
    assert study["arms"] == ["wdecay=0.3", "wdecay=0.4"]
    assert (study["hidden"], study["epochs"]) == (5, 4)
    assert study["points"] == study["test_points"] == 10
    assert manifest["question"] == {
        "by": "risk", "confidence": 0.9, "confirm": None, "target_width": None, "require": None,
        "margin": 0.0,
    }  # fmt: skip
    assert manifest["machine"] == {
        "engine": "auto", "device": "auto", "threads": 2, "shard": None, "scheduler": None,
        "allow_mixed": False,
    }  # fmt: skip
    assert manifest["output"] == {
        "out": "run", "tensorboard": True, "plots": False,
        "report": True, "cache": True, "figure_format": "png", "format": None, "json": False,
        "details": False,
        "quiet": False, "export": [],
    }  # fmt: skip
    origins = manifest["origins"]
    assert set(origins) == set(COMMANDS["wdecay"].settings)
    assert {key: origin for key, origin in origins.items() if origin != "default"} == {
        "lambda": "--config 'settings.toml': lambda",
        "epochs": "REGBENCH_EPOCHS",
        "confidence": "REGBENCH_CONFIDENCE",
        "hidden": "--hidden",
        "threads": "--threads",
        "out": "--out",
        "plots": "--no-plots",
    }
    assert open_run(str(run.folder), stored_command).manifest == run.manifest


def test_record_says_nothing_of_where_its_files_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    record = {
        "command": ["regbench", f"--out={tmp_path}/home/run"],
        "origins": {"lambda": f"--config '{tmp_path}/home/a.toml': lambda"},
        "export": (f"{tmp_path}/page.html",),
        "epochs": 3,
    }
    assert without_places(record) == {
        "command": ["regbench", "--out=~/run"],
        "origins": {"lambda": "--config '~/a.toml': lambda"},
        "export": ["page.html"],
        "epochs": 3,
    }


def test_manifest_of_a_run_that_trains_nothing_has_study_output_and_origins(
    tmp_path: Path,
) -> None:
    request = resolve("dropout-scale", {"p": ["0.1,0.5"], "out": [str(tmp_path / "run")]})
    manifest = create(request).manifest
    assert manifest["study"] == {"p": [0.1, 0.5], "units": 10_000, "trials": 1000, "seed": 1}
    assert not {"question", "machine"} & set(manifest)
    origins = manifest["origins"]
    assert set(origins) == set(COMMANDS["dropout-scale"].settings)
    assert (origins["p"], origins["units"], origins["out"]) == ("--p", "default", "--out")


def test_run_that_is_opened_is_where_and_when_it_began(tmp_path: Path) -> None:
    begin(str(tmp_path / "run"))
    run = open_run(str(tmp_path / "run"), stored_command, {"quiet": True})
    assert run.environment == ENVIRONMENT
    assert run.done is None
    assert run.request.output.quiet


def test_runs_started_in_the_same_second_get_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = make_request()
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: begin(None), range(40)))
    assert len(set(folders)) == 40
    for folder in folders:
        assert folder.is_dir()
        assert folder.parent == Path("runs", "wdecay")
        assert re.fullmatch(rf"\d{{8}}T\d{{6}}Z-{request.digest[:8]}(-[0-9a-f]{{8}})?", folder.name)
        assert_same_request(open_run(str(folder), stored_command).request, request)
    assert len(list(Path("runs/wdecay").iterdir())) == 40


@pytest.mark.parametrize("out", ["new", "new/deeper/still", "a b ü"])
def test_named_folder_is_made_with_its_parents(tmp_path: Path, out: str) -> None:
    folder = begin(str(tmp_path / out))
    assert folder == tmp_path / out
    assert folder.is_dir()


def test_name_of_a_new_folder_is_flushed_to_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[bool] = []

    def flush(descriptor: int) -> None:
        is_parent = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        flushed.append(is_parent and (tmp_path / "new").exists())

    monkeypatch.setattr(os, "fsync", flush)
    begin(str(tmp_path / "new"))
    assert flushed[-1]


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
def test_state_of_the_repository_is_its_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    (tmp_path / "config.toml").write_text("lambda = 0.1")
    for command in (["init"], ["add", "."], [*own, "commit", "-m", "first"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    asked = subprocess.run(["git", "log", "--format=%H"], check=True, capture_output=True)
    for variable in ("GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(variable, "/nonexistent")  # as in a hook of another repository
    assert git_state() == {"commit": asked.stdout.decode().strip()}


def git(*arguments: str) -> str:
    """Run git in the current folder and return what it prints."""
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    return subprocess.check_output(["git", *own, *arguments], text=True).strip()


PROGRAMS = {
    "the monitor of files": {"core.fsmonitor": "{program}"},
    "a hook": {"core.hooksPath": "{folder}/hooks"},
    "a filter": {"filter.x.clean": "{program}"},
    "a tool for differences": {"diff.external": "{program}"},
}
"""What a repository's own settings let git execute."""


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
@pytest.mark.parametrize("what", PROGRAMS)
def test_commit_is_read_without_a_program_that_the_repository_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.chdir(tmp_path)
    marker, program, hooks = (tmp_path / name for name in ("executed", "program", "hooks"))
    hooks.mkdir()
    for path in (program, hooks / "post-index-change"):
        path.write_text(f"#!/bin/sh\ntouch '{marker}'\n")
        path.chmod(0o755)
    tracked = Path("tracked")
    tracked.write_text("0.1")
    Path(".gitattributes").write_text("tracked filter=x\n")
    git("init", "--quiet")
    git("add", "tracked", ".gitattributes")
    git("commit", "--quiet", "--message=first")
    commit = git("rev-parse", "HEAD")
    for key, value in PROGRAMS[what].items():
        git("config", key, value.format(program=program, folder=tmp_path))
    tracked.write_text("0.2")  # of the same size, so that git has to look into the file
    os.utime(".gitattributes", (0, 0))  # unchanged, which git would write into its index
    index, lock = Path(".git/index"), Path(".git/index.lock")
    before = index.stat()
    for is_locked in (False, True):
        if is_locked:
            lock.touch()
        state = git_state()
        assert state is not None
        assert state["commit"] == commit
        assert lock.exists() == is_locked
    after = index.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not marker.exists()
    lock.unlink()
    subprocess.run(["git", "status"], capture_output=True, check=False)
    subprocess.run(["git", "diff"], capture_output=True, check=False)
    assert marker.exists(), "git itself executes it"


@pytest.mark.skipif(shutil.which("git") is None, reason="no git")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_run_in_another_users_repository_has_no_commit_and_says_nothing(
    regbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    git("init", "--quiet")
    git("commit", "--quiet", "--message=first", "--allow-empty")
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 12345, 12345)
    refused = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, check=False)
    assert b"dubious ownership" in refused.stderr
    finished = run_process(["wdecay", *TINY, *NO_FILES, "--out=run"], tmp_path)
    assert (finished.code, finished.err) == (0, "")
    assert regbench("show", "run", "--json").document["git"] is None


def test_empty_folder_is_used_and_a_filled_one_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert begin(str(empty)) == empty
    (tmp_path / ".hidden").touch()
    with pytest.raises(UsageError, match=r"--out: .*not empty"):
        begin(str(tmp_path))


@pytest.mark.parametrize("out", ["file", "file/below", "/dev/null/x", "/proc/x", "n" * 256])
def test_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out: cannot write"):
        begin(out)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_read_only_folder_is_refused() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        try:
            if user == 0:  # who may write anywhere
                try:
                    os.seteuid(65534)
                except OSError as error:  # a container with one user
                    pytest.skip(f"root cannot be another user here: {error.strerror}")
            for out in (folder, f"{folder}/new"):
                with pytest.raises(UsageError, match=r"--out: .*Permission denied"):
                    begin(out)
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o700)


def test_read_only_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match=r"--out: cannot write to '.*': Read-only"):
        begin(str(tmp_path))


def test_unwritable_default_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match="cannot write to 'runs"):
        begin(None)


def test_run_that_cannot_be_described_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(RunError, match=r"cannot write .*No space left"):
        begin(str(tmp_path / "new"))
    assert not list(tmp_path.iterdir())


def test_two_processes_never_get_the_same_named_folder(tmp_path: Path) -> None:
    def attempt(_: int) -> str:
        try:
            return str(begin(str(tmp_path / "run")))
        except UsageError as error:
            return str(error)

    for is_there in (False, True):
        if is_there:
            (tmp_path / "run").mkdir()
        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(attempt, range(16)))
        assert outcomes.count(str(tmp_path / "run")) == 1
        assert sum("which is not empty" in outcome for outcome in outcomes) == 15
        found = open_run(str(tmp_path / "run"), stored_command).request
        assert_same_request(found, make_request())
        shutil.rmtree(tmp_path / "run")
    assert not list(tmp_path.iterdir())
