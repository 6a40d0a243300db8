"""regbench measures what a regularizer really does to a network.

From Python:

    import regbench as rb

    study = rb.Study(arms=[rb.WeightDecay(0.01), rb.WeightDecay(0.01) + rb.Dropout(0.5)])
    result = rb.run(study)
    result.comparisons, result.history.test_loss

Every registered regularizer is here by its class's name. Importing this imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regbench.analysis.result import Result as Result
    from regbench.api import load as load
    from regbench.api import run as run
    from regbench.errors import RegbenchError as RegbenchError
    from regbench.errors import RunError as RunError
    from regbench.errors import UsageError as UsageError
    from regbench.regularizers import Arm as Arm
    from regbench.regularizers import Regularizer as Regularizer
    from regbench.regularizers import Step as Step
    from regbench.regularizers.noise import Dropout as Dropout
    from regbench.regularizers.penalties import L1 as L1
    from regbench.regularizers.penalties import DecoupledDecay as DecoupledDecay
    from regbench.regularizers.penalties import WeightDecay as WeightDecay
    from regbench.regularizers.plugins import register as register
    from regbench.scores import compare as compare
    from regbench.scores import judge as judge
    from regbench.settings.groups import Judging as Judging
    from regbench.settings.groups import Machine as Machine
    from regbench.settings.groups import Question as Question
    from regbench.settings.over import Over as Over
    from regbench.settings.study import DropoutScale as DropoutScale
    from regbench.settings.study import Network as Network
    from regbench.settings.study import Study as Study
    from regbench.settings.study import Task as Task
    from regbench.settings.study import Training as Training
    from regbench.settings.table import Table as Table

__version__ = "0.2.0"
PUBLIC = {
    "analysis.result": ["Result"],
    "api": ["load", "run"],
    "errors": ["RegbenchError", "RunError", "UsageError"],
    "scores": ["compare", "judge"],
    "regularizers": ["Arm", "Regularizer", "Step"],
    "regularizers.plugins": ["register"],
    "settings.groups": ["Judging", "Machine", "Question"],
    "settings.over": ["Over"],
    "settings.study": ["DropoutScale", "Network", "Study", "Task", "Training"],
    "settings.table": ["Table"],
}
"""Public names, keyed by the module that they are imported from on first use."""


def __getattr__(name: str) -> Any:
    for module, names in PUBLIC.items():
        if name in names:
            return getattr(importlib.import_module(f"regbench.{module}"), name)
    if not name.startswith("_"):
        found: Any = importlib.import_module("regbench.regularizers").BY_CLASS.get(name)
        if found:
            return found
    raise AttributeError(f"module 'regbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    classes = importlib.import_module("regbench.regularizers").BY_CLASS
    return sorted([*(name for names in PUBLIC.values() for name in names), *classes, "__version__"])
