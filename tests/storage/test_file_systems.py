"""Folders as users have them: moved, copied, linked, of odd names, on less than POSIX."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from commands import NO_FILES, TINY

from regbench.errors import RunError
from regbench.storage import run_folder
from regbench.storage.files import TEMPORARY_BYTES, find_paths, write_text
from regbench.storage.run_folder import in_use, is_in_use

if TYPE_CHECKING:
    from collections.abc import Callable

    from commands import Command

PART = f".{'0f' * TEMPORARY_BYTES}.part"


def refusal(number: int) -> Callable[..., NoReturn]:
    """Return what answers as a file system that cannot."""

    def refuse(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_what_cannot_be_flushed_is_written_without(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", refusal(number))
    assert regbench("wdecay", *TINY, *NO_FILES, "--out=run").code == 0
    assert Path("run/DONE").is_file()


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_failure_to_flush_is_no_lack_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", refusal(number))
    with pytest.raises(RunError, match="cannot write"):
        write_text(tmp_path / "file", "text")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.EBADF])
def test_without_locks_a_run_goes_on_and_nothing_is_in_use(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    monkeypatch.setattr(fcntl, "flock", refusal(number))
    (tmp_path / PART).touch()
    with in_use(tmp_path):
        assert not is_in_use(tmp_path)
        assert (tmp_path / PART).exists()  # for all that is known, another process writes it
    assert regbench("wdecay", *TINY, *NO_FILES, "--out=run").code == 0
    assert regbench("resume", "run").code == 0


def test_first_to_use_a_run_removes_what_was_left_unfinished(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    for folder in (tmp_path, tmp_path / "blocks"):
        (folder / PART).touch()
        (folder / f"{PART}s").touch()
    with in_use(tmp_path):
        assert find_paths(tmp_path, ".*.part") == []
        assert len(find_paths(tmp_path, ".*.parts")) == 2
        (tmp_path / PART).touch()
        with in_use(tmp_path):
            assert (tmp_path / PART).exists()
        assert is_in_use(tmp_path)
    assert not is_in_use(tmp_path)


def test_resume_and_prune_remove_what_killed_processes_left(regbench: Command) -> None:
    assert regbench("wdecay", *TINY, *NO_FILES, "--out=runs/wdecay/run").code == 0
    run = Path("runs/wdecay/run")
    (run / "DONE").unlink()
    next((run / "blocks").iterdir()).unlink()
    (run / "blocks" / PART).write_bytes(b"half a block")
    assert regbench("resume", str(run)).code == 0
    assert not (run / "blocks" / PART).exists()

    for folder in (Path("runs"), Path("runs/wdecay"), run / "blocks"):
        (folder / PART).mkdir()
        (folder / PART / "file").touch()
    assert "no abandoned runs" in regbench("runs", "--prune", "--yes").err
    old = time.time() - 2 * 3600
    for path in find_paths(Path("runs"), ".*.part"):
        os.utime(path, (old, old))
    shown = regbench("runs", "--prune")
    assert "--yes removes 0 runs and 3 unfinished files of killed processes" in shown.err
    removed = regbench("runs", "--prune", "--yes")
    assert "removed 0 runs and 3 unfinished files of killed processes" in removed.err
    assert find_paths(Path("runs"), ".*.part") == []
    assert (run / "DONE").is_file()


@pytest.mark.parametrize("left", [["blocks/"], ["blocks/", "config.toml"], ["blocks/", PART]])
def test_start_that_was_cut_off_is_refused_with_the_way_out(
    regbench: Command, left: list[str]
) -> None:
    for name in left:
        path = Path("run", name)
        path.mkdir(parents=True) if name.endswith("/") else path.touch()
    finished = regbench("wdecay", *TINY, "--out=run")
    assert finished.code == 2
    assert "or empty this one: the start of a run was cut off there" in finished.err
    (Path("run") / "letter.txt").touch()
    assert "empty this one" not in regbench("wdecay", *TINY, "--out=run").err


@pytest.mark.parametrize("how", ["moved", "copied", "linked", "hard links"])
def test_run_is_finished_wherever_it_is_now(regbench: Command, how: str) -> None:
    assert regbench("wdecay", *TINY, *NO_FILES, "--out=run").code == 0
    expected = regbench("report", "run", "--json").document
    (Path("run") / "DONE").unlink()
    next(Path("run/blocks").iterdir()).unlink()
    there = Path("elsewhere", "its place")
    there.parent.mkdir()
    if how == "moved":
        Path("run").rename(there)
    elif how == "linked":
        there.symlink_to(Path("run").resolve(), target_is_directory=True)
    else:
        shutil.copytree("run", there, copy_function=os.link if how == "hard links" else shutil.copy)
    assert regbench("resume", str(there)).code == 0
    found = regbench("report", str(there), "--json").document
    assert found["arms"] == expected["arms"]
    listed = regbench("runs", "--root=elsewhere", "--json").document["runs"]
    assert [run["state"] for run in listed] == ([] if how == "linked" else ["done"])


@pytest.mark.parametrize("name", ["two words", "a\nline", "für λ", "-dash", "$HOME;'\"", "a" * 255])
def test_folder_of_any_name_holds_a_run(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    Path(name).mkdir()
    monkeypatch.chdir(name)
    assert regbench("wdecay", *TINY, *NO_FILES).code == 0
    (run,) = [path.resolve() for path in Path("runs/wdecay").iterdir()]
    (run / "DONE").unlink()
    told = regbench("report", str(run))
    assert told.code == 1
    assert told.err.count("\n") == 1
    assert regbench("resume", str(run)).code == 0
    assert regbench("runs", "--root", str(run.parent)).code == 0


def test_link_to_nothing_is_no_place_for_a_run(regbench: Command) -> None:
    Path("link").symlink_to("nothing")
    finished = regbench("wdecay", *TINY, "--out=link")
    assert finished.code == 2
    assert "--out" in finished.err
    assert not Path("runs").exists()


def test_folder_that_may_be_written_to_and_not_looked_into_is_no_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "open", refusal(errno.EACCES))
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"
    assert run_folder.is_in_use(tmp_path) is False
