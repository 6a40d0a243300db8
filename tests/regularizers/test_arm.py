"""Sums of regularizers, as values: their names, and which hooks they call in which order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest
import torch
from oracles import hash_word, keeps
from scipy.stats import norm

from regbench.errors import UsageError
from regbench.model.randomness import Noise, noise_keys
from regbench.regularizers import Arm, Regularizer
from regbench.regularizers.decoupled import DecoupledDecay
from regbench.regularizers.dropout import Dropout
from regbench.regularizers.input_noise import InputNoise
from regbench.regularizers.l1 import L1
from regbench.regularizers.weight_decay import WeightDecay

if TYPE_CHECKING:
    from torch import Tensor

    from regbench.regularizers import Noise as AnyNoise


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

    def factor(self, noise: AnyNoise) -> Tensor:
        """Return the factor, whatever the bound."""
        return noise.uniform().to(noise.dtype) + 0.5


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


def noise_of(stream: int) -> Noise:
    """Return the noise of epoch 3 in two layers of two replicates."""
    keys = noise_keys(torch.tensor([5, 6]), 2, 3, stream)
    return Noise(keys, torch.tensor(3), 4, torch.float64)


def test_factor_is_the_product_of_the_parts_each_of_its_own_noise() -> None:
    arm = Dropout(0.3) + WeightDecay(0.1) + Scaling(1.0)
    factor = arm.factor(noise_of)
    assert factor is not None
    assert factor.shape == (2, 2, 3, 4)
    for layer, replicate, sample, unit in itertools.product(range(2), range(2), range(3), range(4)):
        seed = (5, 6)[replicate]
        kept = keeps(seed, layer, sample, 3, unit, 0.3) / 0.7
        word = hash_word(seed, layer, sample, 3, unit, stream=7)
        uniform = (word - 2**32 if word >= 2**31 else word) / 2**32 + 0.5
        expected = pytest.approx(kept * (uniform + 0.5), rel=1e-15)
        assert factor[layer, replicate, sample, unit].item() == expected
    assert (Dropout(0.0) + WeightDecay(0.1)).factor(noise_of) is None
    assert Arm().factor(noise_of) is None


def test_inputs_are_perturbed_by_each_part_with_noise_of_its_own() -> None:
    @dataclass(frozen=True)
    class Doubling(Scaling):
        command: ClassVar[str] = "doubling"

        def perturb_inputs(self, x: Tensor, noise: AnyNoise) -> Tensor:
            """Return twice the inputs."""
            return 2 * x

    def noise_of_inputs(stream: int) -> Noise:
        keys = noise_keys(torch.tensor([5, 6]), 2, 3, stream)
        return Noise(keys[-1], torch.tensor(3), 2, torch.float64)

    x = torch.arange(12.0, dtype=torch.float64).reshape(2, 3, 2)
    seen = (Doubling(1.0) + Dropout(0.5) + InputNoise(0.1)).perturb_inputs(x, noise_of_inputs)
    for replicate, sample, feature in itertools.product(range(2), range(3), range(2)):
        word = hash_word((5, 6)[replicate], 1, sample, 3, feature, stream=InputNoise.stream)
        uniform = (word - 2**32 if word >= 2**31 else word) / 2**32 + 0.5 + 2.0**-33
        expected = 2 * (x[replicate, sample, feature].item() + 0.1 * norm.ppf(uniform))
        assert seen[replicate, sample, feature].item() == pytest.approx(expected, rel=1e-12)
    assert (InputNoise(0.0) + Dropout(0.5)).perturb_inputs(x, noise_of_inputs) is x


def test_penalty_gradients_add_up() -> None:
    gradient = torch.tensor([1.0], dtype=torch.float64)
    arm = WeightDecay(0.25) + Dropout(0.5) + L1(0.1) + DecoupledDecay(0.1)
    arm.add_penalty_gradient_(gradient, torch.tensor([8.0], dtype=torch.float64), False)
    assert gradient.item() == 3.0


def test_decoupled_decay_comes_before_the_proximal_step() -> None:
    theta, momentum = torch.tensor([4.0, -0.5]), torch.tensor([1.0, 1.0])
    (L1(0.5) + DecoupledDecay(0.25)).after_step_(theta, momentum, 1.0, False)
    # 4 to 3, and then 0.5 off; -0.5 to -0.375, all of which is taken.
    assert theta.tolist() == [2.5, 0.0]
    assert momentum.tolist() == [1.5, 0.625]
