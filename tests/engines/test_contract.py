"""A plug-in that breaks the contract is refused before it is trained, whatever is wrong with it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch

import regbench as rb
from regbench.engines import PASSED, check_plugins
from regbench.regularizers import REGULARIZERS
from regbench.regularizers.plugins import admit

if TYPE_CHECKING:
    from torch import Tensor


class Pull(rb.Regularizer):
    """Pulls every parameter to 0, as all that is broken below tries to."""

    command: ClassVar[str] = "pull"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    default: ClassVar[float] = 0.3
    summary: ClassVar[str] = "Compare pulling with none."

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor, step: rb.Step) -> None:
        """Add λθ."""
        gradient.add_(parameter, alpha=self.strength)


SEEN, MEANS = list[int](), dict[str, "Tensor"]()


def remember(self: rb.Regularizer, parameter: Tensor, step: rb.Step) -> None:
    SEEN.append(1)
    parameter.mul_(1 - 0.1 / len(SEEN))


def draw(self: rb.Regularizer, parameter: Tensor, step: rb.Step) -> None:
    parameter.add_(torch.randn_like(parameter), alpha=0.01)


def draw_the_same(self: rb.Regularizer, parameter: Tensor, step: rb.Step) -> None:
    torch.manual_seed(0)
    draw(self, parameter, step)


def draw_by_numpy(self: rb.Regularizer, parameter: Tensor, step: rb.Step) -> None:
    parameter.mul_(1 - 0.1 * np.random.default_rng().random())


def mix(self: rb.Regularizer, parameter: Tensor, step: rb.Step) -> None:
    parameter.mul_(1 - 0.01 * parameter.norm())


def fail(self: rb.Regularizer, parameter: Tensor, step: rb.Step) -> None:
    raise IndexError("no such axis")


def old(self: Any, gradient: Tensor, parameter: Tensor, is_bias: bool) -> None:
    gradient.add_(parameter)


def average(self: rb.Regularizer, parameter: Tensor, step: rb.Step) -> None:
    """Pull towards a running mean, which begins anew with every network."""
    if step.epoch == 1:
        MEANS[step.parameter.name] = parameter.clone()
    MEANS[step.parameter.name].lerp_(parameter, 0.5)
    parameter.lerp_(MEANS[step.parameter.name], 0.1)


def return_home(self: rb.Regularizer, parameter: Tensor, step: rb.Step) -> None:
    """Pull towards where each network began."""
    if step.epoch == 1:
        MEANS[step.parameter.name] = parameter.clone()
    parameter.lerp_(MEANS[step.parameter.name], 0.1)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "returns": (
        {"before_step_": lambda self, parameter, step: parameter / 2},
        "before_step_ returns a value",
    ),
    "keeps": ({"before_step_": remember}, "row 'arms' fails"),
    "averages": ({"before_step_": average}, "row 'arms' fails"),
    "remembers the start": ({"before_step_": return_home}, "row 'arms' fails"),
    "draws": ({"before_step_": draw}, "draws torch's random numbers"),
    "seeds": ({"before_step_": draw_the_same}, "draws torch's random numbers"),
    "draws elsewhere": ({"before_step_": draw_by_numpy}, "row 'arms' fails"),
    "mixes replicates": ({"before_step_": mix}, "row 'engines' fails"),
    "raises": ({"before_step_": fail}, "unexpected IndexError: no such axis"),
    "misspelt": ({"add_penalty_gradient": old}, "did you mean 'add_penalty_gradient_'"),
    "misspelt too": ({"perturb_target": mix}, "did you mean 'perturb_targets'"),
    "no hook": ({"zzz": mix}, "zzz: is no hook, .*hooks: perturb_inputs, perturb_targets"),
    "old arguments": (
        {"add_penalty_gradient_": old},
        r"got '\(self, gradient, parameter, is_bias\)'; allowed: \(self, gradient",
    ),
    "too few": ({"before_step_": lambda self, parameter: None}, "allowed: .self, parameter, step"),
}


def broken(what: str) -> type[rb.Regularizer]:
    return type("Broken", (Pull,), BROKEN[what][0] | {"command": "broken"})


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("what", BROKEN)
def test_class_that_breaks_the_contract_is_not_trained(what: str, optimizer: Any) -> None:
    before, state = dict(REGULARIZERS), torch.get_rng_state()
    training = rb.Training(epochs=2, optimizer=optimizer)
    with pytest.raises(rb.UsageError, match=f"Broken.*{BROKEN[what][1]}"):
        rb.run(rb.Study(arms=[broken(what)(0.3)], training=training))
    assert torch.equal(torch.get_rng_state(), state), "the caller's random numbers"
    assert before == REGULARIZERS


@pytest.mark.parametrize("what", ["misspelt", "old arguments", "no hook"])
def test_class_with_a_wrong_method_is_not_registered(what: str) -> None:
    with pytest.raises(rb.UsageError, match=BROKEN[what][1]):
        admit(broken(what), "here", {})
    assert "broken" not in REGULARIZERS


def test_what_keeps_the_contract_is_tried_once_and_may_have_more_than_hooks() -> None:
    calls = list[str]()

    class Free(Pull):
        command: ClassVar[str] = "free"

        def _own(self) -> float:
            calls.append("")
            return self.strength

        @property
        def twice(self) -> float:
            return 2 * self._own()

        def before_step_(self, *arguments: Any) -> None:
            parameter, step = arguments
            parameter.mul_(1 - step.training.lr * self.twice)

    study = rb.Study(arms=[Free(0.3)], replicates=1, network=rb.Network(hidden=4, depth=1))
    check_plugins(study)
    assert calls
    assert Free in PASSED
    count = len(calls)
    check_plugins(study)
    check_plugins(rb.Study(arms=[Free(0.0)]))
    assert len(calls) == count


def test_contract_is_checked_at_the_study_s_own_kind_of_network() -> None:
    for depth, features in itertools.product((0, 2), ("x", "polynomial:3")):
        PASSED.discard(Pull)
        check_plugins(
            rb.Study(arms=[Pull(0.3)], network=rb.Network(depth=depth, features=features))
        )
        assert Pull in PASSED
