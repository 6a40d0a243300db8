"""The cases that `regbench verify` runs: what must hold, what is trained, what is compared.

A prediction starts from the data and the initial weights of a run and goes through `theory.py` and
`numpy_network.py` alone. Everything is seeded: a healthy machine always passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regbench import numpy_network, theory
from regbench.config import DropoutScale, TrainingExperiment
from regbench.decomposition import decompose
from regbench.engines.base import draw_start
from regbench.numpy_network import Parameters, sgd
from regbench.verification import Agreement, Case, compare_means, compare_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.dropout_scale import ScaleResult
    from regbench.history import Array
    from regbench.numpy_network import Rule
    from regbench.result import Result

ROUNDING = 1e-10
"""Relative; of float64 through hundreds of steps of a network."""
FORMULA_ROUNDING = 1e-12
"""Relative; of a formula in float64."""
BASELINE, REGULARIZED = 0, 1
"""The arms of a run with one strength."""


def settings_for(experiment: str, *strengths: float, **values: Any) -> TrainingExperiment:
    """Return settings in float64 that log the last epoch only, unless told otherwise."""
    quiet = {"dtype": "float64", "log_every": values["epochs"], "plots": False}
    return TrainingExperiment(
        experiment=experiment, strengths=strengths, tensorboard=False, **(quiet | values)
    )


# From a run to NumPy


def initial_parameters(result: Result, replicate: int) -> Parameters:
    """Return a replicate's initial weights and biases, which all arms share."""
    start = draw_start(result.settings, result.settings.seeds[replicate])
    return [parameter.double().numpy() for parameter in start.parameters[0]]


def final_parameters(result: Result, arm: int) -> Array:
    """Return the first replicate's parameters after the last epoch, in one row `(P,)`."""
    return np.concatenate([p[-1, arm].ravel() for p in result.history.parameters.values()])


def features(settings: TrainingExperiment, x: Array) -> Array:
    """Return the inputs of the first layer at x: `(N,)` to `(N, D)`."""
    del settings
    return x[:, None]


def design_matrices(result: Result) -> tuple[Array, Array]:
    """Return the design matrix of a linear model at the training and at the test inputs."""
    data, settings = result.history.data, result.settings
    return (
        theory.with_bias(features(settings, data.train_x)),
        theory.with_bias(features(settings, data.test_x)),
    )


def initial_weights(result: Result) -> Array:
    """Return bias and weights that a linear model starts from, for every replicate: `(P, R)`."""
    starts = [initial_parameters(result, r) for r in range(result.settings.replicates)]
    return np.array([np.append(bias, weight) for weight, bias in starts]).T


def fitted_weights(result: Result, arm: int) -> Array:
    """Return bias and weights of linear models after the last epoch, `(R, P)`, from predictions."""
    _, at_test = design_matrices(result)
    weights: Array = np.linalg.lstsq(at_test, result.history.predictions[-1, arm].T)[0]
    return weights.T


# How the parameters move

NETWORK = {"points": 6, "hidden": 8, "depth": 2, "replicates": 1, "lr": 0.02}
"""A small network: one replicate is compared, parameter by parameter."""
NO_GRADIENT = {"points": 1, "x_min": 0.0, "depth": 0, "replicates": 1}
"""A linear model whose only input is x = 0: its weight never changes the loss."""


def follows(rule: Callable[[], Rule], arm: int) -> Callable[[Result], Agreement]:
    """Compare all parameters with those after as many steps by a rule in plain NumPy."""

    def compare(result: Result) -> Agreement:
        x, y = result.history.data.train_x[:, None], result.history.data.train_y[0][:, None]

        def gradient(parameters: Parameters) -> Array:
            return numpy_network.flatten(numpy_network.loss_gradient(parameters, x, y))

        start, epochs = initial_parameters(result, 0), result.settings.epochs
        predicted = numpy_network.train(start, gradient, rule(), epochs)
        return compare_values(predicted, final_parameters(result, arm), ROUNDING)

    return compare


def descends_penalty(rule: Callable[[], Rule], decay: float) -> Callable[[Result], Agreement]:
    """Compare all parameters with descent of the penalised loss by a rule without decay."""

    def compare(result: Result) -> Agreement:
        x, y = result.history.data.train_x[:, None], result.history.data.train_y[0][:, None]

        def gradient(parameters: Parameters) -> Array:
            return numpy_network.penalized_gradient(parameters, x, y, decay)

        start, epochs = initial_parameters(result, 0), result.settings.epochs
        predicted = numpy_network.train(start, gradient, rule(), epochs)
        return compare_values(predicted, final_parameters(result, REGULARIZED), ROUNDING)

    return compare


def shrinks_to(share: float) -> Callable[[Result], Agreement]:
    """Compare what is left of the weight without a gradient with the share that must be."""

    def compare(result: Result) -> Agreement:
        start, _ = initial_parameters(result, 0)
        end, _ = final_parameters(result, REGULARIZED)
        return compare_values([share], [end / start.item()], ROUNDING)

    return compare


MOVES = [
    Case(
        "sgd",
        "SGD takes the step that it documents",
        "torch.optim.SGD",
        settings_for("wdecay", 0.05, momentum=0.0, epochs=200, **NETWORK),
        follows(lambda: sgd(0.02), BASELINE),
    ),
    Case(
        "momentum",
        "momentum's buffer begins as the first gradient: the first step is undamped",
        "torch.optim.SGD",
        settings_for("wdecay", 0.05, momentum=0.9, epochs=200, **NETWORK),
        follows(lambda: sgd(0.02, 0.9), BASELINE),
    ),
    Case(
        "momentum-decay",
        "weight decay joins the gradient before momentum does",
        "torch.optim.SGD",
        settings_for("wdecay", 0.05, momentum=0.9, epochs=200, **NETWORK),
        follows(lambda: sgd(0.02, 0.9, decay=0.05), REGULARIZED),
    ),
    Case(
        "sgd-penalty",
        "SGD with weight decay descends loss + (λ/2)‖θ‖², biases too",
        "Loshchilov & Hutter 2019, prop. 1",
        settings_for("wdecay", 0.05, momentum=0.9, epochs=50, **NETWORK),
        descends_penalty(lambda: sgd(0.02, 0.9), 0.05),
    ),
    Case(
        "decay",
        "without a gradient, decay leaves (1-ηλ)^t of a weight (η = λ = 0.01, t = 2000)",
        "Hanson & Pratt 1988",
        settings_for("wdecay", 0.01, momentum=0.0, epochs=2000, **NO_GRADIENT),
        shrinks_to(theory.shrinkage(2000, 0.01, 0.01)),
    ),
    Case(
        "decay-momentum",
        "with momentum 0.9 it leaves A r₊^t + (1-A) r₋^t, not (1-ηλ/(1-μ))^t",
        "Polyak 1964",
        settings_for("wdecay", 0.01, momentum=0.9, epochs=2000, **NO_GRADIENT),
        shrinks_to(theory.momentum_shrinkage(2000, 0.01, 0.01, 0.9)),
    ),
]


# Linear models

LINEAR: dict[str, Any] = {"depth": 0, "x_min": -0.5, "lr": 0.3, "momentum": 0.5, "test_points": 3}
"""Quick to converge, and its columns (1, x) are not orthogonal."""
FIXED_DESIGN = settings_for("wdecay", 0.3, epochs=40, replicates=1000, **LINEAR)
GROUP = 10
"""Replicates of each estimate whose mean must be right."""


def is_ridge(result: Result) -> Agreement:
    """Compare predictions of every replicate after the last epoch with ridge regression's."""
    at_train, at_test = design_matrices(result)
    strength = result.settings.arms[REGULARIZED].strength
    predicted = at_test @ theory.ridge(at_train, result.history.data.train_y.T, strength)
    return compare_values(predicted.T, result.history.predictions[-1, REGULARIZED], ROUNDING)


def descended(result: Result, penalty: Array) -> Array:
    """Return what descent with penalty ½wᵀCw predicts at the logged epochs: `(E, R, T)`."""
    at_train, at_test = design_matrices(result)
    weights = theory.momentum_descent(
        at_train,
        result.history.data.train_y.T,
        initial_weights(result),
        penalty,
        result.settings.lr,
        result.settings.momentum,
        result.history.epochs.tolist(),
    )
    return (at_test @ weights).transpose(0, 2, 1)


def is_descent_of_ridge(result: Result) -> Agreement:
    """Compare predictions at all logged epochs with a power of the step's matrix."""
    strength = result.settings.arms[REGULARIZED].strength
    predicted = descended(result, strength * np.eye(len(initial_weights(result))))
    return compare_values(predicted, result.history.predictions[:, REGULARIZED], FORMULA_ROUNDING)


def true_weights(result: Result) -> Array:
    """Return bias and weights of the noise-free line."""
    data = result.history.data
    _, at_test = design_matrices(result)
    return np.linalg.lstsq(at_test, data.test_truth)[0]


def has_ridge_bias(result: Result) -> Agreement:
    """Compare the mean error of ridge weights with -αPw."""
    at_train, _ = design_matrices(result)
    truth, strength = true_weights(result), result.settings.arms[REGULARIZED].strength
    errors = fitted_weights(result, REGULARIZED) - truth
    return compare_means(theory.ridge_bias(at_train, truth, strength), errors)


def has_ridge_covariance(result: Result) -> Agreement:
    """Compare the covariance of ridge weights about their expectation with σ²PXᵀXP."""
    at_train, _ = design_matrices(result)
    truth, strength = true_weights(result), result.settings.arms[REGULARIZED].strength
    expected = truth + theory.ridge_bias(at_train, truth, strength)
    centred = fitted_weights(result, REGULARIZED) - expected
    products = centred[:, :, None] * centred[:, None, :]
    return compare_means(
        theory.ridge_covariance(at_train, result.settings.noise, strength), products
    )


def is_ridge_on_average(result: Result) -> Agreement:
    """Compare each replicate's predictions with the descent of dropout's ridge from its start."""
    data, p = result.history.data, result.settings.arms[REGULARIZED].strength
    penalty = theory.dropout_penalty_matrix(features(result.settings, data.train_x), p)
    measured = result.history.predictions[:, REGULARIZED]
    return compare_means(descended(result, penalty).transpose(1, 0, 2), measured.transpose(1, 0, 2))


REGRESSIONS = [
    Case(
        "ridge",
        "a converged linear model with decay is ridge regression, α = nλ/2, bias too",
        "Hoerl & Kennard 1970",
        settings_for("wdecay", 0.3, epochs=200, replicates=4, **LINEAR),
        is_ridge,
    ),
    Case(
        "ridge-descent",
        "on its way to ridge, epochs 1 to 100 are powers of one matrix",
        "Polyak 1964; Goh 2017",
        settings_for("wdecay", 0.3, epochs=100, replicates=4, **(LINEAR | {"lr": 0.02})).model_copy(
            update={"log_every": 1}
        ),
        is_descent_of_ridge,
    ),
    Case(
        "ridge-bias",
        "over draws of the noise, the bias of ridge weights is -αPw, P = (XᵀX+αI)⁻¹",
        "Hoerl & Kennard 1970",
        FIXED_DESIGN,
        has_ridge_bias,
    ),
    Case(
        "ridge-covariance",
        "over draws of the noise, the covariance of ridge weights is σ²PXᵀXP",
        "Hoerl & Kennard 1970",
        FIXED_DESIGN,
        has_ridge_covariance,
    ),
]


# Dropout

SCALE = DropoutScale(units=1000, trials=1000)


def has_last_layer_loss(result: Result) -> Agreement:
    """Compare each replicate's first training loss with its expectation over masks."""
    data, p = result.history.data, result.settings.arms[REGULARIZED].strength
    x, predicted = data.train_x[:, None], []
    for replicate, y in enumerate(data.train_y):
        parameters = initial_parameters(result, replicate)
        *_, hidden, output = numpy_network.activations(parameters, x)
        variance = theory.last_layer_dropout_variance(parameters[-2][0], hidden, p)
        predicted.append(np.mean((output[:, 0] - y) ** 2 + variance))
    return compare_means(np.array(predicted), result.history.train_loss[0, REGULARIZED])


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
        settings_for("dropout", 0.3, epochs=1, depth=1, hidden=20, replicates=1000),
        has_last_layer_loss,
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

# Bias², variance and noise


def parts_of(predictions: Array, truth: Array) -> tuple[float, float]:
    """Return bias² and variance of predictions `(R, T)`, as every report has them."""
    parts = decompose(predictions, truth, noise_variance=0.0, confidence=0.95)
    assert parts is not None
    return parts.bias_squared.value, parts.variance.value


def adds_up(result: Result) -> Agreement:
    """Compare bias² + variance of each arm with the mean squared distance from the truth."""
    predictions, truth = result.history.predictions[-1], result.history.data.test_truth
    sums = [sum(parts_of(arm, truth)) for arm in predictions]
    expected = np.square(predictions - truth).mean(axis=(1, 2))
    return compare_values(expected, sums, FORMULA_ROUNDING)


def has_no_bias(result: Result) -> Agreement:
    """Compare bias² of least squares, by groups of replicates, with 0."""
    truth = result.history.data.test_truth
    groups = result.history.predictions[-1, BASELINE].reshape(-1, GROUP, len(truth))
    return compare_means(0.0, [parts_of(group, truth)[0] for group in groups])


DECOMPOSITION = [
    Case(
        "decomposition",
        "bias² + variance is the mean squared distance from the truth",
        "Geman, Bienenstock & Doursat 1992",
        settings_for("dropout", 0.5, epochs=50, depth=2, hidden=20, replicates=20),
        adds_up,
    ),
    Case(
        "least-squares-bias",
        f"bias² of least squares, from {GROUP} replicates at a time, is 0 on average",
        "Hastie, Tibshirani & Friedman 2009, §3.2",
        FIXED_DESIGN,
        has_no_bias,
    ),
]

CASES = [*MOVES, *REGRESSIONS, *DROPOUT, *DECOMPOSITION]
