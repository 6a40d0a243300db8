"""The blocks of a run, loaded and saved by what they hold. Knows nothing about training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regbench.storage.blocks import block_key, block_name, pack, to_arrays, to_history, unpack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regbench.analysis.history import History
    from regbench.settings.study import TrainingExperiment
    from regbench.storage.blocks import Arrays, Part, Provenance
    from regbench.storage.files import Store


@dataclass(frozen=True)
class Archive:
    """Where a run's blocks are.

    Attributes:
        store: The files.
        provenances: What a block may have been computed with. The last one is today's: what is
            saved is named by it.
    """

    store: Store
    provenances: Sequence[Provenance]

    def load(self, settings: TrainingExperiment, part: Part, place: int) -> History | None:
        """Return the history of the arm at this place, or None where there is no whole block.

        See `Store.load` for errors.
        """
        arrays = self.load_arrays(block_key(settings, part, place))
        return None if arrays is None else to_history(arrays)

    def save(self, settings: TrainingExperiment, part: Part, place: int, history: History) -> None:
        """Save the history of the arm at this place; see `Store.save`."""
        self.save_arrays(block_key(settings, part, place), to_arrays(history))

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
