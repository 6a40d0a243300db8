"""Truths, features, and what varies from replicate to replicate, in every engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from oracles import keeps
from training import by_replicate, make_request, make_study, train

from regbench.engines import ENGINES, choose_engine
from regbench.engines.base import draw_start
from regbench.engines.model import expand
from regbench.errors import UsageError
from regbench.program import plan
from regbench.tasks.synthetic import Synthetic

every_engine = pytest.mark.parametrize("engine", sorted(ENGINES))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("linear", [-3.0, -1.5, 0.0, 3.0]),
        ("quadratic", [3.0, 0.75, 0.0, 3.0]),
        ("sine", [0.0, -3.0, 0.0, 0.0]),
        ("step", [-3.0, -3.0, 0.0, 3.0]),
        ("abs", [3.0, 1.5, 0.0, 3.0]),
    ],
)
def test_truths_have_their_shapes_at_the_scale_of_the_slope(
    name: str, expected: list[float]
) -> None:
    task = make_study(truth=name, slope=3.0).task
    x = torch.tensor([-1.0, -0.5, 0.0, 1.0], dtype=torch.float64)
    np.testing.assert_allclose(Synthetic(task).target(x), expected, atol=1e-12)


def test_truth_moves_targets_and_not_their_noise() -> None:
    linear = draw_start(make_study(), 3)
    sine = draw_start(make_study(truth="sine", slope=2.0), 3)
    x = linear.data.x[:, 0]
    np.testing.assert_allclose(
        sine.data.y - 2 * torch.sin(torch.pi * x), linear.data.y - 1.5 * x, atol=1e-6
    )
    for left, right in zip(sine.parameters[0], linear.parameters[0], strict=True):
        assert torch.equal(left, right)


def test_features_are_the_powers_of_x() -> None:
    x = torch.linspace(-1.2, 1.2, 7).unsqueeze(1)
    expected = np.vander(x[:, 0].double().numpy(), 6, increasing=True)[:, 1:]
    np.testing.assert_allclose(expand(x.double(), 5), expected, rtol=1e-14)
    np.testing.assert_array_equal(expand(x, 5), expected.astype(np.float32))
    assert expand(x, 1) is x


@every_engine
@pytest.mark.parametrize("depth", [0, 2])
def test_network_of_features_is_a_plain_program(engine: str, depth: int) -> None:
    study = make_study(
        features="polynomial:4", depth=depth, dtype="float64", replicates=2, epochs=40,
        log_every=40, strengths=(0.1,), truth="sine",
    )  # fmt: skip
    history = train(study, engine)
    start = draw_start(study, study.seed)
    assert start.parameters[0][0].shape == ((12, 4) if depth else (1, 4))
    parameters = [values.double().requires_grad_() for values in start.parameters[0]]
    x = torch.from_numpy(np.vander(history.train_x, 5, increasing=True)[:, 1:].copy())

    def network(x: torch.Tensor) -> torch.Tensor:
        for layer in range(depth + 1):
            x = x @ parameters[2 * layer].T + parameters[2 * layer + 1]
            x = torch.relu(x) if layer < depth else x
        return x[:, 0]

    optimizer = torch.optim.SGD(parameters, lr=study.training.lr, momentum=study.training.momentum)
    for _ in range(40):
        optimizer.zero_grad()
        loss = (network(x) - torch.from_numpy(history.train_y[0])).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for values, parameter in zip(history.named("parameters").values(), parameters, strict=True):
        np.testing.assert_allclose(values[0], parameter.detach(), rtol=1e-9, atol=1e-12)
    grid = torch.from_numpy(np.vander(history.grid_x, 5, increasing=True)[:, 1:].copy())
    np.testing.assert_allclose(
        history.predictions[-1, 0, 0], network(grid).detach(), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("bad", ["polynomial", "polynomial:0", "polynomial:51", "x:2", "fourier"])
def test_features_that_there_are_not_are_refused(bad: str) -> None:
    with pytest.raises(UsageError, match=f"--features: got '{bad}'; allowed: x, or polynomial:K"):
        make_study(features=bad)


@every_engine
@pytest.mark.parametrize("command", ["wdecay", "dropout"])
def test_varying_the_data_keeps_weights_and_masks_of_the_first_replicate(
    engine: str, command: str
) -> None:
    study = make_study(command, (0.4,), vary="data", seed=7, noise=0.0, test_noise=0.0)
    history = train(study, engine)
    # Without noise all data are the same: so is everything, if weights and masks are.
    for name, values in by_replicate(history).items():
        assert (values == values[:, :, :1]).all(), name
    noisy = train(study.replaced(task=study.task.replaced(noise=0.5)), engine)
    assert len(np.unique(noisy.train_y[:, 0])) == 3


@every_engine
@pytest.mark.parametrize("command", ["wdecay", "dropout"])
def test_varying_the_weights_keeps_the_data_of_the_first_replicate(
    engine: str, command: str
) -> None:
    study = make_study(command, (0.4,), vary="init", seed=7, dtype="float64")
    history = train(study, engine)
    both = train(study.replaced(vary="both"), engine)
    for field in ("train_y", "test_y"):
        values = getattr(history, field)
        assert (values == getattr(both, field)[0]).all()
    # The first replicate has both of its own; the second its own weights on the first one's data.
    for name, values in by_replicate(history).items():
        np.testing.assert_array_equal(values[:, :, 0], both.arrays[name][:, :, 0], err_msg=name)
    starts = [draw_start(study, seed) for seed in study.seeds]
    own = [draw_start(study.replaced(vary="both"), s) for s in study.seeds]
    for start, expected in zip(starts, own, strict=True):
        for left, right in zip(start.parameters[0], expected.parameters[0], strict=True):
            assert torch.equal(left, right)


@pytest.mark.parametrize("engine", ["reference", "batched"])
def test_dropout_of_a_linear_model_drops_its_inputs(engine: str) -> None:
    study = make_study(
        "dropout", (0.3,), depth=0, features="polynomial:3", dtype="float64", replicates=1,
        epochs=5, log_every=1, seed=9, momentum=0.0,
    )  # fmt: skip
    history = train(study, engine)
    assert history.epochs.tolist() == history.kept_epochs.tolist() == list(range(6))
    start = draw_start(study, 9)
    weight, bias = (values.double().numpy() for values in start.parameters[1])
    x = np.vander(history.train_x, 4, increasing=True)[:, 1:]
    y = history.train_y[0]
    for epoch in range(1, 6):
        mask = [[keeps(9, 0, n, epoch, d, 0.3) / 0.7 for d in range(3)] for n in range(6)]
        dropped = x * np.array(mask)
        error = dropped @ weight[0] + bias - y
        np.testing.assert_allclose(history.train_loss[epoch, 1, 0], np.mean(error**2))
        weight = weight - study.training.lr * 2 * (error @ dropped) / 6
        bias = bias - study.training.lr * 2 * error.mean()
        np.testing.assert_allclose(
            history.predictions[epoch, 1, 0],
            np.vander(history.grid_x, 4, increasing=True)[:, 1:] @ weight[0] + bias,
        )


def test_fused_leaves_dropout_of_inputs_to_batched() -> None:
    request = make_request("dropout", (0.3,), depth=0, device="cpu")
    assert choose_engine(request.study, request.machine) == "batched"
    refused = make_request("dropout", (0.3,), depth=0, device="cpu", engine="fused")
    with pytest.raises(UsageError, match=r"fused.*dropout=0\.3 with depth=0"):
        plan(refused, refused.machine)


def test_confirming_needs_replicates_that_vary_in_both() -> None:
    make_request(confirm=5)
    with pytest.raises(UsageError, match=r"--confirm.*--vary=both"):
        make_request(confirm=5, vary="init")
