"""Blocks as bytes: what is not plain numbers is refused before it can do anything."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from regbench.storage.blocks import Archive, block_name, pack, unpack
from regbench.storage.files import Store

KEY: dict[str, Any] = {"arm": [], "seeds": [1, 2]}


class Trap:
    """An object that makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def test_object_in_a_sealed_block_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    arrays = {"risk": np.ones(2), "other": np.array([Trap(marker)], dtype=object)}
    full = {**KEY, "provenance": {"engine": "batched"}}
    content = pack(full, arrays)
    assert unpack(full, content) is None
    # The same in a run: the checksum and the name are right, so that only the type tells.
    notes: list[str] = []
    store = Store(tmp_path, note=notes.append)
    store.save(block_name(full), content)
    assert Archive(store, [full["provenance"]], lambda _: None).load_arrays(KEY) is None
    assert notes == [f"block {block_name(full)} is damaged and not used"]
    assert not marker.exists()
    # It would have worked: whoever allows pickles executes it.
    with np.load(io.BytesIO(content), allow_pickle=True) as file:
        assert file["other"].shape == (1,)
    assert marker.exists()
