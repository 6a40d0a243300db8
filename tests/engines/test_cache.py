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


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o077])
def test_what_is_made_for_the_cache_is_this_users_alone_whatever_the_umask(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, umask: int
) -> None:
    place(monkeypatch, tmp_path)
    before = os.umask(umask)
    try:
        for _ in range(2):
            add = compilation.compiled(add_one)  # type: ignore[no-untyped-call]
            assert add(1) == 2
    finally:
        os.umask(before)
    assert sum(add.stats.cache_hits.values()) == 1, "kept, and found again"
    folders = [tmp_path / ".cache", *(tmp_path / ".cache").rglob("*/")]
    assert len(folders) == 3
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722, 0o1777])
@pytest.mark.parametrize("place_of", ["cache", "parent", "root", "subfolder"])
def test_folder_that_others_can_change_or_rename_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place_of: str, mode: int
) -> None:
    place(monkeypatch, tmp_path / "home")
    (tmp_path / "home" / ".cache").mkdir(parents=True, mode=0o700)
    assert compilation.compiled(add_one)(1) == 2  # type: ignore[no-untyped-call]
    cache = tmp_path / "home" / ".cache" / "regbench"
    (subfolder,) = cache.iterdir()
    folders = {"cache": cache, "parent": cache.parent, "root": tmp_path, "subfolder": subfolder}
    folders[place_of].chmod(mode)
    add = compilation.compiled(add_one)  # type: ignore[no-untyped-call]
    assert add(1) == 2
    # Of a sticky folder others can rename nothing, but they can add files to it.
    is_used = mode == 0o1777 and place_of in ("parent", "root")
    assert sum(add.stats.cache_hits.values()) == is_used


def test_links_of_others_lead_to_no_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs").chmod(0o777)
    (tmp_path / "theirs" / "regbench").mkdir(0o700)
    (tmp_path / "mine").symlink_to(tmp_path / "theirs" / "regbench")
    place(monkeypatch, tmp_path, own=str(tmp_path / "mine"))
    assert cache_folder() is None
    (tmp_path / "theirs").chmod(0o755)
    assert cache_folder() == tmp_path / "theirs" / "regbench", "not by the link, which may move"
