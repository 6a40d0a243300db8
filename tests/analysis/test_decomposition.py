"""Bias², variance and noise against plain loops and against networks that are known exactly."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from scipy import stats
from training import make_result

from regbench.analysis import result
from regbench.analysis.decomposition import Decomposition, describe, part_differences, split
from regbench.analysis.statistics import law_of
from regbench.errors import RunError


def decompose(
    predictions: np.ndarray, truth: np.ndarray, noise: float, confidence: float
) -> Decomposition | None:
    return describe(split(predictions, truth), noise, confidence)


def loop(predictions: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """Return bias², variance and error by the formulas, number by number."""
    count, points = predictions.shape
    bias_squared = variance = error = 0.0
    for t in range(points):
        mean = sum(predictions[r][t] for r in range(count)) / count
        s2 = sum((predictions[r][t] - mean) ** 2 for r in range(count)) / (count - 1)
        bias_squared += ((mean - truth[t]) ** 2 - s2 / count) / points
        variance += s2 / points
        error += sum((predictions[r][t] - truth[t]) ** 2 for r in range(count)) / count / points
    return bias_squared, variance, error


def invented(count: int, points: int = 7, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=points)
    return truth + 0.3 + generator.normal(0, 0.8, (count, points)), truth


@pytest.mark.parametrize("count", [2, 3, 24])
def test_parts_equal_a_plain_loop(count: int) -> None:
    predictions, truth = invented(count)
    parts = decompose(predictions, truth, 0.09, 0.95)
    assert parts is not None
    bias_squared, variance, error = loop(predictions, truth)
    assert parts.bias_squared.value == pytest.approx(bias_squared, rel=1e-12)
    assert parts.variance.value == pytest.approx(variance, rel=1e-12)
    assert parts.noise_variance == 0.09
    assert parts.expected_test_error.value == pytest.approx(error + 0.09, rel=1e-12)
    assert parts.bias_squared.value + parts.variance.value == pytest.approx(error, rel=1e-12)
    assert parts.residual < 1e-12


def left_out(predictions: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return bias², variance and error without one replicate after the other, `(3, R)`."""
    count = len(predictions)
    return np.transpose([loop(np.delete(predictions, r, axis=0), truth) for r in range(count)])


def jackknife_error(without: np.ndarray) -> float:
    count = len(without)
    return float(np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()))


def test_intervals_equal_a_jackknife_that_leaves_out_one_after_the_other() -> None:
    predictions, truth = invented(9)
    parts = decompose(predictions, truth, 0.09, 0.9)
    assert parts is not None
    errors = [jackknife_error(without) for without in left_out(predictions, truth)]
    quantile = stats.t.ppf(0.95, 8)
    for part, error in ((parts.bias_squared, errors[0]), (parts.expected_test_error, errors[2])):
        half = quantile * error
        assert part.ci == pytest.approx((part.value - half, part.value + half), rel=1e-9)
    variance = parts.variance.value
    half = quantile * errors[1] / variance
    expected = (variance * np.exp(-half), variance * np.exp(half))
    assert parts.variance.ci == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "points"), [(9, 7), (7, 9)])
def test_interval_of_no_bias_is_by_the_moments_of_normal_predictions(
    count: int, points: int
) -> None:
    # Centred, so that the jackknife's first order vanishes.
    predictions, truth = invented(count, points)
    predictions += truth - predictions.mean(axis=0)
    parts = decompose(predictions, truth, 0.09, 0.9)
    assert parts is not None
    covariance = np.cov(predictions.T) / points
    spread = 2 * np.trace(covariance @ covariance) / (count * (count - 1))
    half = stats.t.ppf(0.95, count - 1) * np.sqrt(spread)
    value = parts.bias_squared.value
    assert parts.bias_squared.ci == pytest.approx((value - half, value + half), rel=1e-9)


@pytest.mark.parametrize("arms", [1, 3])
def test_differences_of_parts_are_paired(arms: int) -> None:
    baseline, truth = invented(9)
    others = [baseline * (0.9 - 0.1 * arm) + invented(9, seed=arm)[0] / 9 for arm in range(arms)]
    names = [f"arm {arm}" for arm in range(arms)]
    splits = [split(predictions, truth) for predictions in (baseline, *others)]
    found = part_differences(names, splits, 0.9)
    assert [differences.arm for differences in found] == names
    for part, name in enumerate(("bias_squared", "variance")):
        without = [
            left_out(other, truth)[part] - left_out(baseline, truth)[part] for other in others
        ]
        pseudo = 9 * np.mean(without, axis=1, keepdims=True) - 8 * np.array(without)
        critical = law_of(pseudo).critical(0.9)
        for arm, other in enumerate(others):
            shown = getattr(found[arm], name)
            assert shown.value == pytest.approx(
                loop(other, truth)[part] - loop(baseline, truth)[part]
            )
            half = critical * jackknife_error(without[arm])
            expected = (shown.value - half, shown.value + half)
            assert shown.ci == pytest.approx(expected, rel=1e-6)


def test_interval_of_bias_squared_covers_where_there_is_no_bias_however_many_replicates() -> None:
    generator = np.random.default_rng(2)
    for count in (30, 200):
        shapes = np.stack([np.ones(20), np.linspace(-1, 1, 20)])
        covered = []
        for _ in range(300):
            parts = decompose(generator.normal(size=(count, 2)) @ shapes, np.zeros(20), 0.0, 0.95)
            assert parts is not None
            assert parts.bias_squared.ci is not None
            covered.append(parts.bias_squared.ci[0] <= 0 <= parts.bias_squared.ci[1])
        assert np.mean(covered) > 0.95  # the jackknife alone: .9 and .8


def test_bias_squared_is_unbiased_where_there_is_no_bias() -> None:
    # Were s²/R not taken off, the mean would be 0.64/10, some forty standard errors from 0.
    generator = np.random.default_rng(6)
    found = []
    for _ in range(500):
        predictions = generator.normal(0, 0.8, (10, 3))
        parts = decompose(predictions, np.zeros(3), 0.0, 0.95)
        assert parts is not None
        found.append(parts.bias_squared.value)
    assert abs(np.mean(found) / stats.sem(found)) < 4
    assert min(found) < 0, "an unbiased estimate of 0 is negative now and then, and is shown so"


def test_intervals_cover_about_as_often_as_measured() -> None:
    generator = np.random.default_rng(7)
    for count, lowest in ((20, 0.87), (100, 0.91)):
        covered = []
        for _ in range(600):
            predictions = 0.5 + generator.normal(0, 1, (count, 1))
            parts = decompose(predictions, np.zeros(1), 0.0, 0.95)
            assert parts is not None
            assert parts.variance.ci is not None
            covered.append(parts.variance.ci[0] <= 1 <= parts.variance.ci[1])
        assert lowest < np.mean(covered) < 0.975


def test_two_replicates_have_parts_and_no_interval_of_the_variance() -> None:
    parts = decompose(*invented(2), 0.09, 0.95)
    assert parts is not None
    assert parts.variance.ci is parts.bias_squared.ci is None
    assert parts.expected_test_error.ci is not None


def test_one_replicate_has_no_decomposition() -> None:
    assert decompose(*invented(1), 0.09, 0.95) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_prediction_that_is_not_finite_is_never_averaged_away(bad: float) -> None:
    predictions, truth = invented(5)
    predictions[3, 2] = bad
    parts = decompose(predictions, truth, 0.09, 0.95)
    assert parts is not None
    for part in (parts.bias_squared, parts.variance, parts.expected_test_error):
        assert np.isnan(part.value)
        assert part.ci is None


def test_equal_predictions_have_no_variance() -> None:
    parts = decompose(np.full((6, 3), 0.5), np.zeros(3), 0.0, 0.95)
    assert parts is not None
    assert parts.variance.value == 0.0
    assert parts.bias_squared.value == pytest.approx(0.25)
    assert parts.bias_squared.ci == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("prediction", [0.1, 0.0])
def test_identity_holds_to_rounding_for_many_equal_replicates(prediction: float) -> None:
    # Summed one after the other, 300 000 numbers lose 1e-12 and more.
    parts = decompose(np.full((300_000, 3), prediction), np.linspace(-1.5, 1.5, 3), 0.0, 0.95)
    assert parts is not None
    assert parts.residual < 1e-14


def test_identity_is_checked_at_run_time(monkeypatch: pytest.MonkeyPatch) -> None:
    found = make_result(strengths=(0.1,), replicates=5)
    assert (
        0 <= max(parts.residual for row in found.decompositions for parts in row if parts) < 1e-12
    )
    changed = found.history.replaced(risk=found.history.risk * 1.00001)
    with pytest.raises(RunError, match="the mean risk by 1"):
        _ = dataclasses.replace(found, history=changed).decompositions
    monkeypatch.setattr(result, "LARGEST_RESIDUAL", -1.0)
    with pytest.raises(RunError, match="differs from the error"):
        _ = dataclasses.replace(found).decompositions


def test_errors_whose_squares_overflow_are_lost_without_a_warning() -> None:
    predictions, truth = invented(5)
    with warnings.catch_warnings(action="error"):
        parts = decompose(1e200 * predictions, truth, 0.09, 0.95)
    assert parts is not None
    assert np.isnan(parts.variance.value)
