"""The run folder: exclusive, refused where unusable, filled with whole files."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from regbench.errors import RunError, UsageError
from regbench.store import create_run_folder, write_text


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
        assert not list(folder.iterdir())


@pytest.mark.parametrize("out", ["new", "new/deeper/still", "a b ü"])
def test_named_folder_is_made_with_its_parents(tmp_path: Path, out: str) -> None:
    folder = create_run_folder(str(tmp_path / out), "wdecay", "x")
    assert folder == tmp_path / out
    assert folder.is_dir()


def test_empty_folder_is_used_and_a_filled_one_refused(tmp_path: Path) -> None:
    assert create_run_folder(str(tmp_path), "wdecay", "x") == tmp_path
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

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(UsageError, match="--out: cannot write to 'place': Read-only"):
        create_run_folder(str(tmp_path), "wdecay", "x")


def test_unwritable_default_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").touch()
    with pytest.raises(UsageError, match="cannot write to 'runs"):
        create_run_folder(None, "wdecay", "x")


def test_text_is_written_whole_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for text in ("first λ\n", "second"):
        write_text(path, text)
        assert path.read_bytes() == text.encode("utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_leaves_the_old_file_and_no_partial_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "result.json"
    write_text(path, "old")
    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(RunError, match=r"result\.json'?: No space left"):
        write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    with pytest.raises(RunError):
        write_text(tmp_path / "other.json", "new")
    assert list(tmp_path.iterdir()) == [path]
