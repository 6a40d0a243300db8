"""The best strength of a sweep, on curves whose minimum is known."""

from __future__ import annotations

import numpy as np
import pytest

from regbench.analysis.best import Optimum, optimum_of
from regbench.regularizers import Arm
from regbench.regularizers.noise import Dropout
from regbench.regularizers.penalties import EarlyStopping, WeightDecay


def sweep(
    best: float, replicates: int = 30, spread: float = 0.1, seed: int = 0, strengths: int = 9
) -> Optimum:
    """Return the best of weight decays whose losses are a parabola of log λ, with noise."""
    generator = np.random.default_rng(seed)
    decays = np.logspace(-4, 0, strengths)
    curve = np.square(np.log(decays / best))[:, None] / 10
    tilt = generator.normal(0, spread, (1, replicates)) * np.log(decays)[:, None]
    found = optimum_of([Arm((WeightDecay(float(d)),)) for d in decays], curve + tilt, 0.95)
    assert found is not None
    return found


def test_best_strength_lies_between_the_arms() -> None:
    found = sweep(0.02, spread=0)
    assert found.strength == pytest.approx(0.02, rel=0.05)
    assert found.ci == (found.strength, found.strength)
    assert not found.is_at_end


def test_interval_holds_the_best_strength_about_as_often_as_it_says() -> None:
    held = []
    for seed in range(150):
        found = sweep(0.02, seed=seed, spread=0.2)
        assert found.ci is not None
        held.append(found.ci[0] <= 0.02 <= found.ci[1])
    assert 0.88 < np.mean(held) <= 0.99


@pytest.mark.parametrize(("best", "end"), [(1e-6, 1e-4), (50.0, 1.0)])
def test_best_at_an_end_of_the_sweep_is_said_to_be_there(best: float, end: float) -> None:
    found = sweep(best)
    assert found.strength == pytest.approx(end)
    assert found.is_at_end


def test_probabilities_are_even_in_themselves_and_their_order_does_not_matter() -> None:
    p = np.array([0.5, 0.1, 0.3, 0.7, 0.9])
    losses = np.square(p - 0.4)[:, None] + np.zeros((1, 4))
    found = optimum_of([Arm((Dropout(float(value)),)) for value in p], losses, 0.95)
    assert found is not None
    assert found.strength == pytest.approx(0.4, abs=0.02)


def test_there_is_none_where_arms_are_no_sweep_or_few_or_diverged() -> None:
    decays = [Arm((WeightDecay(strength),)) for strength in (0.1, 0.2, 0.3, 0.4, 0.5)]
    losses = np.random.default_rng(1).normal(size=(5, 6))
    constant = [arm + Dropout(0.5) for arm in decays]
    assert optimum_of(decays, losses, 0.95) is not None
    assert optimum_of(constant, losses, 0.95) == optimum_of(decays, losses, 0.95)
    assert optimum_of(decays[:4], losses[:4], 0.95) is None
    assert optimum_of([*decays[:4], Arm((Dropout(0.5),))], losses, 0.95) is None
    assert optimum_of([*decays[:4], decays[0] + Dropout(0.5)], losses, 0.95) is None
    assert optimum_of([Arm((WeightDecay(0.0),)), *decays[1:]], losses, 0.95) is None
    assert optimum_of(decays[:1], losses[:1], 0.95) is None
    losses[2, 3] = np.nan
    assert optimum_of(decays, losses, 0.95) is None


@pytest.mark.parametrize("replicates", [200, 201])
def test_many_replicates_have_the_interval_of_the_normal_limit(replicates: int) -> None:
    found = [sweep(0.02, replicates=replicates, spread=0.5, seed=3) for _ in range(2)]
    assert found[0] == found[1]
    tilts = np.random.default_rng(3).normal(0, 0.5, replicates)
    # d/dl of (l - l0)²/10 + tilt·l is 0 at l = l0 - 5 tilt.
    middle, half = np.log(0.02) - 5 * tilts.mean(), 1.96 * 5 * tilts.std() / replicates**0.5
    assert found[0].ci is not None
    assert np.log(found[0].ci) == pytest.approx((middle - half, middle + half), abs=0.12)


def test_strength_0_of_a_bound_is_no_point_of_the_curve() -> None:
    stops = [Arm((EarlyStopping(epoch),)) for epoch in (0, 10, 20, 40, 80, 160)]
    losses = np.square(np.log(np.array([1e-9, 10, 20, 40, 80, 160]) / 40))[:, None] + np.zeros(
        (1, 4)
    )
    found = optimum_of(stops, losses, 0.95)
    assert found is not None
    assert found.strength == pytest.approx(40, rel=0.02)


def test_one_replicate_has_no_interval() -> None:
    found = sweep(0.02, replicates=1)
    assert found.ci is None
