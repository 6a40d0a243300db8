"""What every registered regularizer must do in every engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest
import torch
from training import make_study, train

from regbench.analysis.history import MEASURED
from regbench.engines import ENGINES
from regbench.model.randomness import layer_noise, noise_keys
from regbench.regularizers import REGULARIZERS, Baseline, Regularizer

if TYPE_CHECKING:
    from torch import Tensor

    from regbench.analysis.history import History

every_engine = pytest.mark.parametrize("engine", ENGINES)
every_command = pytest.mark.parametrize("command", REGULARIZERS)


def assert_same(
    actual: History, expected: History, arm_indices: tuple[int, ...], of: tuple[int, ...]
) -> None:
    """Compare the arms of these indices in one history with those of `of` in another, in bits."""
    for field in MEASURED:
        left, right = (
            getattr(actual, field)[:, list(arm_indices)],
            getattr(expected, field)[:, list(of)],
        )
        assert left.tobytes() == right.tobytes(), field
    for field in ("parameters", "gradients"):
        for name, values in getattr(expected, field).items():
            left, right = getattr(actual, field)[name][:, list(arm_indices)], values[:, list(of)]
            assert left.tobytes() == right.tobytes(), (field, name)


@every_engine
@every_command
def test_strength_zero_is_the_baseline_bit_for_bit(engine: str, command: str) -> None:
    strong = REGULARIZERS[command].default
    history = train(make_study(command, (0.0, strong)), engine)
    assert_same(history, history, (1,), (0,))


@every_engine
@every_command
def test_regularizer_changes_the_training(engine: str, command: str) -> None:
    history = train(make_study(command, (REGULARIZERS[command].default,)), engine)
    assert (history.test_loss[:, 0] != history.test_loss[:, 1]).all()


@every_engine
@every_command
@pytest.mark.parametrize("pairing", ["shared", "independent"])
def test_adding_an_arm_changes_no_other(engine: str, command: str, pairing: str) -> None:
    strong = REGULARIZERS[command].default
    few = train(make_study(command, (strong,), pairing=pairing), engine)
    many = train(make_study(command, (strong, strong / 2, strong / 4), pairing=pairing), engine)
    assert_same(many, few, (0, 1), (0, 1))


@every_engine
@every_command
def test_order_of_arms_changes_no_number_with_shared_pairing(engine: str, command: str) -> None:
    strong = REGULARIZERS[command].default
    ascending = train(make_study(command, (strong / 2, strong)), engine)
    descending = train(make_study(command, (strong, strong / 2)), engine)
    assert_same(ascending, descending, (0, 1, 2), (0, 2, 1))


# Float32 sums in another order in another batch; float64 leaves the difference far below 1e-10.
@every_engine
@every_command
def test_replicate_is_the_same_alone_and_in_a_batch(engine: str, command: str) -> None:
    values = {"dtype": "float64", "epochs": 60, "hidden": 20, "seed": 40}
    strong = (REGULARIZERS[command].default,)
    together = train(make_study(command, strong, **values | {"replicates": 18}), engine)
    for replicate_index in (0, 1, 17):  # the last one is in the batched engine's second chunk
        alone = train(
            make_study(command, strong, **values | {"replicates": 1, "seed": 40 + replicate_index}),
            engine,
        )
        np.testing.assert_array_equal(together.data.train_y[replicate_index], alone.data.train_y[0])
        for field in MEASURED:
            np.testing.assert_allclose(
                getattr(together, field)[:, :, replicate_index],
                getattr(alone, field)[:, :, 0],
                rtol=1e-10,
                atol=1e-10,
            )


@every_command
@pytest.mark.parametrize("pairing", ["shared", "independent"])
def test_reference_replicate_is_the_same_bit_for_bit_in_any_run(command: str, pairing: str) -> None:
    strong = (REGULARIZERS[command].default,)
    together = train(make_study(command, strong, seed=3, pairing=pairing), "reference")
    alone = train(make_study(command, strong, seed=5, replicates=1, pairing=pairing), "reference")
    for field in MEASURED:
        np.testing.assert_array_equal(
            getattr(together, field)[:, :, 2], getattr(alone, field)[:, :, 0]
        )


@every_command
def test_engines_agree_at_the_default_strength(command: str) -> None:
    study = make_study(
        command, (REGULARIZERS[command].default,), dtype="float64", epochs=60, depth=3
    )
    reference, batched = train(study, "reference"), train(study, "batched")
    for field in MEASURED:
        np.testing.assert_allclose(
            getattr(batched, field), getattr(reference, field), rtol=1e-10, atol=1e-10
        )


@dataclass(frozen=True)
class Invented(Regularizer):
    """Acts through every hook, and by replicate, as no regularizer of the package does."""

    command: ClassVar[str] = "invented"
    option: ClassVar[str] = "tau"
    symbol: ClassVar[str] = "τ"
    default: ClassVar[float] = 0.1
    summary: ClassVar[str] = "Compare an invention with none."

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor) -> None:
        """Add λ‖θ‖θ."""
        norms = parameter.flatten(1).norm(dim=1).reshape(-1, *[1] * (parameter.dim() - 1))
        gradient.add_(parameter * norms, alpha=self.strength)

    def shrink_(self, parameter: Tensor, momentum: Tensor | None, lr: float) -> None:
        """Take off a share of the largest, and slow down."""
        largest = parameter.flatten(1).abs().amax(dim=1)
        parameter.sub_(lr * self.strength * largest.reshape(-1, *[1] * (parameter.dim() - 1)))
        if momentum is not None:
            momentum.mul_(1 - lr * self.strength)

    def hidden_factor(self, noise: Tensor, dtype: torch.dtype) -> Tensor:
        """Return 1 and uniform noise."""
        return 1 + self.strength * noise.to(dtype) / 2**31


@pytest.mark.parametrize("hook", ["add_penalty_gradient_", "shrink_", "hidden_factor", None])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_reference_and_batched_agree_on_a_regularizer_that_they_do_not_know(
    monkeypatch: pytest.MonkeyPatch, hook: str | None, optimizer: str
) -> None:
    for other in ("add_penalty_gradient_", "shrink_", "hidden_factor"):
        if hook is not None and other != hook:
            monkeypatch.setattr(Invented, other, getattr(Regularizer, other))
    for pairing in ("shared", "independent"):
        study = make_study(dtype="float64", optimizer=optimizer, pairing=pairing)
        study = study.replaced(arms=(Invented(0.0), Invented(0.1)))
        reference, batched = train(study, "reference"), train(study, "batched")
        assert (reference.test_loss[:, 1] != reference.test_loss[:, 2]).all()
        for field in MEASURED:
            np.testing.assert_allclose(
                getattr(reference, field), getattr(batched, field), rtol=1e-10, atol=1e-10
            )
        for name, gradients in batched.gradients.items():
            np.testing.assert_allclose(reference.gradients[name], gradients, rtol=1e-10, atol=1e-10)


@every_command
@pytest.mark.parametrize("engine", ENGINES)
def test_linear_model_trains(command: str, engine: str) -> None:
    history = train(make_study(command, (REGULARIZERS[command].default,), depth=0), engine)
    assert np.isfinite(history.test_loss).all()


@every_command
@pytest.mark.parametrize("strength", [0.1, 0.25, 0.5, 0.9])
def test_hidden_factor_has_mean_one(command: str, strength: float) -> None:
    regularizer = REGULARIZERS[command](strength)
    noise = layer_noise(noise_keys(torch.arange(50), 3, 40), torch.tensor(1), 200)
    factor = regularizer.hidden_factor(noise, torch.float64)
    assert (factor is not None) == regularizer.acts_on_hidden
    if factor is not None:
        error = factor.std() / factor.numel() ** 0.5
        assert abs(float((factor.mean() - 1) / error)) < 5


@every_command
def test_hidden_factor_at_every_strength_has_a_kept_and_a_dropped_end(command: str) -> None:
    words = torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32)  # u = 0 and u just below 1
    for strength in (1e-12, 0.5, 1 - 1e-12):
        factor = REGULARIZERS[command](strength).hidden_factor(words, torch.float64)
        if factor is not None:
            assert factor.tolist() == [0.0, pytest.approx(1 / (1 - strength))]


@every_command
def test_words_of_a_regularizer_fit_options_folders_and_tables(command: str) -> None:
    regularizer = REGULARIZERS[command]
    assert regularizer.command == command
    assert regularizer.option.isascii()
    assert regularizer.summary.endswith(".")
    assert regularizer.symbol.isprintable()
    limit, _ = regularizer.strength_limit(0.01, 0.9, "sgd")
    assert 0 < regularizer.default < limit
    names = [regularizer(strength).name for strength in (0.1, 0.1 + 2**-56, 1e-30, 0.0)]
    assert len(set(names)) == len(names)
    for name in [*names, Baseline().name]:
        assert name.isascii()
        assert name.isprintable()
        assert "/" not in name


def test_weight_decay_bound_is_that_of_momentum_descent() -> None:
    # theta <- theta - lr * lambda * theta with momentum is a two-term recursion: its roots tell.
    limit, _ = REGULARIZERS["wdecay"].strength_limit(0.01, 0.9, "sgd")
    assert limit == pytest.approx(380)
    for strength, is_stable in ((0.999 * limit, True), (1.001 * limit, False)):
        roots = np.roots([1, -(1 + 0.9 - 0.01 * strength), 0.9])
        assert (np.abs(roots).max() < 1) == is_stable
