"""What every registered regularizer, and every sum of two, must do in every engine.

Knows no regularizer but torch's own dropout: what is registered is tested.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
import torch
from training import (
    assert_array_close,
    assert_close,
    by_arm,
    by_replicate,
    make_batch,
    make_step,
    make_study,
    train,
)

from regbench.engines import ENGINES, misfit
from regbench.engines.fused.engine import COEFFICIENTS
from regbench.engines.model import LAYERS_APART, Noise, noise_keys
from regbench.errors import UsageError
from regbench.regularizers import REGULARIZERS, Arm, Regularizer
from regbench.regularizers.noise import Dropout
from regbench.settings.groups import Machine
from regbench.settings.parse import arms_of
from regbench.settings.study import Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from regbench.analysis.history import History
    from regbench.regularizers import Step
    from regbench.settings.study import Study

Kind = type[Regularizer]
KINDS = tuple(REGULARIZERS.values())
PAIRS = list(itertools.combinations(KINDS, 2))
SUMS: list[tuple[Kind, ...]] = [*((kind,) for kind in KINDS), *PAIRS]
RING = list(itertools.pairwise([*KINDS, KINDS[0]]))
"""Pairs in which each is twice: enough where an engine is tested rather than what hooks do."""
FEW: list[tuple[Kind, ...]] = [*SUMS[: len(KINDS)], *RING]
"""Sums are arms of one study: that they are independent of each other is a test of its own."""


every_engine = pytest.mark.parametrize("engine", ENGINES)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: str(kind.command))
every_pairing = pytest.mark.parametrize("pairing", ["shared", "independent"])


def make_arms_study(*arms: Arm | Regularizer, **values: Any) -> Study:
    """Return a small study of some arms."""
    return make_study(**values).replaced(arms=arms)


def misfit_of(study: Study, engine: str) -> str | None:
    """Return what an engine says that it cannot train of a study, or None."""
    return misfit(study, Machine.model_validate({"engine": engine}))


def taken_by(
    engine: str, sums: Sequence[tuple[Kind, ...]], **values: Any
) -> list[tuple[Kind, ...]]:
    """Return the sums that an engine can train, of which there are some."""
    taken = [k for k in sums if misfit_of(make_arms_study(act(k), **values), engine) is None]
    assert taken
    return taken


@functools.cache
def strength_of(command: str) -> float:
    """Return a strength that acts: the default, or for a bound the first of its halves that does.

    It changes the first ten epochs of every replicate.
    """
    kind = REGULARIZERS[command]
    halvings = [kind.default / 2**halving for halving in range(1 if kind.neutral == 0 else 30)]
    for strength in map(math.ceil, halvings) if kind.is_whole else halvings:
        history = train(make_arms_study(kind(strength), dtype="float64"), "batched")
        after_ten = history.test_loss[history.at(10)]
        if (after_ten[0] != after_ten[1]).all():
            return float(strength)
    raise AssertionError(f"{command} changes nothing")


def act(kinds: tuple[Kind, ...], times: float = 1.0) -> Arm:
    """Return the sum of regularizers at strengths that act."""
    strengths = [strength_of(kind.command) * times for kind in kinds]
    return Arm(
        tuple(
            kind(math.ceil(strength) if kind.is_whole else strength)
            for kind, strength in zip(kinds, strengths, strict=True)
        )
    )


def assert_same(
    actual: History, expected: History, arm_indices: tuple[int, ...], of: tuple[int, ...]
) -> None:
    """Compare the arms of these indices in one history with those of `of` in another, in bits."""
    assert actual.arrays.keys() == expected.arrays.keys()
    for name, values in by_arm(expected).items():
        left, right = by_arm(actual)[name][:, list(arm_indices)], values[:, list(of)]
        assert left.tobytes() == right.tobytes(), name


def test_reference_and_batched_take_every_sum_and_fused_those_that_it_has_coefficients_for() -> (
    None
):
    assert COEFFICIENTS
    for kinds in SUMS:
        for depth, optimizer in itertools.product((0, 1, 3), ("sgd", "adam")):
            study = make_arms_study(act(kinds), depth=depth, optimizer=optimizer)
            for engine in ("reference", "batched"):
                assert misfit_of(study, engine) is None
            if depth > 0:
                is_taken = misfit_of(study, "fused") is None
                assert is_taken == (set(kinds) <= COEFFICIENTS.keys())


# What does nothing, and what does something.


@every_engine
def test_neutral_strengths_are_the_baseline_bit_for_bit(engine: str) -> None:
    taken = taken_by(engine, FEW)
    neutral = [Arm(tuple(kind(kind.neutral) for kind in kinds)) for kinds in taken]
    history = train(make_arms_study(*neutral, act(taken[0])), engine)
    for index in range(1, len(neutral) + 1):
        assert_same(history, history, (index,), (0,))


@every_engine
@every_pairing
def test_neutral_part_of_a_sum_changes_no_bit(engine: str, pairing: str) -> None:
    pairs = [pair for kinds in taken_by(engine, RING) for pair in (kinds, kinds[::-1])]
    alone = [act((kind,)) for kind, _ in pairs]
    in_sums = [act((kind,)) + other(other.neutral) for kind, other in pairs]
    for first in range(0, len(pairs), 2):  # an arm may stand in a study once
        study = make_arms_study(*alone[first : first + 2], pairing=pairing, epochs=10)
        summed = study.replaced(arms=tuple(in_sums[first : first + 2]))
        history = train(study, engine)
        assert_same(train(summed, engine), history, (0, 1, 2), (0, 1, 2))


@every_engine
def test_every_part_of_a_sum_changes_the_training(engine: str) -> None:
    taken = taken_by(engine, SUMS)
    history = train(make_arms_study(*map(act, taken), dtype="float64", epochs=10), engine)
    losses = history.test_loss[history.at(10) :]
    place = {frozenset(kinds): index for index, kinds in enumerate([(), *taken])}
    for kinds, index in place.items():
        for other in (
            part for size in range(len(kinds)) for part in itertools.combinations(kinds, size)
        ):
            parts = losses[:, index], losses[:, place[frozenset(other)]]
            assert (parts[0] != parts[1]).all(), (kinds, other)


# What an arm's numbers depend on.


@every_engine
@every_pairing
def test_adding_an_arm_changes_no_other(engine: str, pairing: str) -> None:
    arms = [act(kinds) for kinds in taken_by(engine, FEW)]
    halves = [act(kinds, 1 / 2) for kinds in taken_by(engine, FEW)]
    whole = make_arms_study(*arms, *halves, pairing=pairing, epochs=10)
    history = train(whole, engine)
    for count in (1, 2, len(arms)):
        few = train(whole.replaced(arms=tuple(arms[:count])), engine)
        indices = tuple(range(count + 1))
        assert_same(history, few, indices, indices)
    for index, arm in enumerate(arms if pairing == "shared" else [], 1):
        alone = train(whole.replaced(arms=(arm,)), engine)
        assert_same(history, alone, (0, index), (0, 1))


@every_engine
def test_order_of_arms_changes_no_number_with_shared_pairing(engine: str) -> None:
    taken = taken_by(engine, FEW)
    arms = [act(kinds, times) for kinds in taken for times in (1 / 2, 1)]
    study = make_arms_study(*arms, epochs=10)
    ascending, count = train(study, engine), len(arms)
    descending = train(study.replaced(arms=tuple(arms[::-1])), engine)
    indices = tuple(range(1, count + 1))
    assert_same(ascending, descending, (0, *indices), (0, *indices[::-1]))


# Float32 sums in another order in another batch; float64 leaves the difference far below 1e-10.
@every_engine
def test_replicate_is_the_same_alone_and_in_a_batch(engine: str) -> None:
    replicates = 3 if engine == "reference" else 18
    study = make_arms_study(
        *map(act, taken_by(engine, FEW)), dtype="float64", epochs=30, hidden=20, seed=40,
        replicates=replicates,
    )  # fmt: skip
    together = train(study, engine)
    for replicate_index in (0, 1, replicates - 1):  # which is in the second chunk of `batched`
        alone = train(study.replaced(seed=40 + replicate_index, replicates=1), engine)
        np.testing.assert_array_equal(together.train_y[replicate_index], alone.train_y[0])
        for name, values in by_replicate(alone).items():
            found = together.arrays[name][:, :, replicate_index]
            assert_array_close(found, values[:, :, 0], 1e-10, name)


@every_pairing
def test_reference_replicate_is_the_same_bit_for_bit_in_any_run(pairing: str) -> None:
    study = make_arms_study(*map(act, FEW), seed=3, pairing=pairing, epochs=10)
    together = train(study, "reference")
    alone = train(study.replaced(seed=5, replicates=1), "reference")
    for name, values in by_replicate(alone).items():
        np.testing.assert_array_equal(together.arrays[name][:, :, 2], values[:, :, 0], err_msg=name)


# The engines against each other. With independent pairing the reference engine has torch's own
# dropout, whose masks are its own; `test_optimizers.py` holds that against torch.


@every_pairing
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("depth", "features"), [(0, "polynomial:3"), (3, "x")])
def test_engines_agree_in_float64(pairing: str, optimizer: str, depth: int, features: str) -> None:
    values: dict[str, Any] = {
        "depth": depth, "epochs": 60 if pairing == "shared" else 20, "log_every": 20,
        "features": features, "optimizer": optimizer, "replicates": 2, "dtype": "float64",
        "pairing": pairing,
    }  # fmt: skip
    sums = [kinds for kinds in SUMS if pairing == "shared" or Dropout not in kinds]
    study = make_arms_study(*map(act, sums), **values)
    reference = train(study, "reference")
    for engine in ENGINES:
        taken = [
            index
            for index, arm in enumerate(study.arms)
            if index and misfit_of(study.replaced(arms=(arm,)), engine) is None
        ]
        if engine == "reference" or not taken:
            continue
        history = train(make_batch(study, tuple(taken)), engine)
        assert_close(history, reference.part(A=taken), 1e-10)


@dataclass(frozen=True)
class Invented(Regularizer):
    """Acts through every hook, and by replicate and kind of parameter, as none of the package."""

    command: ClassVar[str] = "invented"
    option: ClassVar[str] = "tau"
    symbol: ClassVar[str] = "τ"
    default: ClassVar[float] = 0.1
    stream: ClassVar[int] = 1000
    summary: ClassVar[str] = "Compare an invention with none."

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        """Add λ‖θ‖θ, twice for biases."""
        norms = parameter.flatten(1).norm(dim=1).reshape(-1, *[1] * (parameter.dim() - 1))
        gradient.add_(parameter * norms, alpha=self.strength * (1 + step.parameter.is_bias))

    def after_step_(self, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
        """Take off a share of the largest weight, and slow down; for biases only that."""
        lr = step.training.lr
        if not step.parameter.is_bias:
            largest = parameter.flatten(1).abs().amax(dim=1)
            parameter.sub_(lr * self.strength * largest.reshape(-1, *[1] * (parameter.dim() - 1)))
        if momentum is not None:
            momentum.mul_(1 - lr * self.strength)

    def factor(self, step: Step) -> Tensor:
        """Return 1 and noise of both forms."""
        noisy = 2 * step.noise.uniform() - 1 + step.noise.normal().double()
        return (1 + self.strength * noisy).to(step.noise.dtype)


@pytest.mark.parametrize("hook", ["add_penalty_gradient_", "after_step_", "factor", None])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_reference_and_batched_agree_on_a_regularizer_that_they_do_not_know(
    monkeypatch: pytest.MonkeyPatch, hook: str | None, optimizer: str
) -> None:
    for other in ("add_penalty_gradient_", "after_step_", "factor"):
        if hook is not None and other != hook:
            monkeypatch.setattr(Invented, other, getattr(Regularizer, other))
    for pairing, depth in itertools.product(("shared", "independent"), (0, 2)):
        study = make_arms_study(
            Invented(0.0), Invented(0.1), dtype="float64", optimizer=optimizer, pairing=pairing,
            depth=depth,
        )  # fmt: skip
        reference, batched = train(study, "reference"), train(study, "batched")
        logged = reference.test_loss[reference.at(10) :]
        assert (logged[:, 1] != logged[:, 2]).all()
        assert_close(batched, reference, 1e-10)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_reference_and_batched_agree_on_its_sum_with_those_that_they_know(optimizer: str) -> None:
    arms = [act(kinds) + Invented(0.1) for kinds in SUMS]
    study = make_arms_study(*arms, dtype="float64", optimizer=optimizer)
    reference, batched = train(study, "reference"), train(study, "batched")
    logged = reference.test_loss[reference.at(10) :]
    assert (logged[:, 1:] != logged[:, :1]).all()
    assert_close(batched, reference, 1e-10)


@every_engine
def test_linear_model_trains(engine: str) -> None:
    sums = [k for k in FEW if misfit_of(make_arms_study(act(k), depth=0), engine) is None]
    history = train(make_arms_study(*map(act, sums), depth=0), engine)
    assert np.isfinite(history.test_loss).all()


# Noise.


@every_kind
def test_factor_has_mean_one(kind: Kind) -> None:
    limit, _ = kind.strength_limit(Training(lr=0.01, momentum=0.9))
    keys = noise_keys(torch.arange(50), 3, 40, kind.stream)
    strengths = () if kind.is_whole else (0.1, 0.25, 0.5, 0.9)
    for strength in (s for s in (*strengths, kind.default) if s < limit):
        regularizer = kind(strength)
        factor = regularizer.factor(make_step(Noise(keys, torch.tensor(1), 200, torch.float64)))
        assert (factor is not None) == regularizer.has_hook("factor")
        if factor is not None:
            assert factor.shape == (3, 50, 40, 200)
            assert factor.dtype == torch.float64
            error = factor.std() / factor.numel() ** 0.5
            assert abs(float((factor.mean() - 1) / error)) < 5
    assert not kind(kind.neutral).has_hook("factor")


def test_no_two_regularizers_share_their_noise() -> None:
    kinds: list[Kind] = [*KINDS, Invented]
    noisy = [kind for kind in kinds if kind(kind.default).has_hook("factor")]
    streams = [kind.stream for kind in noisy]
    assert len(set(streams)) == len(streams)
    assert all(0 <= stream < 2**63 // LAYERS_APART for stream in streams)
    factors = []
    for kind in noisy:
        keys = noise_keys(torch.arange(50), 3, 40, kind.stream)
        noise = Noise(keys, torch.tensor(1), 200, torch.float64)
        factors.append(kind(kind.default).factor(make_step(noise)))
    for one, other in itertools.combinations(factors, 2):
        assert one is not None
        assert other is not None
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
        assert abs(float(correlation)) * one.numel() ** 0.5 < 5


# Words.


@every_kind
def test_words_of_a_regularizer_fit_options_folders_and_tables(kind: Kind) -> None:
    assert REGULARIZERS[kind.command] is kind
    assert kind.option.isascii()
    assert kind.summary.endswith(".")
    assert kind.symbol.isprintable()
    assert kind.neutral in (0.0, float("inf"))
    limit, _ = kind.strength_limit(Training(lr=0.01, momentum=0.9))
    assert 0 < kind.default < limit
    assert kind(kind.default).is_active
    assert not kind(kind.neutral).is_active
    strengths = (1, 2, 10**9, 0) if kind.is_whole else (0.1, 0.1 + 2**-56, 1e-30, 0.0)
    names = [kind(strength).name for strength in strengths]
    assert len(set(names)) == len(names)
    for name in [*names, Arm().name]:
        assert name.isascii()
        assert name.isprintable()
        assert "/" not in name


def test_name_of_a_sum_is_read_back_as_the_sum() -> None:
    for kinds, times in itertools.product(SUMS, (1.0, 1 / 3, 1e-9)):
        arm = act(kinds, times)
        assert arms_of("ARM", arm.name) == [arm]


@every_kind
def test_what_can_be_no_strength_is_refused_where_it_is_made(kind: Kind) -> None:
    wrong: list[Any] = [-1, math.nan, -math.inf, math.inf, True, "0.1"]
    wrong += [0.5] * kind.is_whole + [1.0, 1.5] * kind.is_probability
    for strength in wrong:
        if strength != kind.neutral:
            with pytest.raises(UsageError, match=f"^{kind.__name__}: got '{strength}'; allowed: "):
                kind(strength)
    assert kind(0).strength == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bound_beyond_all_norms_binds_nothing(dtype: str) -> None:
    study = make_study("max-norm", (1e39,), dtype=dtype, epochs=3, log_every=3)
    risk = train(study, "batched").risk
    np.testing.assert_array_equal(risk[:, 0], risk[:, 1])
