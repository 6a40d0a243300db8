"""regbench measures what a regularizer really does to a network.

From Python:

    from regbench import plan, resolve, run

    request = resolve("wdecay", {"lambda": ["0.01", "0.1"], "replicates": ["10"]})
    result = run(plan(request))
    result.comparisons, result.history.test_loss
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regbench.experiments import plan, resolve, run

__version__ = "0.1.0"
__all__ = ["__version__", "plan", "resolve", "run"]


def __getattr__(name: str) -> Any:
    """Import the public functions where they are first used."""
    if name in __all__:
        from regbench import experiments

        return getattr(experiments, name)
    raise AttributeError(f"module 'regbench' has no attribute {name!r}")
