"""Dropout against its expectation over masks, and torch's layer against the binomial law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regbench.experiments.dropout_scale import DropoutScale
from regbench.verify import closed_forms as theory
from regbench.verify import numpy_network
from regbench.verify.base import (
    LINEAR,
    REGULARIZED,
    descended,
    initial_parameters,
    strength_of,
    study_of,
)
from regbench.verify.runner import Agreement, Case, compare_means

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.experiments.dropout_scale import ScaleResult

SCALE = DropoutScale(units=1000, trials=1000)


def has_last_layer_loss(result: Result) -> Agreement:
    """Compare each replicate's first training loss with its expectation over masks."""
    history, p = result.history, strength_of(result)
    x, predicted = history.train_x[:, None], []
    for replicate, y in enumerate(history.train_y):
        parameters = initial_parameters(result, replicate)
        *_, hidden, output = numpy_network.activations(parameters, x)
        variance = theory.last_layer_dropout_variance(parameters[-2][0], hidden, p)
        predicted.append(np.mean((output[:, 0] - y) ** 2 + variance))
    return compare_means(np.array(predicted), history.train_loss[history.at(1), REGULARIZED])


def is_ridge_on_average(result: Result) -> Agreement:
    """Compare each replicate's predictions with the descent of dropout's ridge from its start."""
    features = result.history.train_x[:, None]
    predicted = descended(result, theory.dropout_penalty_matrix(features, strength_of(result)))
    measured = result.history.predictions[:, REGULARIZED]
    return compare_means(predicted.swapaxes(0, 1), measured.swapaxes(0, 1))


def has_scale_mean(result: ScaleResult) -> Agreement:
    """Compare the mean output with N."""
    (scale,) = result.scales
    return compare_means(scale.units, scale.outputs)


def has_scale_variance(result: ScaleResult) -> Agreement:
    """Compare the mean squared distance from N with N p/(1-p)."""
    (scale,) = result.scales
    variance = theory.dropout_scale_deviation(scale.units, scale.drop_probability) ** 2
    return compare_means(variance, (scale.outputs - scale.units) ** 2)


def has_binomial_share(result: ScaleResult) -> Agreement:
    """Compare the share of outputs within a standard deviation of N with the binomial law's."""
    (scale,) = result.scales
    deviation = theory.dropout_scale_deviation(scale.units, scale.drop_probability)
    share = theory.share_within_one_deviation(scale.units, scale.drop_probability)
    return compare_means(share, np.abs(scale.outputs - scale.units) <= deviation)


DROPOUT = [
    Case(
        "dropout-loss",
        "before the last layer, dropout adds p/(1-p) · meanᵢ Σⱼ wⱼ² hᵢⱼ² to E[loss]",
        "Wager, Wang & Liang 2013",
        study_of("dropout", 0.3, epochs=1, depth=1, hidden=20, replicates=1000),
        has_last_layer_loss,
    ),
    Case(
        "dropout-ridge",
        "dropout of a linear model's inputs descends, on average, ridge: at every epoch",
        "Srivastava et al. 2014, §9.1",
        study_of("dropout", 0.3, epochs=60, log_every=10, replicates=500, **LINEAR),
        is_ridge_on_average,
    ),
    Case(
        "dropout-scale-mean",
        "the mean output of inverted dropout of N = 1000 ones is N",
        "Srivastava et al. 2014, §10",
        SCALE,
        has_scale_mean,
    ),
    Case(
        "dropout-scale-variance",
        "the variance of that output is N p/(1-p)",
        "binomial law",
        SCALE,
        has_scale_variance,
    ),
    Case(
        "dropout-scale-law",
        "that output lies within one standard deviation as often as the binomial law says",
        "binomial law",
        SCALE,
        has_binomial_share,
    ),
]
