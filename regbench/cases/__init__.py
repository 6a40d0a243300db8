"""The cases that `regbench verify` runs: what must hold, what is trained, what is compared.

A prediction starts from the data and the initial weights of a run and goes through `theory.py` and
`numpy_network.py` alone. Everything is seeded: a healthy machine always passes.
"""

from __future__ import annotations

from regbench.cases.decomposition import DECOMPOSITION
from regbench.cases.dropout import DROPOUT
from regbench.cases.linear import LINEAR_MODELS
from regbench.cases.updates import UPDATES

__all__ = ["CASES"]

CASES = (*UPDATES, *LINEAR_MODELS, *DROPOUT, *DECOMPOSITION)
