"""Trained blocks as files: what a block of one arm is named by, and its exact bytes.

A file holds one arm of one group of replicates, so that a later run with other arms finds what it
has in common with this one. Its name is a hash of all that its numbers depend on. Knows nothing
about folders, and nothing about how a block is trained.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import MEASURED, SNAPSHOTS, Data, History, fitted_count
from regbench.settings.study import NetworkSettings, TaskSettings, TrainingSettings, keys_of
from regbench.storage.files import canonical

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regbench.settings.study import TrainingExperiment

BLOCK_SCHEMA = "regbench.block/3"
"""To be raised where a block's content, or how its numbers come about, changes within a version."""
DATA_FIELDS = tuple(Data.__dataclass_fields__)

Provenance = dict[str, str]
"""Engine, kind of device and processor, and the versions of what computes."""
Arrays = dict[str, Any]
"""NumPy arrays by name."""


@dataclass(frozen=True)
class Part:
    """Some consecutive replicates of a run.

    Attributes:
        seeds: One for each.
        first: The place of the first one in the run.
    """

    seeds: range
    first: int


def cut_parts(seeds: range, size: int, first_size: int | None = None) -> list[Part]:
    """Return the replicates in parts of `size`, the first one of `first_size` where given."""
    starts = [0, *range(first_size or size, len(seeds), size)]
    ends = [*starts[1:], len(seeds)]
    return [Part(seeds[start:end], start) for start, end in zip(starts, ends, strict=True)]


def block_key(settings: TrainingExperiment, part: Part, place: int) -> dict[str, Any]:
    """Return all that the numbers of one arm of a part depend on, but for their provenance.

    Not the other arms, and not the regularizer under study: every experiment on the same task has
    the same baseline. With independent pairing an arm's initial weights depend on its place.
    """
    arm = settings.arms[place]
    numbers = {*keys_of(TaskSettings), *keys_of(NetworkSettings), *keys_of(TrainingSettings)}
    key: dict[str, Any] = {
        "schema": BLOCK_SCHEMA,
        "settings": settings.model_dump(include={*numbers, "pairing", "dtype", "vary"}),
        "arm": [arm.command, arm.strength] if arm.strength else ["baseline", 0.0],
        "seeds": [part.seeds.start, len(part.seeds)],
        "fits": fitted_count(part.first, len(part.seeds)),
        "snapshots": part.first == 0,
    }
    if settings.pairing == "independent":
        key["place"] = place
    if settings.vary != "both":
        key["first_seed"] = settings.seed
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
