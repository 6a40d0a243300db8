"""Trained blocks as files: what a block is named by, its exact bytes, and a run's archive of them.

A file holds one arm of a batch's replicates, so that a later run with other arms finds what it
has in common with this one. Its name is a hash of all that its numbers depend on. Knows nothing
about folders, and nothing about how a block is trained.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import History, fields_of
from regbench.regularizers.plugins import identity
from regbench.storage.files import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.abc import Traversable

    from regbench.analysis.history import Batch
    from regbench.storage.files import Store

NUMBERS = ("analysis/history.py", "engines", "regularizers", "settings/truths.py", "tasks")
"""Source files of the package that decide the numbers of a block."""

Provenance = dict[str, str]
"""Engine, kind of device and processor, and versions of the libraries that compute."""
Arrays = dict[str, Any]
"""NumPy arrays by name."""
Fields = Mapping[str, tuple[tuple[int, ...], str]]
"""Shape and dtype of every array of a block, by name."""


def source_digest() -> str:
    """Return a digest of the source that makes numbers, so that no schema is raised by hand."""
    texts = (text for room in NUMBERS for text in sources(files("regbench") / room))
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def sources(place: Traversable) -> Iterator[bytes]:
    """Yield the text of a module, or of all below a folder, also of a package in a zip file."""
    if place.is_dir():
        for inner in sorted(place.iterdir(), key=lambda inner: inner.name):
            yield from sources(inner)
    elif place.name.endswith(".py"):
        yield place.read_bytes()


BLOCK_SCHEMA = f"regbench.block/{source_digest()}"
"""Part of a block's name: a block of another schema is not found, and is trained again."""


def block_key(batch: Batch, arm_index: int) -> dict[str, Any]:
    """Return all that the numbers of one arm of a batch depend on, but for their provenance.

    Not the other arms, and not the regularizer under study: every experiment on the same task has
    the same baseline. With independent pairing an arm's initial weights depend on its index.
    """
    study = batch.study
    numbers = {"task", "network", "training", "pairing", "dtype", "vary"}
    key: dict[str, Any] = {
        "schema": BLOCK_SCHEMA,
        "study": study.model_dump(include=numbers),
        "arm": [
            [part.name, *([identity(part.origin)] if part.origin else [])]
            for part in study.arms[arm_index].active
        ],
        "seeds": [batch.seeds.start, len(batch.seeds)],
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


def pack(key: Mapping[str, Any], fields: Fields, arrays: Arrays) -> bytes:
    """Return a block as bytes: its key as JSON, then its arrays, in the order of the fields.

    They are the same for the same content, at any time, on any machine.
    """
    pieces = [header(key)]
    for name, (shape, dtype) in fields.items():
        array = np.asarray(arrays[name])
        assert array.shape == shape and array.dtype == np.dtype(dtype), name  # noqa: PT018
        pieces.append(array.tobytes())
    return b"".join(pieces)


def unpack(key: Mapping[str, Any], fields: Fields, content: bytes) -> Arrays | None:
    """Return the arrays of packed bytes, or None where they are not the block of this key."""
    start = len(header(key))
    if content[:start] != header(key) or len(content) != start + size_of(fields):
        return None
    arrays = {}
    for name, (shape, dtype) in fields.items():
        count = math.prod(shape)
        arrays[name] = np.frombuffer(content, dtype, count, start).reshape(shape)
        start += count * np.dtype(dtype).itemsize
    return arrays


def header(key: Mapping[str, Any]) -> bytes:
    """Return the beginning of a block; numbers of eight bytes may follow it."""
    text = canonical(key)
    return text.ljust(-(-len(text) // 8) * 8)


def size_of(fields: Fields) -> int:
    """Return how many bytes arrays take."""
    return sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in fields.values())


@dataclass(frozen=True)
class Archive:
    """The blocks of a run in their store, loaded and saved by what they hold.

    A block may have been computed with any of the provenances; the last one is today's.
    `add_provenance` is called with one that is new, before the first block of it is saved, and adds
    it to them.
    """

    store: Store
    provenances: Sequence[Provenance]
    add_provenance: Callable[[Provenance], None]

    def load(self, batch: Batch, arm_index: int) -> History | None:
        """Return an arm's history or None where there is no whole block; see `Store.load`."""
        arrays = self.load_arrays(block_key(batch, arm_index), fields_of(batch))
        return None if arrays is None else History(arrays)

    def save(self, batch: Batch, arm_index: int, history: History, provenance: Provenance) -> None:
        """Save the history of an arm of the study, and what computed it; see `Store.save`."""
        arrays = dict(history.arrays)
        self.save_arrays(block_key(batch, arm_index), fields_of(batch), arrays, provenance)

    def load_arrays(self, key: Mapping[str, Any], fields: Fields) -> Arrays | None:
        """Return the block of this key and any of the provenances, if whole; see `Store.load`."""
        for provenance in self.provenances:
            full = {**key, "provenance": provenance}
            name, size = block_name(full), len(header(full)) + size_of(fields)
            if (content := self.store.load(name, size)) is not None:
                if (arrays := unpack(full, fields, content)) is not None:
                    return arrays
                self.store.put_aside(name)
        return None

    def save_arrays(
        self,
        key: Mapping[str, Any],
        fields: Fields,
        arrays: Arrays,
        provenance: Provenance | None = None,
    ) -> None:
        """Save the block of this key and a provenance, or today's; see `Store.save`."""
        if provenance is not None and provenance not in self.provenances:
            self.add_provenance(provenance)
        full = {**key, "provenance": provenance or self.provenances[-1]}
        self.store.save(block_name(full), pack(full, fields, arrays))
