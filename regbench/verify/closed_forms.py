"""What training must give where mathematics says it: closed forms.

Every function states its formula and where it comes from. Losses are mean squared errors of n
points, η is the learning rate, μ the momentum, λ the weight decay and p the drop probability.
Knows nothing about torch or engines, so that a prediction shares no code with what it is held
against.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from regbench.analysis.history import Array


def shrinkage(epochs: int, lr: float, decay: float) -> float:
    """Return w_t/w_0 = (1 - ηλ)^t: weight decay without momentum, or decoupled decay.

    Hanson & Pratt 1988, NeurIPS 1; decoupled: Loshchilov & Hutter 2019, arXiv:1711.05101.
    """
    return float((1 - lr * decay) ** epochs)


def momentum_shrinkage(epochs: int, lr: float, decay: float, momentum: float) -> float:
    """Return w_t/w_0 under weight decay with momentum: A r₊^t + (1-A) r₋^t.

    The roots r± = (a ± √(a²-4μ))/2, a = 1+μ-ηλ, are those of w_{t+1} = a w_t - μ w_{t-1} (Polyak
    1964), and A = (1-ηλ-r₋)/(r₊-r₋) because the first step is undamped. They must differ:
    a² ≠ 4μ. The often quoted (1 - ηλ/(1-μ))^t is not this.
    """
    a = 1 + momentum - lr * decay
    width = np.emath.sqrt(a * a - 4 * momentum)
    larger, smaller = (a + width) / 2, (a - width) / 2
    share = (1 - lr * decay - smaller) / (larger - smaller)
    return float(np.real(share * larger**epochs + (1 - share) * smaller**epochs))


def first_adam_step(gradient: Array, lr: float, epsilon: float = 1e-8) -> Array:
    """Return θ_1 - θ_0 = -η g/(|g| + ε), about -η sign(g): both moments are unbiased at t = 1.

    Kingma & Ba 2015, arXiv:1412.6980, algorithm 1.
    """
    return -lr * gradient / (np.abs(gradient) + epsilon)


def with_bias(features: Array) -> Array:
    """Return the design matrix X `(N, 1+D)` of features `(N, D)`: the bias is a column of ones."""
    return np.column_stack([np.ones(len(features)), features])


def ridge(design: Array, y: Array, decay: float) -> Array:
    """Return the minimiser of mean (y-Xw)² + (λ/2)‖w‖²: (XᵀX + (nλ/2)I) w = Xᵀy.

    Hoerl & Kennard 1970, Technometrics 12. `y` is `(N,)` or, for R replicates, `(N, R)`.
    """
    alpha = len(design) * decay / 2
    return np.linalg.solve(design.T @ design + alpha * np.eye(design.shape[1]), design.T @ y)


def ridge_of_a_table(x: Array, y: Array, held: NDArray[np.int64], decay: float) -> Array:
    """Return what ridge predicts at the `held` rows of a table, fitted on its other rows.

    Inputs `(n, D)` and targets `(n,)` are standardized by the other rows; see `ridge`.
    """
    train = np.setdiff1d(np.arange(len(y)), held)
    design = with_bias((x - x[train].mean(axis=0)) / x[train].std(axis=0))
    center, scale = y[train].mean(), y[train].std()
    weights = ridge(design[train], (y[train] - center) / scale, decay)
    predicted: Array = center + scale * design[held] @ weights
    return predicted


def ridge_bias(design: Array, weights: Array, decay: float) -> Array:
    """Return E[ŵ] - w = -αPw with α = nλ/2, P = (XᵀX+αI)⁻¹ and the true weights w.

    For a fixed design (Hoerl & Kennard 1970; Hastie, Tibshirani & Friedman 2009, §3.4.1).
    """
    alpha = len(design) * decay / 2
    return -alpha * np.linalg.solve(design.T @ design + alpha * np.eye(len(weights)), weights)


def ridge_covariance(design: Array, noise: float, decay: float) -> Array:
    """Return the covariance σ²PXᵀXP of ridge weights over targets' noise; see `ridge_bias`."""
    gram = design.T @ design
    precision = gram + len(design) * decay / 2 * np.eye(len(gram))
    return noise**2 * np.linalg.solve(precision, np.linalg.solve(precision, gram).T)


def input_noise_penalty_matrix(size: int, deviation: float) -> Array:
    """Return C of the penalty ½wᵀCw that noise N(0, σ²) on a linear model's D inputs amounts to.

    E[loss] = mean (y-Xw)² + σ²‖w‖² (Bishop 1995, Neural Computation 7): ridge of λ = 2σ². The first
    column of X, the bias, has no noise.
    """
    return np.diag(np.append(0.0, np.full(size, 2 * deviation**2)))


def dropout_penalty_matrix(features: Array, p: float) -> Array:
    """Return C of the penalty ½wᵀCw that dropout of the inputs of a linear model amounts to.

    E[loss] = mean (y-Xw)² + p/(1-p) · (1/n) Σⱼ wⱼ² Σᵢ xᵢⱼ² (Srivastava et al. 2014, JMLR 15,
    §9.1, whose p is the probability to retain). The first column of X, the bias, is not dropped.
    """
    sizes = np.concatenate([[0.0], np.mean(features**2, axis=0)])
    return np.diag(2 * p / (1 - p) * sizes)


def momentum_descent(
    design: Array,
    y: Array,
    start: Array,
    penalty: Array,
    lr: float,
    momentum: float,
    epochs: Iterable[int],
) -> Array:
    """Return the weights `(E, P, R)` of linear models after t steps, for each t of E `epochs`.

    On mean (y-Xw)² + ½wᵀCw a step is linear: u = w - w* and its last step v follow
    (u, v) ← M(u, v) with M = [[I-ηH, μI], [-ηH, μI]] and H = 2XᵀX/n + C, so that u_t is a power
    of M times (u_0, 0) (Polyak 1964; Goh 2017, doi:10.23915/distill.00006).

    `design`: X, `(N, P)`; `y`: `(N, R)`; `start`: w_0, `(P, R)`; `penalty`: C, `(P, P)`, where λI
    is weight decay.
    """
    count, size = design.shape
    curvature = 2 * design.T @ design / count + penalty
    best = np.linalg.solve(curvature, 2 * design.T @ y / count)
    pull, carry = lr * curvature, momentum * np.eye(size)
    step = np.block([[np.eye(size) - pull, carry], [-pull, carry]])
    state = np.concatenate([start - best, np.zeros_like(best)])
    return np.stack([best + (np.linalg.matrix_power(step, t) @ state)[:size] for t in epochs])


def orthogonal_lasso(design: Array, y: Array, strength: float) -> Array:
    """Return the minimiser of mean (y-Xw)² + λ‖w‖₁ where the columns of X are orthogonal.

    wⱼ = soft(xⱼᵀy, nλ/2)/‖xⱼ‖² (Tibshirani 1996, JRSS B 58, §2.2) with soft(v, t) =
    sign(v) max(|v| - t, 0) (Donoho & Johnstone 1994, Biometrika 81). `y`: `(N, R)`.
    """
    correlation = design.T @ y
    shrunk = np.maximum(np.abs(correlation) - len(design) * strength / 2, 0)
    weights: Array = np.sign(correlation) * shrunk / np.square(design).sum(axis=0)[:, None]
    return weights


def lasso(design: Array, y: Array, strength: float, sweeps: int = 5000) -> Array:
    """Return the minimiser of mean (y-Xw)² + λ‖w‖₁ for any X, by coordinate descent.

    Each coordinate in turn is set to its own minimiser, wⱼ = soft(xⱼᵀrⱼ, nλ/2)/‖xⱼ‖² with the
    residual rⱼ of all others (Friedman, Hastie & Tibshirani 2010, J. Stat. Softw. 33). `y`: `(N,)`.
    """
    weights, residual = np.zeros(design.shape[1]), y.copy()
    for _ in range(sweeps):
        for j, column in enumerate(design.T):
            residual += weights[j] * column
            weights[j] = orthogonal_lasso(column[:, None], residual[:, None], strength).item()
            residual -= weights[j] * column
    return weights


def group_lasso(features: Array, y: Array, strength: float) -> Array:
    """Return bias and weights of the minimum of mean (y-b-Xw)² + λ√D ‖w‖₂ of D features.

    With X and y centred for the bias, H = 2XᵀX/n, c = 2Xᵀy/n and t = λ√D, w is 0 where ‖c‖ <= t
    and else solves (H + t/‖w‖ I) w = c, ridge of a strength that depends on its norm (Yuan & Lin
    2006, JRSS B 68). In the axes of H, ‖w‖ = r is the root of Σ (cᵢ/(hᵢr+t))² = 1. `y`: `(N,)`.
    """
    count, size = features.shape
    centred, middle = features - features.mean(axis=0), features.mean(axis=0)
    curvatures, axes = np.linalg.eigh(2 * centred.T @ centred / count)
    pull, cut = axes.T @ (2 * centred.T @ y / count), strength * np.sqrt(size)
    weights = np.zeros(size)
    if np.linalg.norm(pull) > cut:
        largest = np.linalg.norm(pull) / curvatures.min()
        norm = optimize.brentq(
            lambda r: np.square(pull / (curvatures * r + cut)).sum() - 1, 0, largest, xtol=1e-15
        )
        weights = axes @ (pull / (curvatures + cut / norm))
    return np.append(y.mean() - middle @ weights, weights)


def last_layer_dropout_variance(weights: Array, hidden: Array, p: float) -> Array:
    """Return the variance over masks of each output, p/(1-p) Σⱼ wⱼ² hᵢⱼ²: `(N,)`.

    With dropout on the last hidden layer only, of activations h `(N, H)`, before weights w `(H,)`:
    E[train loss] is the evaluation loss plus the mean of this (Wager, Wang & Liang 2013, NeurIPS
    26, §2). No such form holds across ReLU layers.
    """
    return p / (1 - p) * (hidden**2 @ weights**2)


def dropout_scale_deviation(units: int, p: float) -> float:
    """Return the standard deviation √(N p/(1-p)) of Binomial(N, 1-p)/(1-p), whose mean is N."""
    return float(np.sqrt(units * p / (1 - p)))


def share_within_one_deviation(units: int, p: float) -> float:
    """Return the probability that Binomial(N, 1-p) lies within one standard deviation of N(1-p)."""
    mean, deviation = units * (1 - p), np.sqrt(units * p * (1 - p))
    law = stats.binom(units, 1 - p)
    return float(law.cdf(np.floor(mean + deviation)) - law.cdf(np.ceil(mean - deviation) - 1))
