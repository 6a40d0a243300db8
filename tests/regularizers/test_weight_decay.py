"""What holds of weight decay alone; `test_regularizers.py` has what holds of every regularizer."""

from __future__ import annotations

import numpy as np
import pytest

from regbench.regularizers.penalties import WeightDecay
from regbench.settings.study import Training


def test_bound_is_that_of_momentum_descent() -> None:
    # theta <- theta - lr * lambda * theta with momentum is a two-term recursion: its roots tell.
    limit, _ = WeightDecay.strength_limit(Training(lr=0.01, momentum=0.9))
    assert limit == pytest.approx(380)
    for strength, is_stable in ((0.999 * limit, True), (1.001 * limit, False)):
        roots = np.roots([1, -(1 + 0.9 - 0.01 * strength), 0.9])
        assert (np.abs(roots).max() < 1) == is_stable
