"""Whole files, and a store that notices damage."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from regbench.errors import RunError
from regbench.storage import files
from regbench.storage.files import (
    Store,
    find_paths,
    read_plain,
    seal,
    unseal,
    write_text,
)

if TYPE_CHECKING:
    from pathlib import Path


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


def test_name_is_flushed_to_disk_after_the_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    flushed: list[tuple[bool, bool]] = []

    def flush(descriptor: int) -> None:
        is_folder = os.path.samestat(os.fstat(descriptor), tmp_path.stat())
        flushed.append((is_folder, path.exists()))

    monkeypatch.setattr(os, "fsync", flush)
    write_text(path, "text")
    assert flushed == [(False, False), (True, True)]


def test_sealed_bytes_are_given_back_and_any_flipped_bit_is_noticed() -> None:
    content = bytes(range(40))
    sealed = seal(content)
    assert unseal(sealed) == content
    for bit_index in range(8 * len(sealed)):
        damaged = bytearray(sealed)
        damaged[bit_index // 8] ^= 1 << bit_index % 8
        assert unseal(bytes(damaged)) is None
    for length in range(len(sealed)):
        assert unseal(sealed[:length]) is None


def test_damaged_file_is_put_aside_and_can_be_made_anew(tmp_path: Path) -> None:
    notes: list[str] = []
    store = Store(tmp_path, note=notes.append)
    store.save("a", b"content")
    (tmp_path / "a.block").write_bytes(seal(b"content")[:-1])
    assert store.load("a", 7) is None
    assert notes == ["block a is damaged and not used"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.damaged"]
    store.save("a", b"another")
    assert store.load("a", 7) == b"another"


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE])
def test_file_that_cannot_be_read_just_now_is_not_taken_for_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        Store(folder).save("a", b"content")
    notes: list[str] = []
    store = Store(own, [other], note=notes.append, is_trusting=True)
    open_file = os.open
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(RunError, match=rf"cannot read '.*a\.block': {os.strerror(number)}"):
            store.load("a", 7)
    assert notes == []
    assert store.load("a", 7) == b"content"
    (own / "a.block").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", lambda p, *to: (fail if p.parent == other else open_file)(p, *to))
        assert store.load("a", 7) is None, "another run's file is not needed"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_file_is_not_read_but_put_aside(tmp_path: Path, kind: str) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        block = folder / "a.block"
        if kind == "pipe":
            os.mkfifo(block)  # whoever reads it waits
        elif kind == "device":
            block.symlink_to("/dev/zero")  # whoever reads it never ends
        else:
            block.mkdir()
    notes: list[str] = []
    assert Store(own, [other], note=notes.append).load("a", 7) is None
    assert notes == ["block a is damaged and not used"]
    assert [path.name for path in own.iterdir()] == ["a.damaged"]
    assert [path.name for path in other.iterdir()] == ["a.block"]


def test_file_below_what_is_no_folder_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("nowhere", "file"):
        assert Store(tmp_path / folder).load("a", 7) is None


def test_reader_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.block").write_bytes(b"damaged")
    assert Store(tmp_path, is_writable=False).load("a", 7) is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.block"]


def test_file_of_another_store_is_copied_if_it_is_whole_and_signed(tmp_path: Path) -> None:
    own, *others = (tmp_path / name for name in ("own", "bad", "foreign", "unsigned", "good"))
    keys = (b"", b"theirs", b"", b"mine")
    for folder, key in zip(others, keys, strict=True):
        folder.mkdir()
        Store(folder, key=key).save("a", b"content" if folder.name == "good" else b"doctored"[:7])
    own.mkdir()
    (others[0] / "a.block").write_bytes(b"damaged")
    taken: list[Path] = []
    store = Store(own, others, key=b"mine", take=taken.append)
    assert store.load("a", 7) == b"content"
    assert taken == [others[-1]]
    assert (own / "a.block").read_bytes() == (others[-1] / "a.block").read_bytes()
    assert (others[0] / "a.block").read_bytes() == b"damaged"
    assert store.load("b", 7) is None
    (own / "a.block").unlink()
    assert Store(own, others).load("a", 7) is None, "nobody's key signs nothing"
    assert Store(own, others, is_trusting=True).load("a", 7) == b"doctore", "it was named"


def test_signature_is_the_hmac_of_rfc_4231() -> None:
    key, data = b"\x0b" * 20, b"Hi There"
    assert (
        seal(data, key)[32:64].hex()
        == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )
    sealed = seal(b"content", key)
    assert unseal(sealed, key) == b"content"
    assert unseal(seal(b"content", b"another key"), key) is None
    assert unseal(seal(b"content"), b"") is None, "no key signs nothing"


def test_file_of_another_size_is_not_read(tmp_path: Path) -> None:
    for size in (6, 8, 10**6):
        notes: list[str] = []
        store = Store(tmp_path, note=notes.append)
        store.save("a", bytes(size))
        assert store.load("a", 7) is None
        assert notes == ["block a is damaged and not used"]


def test_no_path_is_found_through_a_link_and_links_in_a_circle_end(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside, inside / "deep"):
        folder.mkdir()
        (folder / "a.block").touch()
    (inside / "up").symlink_to(tmp_path)
    (inside / "again").symlink_to(inside)
    (inside / "b.block").symlink_to(outside / "a.block")
    found = find_paths(inside, "*.block")
    assert set(found) == {inside / "a.block", inside / "deep" / "a.block", inside / "b.block"}
    assert find_paths(inside, "a.block", 0) == [inside / "a.block"]
    assert read_plain(inside / "b.block", 10) == b"", "nor is it read"


def test_unfinished_files_are_discarded_though_another_thread_begins_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Path] = []

    def remove_slowly(path: Path) -> None:
        removed.append(path)
        files._unfinished.add(tmp_path / "begun meanwhile")

    monkeypatch.setattr(files, "_unfinished", {tmp_path / "first", tmp_path / "second"})
    monkeypatch.setattr(files, "remove", remove_slowly)
    files.discard_unfinished()
    assert set(removed) == {tmp_path / "first", tmp_path / "second"}
