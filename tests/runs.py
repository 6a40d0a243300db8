"""Runs that tests cut off, damage and compare: how they are begun, and what is read of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands import NO_FILES

from regbench.storage.records import CHECKSUM, write_record

if TYPE_CHECKING:
    from commands import Finished

THREE_PARTS = [
    *("wdecay", "--lambda=0.1,0.2", "--points=4", "--hidden=4", "--depth=1", "--replicates=150"),
    *("--epochs=4", "--log-every=2", "--engine=batched", "--device=cpu", "--no-cache", *NO_FILES),
]
SCALE = ["dropout-scale", "--p=0.1,0.5", "--units=9", "--trials=9", "--no-cache", *NO_FILES]
Trained = list[tuple[int, tuple[str, ...]]]
"""First seed and arms of each batch that was trained."""


def blocks_of(run: str) -> dict[str, bytes]:
    """Return the bytes of every block by name."""
    return {path.name: path.read_bytes() for path in Path(run, "blocks").glob("*.block")}


def numbers_of(run: str) -> dict[str, Any]:
    """Return a run's document without its times and its folder."""
    document = json.loads(Path(run, "summary.json").read_text())
    for key in ("started", "duration_seconds"):
        del document["environment"][key]
    del document["run_dir"]
    return dict(document)


def assert_one_line(finished: Finished, code: int, *named: str) -> None:
    """Check that a command printed one line of error and nothing else."""
    assert (finished.code, finished.out) == (code, ""), finished.err
    assert finished.err.count("\n") == 1
    assert finished.err[:-1].isprintable()
    for part in named:
        assert part in finished.err


def change_manifest(run: Path, **values: Any) -> None:
    """Change values of a run's manifest; it is intact afterwards."""
    manifest = json.loads((run / "environment.json").read_text())
    del manifest[CHECKSUM]
    write_record(run / "environment.json", {**manifest, **values})


def spoil_manifest(run: Path) -> None:
    """Damage a run's manifest."""
    path = run / "environment.json"
    path.write_text(path.read_text().replace('"cpu_count"', '"cpu_counter"'))
