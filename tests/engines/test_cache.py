"""What is compiled is kept in a proper folder of this user, or nowhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY, run_process
from numba.core.caching import CacheImpl

from regbench.engines.fused import compilation
from regbench.engines.fused.compilation import cache_folder
from regbench.engines.fused.engine import COMPILING_ANEW

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def place(
    monkeypatch: pytest.MonkeyPatch, home: Path, own: str | None = None, xdg: str | None = None
) -> None:
    """Set what says where caches are."""
    for name, value in (("HOME", str(home)), ("NUMBA_CACHE_DIR", own), ("XDG_CACHE_HOME", xdg)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)


def test_cache_is_where_the_user_says_or_in_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place(monkeypatch, tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "regbench"
    assert (tmp_path / ".cache" / "regbench").stat().st_mode & 0o777 == 0o700
    place(monkeypatch, tmp_path, xdg=str(tmp_path))
    assert cache_folder() == tmp_path / "regbench"
    place(monkeypatch, tmp_path, own=str(tmp_path / "numba"), xdg=str(tmp_path))
    assert cache_folder() == tmp_path / "numba"
    place(monkeypatch, tmp_path, own="", xdg="")
    assert cache_folder() == tmp_path / ".cache" / "regbench"


@pytest.mark.parametrize(
    ("home", "own", "xdg"),
    [
        ("nowhere", None, None),  # a home that is not there is not made
        ("", "here", None),
        ("", None, "here"),
        ("", "/dev/null/here", None),
        ("", "\0", None),
        ("file", None, None),
    ],
)
def test_folder_that_is_none_or_not_absolute_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: str, own: str | None, xdg: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    variables = {"NUMBA_CACHE_DIR": own, "XDG_CACHE_HOME": xdg, "HOME": str(tmp_path / home)}
    monkeypatch.setattr(os, "environ", {k: v for k, v in variables.items() if v is not None})
    assert cache_folder() is None
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("spoil", ["of another", "for everyone", "read-only"])
def test_folder_that_is_not_this_users_alone_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spoil: str
) -> None:
    place(monkeypatch, tmp_path)
    folder = cache_folder()
    assert folder is not None
    if spoil == "of another":
        monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    elif spoil == "for everyone":
        folder.chmod(0o777)
    else:
        monkeypatch.setattr(os, "access", lambda *_: False)
    assert cache_folder() is None


def add_one(number: int) -> int:
    return number + 1


@pytest.mark.parametrize("error", [PermissionError, RuntimeError])
def test_without_a_folder_functions_are_compiled_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: type[Exception]
) -> None:
    def refuse(*_: object) -> None:
        raise error

    for is_refused in (False, True):
        place(monkeypatch, tmp_path / "nowhere")
        if is_refused:
            monkeypatch.setattr(CacheImpl, "__init__", refuse)
        add: Callable[[int], int]
        add = compilation.compiled(add_one)  # type: ignore[no-untyped-call]
        assert add(1) == 2
        monkeypatch.undo()


def test_run_without_a_folder_says_so_once_and_makes_no_file_elsewhere(tmp_path: Path) -> None:
    own = {"HOME": str(tmp_path / "nowhere"), "NUMBA_CACHE_DIR": ""}
    options = ["wdecay", *TINY, *NO_FILES, "--confirm=2", "--out=run"]
    finished = run_process(options, tmp_path, **own)
    assert finished.code == 0
    assert finished.err.count(COMPILING_ANEW) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
