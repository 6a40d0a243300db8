"""The run folder: exclusive, described, refused where unusable or not ours; and lists of runs."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from training import make_settings

from regbench.errors import RunError, UsageError
from regbench.storage.run_folder import create_run, describe_run, git_state, open_run


def begin(out: str | None) -> Path:
    """Return the folder of a new run."""
    settings = make_settings(out=out)
    return create_run(settings, describe_run(settings, {}, [], ["regbench"]))


def test_runs_started_in_the_same_second_get_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: begin(None), range(40)))
    assert len(set(folders)) == 40
    for folder in folders:
        assert folder.is_dir()
        assert folder.parent == Path("runs", "wdecay")
        assert make_settings().hash in folder.name
        assert open_run(str(folder)).settings == make_settings()
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
def test_state_of_the_repository_is_its_commit_and_whether_a_file_of_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    tracked = tmp_path / "config.toml"
    tracked.write_text("lambda = 0.1")
    for command in (["init"], ["add", "."], [*own, "commit", "-m", "first"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    state = git_state()
    assert state is not None
    assert re.fullmatch("[0-9a-f]{40}", state["commit"])
    assert state["is_clean"] is True
    (tmp_path / "results").touch()
    assert git_state() == state
    tracked.write_text("lambda = 0.2")
    assert git_state() == {**state, "is_clean": False}
    # A changed file whose name is no text, in a repository that shows names as they are.
    odd = Path(os.fsdecode(b"c\xff"))
    odd.touch()
    for command in (["add", "."], ["config", "core.quotepath", "false"]):
        subprocess.run(["git", *command], check=True, capture_output=True)
    assert git_state() == {**state, "is_clean": False}


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
        assert open_run(str(tmp_path / "run")).settings == make_settings()
        shutil.rmtree(tmp_path / "run")
    assert not list(tmp_path.iterdir())
