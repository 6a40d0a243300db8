"""Trained blocks as files: what a block is named by, its exact bytes, and a run's archive of them.

A file holds one arm of a batch's replicates, so that a later run with other arms finds what it
has in common with this one. Its name is a hash of all that its numbers depend on. Knows nothing
about folders, and nothing about how a block is trained.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import MEASURED, SNAPSHOTS, Data, History
from regbench.storage.files import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regbench.analysis.batch import Batch
    from regbench.storage.files import Store

BLOCK_SCHEMA = "regbench.block/5"
"""To be raised where a block's content, or how its numbers come about, changes within a version."""
DATA_FIELDS = tuple(Data.__dataclass_fields__)

Provenance = dict[str, str]
"""Engine, kind of device and processor, and the versions of what computes."""
Arrays = dict[str, Any]
"""NumPy arrays by name."""


def block_key(batch: Batch, arm_index: int) -> dict[str, Any]:
    """Return all that the numbers of one arm of a batch depend on, but for their provenance.

    Not the other arms, and not the regularizer under study: every experiment on the same task has
    the same baseline. With independent pairing an arm's initial weights depend on its index.
    """
    study, parts = batch.study, batch.study.arms[arm_index].active
    numbers = {"task", "network", "training", "pairing", "dtype", "vary"}
    key: dict[str, Any] = {
        "schema": BLOCK_SCHEMA,
        "study": study.model_dump(include=numbers),
        "arm": [[part.command, part.strength] for part in parts],
        "seeds": [batch.seeds.start, len(batch.seeds)],
        "fits": batch.fitted_count,
        "snapshots": batch.has_snapshots,
    }
    if study.pairing == "independent":
        key["arm_index"] = arm_index
    if study.vary != "both":
        key["first_seed"] = study.seed
    return key


def block_name(key: Mapping[str, Any]) -> str:
    """Return the 32 hexadecimal digits that a block with this key is named by."""
    return hashlib.sha256(canonical(key)).hexdigest()[:32]


def pack(key: Mapping[str, Any], arrays: Arrays) -> bytes:
    """Return a block as bytes: the same for the same content, at any time, on any machine."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, key=np.frombuffer(canonical(key), np.uint8), **arrays)
    return file.getvalue()


def unpack(key: Mapping[str, Any], content: bytes) -> Arrays | None:
    """Return the arrays of packed bytes, or None where they are not the block of this key."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, KeyError, EOFError):
        return None
    stated = arrays.pop("key", None)
    if stated is None or stated.tobytes() != canonical(key):
        return None
    return arrays


def to_arrays(history: History) -> Arrays:
    """Return a history as arrays by name."""
    arrays: Arrays = {"epochs": history.epochs}
    arrays |= {f"data/{field}": getattr(history.data, field) for field in DATA_FIELDS}
    arrays |= {field: getattr(history, field) for field in MEASURED}
    for kind in SNAPSHOTS:
        arrays |= {f"{kind}/{name}": values for name, values in getattr(history, kind).items()}
    return arrays


def to_history(arrays: Arrays) -> History:
    """Return the history that `to_arrays` took apart."""
    snapshots: dict[str, Arrays] = {kind: {} for kind in SNAPSHOTS}
    for name, values in arrays.items():
        kind, slash, parameter = name.partition("/")
        if slash and kind in snapshots:
            snapshots[kind][parameter] = values
    return History(
        epochs=arrays["epochs"],
        data=Data(**{field: arrays[f"data/{field}"] for field in DATA_FIELDS}),
        **{field: arrays[field] for field in MEASURED},
        parameters=snapshots["parameters"],
        gradients=snapshots["gradients"],
    )


@dataclass(frozen=True)
class Archive:
    """The blocks of a run, loaded and saved by what they hold.

    Attributes:
        store: The files.
        provenances: What a block may have been computed with. The last one is today's: what is
            saved is named by it.
    """

    store: Store
    provenances: Sequence[Provenance]

    def load(self, batch: Batch, arm_index: int) -> History | None:
        """Return the history of an arm of the study, or None where there is no whole block.

        See `Store.load` for errors.
        """
        arrays = self.load_arrays(block_key(batch, arm_index))
        return None if arrays is None else to_history(arrays)

    def save(self, batch: Batch, arm_index: int, history: History) -> None:
        """Save the history of an arm of the study; see `Store.save`."""
        self.save_arrays(block_key(batch, arm_index), to_arrays(history))

    def load_arrays(self, key: Mapping[str, Any]) -> Arrays | None:
        """Return the block of this key and any of the provenances, or None where none is whole.

        See `Store.load` for errors.
        """
        for provenance in self.provenances:
            full = {**key, "provenance": provenance}
            name = block_name(full)
            content = self.store.load(name)
            if content is not None:
                arrays = unpack(full, content)
                if arrays is not None:
                    return arrays
                self.store.reject(name)
        return None

    def save_arrays(self, key: Mapping[str, Any], arrays: Arrays) -> None:
        """Save the block of this key and today's provenance; see `Store.save`."""
        full = {**key, "provenance": self.provenances[-1]}
        self.store.save(block_name(full), pack(full, arrays))
