"""A ReLU network and its training in plain NumPy: the textbook, with nothing made fast.

Each rule and gradient states where it comes from. Knows nothing about torch or engines, so that a
prediction shares no code with what it is held against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from regbench.analysis.history import Array

Parameters = list[Array]
"""Weight `(out, in)` and bias `(out,)` of each layer in turn."""
Rule = Callable[[Array, Array], Array]
"""Takes the parameters and the gradient, both `(P,)`, and returns the parameters after a step."""


def activations(parameters: Parameters, x: Array) -> list[Array]:
    """Return the input of every layer of a ReLU network and last its output, `(N, width)` each."""
    values = [x]
    for layer, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        output = values[-1] @ weight.T + bias
        is_hidden = 2 * layer + 2 < len(parameters)
        values.append(np.where(output.real > 0, output, 0) if is_hidden else output)
    return values


def loss_gradient(parameters: Parameters, x: Array, y: Array) -> Parameters:
    """Return the gradient of the loss by every parameter, by the chain rule; `y`: `(N, 1)`."""
    values = activations(parameters, x)
    delta = 2 * (values[-1] - y) / len(y)
    gradient: Parameters = []
    for layer in reversed(range(len(parameters) // 2)):
        gradient[:0] = [delta.T @ values[layer], delta.sum(axis=0)]
        delta = (delta @ parameters[2 * layer]) * (values[layer] > 0)
    return gradient


def penalized_gradient(parameters: Parameters, x: Array, y: Array, decay: float) -> Array:
    """Return the gradient `(P,)` of loss + (λ/2)‖θ‖² over weights and biases, from its values only.

    The complex step f(θ + ih)/h has no cancellation (Squire & Trapp 1998, SIAM Review 40).
    """
    theta, width = flatten(parameters), 1e-100

    def objective(theta: Any) -> complex:
        output = activations(unflatten(theta, parameters), x)[-1]
        return complex(np.mean((output - y) ** 2) + decay / 2 * np.sum(theta**2))

    steps = 1j * width * np.eye(len(theta))
    return np.array([objective(theta + step).imag / width for step in steps])


def sgd(lr: float, momentum: float = 0.0, decay: float = 0.0) -> Rule:
    """Return a rule: g ← g + λθ, b ← μb + g, θ ← θ - ηb, where b begins as the first g.

    As `torch.optim.SGD` documents itself; nothing damps the first step.
    """
    buffer = np.zeros(1)

    def step(theta: Array, gradient: Array) -> Array:
        nonlocal buffer
        buffer = momentum * buffer + gradient + decay * theta
        return theta - lr * buffer

    return step


def adam(lr: float, decay: float = 0.0, beta1: float = 0.9, beta2: float = 0.999) -> Rule:
    """Return a rule: g ← g + λθ and Adam's step with ε = 10⁻⁸ (Kingma & Ba 2015, algorithm 1)."""
    mean, square, epoch = np.zeros(1), np.zeros(1), 0

    def step(theta: Array, gradient: Array) -> Array:
        nonlocal mean, square, epoch
        gradient, epoch = gradient + decay * theta, epoch + 1
        mean = beta1 * mean + (1 - beta1) * gradient
        square = beta2 * square + (1 - beta2) * gradient**2
        unbiased_mean, unbiased_square = mean / (1 - beta1**epoch), square / (1 - beta2**epoch)
        return theta - lr * unbiased_mean / (np.sqrt(unbiased_square) + 1e-8)

    return step


def decoupled(rule: Rule, lr: float, decay: float) -> Rule:
    """Return a rule that adds another's step to (1 - ηλ)θ (Loshchilov & Hutter 2019)."""
    return lambda theta, gradient: rule(theta, gradient) - lr * decay * theta


def train(
    parameters: Parameters, gradient: Callable[[Parameters], Array], rule: Rule, epochs: int
) -> Array:
    """Return all parameters in one row `(P,)` after steps by a rule with a gradient `(P,)`."""
    theta = flatten(parameters)
    for _ in range(epochs):
        theta = rule(theta, gradient(unflatten(theta, parameters)))
    return theta


def flatten(parameters: Parameters) -> Array:
    """Return all parameters in one row, `(P,)`."""
    return np.concatenate([parameter.ravel() for parameter in parameters])


def unflatten(theta: Any, like: Parameters) -> Parameters:
    """Return the parameters of a row `(P,)` in the shapes of `like`."""
    parts = np.split(theta, np.cumsum([p.size for p in like])[:-1])
    return [part.reshape(p.shape) for part, p in zip(parts, like, strict=True)]
