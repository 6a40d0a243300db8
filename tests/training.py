"""Short ways to say what a test trains. Knows nothing about what a test expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from regbench.engines import ENGINES, Block
from regbench.settings.study import TrainingExperiment

if TYPE_CHECKING:
    from regbench.analysis.history import History

SMALL = {"points": 6, "hidden": 12, "depth": 2, "epochs": 30, "log_every": 10, "replicates": 3}
"""A network and a run that take milliseconds."""


def make_settings(
    experiment: str = "wdecay", strengths: tuple[float, ...] = (0.01,), **values: Any
) -> TrainingExperiment:
    """Return the settings of a small run with some values changed."""
    return TrainingExperiment(experiment=experiment, strengths=strengths, **(SMALL | values))


def train(settings: TrainingExperiment, engine: str) -> History:
    """Train all replicates as one block on the CPU."""
    return ENGINES[engine](
        Block(settings, settings.seeds, torch.device("cpu")), lambda epochs: None
    )
