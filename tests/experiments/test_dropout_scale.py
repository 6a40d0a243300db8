"""torch's dropout against its exact law, and that a broken one is found out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from commands import NO_FILES
from scipy import stats
from torch import nn

from regbench.errors import UsageError
from regbench.settings.study import DropoutScale
from regbench.verify.dropout_scale import Scale, measure_scale

if TYPE_CHECKING:
    from commands import Command


def measure(p: float, units: int = 2000, trials: int = 2000, seed: int = 1) -> Scale:
    """Return what torch's dropout gives at p."""
    study = DropoutScale(p=(p,), units=units, trials=trials, seed=seed)
    done: list[int] = []
    scale = measure_scale(p, study, done.append)
    assert sum(done) == trials
    return scale


@pytest.mark.parametrize("p", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_measured_mean_and_spread_agree_with_theory(p: float) -> None:
    scale = measure(p)
    n = len(scale.outputs)
    assert scale.theory_sd == pytest.approx(math.sqrt(2000 * p / (1 - p)), rel=1e-12)
    assert abs(scale.outputs.mean() - 2000) / (scale.theory_sd / math.sqrt(n)) < 5
    # The standard error of a sample variance follows from the law's fourth moment.
    kurtosis = float(stats.binom(2000, 1 - p).stats(moments="k")) + 3
    error = math.sqrt((kurtosis - (n - 3) / (n - 1)) / n)
    assert abs(scale.outputs.var(ddof=1) / scale.theory_sd**2 - 1) / error < 5
    assert scale.eval_output == 2000
    assert scale.fits_law
    np.testing.assert_allclose(scale.outputs, scale.kept / (1 - p), rtol=1e-4)


def test_first_output_is_that_of_torch_at_the_seed() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        expected = nn.functional.dropout(torch.ones(10_000), 0.5).sum().item()
    assert measure(0.5, units=10_000, trials=2, seed=3).outputs[0] == expected


def test_nothing_is_dropped_at_p_zero() -> None:
    scale = measure(0.0, units=50, trials=20)
    assert (scale.outputs == 50).all()
    assert scale.theory_sd == 0
    assert scale.fits_law


@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.95])
def test_one_unit_and_two_trials_work(p: float) -> None:
    assert measure(p, units=1, trials=2).fits_law
    assert measure(p, units=1, trials=500).fits_law


def test_fair_dropout_is_hardly_ever_called_broken() -> None:
    scales = [measure(0.3, units=200, trials=200, seed=seed) for seed in range(200)]
    assert all(scale.fits_law for scale in scales)
    # The probabilities of true hypotheses are about uniform: neither test is trivially satisfied.
    for name in ("keep_probability", "shape_probability"):
        values = [getattr(scale, name) for scale in scales]
        assert 0.4 < float(np.mean(values)) < 0.6
        assert min(values) < 0.05


def test_probability_of_the_kept_number_is_scipys_binomial_test() -> None:
    scale = measure(0.4, units=30, trials=40)
    expected = stats.binomtest(int(scale.kept.sum()), 30 * 40, 0.6).pvalue
    assert scale.keep_probability == pytest.approx(float(expected), rel=1e-9)


def test_article_draw_is_an_ordinary_one() -> None:
    scale = measure(0.5, units=10_000, trials=2)
    assert scale.article_z == pytest.approx(-1.32)
    assert scale.article_probability == pytest.approx(0.190, abs=5e-4)
    assert measure(0.5, units=9_999, trials=2).article_z is None
    assert measure(0.4, units=10_000, trials=2).article_probability is None


def test_global_random_numbers_are_left_alone() -> None:
    state = torch.get_rng_state()
    measure(0.5, units=10, trials=10)
    assert torch.equal(torch.get_rng_state(), state)


def keep_too_many(self: nn.Dropout, x: torch.Tensor) -> torch.Tensor:
    return (torch.rand_like(x) >= self.p - 0.01) / (1 - self.p) if self.training else x


def scale_wrongly(self: nn.Dropout, x: torch.Tensor) -> torch.Tensor:
    return (torch.rand_like(x) >= self.p).float() if self.training else x


def drop_in_pairs(self: nn.Dropout, x: torch.Tensor) -> torch.Tensor:
    if not self.training:
        return x
    half = torch.rand(x.shape[0], x.shape[1] // 2) >= self.p
    return half.repeat(1, 2) / (1 - self.p)


def drop_a_fixed_number(self: nn.Dropout, x: torch.Tensor) -> torch.Tensor:
    if not self.training:
        return x
    return (torch.arange(x.shape[1]) % 2).expand_as(x).float() / (1 - self.p)


def drop_in_evaluation(self: nn.Dropout, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.dropout(x, self.p, training=True)


@pytest.mark.parametrize("broken", [keep_too_many, drop_in_pairs, drop_a_fixed_number])
def test_broken_mask_is_found_out(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, broken: object
) -> None:
    monkeypatch.setattr(nn.Dropout, "forward", broken)
    finished = regbench("dropout-scale", *NO_FILES)
    assert finished.code == 1
    assert "DOES NOT FIT" in finished.out


@pytest.mark.parametrize("broken", [scale_wrongly, drop_in_evaluation])
def test_broken_scale_is_found_out(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, broken: object
) -> None:
    monkeypatch.setattr(nn.Dropout, "forward", broken)
    assert regbench("dropout-scale", *NO_FILES).code == 1


def test_several_p_are_the_same_as_each_alone(regbench: Command) -> None:
    options = ["--units=50", "--trials=20", "--json", *NO_FILES]
    both = regbench("dropout-scale", "--p=0.2,0.5", *options).document["scales"]
    alone = [
        regbench("dropout-scale", f"--p={p}", *options).document["scales"][0] for p in (0.2, 0.5)
    ]
    assert both == alone


def test_long_drawing_says_so_before_it_begins(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise UsageError(problem="drawing began")

    monkeypatch.setattr("regbench.verify.dropout_scale.measure_scale", refuse)
    finished = regbench("dropout-scale", "--units=100000", "--trials=100000", "--p=0.1,0.2")
    said, ended = finished.err.splitlines()
    assert said.startswith(
        "This will take about 8 minutes of drawing"
    )  # at 40 million units a second
    assert "drawing began" in ended
    finished = regbench("dropout-scale", "--units=10000", "--trials=1000")
    assert len(finished.err.splitlines()) == 1
