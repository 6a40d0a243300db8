"""Blocks as bytes: a key and plain numbers, whatever anybody puts there."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import TINY
from runs import blocks_of

from regbench.storage import blocks
from regbench.storage.blocks import Archive, block_name, header, pack, unpack
from regbench.storage.files import Store

if TYPE_CHECKING:
    from commands import Command

KEY: dict[str, Any] = {"arm": [], "seeds": [1, 2]}
FULL: dict[str, Any] = {**KEY, "provenance": {"engine": "batched"}}
FIELDS = {"epochs": ((3,), "int64"), "risk": ((3, 1, 2), "float32"), "scalar": ((), "float64")}


def test_arrays_come_back_as_they_were() -> None:
    arrays: dict[str, Any] = {
        "epochs": np.array([0, 1, 2**62]),
        "risk": np.array([[[1, np.nan]], [[np.inf, -0.0]], [[1e-45, 3]]], "f4"),
        "scalar": np.float64(np.pi),
    }
    found = unpack(FULL, FIELDS, pack(FULL, FIELDS, arrays))
    assert found
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].tobytes() == array.tobytes()
    assert unpack(KEY, FIELDS, pack(FULL, FIELDS, arrays)) is None, "another block's key"


@pytest.mark.parametrize("field", [((3,), "int64"), ((2,), "float32")])
def test_arrays_that_the_study_does_not_have_are_not_stored(field: Any) -> None:
    with pytest.raises(AssertionError):
        pack(FULL, {"risk": field}, {"risk": np.ones(3, "f4")})


class Trap:
    """An object that makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def test_object_in_a_sealed_block_is_refused_or_numbers_and_never_unpickled(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    trap = pickle.dumps(Trap(marker))
    trap = trap.ljust(-(-len(trap) // 8) * 8, b".")
    fields = {"risk": ((len(trap) // 8,), "float64")}
    store = Store(tmp_path)
    archive = Archive(store, [FULL["provenance"]], lambda _: None)
    for content in (trap, header(FULL) + trap + b"8 bytes.", header(FULL) + trap):
        store.save(block_name(FULL), content)
        found = archive.load_arrays(KEY, fields)
        assert (found is None) == (len(content) != len(header(FULL) + trap))
        assert found is None or found["risk"].tobytes() == trap
    assert not marker.exists()
    pickle.loads(trap)
    assert marker.exists(), "whoever unpickles it executes it"


def test_package_in_a_zip_file_makes_the_same_blocks_and_pages(
    regbench: Command, tmp_path: Path
) -> None:
    package = Path(blocks.__file__).parents[1]
    archive = shutil.make_archive("zipped", "zip", package.parent, package.name)
    run = ["wdecay", *TINY, "--engine=batched", "--no-plots", "--no-tensorboard", "--no-cache"]
    assert regbench(*run, "--out=plain").code == 0
    assert regbench("report", "plain", "--export=plain.html").code == 0
    commands = [
        [*run, "--out=zipped"],
        ["report", "zipped", "--export=zipped.html"],
        ["verify", "--only=dropout-scale-mean"],
    ]
    program = (
        "import regbench.cli, regbench.engines.fused.kernel\n"
        f"for words in {commands}:\n"
        "    try:\n        regbench.cli.main(words)\n"
        "    except SystemExit as ended:\n        assert not ended.code\n"
    )
    environment = {**os.environ, "PYTHONPATH": archive}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert blocks_of("zipped") == blocks_of("plain")
    one, other = (Path(f"{place}.html").read_text() for place in ("plain", "zipped"))
    assert one.partition("</style>")[0] == other.partition("</style>")[0]
