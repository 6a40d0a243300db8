"""Closed forms and NumPy recursions: against scikit-learn, torch.optim and simulated draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy import optimize
from sklearn.linear_model import ElasticNet, Lasso, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from training import make_study, train

from regbench.verify import closed_forms as theory
from regbench.verify import numpy_network

if TYPE_CHECKING:
    from regbench.analysis.history import Array


def make_data(points: int = 12, width: int = 3) -> tuple[Array, Array]:
    generator = np.random.default_rng(1)
    return generator.normal(size=(points, width)), generator.normal(size=points)


def test_shrinkage_has_its_published_numbers() -> None:
    assert round(theory.shrinkage(2000, 0.01, 0.01), 6) == 0.818723
    assert round(theory.momentum_shrinkage(2000, 0.01, 0.01, 0.9), 6) == 0.133970
    assert round((1 - 0.01 * 0.01 / (1 - 0.9)) ** 2000, 4) == 0.1352  # the folk formula is wrong


# Real roots, complex roots, and a negative factor close to the stability bound.
@pytest.mark.parametrize("decay", [0.01, 1.0, 30.0, 379.0])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_momentum_shrinkage_is_what_torch_does(decay: float, momentum: float) -> None:
    weight = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.01, momentum=momentum, weight_decay=decay)
    for _ in range(50):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    expected = theory.momentum_shrinkage(50, 0.01, decay, momentum)
    assert weight.item() == pytest.approx(expected, rel=1e-9)


def test_shrinkage_is_what_torch_does_with_decoupled_decay() -> None:
    weight = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
    optimizer = torch.optim.AdamW([weight], lr=0.01, weight_decay=0.3)
    for _ in range(50):
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
    assert weight.item() == pytest.approx(theory.shrinkage(50, 0.01, 0.3), rel=1e-12)


def test_sum_of_l1_and_decay_is_the_elastic_net_of_scikit_learn() -> None:
    l1, decay = 0.1, 0.4
    study = make_study(
        "compare", arms=(f"l1={l1}+wdecay={decay}",), depth=0, features="polynomial:3", lr=0.3,
        momentum=0.5, epochs=1500, points=12, dtype="float64",
    )  # fmt: skip
    history = train(study, "batched")
    x, grid = (
        np.vander(points, 4, increasing=True) for points in (history.train_x, history.grid_x)
    )
    # It minimises mean (y-Xw)²/2 + αρ‖w‖₁ + α(1-ρ)‖w‖²/2: half of what is minimised here.
    both = (l1 + decay) / 2
    net = ElasticNet(
        both, l1_ratio=l1 / (l1 + decay), fit_intercept=False, tol=1e-14, max_iter=10**6
    )
    for replicate, y in enumerate(history.train_y):
        predicted = net.fit(x, y).predict(grid)
        np.testing.assert_allclose(history.predictions[-1, 1, replicate], predicted, atol=1e-7)
        assert (net.coef_ == 0).any()


@pytest.mark.parametrize("strength", [0.01, 0.1, 5.0])
def test_group_lasso_is_the_minimum_of_its_objective(strength: float) -> None:
    features, y = make_data()

    def objective(fit: Array) -> float:
        errors = y - fit[0] - features @ fit[1:]
        return float(np.mean(errors**2) + strength * np.sqrt(3) * np.linalg.norm(fit[1:]))

    fit = theory.group_lasso(features, y, strength)
    found = optimize.minimize(objective, np.ones(4), method="Nelder-Mead", tol=1e-12)
    assert objective(fit) <= found.fun + 1e-12
    np.testing.assert_allclose(fit, found.x, atol=1e-4)
    assert (fit[1:] == 0).all() == (strength == 5.0)


def test_input_noise_is_the_penalty_that_draws_average_to() -> None:
    features, y = make_data()
    fit, generator = np.array([0.3, 1.0, -2.0, 0.5]), np.random.default_rng(2)
    noisy = features + 0.7 * generator.normal(size=(20_000, *features.shape))
    losses = np.square(y - fit[0] - noisy @ fit[1:]).mean(axis=1)
    clean = np.mean((y - fit[0] - features @ fit[1:]) ** 2)
    expected = clean + fit @ theory.input_noise_penalty_matrix(3, 0.7) @ fit / 2
    assert abs(losses.mean() - expected) < 5 * losses.std() / np.sqrt(len(losses))
    assert expected > 1.2 * clean


@pytest.mark.parametrize("decay", [0.001, 1.0, 10.0])
def test_first_step_of_adam_hardly_depends_on_the_decay(decay: float) -> None:
    weight = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))
    optimizer = torch.optim.Adam([weight], lr=0.01, weight_decay=decay)
    weight.grad = torch.zeros_like(weight)
    optimizer.step()
    expected = theory.first_adam_step(np.array([0.7 * decay]), 0.01)
    assert weight.item() - 0.7 == pytest.approx(expected[0], rel=1e-9)
    assert expected[0] == pytest.approx(-0.01, rel=1e-4)


def test_descent_diverges_from_the_stability_bound_on() -> None:
    lr, momentum = 0.01, 0.9
    bound = 2 * (1 + momentum) / lr  # of the curvature, here that of the decay (Polyak 1964)
    assert bound == pytest.approx(380)
    assert abs(theory.momentum_shrinkage(3000, lr, bound - 1, momentum)) < 1e-6
    assert abs(theory.momentum_shrinkage(3000, lr, bound + 1, momentum)) > 1e6


@pytest.mark.parametrize("decay", [0.0, 0.01, 3.0])
def test_ridge_is_that_of_scikit_learn(decay: float) -> None:
    x, y = make_data()
    expected = Ridge(alpha=len(y) * decay / 2, fit_intercept=False).fit(x, y).coef_
    np.testing.assert_allclose(theory.ridge(x, y, decay), expected, rtol=1e-10)


@pytest.mark.parametrize("strength", [0.0, 0.05, 0.5, 50.0])
def test_lasso_is_that_of_scikit_learn(strength: float) -> None:
    x, y = make_data()
    found = theory.lasso(x, y, strength)
    if strength == 0:
        expected = np.linalg.lstsq(x, y)[0]
    else:
        model = Lasso(alpha=strength / 2, fit_intercept=False, tol=1e-14, max_iter=100_000)
        expected = model.fit(x, y).coef_
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(found == 0, expected == 0)


def test_lasso_of_orthogonal_columns_thresholds_each_alone() -> None:
    x, y = make_data()
    orthogonal = np.linalg.qr(x)[0] * [1.0, 2.0, 3.0]
    found = theory.orthogonal_lasso(orthogonal, y[:, None], 0.1)[:, 0]
    np.testing.assert_allclose(found, theory.lasso(orthogonal, y, 0.1), rtol=1e-10, atol=1e-14)
    assert 0 < np.count_nonzero(found) < 3


def test_bias_and_covariance_of_ridge_are_those_of_simulated_targets() -> None:
    x, _ = make_data()
    weights, noise, decay = np.array([1.0, -2.0, 0.5]), 0.5, 0.4
    draws = np.random.default_rng(2).normal(size=(len(x), 40_000))
    fitted = theory.ridge(x, (x @ weights)[:, None] + noise * draws, decay)
    covariance = theory.ridge_covariance(x, noise, decay)
    error = np.sqrt(np.diag(covariance) / draws.shape[1])
    z = (fitted.mean(axis=1) - weights - theory.ridge_bias(x, weights, decay)) / error
    assert np.abs(z).max() < 5
    np.testing.assert_allclose(np.cov(fitted), covariance, rtol=0.05, atol=1e-4)


def test_best_decay_has_the_least_expected_error() -> None:
    # With one input and no bias (α²w² + σ²s)/(s+α)² is least at α = nλ/2 = σ²/w², whatever
    # s = Σx² is (Hoerl & Kennard 1970, §4).
    points, noise, weight = 10, 0.5, 1.5
    best = 2 * noise**2 / (points * weight**2)
    assert round(best, 4) == 0.0222
    x, weights = np.linspace(-1, 1, points)[:, None], np.array([weight])

    def error(decay: float) -> float:
        bias = theory.ridge_bias(x, weights, decay)
        return (bias**2 + theory.ridge_covariance(x, noise, decay)).item()

    assert error(best) < min(error(best * 0.99), error(best * 1.01))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descent_of_a_quadratic_is_what_torch_does(momentum: float) -> None:
    x, y = make_data()
    penalty = np.diag([0.1, 0.2, 0.3])
    start = np.array([[1.0], [2.0], [3.0]])
    weights = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = torch.optim.SGD([weights], lr=0.05, momentum=momentum)
    design, targets, matrix = map(torch.from_numpy, (x, y[:, None], penalty))
    courses = [start]
    for _ in range(20):
        loss: Any = (design @ weights - targets).square().mean() + (
            weights.mT @ matrix @ weights
        ) / 2
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        courses.append(weights.detach().numpy().copy())
    found = theory.momentum_descent(x, y[:, None], start, penalty, 0.05, momentum, list(range(21)))
    np.testing.assert_allclose(found, courses, rtol=1e-11)


def test_dropout_of_inputs_is_a_ridge_penalty_on_average() -> None:
    x, y = make_data(width=2)
    weights, p = np.array([0.3, 1.0, -2.0]), 0.3
    kept = np.random.default_rng(3).random((100_000, *x.shape)) >= p
    outputs = weights[0] + (x * kept / (1 - p)) @ weights[1:]
    losses = np.mean((outputs - y) ** 2, axis=1)
    design = theory.with_bias(x)
    penalty = weights @ theory.dropout_penalty_matrix(x, p) @ weights / 2
    expected = np.mean((design @ weights - y) ** 2) + penalty
    assert abs(losses.mean() - expected) < 5 * losses.std() / np.sqrt(len(losses))


def test_dropout_of_one_feature_scales_least_squares_by_its_keep_probability() -> None:
    x, y = make_data(width=1)
    features, penalty = x, theory.dropout_penalty_matrix(x, 0.3)[1:, 1:]
    found = np.linalg.solve(2 * features.T @ features / len(y) + penalty, 2 * x.T @ y / len(y))
    np.testing.assert_allclose(found, 0.7 * np.linalg.lstsq(x, y)[0])


def test_variance_of_last_layer_dropout_is_that_of_simulated_masks() -> None:
    hidden, _ = make_data(4, 5)
    weights, p = np.array([1.0, -0.5, 2.0, 0.1, 0.0]), 0.4
    kept = np.random.default_rng(4).random((100_000, *hidden.shape)) >= p
    found = ((hidden * kept / (1 - p)) @ weights).var(axis=0)
    expected = theory.last_layer_dropout_variance(weights, hidden, p)
    np.testing.assert_allclose(found, expected, rtol=0.03)


def test_dropout_scale_is_the_binomial_law_that_the_article_meets() -> None:
    assert theory.dropout_scale_deviation(10_000, 0.5) == 100
    # 4 fair coins: 1, 2 or 3 heads are within one standard deviation, 1, of 2: 14 of 16 ways.
    assert theory.share_within_one_deviation(4, 0.5) == pytest.approx(14 / 16)


def small_network() -> tuple[torch.nn.Sequential, numpy_network.Parameters]:
    generator = np.random.default_rng(5)
    network = torch.nn.Sequential(
        torch.nn.Linear(1, 4), torch.nn.ReLU(), torch.nn.Linear(4, 4), torch.nn.ReLU(),
        torch.nn.Linear(4, 1),
    ).double()  # fmt: skip
    parameters: numpy_network.Parameters = [
        generator.normal(size=tuple(p.shape)) for p in network.parameters()
    ]
    for parameter, values in zip(network.parameters(), parameters, strict=True):
        parameter.data = torch.from_numpy(values.copy())
    return network, parameters


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_training_in_numpy_is_that_of_torch(optimizer: str, decay: float) -> None:
    network, start = small_network()
    x, y = make_data(6, 1)
    targets = y[:, None]
    rules = {
        "sgd": (numpy_network.sgd(0.02, 0.0, decay), torch.optim.SGD, {}),
        "momentum": (numpy_network.sgd(0.02, 0.9, decay), torch.optim.SGD, {"momentum": 0.9}),
        "adam": (numpy_network.adam(0.02, decay), torch.optim.Adam, {}),
    }
    rule, torch_class, options = rules[optimizer]
    torch_optimizer = torch_class(network.parameters(), lr=0.02, weight_decay=decay, **options)
    mean_squared_error = torch.nn.MSELoss()
    for _ in range(50):
        torch_optimizer.zero_grad()
        loss: Any = mean_squared_error(network(torch.from_numpy(x)), torch.from_numpy(targets))
        loss.backward()
        torch_optimizer.step()

    def gradient(parameters: numpy_network.Parameters) -> Array:
        return numpy_network.flatten(numpy_network.loss_gradient(parameters, x, targets))

    found = numpy_network.train(start, gradient, rule, 50)
    expected = torch.nn.utils.parameters_to_vector(network.parameters()).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_gradient_by_complex_steps_is_that_of_the_chain_rule_and_the_penalty() -> None:
    _, parameters = small_network()
    x, y = make_data(6, 1)
    found = numpy_network.penalized_gradient(parameters, x, y[:, None], 0.3)
    by_chain_rule = numpy_network.flatten(numpy_network.loss_gradient(parameters, x, y[:, None]))
    expected = by_chain_rule + 0.3 * numpy_network.flatten(parameters)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_ridge_of_a_table_is_that_of_scikit_learn_behind_its_scaler() -> None:
    (x, y), held = make_data(30), np.arange(4, 11)
    x, y, rest = 3 + 5 * x, 40 * y - 7, np.delete(np.arange(30), held)
    scaler = StandardScaler().fit(y[rest, None])
    model = make_pipeline(StandardScaler(), Ridge(alpha=23 * 0.3 / 2))
    model.fit(x[rest], scaler.transform(y[rest, None]))
    expected = scaler.inverse_transform(model.predict(x[held]).reshape(-1, 1))[:, 0]
    assert theory.ridge_of_a_table(x, y, held, 0.3) == pytest.approx(expected, rel=1e-10)
