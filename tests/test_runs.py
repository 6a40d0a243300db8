"""The run folder: exclusive, described, refused where unusable or not ours; and lists of runs."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regbench.errors import UsageError
from regbench.runs import create_run_folder


def test_runs_started_in_the_same_second_get_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: create_run_folder(None, "wdecay", "0123abcd"), range(40)))
    assert len(set(folders)) == 40
    for folder in folders:
        assert folder.is_dir()
        assert folder.parent == Path("runs", "wdecay")
        assert "0123abcd" in folder.name
        assert [path.name for path in folder.iterdir()] == ["blocks"]


@pytest.mark.parametrize("out", ["new", "new/deeper/still", "a b ü"])
def test_named_folder_is_made_with_its_parents(tmp_path: Path, out: str) -> None:
    folder = create_run_folder(str(tmp_path / out), "wdecay", "x")
    assert folder == tmp_path / out
    assert folder.is_dir()


def test_empty_folder_is_used_and_a_filled_one_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert create_run_folder(str(empty), "wdecay", "x") == empty
    (tmp_path / ".hidden").touch()
    with pytest.raises(UsageError, match=r"--out: .*not empty"):
        create_run_folder(str(tmp_path), "wdecay", "x")


@pytest.mark.parametrize("out", ["file", "file/below", "/dev/null/x", "/proc/x", "n" * 256])
def test_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--out: cannot write"):
        create_run_folder(out, "wdecay", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="--out: cannot write"):
        create_run_folder(str(tmp_path), "wdecay", "x")


def test_read_only_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "place")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match="--out: cannot write to 'place': Read-only"):
        create_run_folder(str(tmp_path), "wdecay", "x")


def test_unwritable_default_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match="cannot write to 'runs"):
        create_run_folder(None, "wdecay", "x")
