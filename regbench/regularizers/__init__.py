"""The registry: every regularizer that has a subcommand, by its command's name.

Plug-ins join it when they are loaded; see `plugins`.
"""

from __future__ import annotations

import importlib

from regbench.regularizers.arm import Arm
from regbench.regularizers.base import Noise, Regularizer, Step

__all__ = ["BY_CLASS", "REGULARIZERS", "Arm", "Noise", "Regularizer", "Step", "rank"]

MODULES = (
    "weight_decay",
    "dropout",
    "gaussian_dropout",
    "decoupled",
    "l1",
    "max_norm",
    "early_stopping",
    "input_noise",
    "group_lasso",
)
"""Modules that define one regularizer each. The parts of a sum act in this order, which is that of
the fused kernel; add a new one at the end."""


def defined_in(module: str) -> type[Regularizer]:
    """Return the regularizer that a module of this package defines."""
    name = f"regbench.regularizers.{module}"
    kinds = vars(importlib.import_module(name)).values()
    return next(k for k in kinds if isinstance(k, type) and k.__module__ == name)


BY_CLASS = {kind.__name__: kind for kind in map(defined_in, MODULES)}
"""The regularizers of the package, by the name of their class."""
REGULARIZERS = {kind.command: kind for kind in BY_CLASS.values()}


def rank(regularizer: Regularizer) -> tuple[int, str]:
    """Return what the parts of a sum are sorted by: the registry's order, and plug-ins by name."""
    kinds, kind = list(BY_CLASS.values()), type(regularizer)
    return (kinds.index(kind) if kind in kinds else len(kinds)), kind.command
