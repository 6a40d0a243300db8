"""Adam and SGD with every sum of regularizers, against plain programs, in every engine."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from oracles import Steps, Strengths, train_by_numpy, train_by_torch
from torch import nn
from training import make_study, train

from regbench.engines import ENGINES, misfit
from regbench.engines.base import draw_start
from regbench.errors import UsageError
from regbench.regularizers import REGULARIZERS, Arm
from regbench.settings.groups import Machine

if TYPE_CHECKING:
    from regbench.settings.study import Study

ALL = [(engine, optimizer) for optimizer in ("sgd", "adam") for engine in sorted(ENGINES)]


def run_plain_program(study: Study) -> list[torch.Tensor]:
    """Return the parameters of the first replicate's arm after training with torch alone."""
    (part,), training = study.arms[1].parts, study.training
    start = draw_start(study, study.seed)
    parameters = [nn.Parameter(values.double()) for values in start.parameters[1]]
    x, y = start.data.x.double(), start.data.y[:, None].double()
    decay = part.strength if part.command == "wdecay" else 0.0
    optimizer: torch.optim.Optimizer
    if part.command == "decoupled" and training.optimizer == "adam":
        optimizer = torch.optim.AdamW(parameters, lr=training.lr, weight_decay=part.strength)
    elif training.optimizer == "adam":
        optimizer = torch.optim.Adam(parameters, lr=training.lr, weight_decay=decay)
    else:
        optimizer = torch.optim.SGD(
            parameters, lr=training.lr, momentum=training.momentum, weight_decay=decay
        )
    before = [parameter.detach().clone() for parameter in parameters]
    for _ in range(training.epochs):
        hidden = torch.relu(x @ parameters[0].T + parameters[1])
        hidden = torch.relu(hidden @ parameters[2].T + parameters[3])
        loss = (hidden @ parameters[4].T + parameters[5] - y).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if part.command == "l1" and training.optimizer == "sgd":
            before = step_inertially(parameters, before, study)
            continue
        if part.command == "decoupled" and training.optimizer == "sgd":
            for parameter in parameters:
                parameter.data.mul_(1 - training.lr * part.strength)
        optimizer.step()
        for parameter in parameters if part.command == "l1" else ():
            cut = nn.functional.softshrink(parameter.detach(), training.lr * part.strength)
            parameter.data.copy_(cut)
    return [parameter.detach() for parameter in parameters]


@torch.no_grad()
def step_inertially(
    parameters: list[nn.Parameter],
    before: list[torch.Tensor],
    study: Study,
) -> list[torch.Tensor]:
    """Take the step of Ochs et al. 2014: soft(θ - η∇loss + μ(θ - θ before)); return θ."""
    (part,), training = study.arms[1].parts, study.training
    now = [parameter.detach().clone() for parameter in parameters]
    for parameter, earlier in zip(parameters, before, strict=True):
        assert parameter.grad is not None
        moved = training.momentum * (parameter - earlier) - training.lr * parameter.grad
        parameter.copy_(nn.functional.softshrink(parameter + moved, training.lr * part.strength))
    return now


@pytest.mark.parametrize(("engine", "optimizer"), ALL)
@pytest.mark.parametrize("command", ["wdecay", "l1", "decoupled"])
def test_every_optimizer_and_penalty_is_the_plain_program(
    engine: str, optimizer: str, command: str
) -> None:
    study = make_study(
        command, (0.3,), dtype="float64", replicates=1, epochs=60, log_every=60, lr=0.02,
        momentum=0.7, optimizer=optimizer, seed=4,
    )  # fmt: skip
    history = train(study, engine)
    expected = run_plain_program(study)
    for values, parameter in zip(history.named("parameters").values(), expected, strict=True):
        np.testing.assert_allclose(values[1], parameter.numpy(), rtol=1e-9, atol=1e-12)


KNOWN = {"wdecay": 0.3, "dropout": 0.4, "decoupled": 0.5, "l1": 0.05}
"""What the programs of `oracles` can do, at strengths that all leave their mark."""
SUMS = [
    commands
    for count in range(1, len(KNOWN) + 1)
    for commands in itertools.combinations(KNOWN, count)
]
every_sum = pytest.mark.parametrize("commands", SUMS, ids="+".join)


def make_sum(commands: tuple[str, ...]) -> tuple[Arm, Strengths]:
    """Return an arm, and what the oracles call it."""
    strengths = {command: KNOWN[command] for command in commands}
    parts = [REGULARIZERS[command](strength) for command, strength in strengths.items()]
    return Arm(tuple(parts)), Strengths(**strengths)


@every_sum
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize(("engine", "optimizer"), ALL)
def test_every_sum_is_the_numpy_program(
    engine: str, optimizer: str, depth: int, commands: tuple[str, ...]
) -> None:
    arm, strengths = make_sum(commands)
    study = make_study(
        dtype="float64", replicates=1, epochs=50, log_every=50, lr=0.02, momentum=0.7, depth=depth,
        optimizer=optimizer, seed=4, features="polynomial:2",
    ).replaced(arms=(arm,))  # fmt: skip
    if reason := misfit(study, Machine.model_validate({"engine": engine})):
        pytest.skip(f"{engine} cannot train {reason}")
    history = train(study, engine)
    x = np.stack([history.train_x, history.train_x**2], axis=1)
    course = train_by_numpy(
        [values.double().numpy() for values in draw_start(study, 4).parameters[1]],
        x,
        history.train_y[0][:, None],
        4,
        Steps(optimizer, 0.02, 0.7),
        strengths,
    )
    _, expected = next(itertools.islice(course, 49, None))
    for name, values in zip(study.network.parameter_names, expected, strict=True):
        found = history.named("parameters")[name][1]
        np.testing.assert_allclose(found, values, rtol=1e-10, atol=1e-10, err_msg=name)
        assert np.isfinite(found).all()


@every_sum
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_sum_with_independent_pairing_is_the_torch_program_in_reference(
    optimizer: str, commands: tuple[str, ...]
) -> None:
    arm, strengths = make_sum(commands)
    study = make_study(
        dtype="float64", replicates=2, epochs=50, log_every=50, lr=0.02, momentum=0.7,
        optimizer=optimizer, seed=4, pairing="independent",
    ).replaced(arms=(arm,))  # fmt: skip
    history = train(study, "reference")
    sizes, steps = study.network.layer_sizes, Steps(optimizer, 0.02, 0.7)
    expected = train_by_torch(4, sizes, study.task.points, 50, steps, strengths)
    for name, values in zip(study.network.parameter_names, expected, strict=True):
        found = history.named("parameters")[name][1]
        np.testing.assert_allclose(found, values, rtol=1e-10, atol=1e-10, err_msg=name)
        assert np.isfinite(found).all()


@pytest.mark.parametrize(("engine", "optimizer"), ALL)
def test_proximal_steps_give_exact_zeros_and_decay_does_not(engine: str, optimizer: str) -> None:
    for command, has_zeros in (("l1", True), ("decoupled", False), ("wdecay", False)):
        study = make_study(
            command, (0.2,), epochs=200, log_every=100, lr=0.02, optimizer=optimizer, depth=1
        )
        history = train(study, engine)
        assert (history.zero_share[-1, 1] > 0.1).all() == has_zeros
        assert (history.zero_share[:, 0] == 0).all()
        values = np.concatenate([p[1].ravel() for p in history.named("parameters").values()])
        assert history.zero_share[-1, 1, 0] == pytest.approx((values == 0).mean(), rel=1e-6)


def test_engines_agree_with_adam_in_float32_through_100_epochs() -> None:
    study = make_study(optimizer="adam", epochs=100, log_every=50, lr=0.003)
    reference = train(study, "reference")
    for engine in ("batched", "fused"):
        np.testing.assert_allclose(train(study, engine).test_loss, reference.test_loss, rtol=2e-6)


def test_adam_decay_and_decoupled_decay_differ_and_with_sgd_hardly() -> None:
    # Without momentum the two are the same to first order in the learning rate; Adam divides the
    # penalty's gradient by the gradient's own size, so that they are not (Loshchilov & Hutter).
    gaps = {}
    for optimizer in ("sgd", "adam"):
        ends = [
            train(
                make_study(
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


def test_strength_limits_are_those_of_the_optimizer() -> None:
    with pytest.raises(UsageError, match="380"):
        make_study("wdecay", (380.0,), lr=0.01, momentum=0.9)
    make_study("wdecay", (380.0,), lr=0.01, momentum=0.9, optimizer="adam")
    with pytest.raises(UsageError, match=r"100.*1/lr"):
        make_study("decoupled", (100.0,), lr=0.01)
