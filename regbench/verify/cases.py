"""All cases that `regbench verify` runs. Everything is seeded.

First what training does: steps of optimizers, decay, ridge and lasso, dropout. Then what is
measured: bias² and variance, the risk, a table, stopping early, and a sum. A prediction starts from
the data and the initial weights of a run and goes through `closed_forms.py` and `numpy_network.py`
alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import stats

from regbench.analysis.decomposition import split
from regbench.regularizers.penalties import L1, WeightDecay
from regbench.settings.study import Network, Study, Training
from regbench.settings.table import Table
from regbench.verify import closed_forms as theory
from regbench.verify import numpy_network as plain
from regbench.verify.conformance import trained
from regbench.verify.runner import (
    BASELINE,
    CUBIC,
    DEEP,
    DROPOUT_RIDGE,
    FIXED_DESIGN,
    FORMULA_ROUNDING,
    LASSO,
    LINEAR,
    NETWORK,
    NO_GRADIENT,
    REGULARIZED,
    ROUNDING,
    SCALE,
    Agreement,
    case,
    case_of,
    case_of_arms,
    compare_means,
    compare_values,
    descended,
    design_matrices,
    final_parameters,
    initial_parameters,
    strength_of,
)
from regbench.verify.runner import CASES as CASES

if TYPE_CHECKING:
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.verify.dropout_scale import ScaleResult

RIDGE_STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
PLAIN = LINEAR | {"momentum": 0.0, "lr": 0.05}
STOPPED = 20
"""An epoch at which the model is far from converged."""
SINGLE = 1e-6
"""Relative rounding of what is computed from data in float32, differences among it."""


# One step after another: optimizers and decay, parameter by parameter.


def follows(
    result: Result, rule: plain.Rule, arm: int = REGULARIZED, penalty: float = 0.0
) -> Agreement:
    """Compare all parameters with those after as many steps by a rule in plain NumPy.

    It descends the loss, or with a penalty λ the loss + (λ/2)‖θ‖².
    """
    x, y = result.history.train_x[:, None], result.history.train_y[0][:, None]

    def gradient(parameters: plain.Parameters) -> Array:
        if penalty:
            return plain.penalized_gradient(parameters, x, y, penalty)
        return plain.flatten(plain.loss_gradient(parameters, x, y))

    start, epochs = initial_parameters(result), result.study.training.epochs
    predicted = plain.train(start, gradient, rule, epochs)
    return compare_values(predicted, final_parameters(result, arm), ROUNDING)


def shrinks_to(result: Result, share: float) -> Agreement:
    """Compare what is left of the weight without a gradient with the share that must be."""
    (start, _), (end, _) = initial_parameters(result), final_parameters(result, REGULARIZED)
    return compare_values([share], [end / start.item()], ROUNDING)


@case("torch.optim.SGD", "wdecay", 0.05, momentum=0.0, epochs=200, **NETWORK)
def sgd(result: Result) -> Agreement:
    """Whether SGD takes the step that it documents."""
    return follows(result, plain.sgd(0.02), BASELINE)


@case("torch.optim.SGD", "wdecay", 0.05, momentum=0.9, epochs=200, **NETWORK)
def momentum(result: Result) -> Agreement:
    """Whether momentum's buffer begins as the first gradient: the first step is undamped."""
    return follows(result, plain.sgd(0.02, 0.9), BASELINE)


@case("torch.optim.SGD", "wdecay", 0.05, momentum=0.9, epochs=200, **NETWORK)
def momentum_decay(result: Result) -> Agreement:
    """Whether weight decay joins the gradient before momentum does."""
    return follows(result, plain.sgd(0.02, 0.9, decay=0.05))


@case("Loshchilov & Hutter 2019, prop. 1", "wdecay", 0.05, momentum=0.9, epochs=50, **NETWORK)
def sgd_penalty(result: Result) -> Agreement:
    """Whether SGD with weight decay descends loss + (λ/2)‖θ‖², biases too."""
    return follows(result, plain.sgd(0.02, 0.9), penalty=0.05)


@case("Hanson & Pratt 1988", "wdecay", 0.01, momentum=0.0, epochs=2000, **NO_GRADIENT)
def decay(result: Result) -> Agreement:
    """Whether without a gradient, decay leaves (1-ηλ)^t of a weight (η = λ = 0.01, t = 2000)."""
    return shrinks_to(result, theory.shrinkage(2000, 0.01, 0.01))


@case("Polyak 1964", "wdecay", 0.01, momentum=0.9, epochs=2000, **NO_GRADIENT)
def decay_momentum(result: Result) -> Agreement:
    """Whether with momentum 0.9 it leaves A r₊^t + (1-A) r₋^t, not (1-ηλ/(1-μ))^t."""
    return shrinks_to(result, theory.momentum_shrinkage(2000, 0.01, 0.01, 0.9))


@case("Loshchilov & Hutter 2019", "decoupled", 0.01, momentum=0.9, epochs=2000, **NO_GRADIENT)
def decoupled(result: Result) -> Agreement:
    """Whether decoupled decay leaves (1-ηλ)^t, whatever the momentum is (0.9)."""
    return shrinks_to(result, theory.shrinkage(2000, 0.01, 0.01))


@case("Kingma & Ba 2015, alg. 1", "wdecay", 0.05, optimizer="adam", epochs=200, **NETWORK)
def adam(result: Result) -> Agreement:
    """Whether Adam takes the step of its paper."""
    return follows(result, plain.adam(0.02), BASELINE)


@case("Loshchilov & Hutter 2019, §2", "wdecay", 0.05, optimizer="adam", epochs=50, **NETWORK)
def adam_penalty(result: Result) -> Agreement:
    """Whether Adam with weight decay descends loss + (λ/2)‖θ‖², biases too."""
    return follows(result, plain.adam(0.02), penalty=0.05)


@case("Kingma & Ba 2015, §2.1", "wdecay", 0.01, 1.0, optimizer="adam", epochs=1, **NO_GRADIENT)
def adam_decay(result: Result) -> Agreement:
    """Whether without a gradient, Adam's first step is -η·sign(w), whatever λ is."""
    (start, _), lr = initial_parameters(result), result.study.training.lr
    arms = dict(enumerate(result.study.arms[1:], start=1))
    gradients = [arm.parts[0].strength * start for arm in arms.values()]
    predicted = [(start + theory.first_adam_step(g, lr)).item() for g in gradients]
    return compare_values(predicted, [final_parameters(result, arm)[0] for arm in arms], ROUNDING)


@case(
    "Loshchilov & Hutter 2019, alg. 2", "decoupled", 0.05, optimizer="adam", epochs=200, **NETWORK
)
def adam_decoupled(result: Result) -> Agreement:
    """Whether decoupled decay multiplies by 1-ηλ before Adam's step, unseen by its moments."""
    return follows(result, plain.decoupled(plain.adam(0.02), 0.02, 0.05))


# Linear models, whose training is solved.


def errors_of_ridge(result: Result) -> tuple[Array, Array]:
    """Return how far bias and weights are from those of the noise-free line: -αPw, and trained.

    The second is `(R, P)`; weights are those of the line through the predictions.
    """
    at_train, at_grid = design_matrices(result)
    truth = np.linalg.lstsq(at_grid, result.history.grid_truth)[0]
    fitted = np.linalg.lstsq(at_grid, result.history.predictions[-1, REGULARIZED].T)[0]
    return theory.ridge_bias(at_train, truth, strength_of(result)), fitted.T - truth


def lasso_weights(result: Result) -> Array:
    """Return bias and weights of the lasso for every replicate, `(R, P)`."""
    (at_train, _), strength = design_matrices(result), strength_of(result)
    return np.array([theory.lasso(at_train, y, strength) for y in result.history.train_y])


@case("Hoerl & Kennard 1970", "wdecay", 0.3, epochs=200, replicates=4, **LINEAR)
def ridge(result: Result) -> Agreement:
    """Whether a converged linear model with decay is ridge regression, α = nλ/2, bias too."""
    at_train, at_grid = design_matrices(result)
    predicted = at_grid @ theory.ridge(at_train, result.history.train_y.T, strength_of(result))
    return compare_values(predicted.T, result.history.predictions[-1, REGULARIZED], ROUNDING)


@case("Polyak 1964; Goh 2017", "wdecay", 0.3, epochs=100, replicates=4, log_every=1, **CUBIC)
def ridge_descent(result: Result) -> Agreement:
    """Whether on its way to ridge on x, x², x³, epochs 1 to 100 are powers of one matrix."""
    columns = 1 + result.study.network.input_size
    predicted = descended(result, strength_of(result) * np.eye(columns))
    return compare_values(predicted, result.history.predictions[:, REGULARIZED], FORMULA_ROUNDING)


@case("Hoerl & Kennard 1970", "wdecay", 0.3, **FIXED_DESIGN)
def ridge_bias(result: Result) -> Agreement:
    """Whether over draws of the noise, the bias of ridge weights is -αPw, P = (XᵀX+αI)⁻¹."""
    return compare_means(*errors_of_ridge(result))


@case("Hoerl & Kennard 1970", "wdecay", 0.3, **FIXED_DESIGN)
def ridge_covariance(result: Result) -> Agreement:
    """Whether over draws of the noise, the covariance of ridge weights is σ²PXᵀXP."""
    (at_train, _), noise = design_matrices(result), result.study.task.noise
    bias, errors = errors_of_ridge(result)
    products = (errors - bias)[:, :, None] * (errors - bias)[:, None, :]
    return compare_means(theory.ridge_covariance(at_train, noise, strength_of(result)), products)


@case("Ochs, Chen, Brox & Pock 2014", "l1", 0.2, **LASSO)
def lasso(result: Result) -> Agreement:
    """Whether a converged linear model with L1 is the lasso, whatever the momentum is (0.9)."""
    _, at_grid = design_matrices(result)
    predicted = lasso_weights(result) @ at_grid.T
    return compare_values(predicted, result.history.predictions[-1, REGULARIZED], ROUNDING)


@case("Tibshirani 1996", "l1", 0.2, **LASSO)
def lasso_zeros(result: Result) -> Agreement:
    """Whether its weights are exactly zero where those of the lasso are."""
    shares = np.mean(lasso_weights(result) == 0, axis=1)
    return compare_values(shares, result.history.zero_share[-1, REGULARIZED], FORMULA_ROUNDING)


@case("Yuan & Lin 2006", "group-lasso", 0.05, **LASSO)
def group_lasso(result: Result) -> Agreement:
    """Whether a converged linear model with a group's penalty is the group lasso."""
    (at_train, at_grid), history = design_matrices(result), result.history
    fits = [theory.group_lasso(at_train[:, 1:], y, strength_of(result)) for y in history.train_y]
    predicted = np.array(fits) @ at_grid.T
    return compare_values(predicted, history.predictions[-1, REGULARIZED], ROUNDING)


# Noise against its expectation, and torch's dropout layer against the binomial law.


@case("Wager, Wang & Liang 2013", "dropout", 0.3, epochs=1, depth=1, hidden=20, replicates=1000)
def dropout_loss(result: Result) -> Agreement:
    """Whether before the last layer, dropout adds p/(1-p) · meanᵢ Σⱼ wⱼ² hᵢⱼ² to E[loss]."""
    history, p = result.history, strength_of(result)
    x, predicted = history.train_x[:, None], []
    for replicate, y in enumerate(history.train_y):
        parameters = initial_parameters(result, replicate)
        *_, hidden, output = plain.activations(parameters, x)
        variance = theory.last_layer_dropout_variance(parameters[-2][0], hidden, p)
        predicted.append(np.mean((output[:, 0] - y) ** 2 + variance))
    return compare_means(predicted, history.train_loss[history.at(1), REGULARIZED])


@case("Srivastava et al. 2014, §9.1", "dropout", 0.3, **DROPOUT_RIDGE)
def dropout_ridge(result: Result) -> Agreement:
    """Whether dropout of a linear model's inputs descends, on average, ridge: at every epoch."""
    features = result.history.train_x[:, None]
    predicted = descended(result, theory.dropout_penalty_matrix(features, strength_of(result)))
    measured = result.history.predictions[:, REGULARIZED]
    return compare_means(predicted.swapaxes(0, 1), measured.swapaxes(0, 1))


@case("Bishop 1995", "input-noise", 0.3, **DROPOUT_RIDGE | {"features": "polynomial:2"})
def input_noise(result: Result) -> Agreement:
    """Whether noise on a linear model's inputs descends, on average, ridge of λ = 2σ², no bias."""
    size, deviation = result.study.network.input_size, strength_of(result)
    predicted = descended(result, theory.input_noise_penalty_matrix(size, deviation))[1:]
    measured = result.history.predictions[1:, REGULARIZED]  # both start from the same weights
    return compare_means(predicted.swapaxes(0, 1), measured.swapaxes(0, 1))


@case_of("Srivastava et al. 2014, §10", SCALE)
def dropout_scale_mean(result: ScaleResult) -> Agreement:
    """Whether the mean output of inverted dropout of N = 1000 ones is N."""
    (scale,) = result.scales
    return compare_means(scale.units, scale.outputs)


@case_of("binomial law", SCALE)
def dropout_scale_variance(result: ScaleResult) -> Agreement:
    """Whether the variance of that output is N p/(1-p)."""
    (scale,) = result.scales
    variance = theory.dropout_scale_deviation(scale.units, scale.drop_probability) ** 2
    return compare_means(variance, (scale.outputs - scale.units) ** 2)


@case_of("binomial law", SCALE)
def dropout_scale_law(result: ScaleResult) -> Agreement:
    """Whether that output lies within one standard deviation as often as the binomial law says."""
    (scale,) = result.scales
    deviation = theory.dropout_scale_deviation(scale.units, scale.drop_probability)
    share = theory.share_within_one_deviation(scale.units, scale.drop_probability)
    return compare_means(share, np.abs(scale.outputs - scale.units) <= deviation)


# Bias² and variance: their identity, and an estimator whose bias is known.


def parts_of(predictions: Array, truth: Array) -> tuple[float, float]:
    """Return bias² and variance of predictions `(R, T)`, as every report has them."""
    parts = split(predictions, truth)
    assert parts is not None
    return float(parts.values[0]), float(parts.values[1])


@case("Geman, Bienenstock & Doursat 1992", "dropout", 0.5, **DEEP)
def decomposition(result: Result) -> Agreement:
    """Whether bias² + variance is the mean squared distance from the truth."""
    predictions, truth = result.history.predictions[-1], result.history.grid_truth
    sums = [sum(parts_of(arm, truth)) for arm in predictions]
    expected = np.square(predictions - truth).mean(axis=(1, 2))
    return compare_values(expected, sums, FORMULA_ROUNDING)


@case("Hastie, Tibshirani & Friedman 2009, §3.2", "wdecay", 0.3, **FIXED_DESIGN)
def least_squares_bias(result: Result) -> Agreement:
    """Whether bias² of least squares, from 10 replicates at a time, is 0 on average."""
    truth = result.history.grid_truth
    groups = result.history.predictions[-1, BASELINE].reshape(-1, 10, len(truth))
    return compare_means(0.0, [parts_of(group, truth)[0] for group in groups])


# The risk.


@case("midpoint rule", "wdecay", 0.3, replicates=20, epochs=40, **LINEAR)
def risk(result: Result) -> Agreement:
    """Whether the risk is the integral of (fit − truth)² over the range, plus test noise²."""
    task, (_, at_grid) = result.study.task, design_matrices(result)
    away = result.history.predictions[-1].swapaxes(0, 1) - result.history.grid_truth
    intercept, slope = np.linalg.lstsq(at_grid, away.reshape(-1, len(at_grid)).T)[0]
    ends = intercept + slope * task.x_min, intercept + slope * task.x_max
    mean_square = (ends[0] ** 2 + ends[0] * ends[1] + ends[1] ** 2) / 3
    measured = result.history.risk[-1].T.ravel()
    return compare_values(mean_square + task.test_noise**2, measured, 1e-4)


@case("Krogh & Hertz 1992", "wdecay", *RIDGE_STRENGTHS, **FIXED_DESIGN)
def ridge_risk(result: Result) -> Agreement:
    """Whether the mean risk of ridge is bias² + variance + noise of P = (XᵀX+αI)⁻¹, λ by λ."""
    (at_train, at_grid), task = design_matrices(result), result.study.task
    truth = np.linalg.lstsq(at_grid, result.history.grid_truth)[0]
    predicted = []
    for arm in result.study.arms[1:]:
        decay = arm.parts[0].strength
        bias = at_grid @ theory.ridge_bias(at_train, truth, decay)
        covariance = theory.ridge_covariance(at_train, task.noise, decay)
        variance = np.einsum("gi,ij,gj->g", at_grid, covariance, at_grid)
        predicted.append(np.mean(bias**2 + variance) + task.test_noise**2)
    return compare_means(predicted, result.history.risk[-1, 1:].T)


# A table, whose target is linear.


def linear_table() -> Table:
    """Return 62 rows whose target is a sum of inputs in different units, and noise."""
    generator = np.random.default_rng(1)
    x = generator.normal((0, 5, -20), (1, 3, 10), (62, 3))
    return Table(x, 100 + x @ (20, -5, 1) + generator.normal(0, 20, 62), folds=5)


TABLE = Study(
    arms=[WeightDecay(0.1), WeightDecay(1.0)],
    task=linear_table(),
    network=Network(depth=0),
    training=Training(epochs=100, lr=0.2, momentum=0.5, log_every=100),
    replicates=20,
    dtype="float64",
)
"""A linear model that converges to ridge; each row is held out four times."""


class Ridge(NamedTuple):
    """What ridge makes of a table of n rows in R replicates; NaN where a row is not held out.

    Attributes:
        losses: Squared errors, `(A, R, n)`.
        variances: Of the predictions of the replicates that hold out a row, `(A, n)`.
    """

    losses: Array
    variances: Array


def ridge_of(result: Result) -> Ridge:
    """Return what ridge makes of the table of a result, with its splits."""
    table, study, splits = result.study.task.values, result.study, result.history.held_out
    told = np.full((len(study.arms), len(splits), len(table.y)), np.nan)
    for arm, own in zip(study.arms, told, strict=True):
        decay = arm.parts[0].strength if arm.parts else 0.0
        for replicate, rows in zip(own, splits, strict=True):
            held = rows[rows >= 0]
            replicate[held] = theory.ridge_of_a_table(table.x, table.y, held, decay)
    return Ridge(np.square(told - table.y), np.nanvar(told, axis=1, ddof=1))


@case_of("Hoerl & Kennard 1970", TABLE)
def table_risk(result: Result) -> Agreement:
    """Whether on a table, the risk of each replicate is that of ridge on its training rows."""
    risks = np.nanmean(ridge_of(result).losses, axis=2)
    return compare_values(risks, result.history.risk[-1], SINGLE)


@case_of("Geman, Bienenstock & Doursat 1992", TABLE)
def table_parts(result: Result) -> Agreement:
    """Whether on a table, differences of risk, bias² and variance are those of ridge, by rows."""
    found = ridge_of(result)
    by_row = np.nanmean(found.losses, axis=1), found.variances
    losses, variances = ((own[1:] - own[0]).mean(axis=1) for own in by_row)
    parts = result.decomposition_differences[-1]
    measured = [
        [c.mean_difference, part.bias_squared.value, part.variance.value]
        for c, part in zip(result.comparisons, parts, strict=True)
    ]
    predicted = np.stack([losses, losses - variances, variances], axis=1)
    return compare_values(predicted, measured, SINGLE)


@case_of("Student 1908; Bayle et al. 2020", TABLE)
def table_interval(result: Result) -> Agreement:
    """Whether on a table, half an interval is t·√(s²/R of R splits + s²/n of n rows)."""
    losses, count = ridge_of(result).losses, result.study.replicates
    predicted = []
    for own in losses[1:] - losses[0]:
        away = own - np.nanmean(own)  # each row is held out as often as any other
        of_rows = np.nanmean(np.square(away), axis=0).sum() / (own.shape[1] - 1)
        error = np.sqrt(np.nanmean(own, axis=1).var(ddof=1) / count + of_rows / own.shape[1])
        predicted.append(stats.t.ppf(0.975, count - 1) * error)
    intervals = [c.ci_alone or (np.nan, np.nan) for c in result.comparisons]
    return compare_values(predicted, [(high - low) / 2 for low, high in intervals], SINGLE)


@case("the synthetic task", "wdecay", 0.3, replicates=1, epochs=200, points=20, **LINEAR)
def table_task(result: Result) -> Agreement:
    """Whether on the same rows, least squares of a table has the synthetic task's risk."""
    history, task = result.history, result.study.task
    x = np.append(history.train_x, history.grid_x)
    y = np.append(history.train_y, history.grid_truth)
    groups = np.arange(len(x)) < task.points
    again = trained(result, task=Table(x[:, None], y, groups, folds=2), replicates=2)
    is_judged_on_grid = again.held_out[:, 0] == task.points
    measured = again.risk[-1, BASELINE, is_judged_on_grid] + task.test_noise**2
    return compare_values(history.risk[-1, BASELINE], measured, SINGLE)


# Stopping early, and a sum of regularizers.


@case("Bishop 1995", "early-stopping", STOPPED, replicates=1, epochs=60, **PLAIN)
def early_stopping(result: Result) -> Agreement:
    """Whether stopping at epoch t is ridge towards the start: λ = h/((1−ηh)⁻ᵗ−1), curvature h."""
    at_train, at_grid = design_matrices(result)
    lr = result.study.training.lr
    hessian = 2 * at_train.T @ at_train / len(at_train)
    curvatures, axes = np.linalg.eigh(hessian)
    strengths = curvatures / ((1 - lr * curvatures) ** -STOPPED - 1)
    penalty = axes * strengths @ axes.T
    weight, bias = initial_parameters(result)
    start = np.append(bias, weight)
    pulled = 2 * at_train.T @ result.history.train_y[0] / len(at_train) + penalty @ start
    predicted = at_grid @ np.linalg.solve(hessian + penalty, pulled)
    return compare_values(predicted, result.history.predictions[-1, REGULARIZED, 0], ROUNDING)


@case_of_arms("Zou & Hastie 2005", [L1(0.2) + WeightDecay(0.3)], **LASSO)
def elastic_net(result: Result) -> Agreement:
    """Whether a converged linear model with L1 and decay is the elastic net."""
    (at_train, at_grid), (decay, l1) = design_matrices(result), result.study.arms[1].parts
    count, columns = at_train.shape
    design = np.vstack([at_train, np.sqrt(count * decay.strength / 2) * np.eye(columns)])
    strength = l1.strength * count / (count + columns)
    targets = [np.append(y, np.zeros(columns)) for y in result.history.train_y]
    weights = np.array([theory.lasso(design, y, strength) for y in targets])
    predicted = weights @ at_grid.T
    return compare_values(predicted, result.history.predictions[-1, REGULARIZED], ROUNDING)
