"""What holds of dropout alone; `test_regularizers.py` has what holds of every regularizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from training import make_step

from regbench.regularizers.noise import Dropout

if TYPE_CHECKING:
    from torch import Tensor


class Ends:
    """Noise that is u = 0, and the largest u below 1."""

    dtype = torch.float64

    def uniform(self) -> Tensor:
        """Return both."""
        return torch.tensor([0.0, 1 - 2.0**-32], dtype=torch.float64)

    def normal(self) -> Tensor:
        """Dropout asks for none."""
        raise AssertionError


def test_factor_at_every_strength_has_a_kept_and_a_dropped_end() -> None:
    for p in (1e-12, 0.5, 1 - 1e-12):
        assert Dropout(p).factor(make_step(Ends())).tolist() == [0.0, pytest.approx(1 / (1 - p))]
