"""Experiments to disturb, and what they must leave in the end whatever happened to them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ["--hidden=24", "--depth=2", "--epochs=60", "--log-every=20", "--device=cpu", "--no-cache"]
SWEEPS: dict[str, list[str]] = {
    "fused": ["wdecay", "--lambda=0.01,0.1", "--replicates=130", "--engine=fused", *SMALL],
    "batched": ["dropout", "--p=0.2,0.5", "--replicates=70", "--engine=batched", *SMALL],
    "confirmed": ["l1", "--lambda=0.01,0.1", "--replicates=8", "--confirm=70", *SMALL],
    "planned": ["decoupled", "--target-width=0.0005", "--no-plots", "--no-tensorboard", *SMALL],
}
"""Experiments of several blocks each, in every kind of stage."""


def fingerprint(run: Path) -> dict[str, str]:
    """Return a hash of every block, of the losses, and of the document without its times."""
    document = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    blocks = sorted((run / "blocks").glob("*.block"))
    content = {path.name: path.read_bytes() for path in blocks}
    content["summary.json"] = json.dumps(timeless(document)).encode()
    if (run / "history.csv").exists():
        content["history.csv"] = (run / "history.csv").read_bytes()
    return {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


def timeless(document: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON document without what differs from day to day: its times and its place."""
    environment = {
        key: value
        for key, value in document["environment"].items()
        if key not in {"started", "duration_seconds"}
    }
    return {**document, "environment": environment, "run_dir": ""}
