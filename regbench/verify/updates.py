"""One step after another: optimizers and decay, parameter by parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regbench.verify import closed_forms as theory
from regbench.verify import numpy_network
from regbench.verify.base import (
    BASELINE,
    REGULARIZED,
    ROUNDING,
    final_parameters,
    initial_parameters,
    study_of,
)
from regbench.verify.numpy_network import Parameters, Rule, adam, decoupled, sgd
from regbench.verify.runner import Agreement, Case, compare_values

if TYPE_CHECKING:
    from collections.abc import Callable

    from regbench.analysis.history import Array
    from regbench.analysis.result import Result

NETWORK = {"points": 6, "hidden": 8, "depth": 2, "replicates": 1, "lr": 0.02}
"""A small network: one replicate is compared, parameter by parameter."""
NO_GRADIENT = {"points": 1, "x_min": 0.0, "depth": 0, "replicates": 1}
"""A linear model whose only input is x = 0: its weight never changes the loss."""


def follows(
    rule: Callable[[], Rule], arm: int, penalty: float | None = None
) -> Callable[[Result], Agreement]:
    """Compare all parameters with those after as many steps by a rule in plain NumPy.

    It descends the loss, or with a penalty λ the loss + (λ/2)‖θ‖².
    """

    def compare(result: Result) -> Agreement:
        x, y = result.history.train_x[:, None], result.history.train_y[0][:, None]

        def gradient(parameters: Parameters) -> Array:
            if penalty is not None:
                return numpy_network.penalized_gradient(parameters, x, y, penalty)
            return numpy_network.flatten(numpy_network.loss_gradient(parameters, x, y))

        start, epochs = initial_parameters(result, 0), result.study.training.epochs
        predicted = numpy_network.train(start, gradient, rule(), epochs)
        return compare_values(predicted, final_parameters(result, arm), ROUNDING)

    return compare


def shrinks_to(share: float) -> Callable[[Result], Agreement]:
    """Compare what is left of the weight without a gradient with the share that must be."""

    def compare(result: Result) -> Agreement:
        start, _ = initial_parameters(result, 0)
        end, _ = final_parameters(result, REGULARIZED)
        return compare_values([share], [end / start.item()], ROUNDING)

    return compare


def steps_by_sign(result: Result) -> Agreement:
    """Compare the weight after the first step of Adam with η·sign less, at every strength."""
    (start, _), lr = initial_parameters(result, 0), result.study.training.lr
    predicted = [
        start.item() + theory.first_adam_step(arm.parts[0].strength * start, lr).item()
        for arm in result.study.arms[1:]
    ]
    ends = [final_parameters(result, arm)[0] for arm in range(1, len(result.study.arms))]
    return compare_values(predicted, ends, ROUNDING)


UPDATES = [
    Case(
        "sgd",
        "SGD takes the step that it documents",
        "torch.optim.SGD",
        study_of("wdecay", 0.05, momentum=0.0, epochs=200, **NETWORK),
        follows(lambda: sgd(0.02), BASELINE),
    ),
    Case(
        "momentum",
        "momentum's buffer begins as the first gradient: the first step is undamped",
        "torch.optim.SGD",
        study_of("wdecay", 0.05, momentum=0.9, epochs=200, **NETWORK),
        follows(lambda: sgd(0.02, 0.9), BASELINE),
    ),
    Case(
        "momentum-decay",
        "weight decay joins the gradient before momentum does",
        "torch.optim.SGD",
        study_of("wdecay", 0.05, momentum=0.9, epochs=200, **NETWORK),
        follows(lambda: sgd(0.02, 0.9, decay=0.05), REGULARIZED),
    ),
    Case(
        "sgd-penalty",
        "SGD with weight decay descends loss + (λ/2)‖θ‖², biases too",
        "Loshchilov & Hutter 2019, prop. 1",
        study_of("wdecay", 0.05, momentum=0.9, epochs=50, **NETWORK),
        follows(lambda: sgd(0.02, 0.9), REGULARIZED, penalty=0.05),
    ),
    Case(
        "decay",
        "without a gradient, decay leaves (1-ηλ)^t of a weight (η = λ = 0.01, t = 2000)",
        "Hanson & Pratt 1988",
        study_of("wdecay", 0.01, momentum=0.0, epochs=2000, **NO_GRADIENT),
        shrinks_to(theory.shrinkage(2000, 0.01, 0.01)),
    ),
    Case(
        "decay-momentum",
        "with momentum 0.9 it leaves A r₊^t + (1-A) r₋^t, not (1-ηλ/(1-μ))^t",
        "Polyak 1964",
        study_of("wdecay", 0.01, momentum=0.9, epochs=2000, **NO_GRADIENT),
        shrinks_to(theory.momentum_shrinkage(2000, 0.01, 0.01, 0.9)),
    ),
    Case(
        "decoupled",
        "decoupled decay leaves (1-ηλ)^t, whatever the momentum is (0.9)",
        "Loshchilov & Hutter 2019",
        study_of("decoupled", 0.01, momentum=0.9, epochs=2000, **NO_GRADIENT),
        shrinks_to(theory.shrinkage(2000, 0.01, 0.01)),
    ),
    Case(
        "adam",
        "Adam takes the step of its paper",
        "Kingma & Ba 2015, alg. 1",
        study_of("wdecay", 0.05, optimizer="adam", epochs=200, **NETWORK),
        follows(lambda: adam(0.02), BASELINE),
    ),
    Case(
        "adam-penalty",
        "Adam with weight decay descends loss + (λ/2)‖θ‖², biases too",
        "Loshchilov & Hutter 2019, §2",
        study_of("wdecay", 0.05, optimizer="adam", epochs=50, **NETWORK),
        follows(lambda: adam(0.02), REGULARIZED, penalty=0.05),
    ),
    Case(
        "adam-decay",
        "without a gradient, Adam's first step is -η·sign(w), whatever λ is",
        "Kingma & Ba 2015, §2.1",
        study_of("wdecay", 0.01, 1.0, optimizer="adam", epochs=1, **NO_GRADIENT),
        steps_by_sign,
    ),
    Case(
        "adam-decoupled",
        "decoupled decay multiplies by 1-ηλ after Adam's step, not before its moments",
        "Loshchilov & Hutter 2019, alg. 2",
        study_of("decoupled", 0.05, optimizer="adam", epochs=200, **NETWORK),
        follows(lambda: decoupled(adam(0.02), 0.02, 0.05), REGULARIZED),
    ),
]
