"""What hooks are told, in which order they act, and that a wrong one is refused."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from oracles import hash_word, keeps
from scipy.stats import norm
from training import CPU, make_batch, make_study, train

from regbench.engines.hooks import FIRST_PARAMETER, HIDDEN, INPUTS, TARGETS, Hooks, Steps
from regbench.regularizers import Arm, Regularizer
from regbench.regularizers.noise import Dropout, InputNoise
from regbench.regularizers.penalties import L1, DecoupledDecay, WeightDecay

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from regbench.regularizers import Step

ENGINES = ("reference", "batched")
STUDY = make_study(points=3, hidden=4, depth=2, replicates=2, seed=5, dtype="float64", lr=0.5)


@dataclass(frozen=True)
class Own(Regularizer):
    """The words of what tests define."""

    command: ClassVar[str] = "own"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    default: ClassVar[float] = 1.0
    stream: ClassVar[int] = 7
    summary: ClassVar[str] = "Compare what is in a test with none."


def at_epoch_3(arm: Arm) -> Hooks:
    """Return the hooks of an arm in epoch 3 of two replicates, whose seeds are 5 and 6."""
    steps = Steps(make_batch(STUDY), CPU, STUDY.task.points)
    for _ in range(3):
        steps.advance()
    return Hooks(arm, steps)


def uniform(seed: int, layer: int, sample: int, unit: int, stream: int) -> float:
    """Return the number of the documented hash in epoch 3."""
    word = hash_word(seed, layer, sample, 3, unit, stream=stream)
    return (word - 2**32 if word >= 2**31 else word) / 2**32 + 0.5


def test_factor_is_the_product_of_the_parts_each_of_its_own_noise() -> None:
    class Scaling(Own):
        def factor(self, step: Step) -> Tensor:
            return step.noise.uniform() + 0.5

    factor = at_epoch_3(Dropout(0.3) + WeightDecay(0.1) + Scaling(1.0)).factor()
    assert factor is not None
    assert factor.shape == (2, 2, 3, 4)
    for layer, replicate, sample, unit in itertools.product(range(2), range(2), range(3), range(4)):
        seed = (5, 6)[replicate]
        kept = keeps(seed, layer, sample, 3, unit, 0.3) / 0.7
        expected = pytest.approx(kept * (uniform(seed, layer, sample, unit, 7) + 0.5), rel=1e-15)
        assert factor[layer, replicate, sample, unit].item() == expected
    assert at_epoch_3(Dropout(0.0) + WeightDecay(0.1)).factor() is None
    assert at_epoch_3(Arm()).factor() is None


def test_inputs_are_perturbed_by_each_part_with_noise_of_its_own() -> None:
    class Doubling(Own):
        def perturb_inputs(self, x: Tensor, step: Step) -> Tensor:
            return x.mul_(2)  # of a copy: nobody's inputs are changed

    x = torch.arange(6.0, dtype=torch.float64).reshape(2, 3, 1)
    before = x.clone()
    hooks = at_epoch_3(Doubling(1.0) + Dropout(0.5) + InputNoise(0.1))
    seen = hooks.perturb("perturb_inputs", INPUTS, x)
    assert torch.equal(x, before)
    for replicate, sample in itertools.product(range(2), range(3)):
        normal = norm.ppf(uniform((5, 6)[replicate], 2, sample, 0, InputNoise.stream) + 2.0**-33)
        expected = 2 * (x[replicate, sample, 0].item() + 0.1 * normal)
        assert seen[replicate, sample, 0].item() == pytest.approx(expected, rel=1e-12)
    neutral = at_epoch_3(InputNoise(0.0) + Dropout(0.5))
    assert neutral.perturb("perturb_inputs", INPUTS, x) is x


def test_noise_at_every_place_has_its_shape_and_repeats_no_other() -> None:
    steps = at_epoch_3(Arm()).steps
    parameters = [(2, 4, 1), (2, 4), (2, 4, 4), (2, 4), (2, 1, 4), (2, 1)]
    asked = [steps.hidden, (2, 3, 1), (2, 3, 1), *parameters]
    found = [steps.at(place, 7, shape) for place, shape in enumerate(asked)]
    shapes = [tuple(step.noise.uniform().shape) for step in found]
    assert (shapes[HIDDEN], shapes[INPUTS], shapes[TARGETS]) == ((2, 2, 3, 4), (2, 3, 1), (2, 3, 1))
    assert shapes[FIRST_PARAMETER:] == parameters
    told = [(s.parameter.name, s.parameter.layer, s.parameter.is_bias) for s in found[3:]]
    assert told[:3] == [("hidden1.weight", 0, False), ("hidden1.bias", 0, True),
                        ("hidden2.weight", 1, False)]  # fmt: skip
    assert told[-1] == ("output.bias", 2, True)
    numbers = torch.cat([step.noise.uniform().flatten() for step in found])
    assert len(set(numbers.tolist())) == len(numbers)
    steps.advance()
    again = [steps.at(place, 7, shape) for place, shape in enumerate(asked)]
    later = torch.cat([step.noise.uniform().flatten() for step in again])
    assert not (later == numbers).any()


def test_penalty_gradients_add_up() -> None:
    gradient, theta = torch.ones(2, 4, 1).double(), torch.full((2, 4, 1), 8.0).double()
    hooks = at_epoch_3(WeightDecay(0.25) + Dropout(0.5) + L1(0.1) + DecoupledDecay(0.1))
    hooks.change_("add_penalty_gradient_", 0, gradient, theta)
    assert (gradient == 3).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("engine", ENGINES)
def test_hooks_of_an_epoch_are_called_in_the_documented_order(engine: str, optimizer: str) -> None:
    calls = list[tuple[str, int, float, bool]]()

    def note(hook: str, result: Callable[..., Any]) -> Any:
        def call(self: Regularizer, *arguments: Any) -> Any:
            step, tensor = arguments[-1], arguments[0]
            is_parameter = step.parameter is not None and step.parameter.name == "hidden1.weight"
            if is_parameter or step.parameter is None:
                calls.append((hook, int(step.epoch), step.training.lr, int(step.batch) == 0))
            return result(tensor)

        return call

    hooks = {
        "perturb_inputs": note("perturb_inputs", lambda x: x),
        "perturb_targets": note("perturb_targets", lambda y: y),
        "factor": note("factor", lambda _: None),
        **{name: note(name, lambda _: None) for name in
           ("change_gradient_", "add_penalty_gradient_", "before_step_", "after_step_")},
    }  # fmt: skip
    kind = type("Noted", (Own,), hooks)
    study = make_study(epochs=2, log_every=1, replicates=1, depth=0, lr=0.25, optimizer=optimizer)
    named = "output.weight"
    assert study.network.parameter_names[0] == named
    study = study.replaced(network=study.network.replaced(depth=1), arms=[kind(1.0)])
    train(make_batch(study, (1,)), engine)
    assert [call for call in calls if call[1] == 1] == [(hook, 1, 0.25, True) for hook in hooks]
    assert [call[0] for call in calls if call[1] == 2] == [*hooks]


# Gradients: clipping and noisy targets against plain NumPy.


class Clipping(Own):
    """Clips every entry of this step's gradient."""

    def change_gradient_(self, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        """Clip."""
        gradient.clamp_(-0.05 * self.strength, 0.05 * self.strength)


class Shifting(Own):
    """Trains towards targets that move, as a schedule has it."""

    def perturb_targets(self, y: Tensor, step: Step) -> Tensor:
        """Shift by λ times the epoch."""
        return y + self.strength * step.epoch


def train_line(study: Any, history: Any, clip: float, shift: float) -> tuple[list[float], Any]:
    """Return the losses and the parameters of a linear model, by SGD in plain NumPy."""
    from regbench.engines.base import draw_start

    weight, bias = (p.double().numpy().ravel() for p in draw_start(study, study.seed).parameters[0])
    theta, buffer, losses = np.array([*weight, *bias]), np.zeros(2), list[float]()
    x = np.stack([history.train_x, np.ones(len(history.train_x))], axis=1)
    for epoch in range(1, study.training.epochs + 1):
        error = x @ theta - (history.train_y[0] + shift * epoch)
        losses.append(float(np.mean(error**2)))
        gradient = np.clip(2 / len(x) * x.T @ error, -clip, clip)
        buffer = study.training.momentum * buffer + gradient
        theta = theta - study.training.lr * buffer
    return losses, theta


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("part", "clip", "shift"), [(Clipping(1.0), 0.05, 0.0), (Shifting(0.1), np.inf, 0.1)]
)
def test_gradient_and_targets_are_those_of_this_step(
    engine: str, part: Regularizer, clip: float, shift: float
) -> None:
    study = make_study(depth=0, dtype="float64", replicates=1, epochs=20, log_every=1)
    study = study.replaced(arms=[part])
    history = train(study, engine)
    losses, theta = train_line(study, history, clip, shift)
    np.testing.assert_allclose(history.train_loss[1:, 1, 0], losses, rtol=1e-10)
    found = [p[1].item() for p in history.named("parameters").values()]
    np.testing.assert_allclose(found, theta, rtol=1e-10)
    unchanged = train_line(study, history, np.inf, 0.0)[1]
    assert (np.abs(unchanged - theta) > 1e-3).any()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_engines_agree_on_noise_in_every_hook(optimizer: str) -> None:
    class Noisy(Own):
        def change_gradient_(self, gradient: Tensor, parameter: Tensor, step: Step) -> None:
            gradient.add_(step.noise.normal(), alpha=0.1)

        def add_penalty_gradient_(self, gradient: Tensor, *others: Any) -> None:
            gradient.add_(others[-1].noise.uniform(), alpha=0.1)

        def before_step_(self, *arguments: Any) -> None:
            parameter, step = arguments
            parameter.mul_(1 - 0.01 * step.noise.uniform())

        def after_step_(self, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
            parameter.add_(step.noise.normal(), alpha=0.01)

        def perturb_targets(self, y: Tensor, step: Step) -> Tensor:
            return y + 0.1 * step.noise.normal()

    study = make_study(dtype="float64", optimizer=optimizer)
    study = study.replaced(arms=[WeightDecay(0.1) + Noisy(1.0)])
    reference, batched = (train(study, engine) for engine in ENGINES)
    for name, values in reference.named("measures").items():
        found = batched.named("measures")[name]
        np.testing.assert_allclose(found, values, rtol=1e-6, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("hook", "result", "said"),
    [
        ("change_gradient_", lambda self, g, p, step: g / 2, "returns a value"),
        ("add_penalty_gradient_", lambda self, g, p, step: g + p, "returns a value"),
        ("before_step_", lambda self, p, step: p / 2, "returns a value"),
        ("after_step_", lambda self, p, momentum, step: p / 2, "returns a value"),
        ("perturb_inputs", lambda self, x, step: None, "returns no tensor of the same shape"),
        ("perturb_targets", lambda self, y, step: y[0], "returns no tensor of the same shape"),
    ],
)
def test_hook_that_returns_in_place_of_changing_or_the_other_way_round_is_refused(
    engine: str, hook: str, result: Callable[..., Any], said: str
) -> None:
    kind = type("Wrong", (Own,), {hook: result})
    with pytest.raises(TypeError, match=f"{hook} {said}"):
        train(make_study(epochs=1, log_every=1).replaced(arms=[kind(1.0)]), engine)
