"""Adam, proximal L1 and decoupled decay, against plain torch programs, in every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn
from training import make_settings, train

from regbench.engines import ENGINES, choose_engine
from regbench.engines.base import draw_start
from regbench.errors import UsageError
from regbench.experiments.training import plan

if TYPE_CHECKING:
    from regbench.settings.study import TrainingExperiment

SGD_ENGINES = sorted(ENGINES)
ADAM_ENGINES = sorted(set(ENGINES) - {"fused"})
ALL = [(engine, "sgd") for engine in SGD_ENGINES] + [(engine, "adam") for engine in ADAM_ENGINES]


def run_plain_program(settings: TrainingExperiment, strength: float) -> list[torch.Tensor]:
    """Return the parameters of the first replicate's arm after training with torch alone."""
    start = draw_start(settings, settings.seed)
    parameters = [nn.Parameter(values.double()) for values in start.parameters[1]]
    x, y = start.data.train_x.double(), start.data.train_y.double()
    decay = strength if settings.experiment == "wdecay" else 0.0
    optimizer: torch.optim.Optimizer
    if settings.optimizer == "adam":
        optimizer = torch.optim.Adam(parameters, lr=settings.lr, weight_decay=decay)
    else:
        optimizer = torch.optim.SGD(
            parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=decay
        )
    before = [parameter.detach().clone() for parameter in parameters]
    for _ in range(settings.epochs):
        hidden = torch.relu(x @ parameters[0].T + parameters[1])
        hidden = torch.relu(hidden @ parameters[2].T + parameters[3])
        loss = (hidden @ parameters[4].T + parameters[5] - y).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.experiment == "l1" and settings.optimizer == "sgd":
            before = step_inertially(parameters, before, settings, strength)
            continue
        optimizer.step()
        with torch.no_grad():
            for parameter in parameters:
                if settings.experiment == "l1":
                    parameter.copy_(nn.functional.softshrink(parameter, settings.lr * strength))
                if settings.experiment == "decoupled":
                    parameter.sub_(settings.lr * strength * parameter)
    return [parameter.detach() for parameter in parameters]


@torch.no_grad()
def step_inertially(
    parameters: list[nn.Parameter],
    before: list[torch.Tensor],
    settings: TrainingExperiment,
    strength: float,
) -> list[torch.Tensor]:
    """Take the step of Ochs et al. 2014: soft(θ - η∇loss + μ(θ - θ before)); return θ."""
    now = [parameter.detach().clone() for parameter in parameters]
    for parameter, earlier in zip(parameters, before, strict=True):
        assert parameter.grad is not None
        moved = settings.momentum * (parameter - earlier) - settings.lr * parameter.grad
        parameter.copy_(nn.functional.softshrink(parameter + moved, settings.lr * strength))
    return now


@pytest.mark.parametrize(("engine", "optimizer"), ALL)
@pytest.mark.parametrize("command", ["wdecay", "l1", "decoupled"])
def test_every_optimizer_and_penalty_is_the_plain_program(
    engine: str, optimizer: str, command: str
) -> None:
    strength = 0.3
    settings = make_settings(
        command, (strength,), dtype="float64", replicates=1, epochs=60, log_every=60, lr=0.02,
        momentum=0.7, optimizer=optimizer, seed=4,
    )  # fmt: skip
    history = train(settings, engine)
    expected = run_plain_program(settings, strength)
    for values, parameter in zip(history.parameters.values(), expected, strict=True):
        np.testing.assert_allclose(values[-1, 1], parameter.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("engine", "optimizer"), ALL)
def test_proximal_steps_give_exact_zeros_and_decay_does_not(engine: str, optimizer: str) -> None:
    for command, has_zeros in (("l1", True), ("decoupled", False), ("wdecay", False)):
        settings = make_settings(
            command, (0.2,), epochs=200, log_every=100, lr=0.02, optimizer=optimizer, depth=1
        )
        history = train(settings, engine)
        assert (history.zero_share[-1, 1] > 0.1).all() == has_zeros
        assert (history.zero_share[:, 0] == 0).all()
        values = np.concatenate([p[-1, 1].ravel() for p in history.parameters.values()])
        assert history.zero_share[-1, 1, 0] == pytest.approx((values == 0).mean(), rel=1e-6)


def test_engines_agree_with_adam_in_float32_through_100_epochs() -> None:
    settings = make_settings(optimizer="adam", epochs=100, log_every=50, lr=0.003)
    reference, batched = train(settings, "reference"), train(settings, "batched")
    np.testing.assert_allclose(batched.test_loss, reference.test_loss, rtol=2e-6)


def test_adam_decay_and_decoupled_decay_differ_and_with_sgd_hardly() -> None:
    # Without momentum the two are the same to first order in the learning rate; Adam divides the
    # penalty's gradient by the gradient's own size, so that they are not (Loshchilov & Hutter).
    gaps = {}
    for optimizer in ("sgd", "adam"):
        ends = [
            train(
                make_settings(
                    command, (0.1,), epochs=300, log_every=300, lr=0.005, momentum=0.0,
                    optimizer=optimizer,
                ),
                "batched",
            ).weight_norm[-1]
            for command in ("wdecay", "decoupled")
        ]  # fmt: skip
        decayed = np.abs(ends[1][0] - ends[1][1])
        gaps[optimizer] = (np.abs(ends[0][1] - ends[1][1]) / decayed).mean()
    assert gaps["sgd"] < 0.02
    assert gaps["adam"] > 0.5


def test_auto_trains_adam_with_batched_and_fused_is_refused() -> None:
    assert choose_engine(make_settings(optimizer="adam", device="cpu")) == "batched"
    assert choose_engine(make_settings(device="cpu")) == "fused"
    with pytest.raises(UsageError, match=r"--engine: got 'fused', .* --optimizer adam"):
        plan(make_settings(optimizer="adam", engine="fused", device="cpu"))


def test_strength_limits_are_those_of_the_optimizer() -> None:
    with pytest.raises(UsageError, match="380"):
        make_settings("wdecay", (380.0,), lr=0.01, momentum=0.9)
    make_settings("wdecay", (380.0,), lr=0.01, momentum=0.9, optimizer="adam")
    with pytest.raises(UsageError, match=r"100.*1/lr"):
        make_settings("decoupled", (100.0,), lr=0.01)
