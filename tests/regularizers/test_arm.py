"""Sums of regularizers, as values: their names, and which hooks they call in which order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest

from regbench.errors import UsageError
from regbench.regularizers import Arm, Regularizer
from regbench.regularizers.noise import Dropout
from regbench.regularizers.penalties import L1, DecoupledDecay, WeightDecay

if TYPE_CHECKING:
    from torch import Tensor

    from regbench.regularizers import Step


@dataclass(frozen=True)
class Scaling(Regularizer):
    """Multiplies hidden activations by 1/2 + u, from noise of its own; a bound, to see infinity."""

    command: ClassVar[str] = "scaling"
    option: ClassVar[str] = "bound"
    symbol: ClassVar[str] = "c"
    default: ClassVar[float] = 1.0
    neutral: ClassVar[float] = float("inf")
    stream: ClassVar[int] = 7
    summary: ClassVar[str] = "Compare scaling with none."

    def factor(self, step: Step) -> Tensor:
        """Return the factor, whatever the bound."""
        return step.noise.uniform().to(step.noise.dtype) + 0.5


def test_sum_is_the_same_in_any_order_and_grouping() -> None:
    parts = WeightDecay(0.01), Dropout(0.5), DecoupledDecay(0.2), L1(0.001)
    whole = Arm(parts)
    assert whole.name == "wdecay=0.01+dropout=0.5+decoupled=0.2+l1=0.001"
    for shuffled in itertools.permutations(parts):
        assert Arm(shuffled) == whole
        assert shuffled[0] + shuffled[1] + (shuffled[2] + shuffled[3]) == whole
    assert Arm(parts[:1]) + Arm(parts[1:]) == whole
    assert whole + Arm() == Arm() + whole == whole


def test_part_that_is_not_registered_comes_last() -> None:
    assert (Scaling(2.0) + L1(0.1)).name == "l1=0.1+scaling=2.0"


def test_empty_sum_is_the_baseline() -> None:
    assert Arm().name == "baseline"
    assert Arm().parts == Arm().active == ()
    assert not Arm().is_noisy


def test_same_regularizer_twice_is_refused_at_any_strengths() -> None:
    for again in (0.0, 0.1, 0.2):
        with pytest.raises(UsageError, match="which has wdecay twice") as refused:
            _ = WeightDecay(0.1) + L1(0.1) + WeightDecay(again)
        assert refused.value.source == "arms"


def test_neutral_parts_keep_their_name_and_do_nothing() -> None:
    arm = WeightDecay(0.0) + Dropout(0.0) + L1(0.3) + Scaling(float("inf"))
    assert arm.name == "wdecay=0.0+dropout=0.0+l1=0.3+scaling=inf"
    assert arm.active == (L1(0.3),)
    assert not arm.is_noisy
    assert (Scaling(0.0) + Dropout(0.0)).active == (Scaling(0.0),)
