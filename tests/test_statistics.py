"""Means, standard errors and paired differences, against NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from regbench.statistics import compare, standard_error


def test_standard_error_is_scipys() -> None:
    values = np.random.default_rng(0).lognormal(size=(3, 4, 17))
    np.testing.assert_allclose(standard_error(values), stats.sem(values, axis=-1), rtol=1e-12)


def test_standard_error_of_float32_is_taken_in_float64() -> None:
    values = (1000 + np.random.default_rng(0).normal(size=10_000) * 1e-3).astype(np.float32)
    expected = stats.sem(values.astype(np.float64))
    np.testing.assert_allclose(standard_error(values), expected, rtol=1e-6)


def test_standard_error_of_one_replicate_is_unknown() -> None:
    error = standard_error(np.ones((3, 1)))
    assert error.shape == (3,)
    assert np.isnan(error).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_standard_error_of_numbers_that_are_not_finite_is_not_a_number(bad: float) -> None:
    assert np.isnan(standard_error(np.array([1.0, bad, 2.0])))


def test_comparison_is_the_paired_difference_of_scipy() -> None:
    random = np.random.default_rng(1)
    baseline, arm = random.normal(size=(2, 25))
    comparison = compare("arm", baseline, arm)
    paired = stats.ttest_rel(arm, baseline)
    center = sum(paired.confidence_interval(0.9)) / 2
    assert comparison.mean_difference == pytest.approx(center, rel=1e-12)
    assert comparison.wins == sum(a < b for a, b in zip(arm, baseline, strict=True))
    assert (comparison.arm, comparison.replicates) == ("arm", 25)


def test_lower_loss_wins_and_is_a_negative_difference_and_a_tie_is_no_win() -> None:
    comparison = compare("arm", np.array([2.0, 2.0, 2.0]), np.array([1.0, 1.5, 2.0]))
    assert comparison.mean_difference == pytest.approx(-0.5)
    assert comparison.wins == 2


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["baseline", "arm", "both"])
def test_a_loss_that_is_not_finite_is_never_averaged_away(bad: float, where: str) -> None:
    losses = {name: np.array([1.0, 2.0, 3.0]) for name in ("baseline", "arm")}
    for name in losses:
        if where in (name, "both"):
            losses[name][1] = bad
    comparison = compare("arm", losses["baseline"], losses["arm"])
    assert math.isnan(comparison.mean_difference)
    assert comparison.replicates == 3


# Differences of float32 losses are small beside the losses: their mean is taken in float64.
def test_mean_of_float32_differences_keeps_its_digits() -> None:
    random = np.random.default_rng(2)
    baseline = random.normal(100, 1, 100_000).astype(np.float32)
    arm = (baseline + random.normal(0, 1e-3, 100_000)).astype(np.float32)
    expected = float((arm.astype(np.float64) - baseline.astype(np.float64)).mean())
    assert compare("arm", baseline, arm).mean_difference == pytest.approx(expected, rel=1e-12)
