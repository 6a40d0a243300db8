"""regbench measures what a regularizer really does to a network.

From Python:

    from regbench import plan, resolve, run

    settings = resolve("wdecay", {"lambda": ["0.01", "0.1"], "replicates": ["10"]})
    result = run(plan(settings))
    result.comparisons, result.history.test_loss
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regbench.version import __version__

if TYPE_CHECKING:
    from regbench.experiments.training import plan, run
    from regbench.settings.parse import resolve

__all__ = ["__version__", "plan", "resolve", "run"]


def __getattr__(name: str) -> Any:
    """Import the public functions where they are first used: torch is heavy."""
    if name == "resolve":
        from regbench.settings.parse import resolve

        return resolve
    if name in ("plan", "run"):
        from regbench.experiments import training as experiment

        return getattr(experiment, name)
    raise AttributeError(f"module 'regbench' has no attribute {name!r}")
