"""Bias², variance and noise against plain loops and against networks that are known exactly."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from scipy import stats
from training import make_result

from regbench.analysis import result
from regbench.analysis.decomposition import decompose, jackknife_interval
from regbench.errors import RunError


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


def test_intervals_equal_a_jackknife_that_leaves_out_one_after_the_other() -> None:
    predictions, truth = invented(9)
    parts = decompose(predictions, truth, 0.09, 0.9)
    assert parts is not None
    without = [loop(np.delete(predictions, r, axis=0), truth) for r in range(9)]
    shown = (parts.bias_squared, parts.variance, parts.expected_test_error)
    for part, left_out in zip(shown, np.transpose(without), strict=True):
        error = np.sqrt(8 / 9 * ((left_out - left_out.mean()) ** 2).sum())
        half = stats.t.ppf(0.95, 8) * error
        assert part.ci == pytest.approx((part.value - half, part.value + half), rel=1e-9)


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
    for count, lowest in ((20, 0.82), (100, 0.9)):
        covered = []
        for _ in range(600):
            predictions = 0.5 + generator.normal(0, 1, (count, 1))
            parts = decompose(predictions, np.zeros(1), 0.0, 0.95)
            assert parts is not None
            assert parts.variance.ci is not None
            covered.append(parts.variance.ci[0] <= 1 <= parts.variance.ci[1])
        assert lowest < np.mean(covered) < 0.97


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
    monkeypatch.setattr(result, "LARGEST_RESIDUAL", -1.0)
    with pytest.raises(RunError, match="differs from the error"):
        _ = dataclasses.replace(found).decompositions


def test_errors_whose_squares_overflow_are_lost_without_a_warning() -> None:
    predictions, truth = invented(5)
    with warnings.catch_warnings(action="error"):
        parts = decompose(1e200 * predictions, truth, 0.09, 0.95)
    assert parts is not None
    assert np.isnan(parts.variance.value)


def test_jackknife_of_the_mean_is_the_t_interval() -> None:
    values = np.random.default_rng(3).normal(size=12)
    without = (values.sum() - values) / 11
    expected = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert jackknife_interval(values.mean(), without, 0.95) == pytest.approx(expected)
