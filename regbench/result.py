"""A finished experiment as a value: what was asked, where it ran, and what came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.statistics import Comparison, compare

if TYPE_CHECKING:
    from regbench.config import TrainingExperiment
    from regbench.history import History


@dataclass(frozen=True)
class Result:
    """The settings, the environment and the history of an experiment.

    Attributes:
        settings: What was asked.
        environment: Versions, device, engine and times, ready for JSON.
        history: What was measured.
    """

    settings: TrainingExperiment
    environment: dict[str, Any]
    history: History

    @property
    def comparisons(self) -> list[Comparison]:
        """Each arm against the baseline, by the test loss at the last epoch."""
        baseline, *losses = self.history.test_loss[-1]
        return [
            compare(arm.name, baseline, loss)
            for arm, loss in zip(self.settings.arms[1:], losses, strict=True)
        ]

    @property
    def divergences(self) -> list[tuple[int, int, int]]:
        """The arms that have a loss that is not finite, each with three numbers.

        Its index, the first such logged epoch, and the number of such replicates.
        """
        history = self.history
        is_bad = ~(
            np.isfinite(history.train_loss)
            & np.isfinite(history.train_loss_eval)
            & np.isfinite(history.test_loss)
        )
        return [
            (arm, int(history.epochs[is_bad[:, arm].any(axis=1)][0]), int(count))
            for arm, count in enumerate(is_bad.any(axis=0).sum(axis=1))
            if count
        ]
