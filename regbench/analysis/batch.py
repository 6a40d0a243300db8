"""Some replicates of some arms: what an engine trains at once. Knows nothing about how."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regbench.regularizers import Arm
    from regbench.settings.study import Study


@dataclass(frozen=True)
class Batch:
    """Some consecutive replicates of a study, and some of its arms.

    Attributes:
        study: The study.
        seeds: One for each of the R replicates.
        first_replicate: The index of the first one in the study.
        arm_indices: Which of the study's arms; None for all.
        kept_index: The replicate whose final parameters are kept, if `has_snapshots`.
    """

    study: Study
    seeds: range
    first_replicate: int = 0
    arm_indices: tuple[int, ...] | None = None
    kept_index: int = 0

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms, A of them."""
        return tuple(self.study.arms[index] for index in self.indices)

    @property
    def indices(self) -> tuple[int, ...]:
        """Those of the arms in the study."""
        everything = tuple(range(len(self.study.arms)))
        return everything if self.arm_indices is None else self.arm_indices

    def by_arm(self) -> list[Batch]:
        """Return a batch for each of the arms: those of a block each."""
        return [dataclasses.replace(self, arm_indices=(index,)) for index in self.indices]

    @property
    def noise_seeds(self) -> list[int]:
        """For each replicate the seed of its noise in training: that of the initial weights."""
        return [init_seed(self.study, seed) for seed in self.seeds]

    @property
    def has_snapshots(self) -> bool:
        """Whether the study's first replicate is among these: its parameters are kept."""
        return self.first_replicate == 0

    def cut(self, size: int, first_size: int | None = None) -> list[Batch]:
        """Return batches of `size` replicates, the first one of `first_size` where given."""
        bounds = [0, *range(first_size or size, len(self.seeds), size), len(self.seeds)]
        return [
            dataclasses.replace(
                self, seeds=self.seeds[start:end], first_replicate=self.first_replicate + start
            )
            for start, end in itertools.pairwise(bounds)
        ]


def init_seed(study: Study, seed: int) -> int:
    """Return the replicate whose initial weights and noise in training a replicate has."""
    return study.seed if study.vary == "data" else seed
