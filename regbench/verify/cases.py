"""The cases that `regbench verify` runs: what must hold, what is trained, what is compared.

A prediction starts from the data and the initial weights of a run and goes through
`closed_forms.py` and `numpy_network.py` alone. Everything is seeded: a healthy machine always
passes.
"""

from __future__ import annotations

from regbench.verify.decomposition import DECOMPOSITION
from regbench.verify.dropout import DROPOUT
from regbench.verify.linear import LINEAR_MODELS
from regbench.verify.updates import UPDATES

CASES = (*UPDATES, *LINEAR_MODELS, *DROPOUT, *DECOMPOSITION)
