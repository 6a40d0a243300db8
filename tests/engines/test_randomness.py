"""The streams of replicates and the hash behind the dropout masks."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from oracles import hash_word, keeps
from scipy import stats
from training import make_step, make_study

from regbench.engines.base import draw_start
from regbench.engines.model import Noise, layer_noise, noise_keys, replicate_generator
from regbench.regularizers.noise import Dropout

if TYPE_CHECKING:
    from torch import Tensor

AXES = ("epoch", "layer", "seed", "sample", "unit")
DROP_PROBABILITIES = (0.05, 0.3, 0.5, 0.9)
SMALLEST_DRAWS = 1_000_000


def draw_words(epochs: int, layers: int, seeds: int, samples: int, units: int) -> Tensor:
    """Return words `(E, L, R, N, H)` of neighbouring coordinates."""
    keys = noise_keys(torch.arange(1, seeds + 1), layers, samples)
    return torch.stack(
        [layer_noise(keys, torch.tensor(epoch), units) for epoch in range(1, epochs + 1)]
    )


def words_along(axis: str) -> Tensor:
    """Return words with at least a million of each of six places along an axis, which is first."""
    sizes = {"epoch": 20, "layer": 3, "seed": 10, "sample": 10, "unit": 200}
    if axis == "unit":
        sizes["epoch"] *= 200 // 6 + 1
    sizes[axis] = 6
    others = math.prod(size for name, size in sizes.items() if name != axis)
    sizes["seed" if axis == "epoch" else "epoch"] *= -(-SMALLEST_DRAWS // others)
    words = draw_words(*(sizes[name] for name in AXES))
    return words.movedim(AXES.index(axis), 0).flatten(1)


class Drawn:
    """Noise of words that were drawn before."""

    dtype = torch.float32

    def __init__(self, words: Tensor) -> None:
        self.words = words

    def uniform(self) -> Tensor:
        """Return the number of each word, read as signed, in [0, 1)."""
        return self.words.double() / 2.0**32 + 0.5

    def normal(self) -> Tensor:
        """Dropout asks for none."""
        raise AssertionError


def is_kept(p: float, words: Tensor) -> Tensor:
    """Return where dropout keeps a unit."""
    return Dropout(p).factor(make_step(Drawn(words))) > 0


def test_words_are_the_documented_hash_bit_for_bit() -> None:
    chosen = random.Random(0)
    for _ in range(40):
        seed, epoch = (
            chosen.choice([0, 1, 2**32 - 1, chosen.randrange(2**32)]),
            chosen.randrange(1, 10**9),
        )
        words = layer_noise(noise_keys(torch.tensor([seed]), 3, 4), torch.tensor(epoch), 7)
        assert words.dtype == torch.int32
        expected = [
            [[hash_word(seed, layer, n, epoch, h) for h in range(7)] for n in range(4)]
            for layer in range(3)
        ]
        assert (words[:, 0].numpy().view(np.uint32) == np.array(expected, dtype=np.uint32)).all()


def test_streams_are_the_documented_hash_far_apart_in_the_layers() -> None:
    for stream in (0, 1, 5):
        keys = noise_keys(torch.tensor([7]), 3, 2, stream)
        words = layer_noise(keys, torch.tensor(4), 5)
        expected = [
            [[hash_word(7, stream * 2**20 + layer, n, 4, h) for h in range(5)] for n in range(2)]
            for layer in range(3)
        ]
        assert (words[:, 0].numpy().view(np.uint32) == np.array(expected, dtype=np.uint32)).all()
    assert torch.equal(noise_keys(torch.tensor([7]), 3, 2), noise_keys(torch.tensor([7]), 3, 2, 0))


def test_streams_are_uncorrelated() -> None:
    first, *others = (
        layer_noise(noise_keys(torch.arange(1, 101), 3, 20, stream), torch.tensor(1), 200)
        for stream in range(4)
    )
    assert first.numel() > SMALLEST_DRAWS
    for other in others:
        product = (first.double() + 0.5) * (other.double() + 0.5) / 2.0**64
        assert abs(product.mean() * 12 * math.sqrt(product.numel())) < 5


def test_noise_has_the_uniform_and_the_normal_numbers_of_its_words() -> None:
    keys, epoch = noise_keys(torch.tensor([8, 9]), 2, 50), torch.tensor(3)
    words = layer_noise(keys, epoch, 100).numpy().astype(np.float64)
    noise = Noise(keys, epoch, 100, torch.float32)
    uniform, normal = noise.uniform(), noise.normal()
    assert (uniform.dtype, normal.dtype) == (torch.float64, noise.dtype)
    assert torch.equal(noise.uniform(), uniform), "asking for both changes neither"
    np.testing.assert_array_equal(uniform, words / 2**32 + 0.5)
    expected = stats.norm.ppf((words + 2**31 + 0.5) / 2**32)
    np.testing.assert_allclose(normal, expected, rtol=1e-6, atol=1e-7)
    assert stats.kstest(normal.numpy().ravel(), "norm").pvalue > 1e-6


def test_normal_number_of_any_word_is_finite() -> None:
    class Extreme(Noise):
        _uniform = torch.tensor([0.0, 2.0**-32, 0.5, 1 - 2.0**-32], dtype=torch.float64)

    noise = Extreme(torch.zeros(0), torch.tensor(1), 4, torch.float64)
    low, _, middle, high = noise.normal().tolist()
    assert low == pytest.approx(stats.norm.ppf(2.0**-33))
    assert high == pytest.approx(-low, rel=1e-6)
    assert 0 < middle < 1e-9


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 0.999])
def test_masks_keep_a_unit_where_its_uniform_number_is_at_least_p(p: float) -> None:
    keys = noise_keys(torch.tensor([8, 9]), 2, 5)
    factor = Dropout(p).factor(make_step(Noise(keys, torch.tensor(3), 30, torch.float64)))
    expected = [
        [
            [[keeps(s, layer, n, 3, h, p) / (1 - p) for h in range(30)] for n in range(5)]
            for s in (8, 9)
        ]
        for layer in range(2)
    ]
    np.testing.assert_allclose(factor.numpy(), expected, rtol=1e-15)


# Masks at different p come from the same words, so that arms at different p are paired too.
def test_a_unit_dropped_at_a_small_p_is_dropped_at_every_larger_one() -> None:
    words = draw_words(2, 2, 2, 5, 100)
    kept = [is_kept(p, words) for p in (0.1, 0.4, 0.8)]
    assert (kept[0] >= kept[1]).all()
    assert (kept[1] >= kept[2]).all()


@pytest.mark.parametrize("axis", AXES)
def test_keep_rate_is_right_at_every_place(axis: str) -> None:
    words = words_along(axis)
    draws = words.shape[1]
    assert draws >= SMALLEST_DRAWS
    for p in DROP_PROBABILITIES:
        kept = is_kept(p, words).sum(dim=1).double()
        z = (kept - draws * (1 - p)) / math.sqrt(draws * p * (1 - p))
        assert z.abs().max() < 5, (p, z)


def test_keep_rate_is_right_for_each_of_two_hundred_units() -> None:
    keys = noise_keys(torch.arange(1, 201), 5, 10)
    kept = torch.zeros(200, dtype=torch.int64)
    for epoch in range(1, 101):
        words = layer_noise(keys, torch.tensor(epoch), 200)
        kept += words.ge(0).flatten(0, -2).sum(dim=0)
    draws = 200 * 5 * 10 * 100
    assert draws >= SMALLEST_DRAWS
    assert ((kept - draws / 2) / math.sqrt(draws / 4)).abs().max() < 5


@pytest.mark.parametrize("axis", AXES)
def test_neighbours_are_uncorrelated(axis: str) -> None:
    words = words_along(axis)
    for first, second in ((0, 1), (1, 2), (4, 5), (0, 2)):
        left, right = words[first].double(), words[second].double()
        uniform = (left + 0.5) * (right + 0.5) / 2.0**64
        z = uniform.mean() * 12 * math.sqrt(uniform.numel())
        assert abs(z) < 5, (first, second, z)
        for p in DROP_PROBABILITIES:
            keep = 1 - p
            left_kept = is_kept(p, words[first]).double() - keep
            right_kept = is_kept(p, words[second]).double() - keep
            z = (left_kept * right_kept).mean() / (p * keep) * math.sqrt(left_kept.numel())
            assert abs(z) < 5, (first, second, p, z)


def test_every_byte_of_the_words_is_uniform() -> None:
    many_epochs, many_seeds = draw_words(50, 3, 10, 10, 200), draw_words(5, 1, 2000, 1, 200)
    for words, shift in itertools.product((many_epochs, many_seeds), (0, 8, 16, 24)):
        counts = torch.bincount(((words >> shift) & 255).flatten().long(), minlength=256)
        assert stats.chisquare(counts.numpy()).pvalue > 1e-6


def test_pairs_of_neighbouring_units_fill_the_square_evenly() -> None:
    words = draw_words(50, 3, 10, 10, 200)
    top = ((words >> 28) & 15).long()
    pairs = torch.bincount((top[..., :-1:2] * 16 + top[..., 1::2]).flatten(), minlength=256)
    assert stats.chisquare(pairs.numpy()).pvalue > 1e-6


def test_ten_thousand_replicates_share_no_stream() -> None:
    starts, masks, firsts = set(), set(), set()
    seeds = [*range(5000), *range(2**32 - 5000, 2**32)]
    study = make_study(points=5, hidden=4, depth=1)
    for seed in seeds:
        start = draw_start(study, seed)
        values = torch.cat([value.flatten() for value in start.parameters[0]])
        starts.add(hashlib.sha256(values.numpy().tobytes()).digest())
        firsts.add(hashlib.sha256(start.data.y.numpy().tobytes()).digest())
    words = layer_noise(noise_keys(torch.tensor(seeds), 1, 2), torch.tensor(1), 8)
    for replicate in words[0].flatten(1).numpy():
        masks.add(replicate.tobytes())
    assert len(starts) == len(firsts) == len(masks) == len(seeds)


def test_nearby_seeds_share_no_number_at_any_place() -> None:
    draws = 100_000
    streams = [torch.rand(draws, generator=replicate_generator(seed)) for seed in range(1, 6)]
    for first, left in enumerate(streams):
        for right in streams[first + 1 :]:
            for lag in (0, 1, 2, 7, 624):
                product = (left[lag:] - 0.5) * (right[: draws - lag] - 0.5)
                assert abs(product.mean() * 12 * math.sqrt(draws - lag)) < 5
    # Of 5e5 uniform 64-bit words none is expected twice; one stream shifted in another shows here.
    keys = noise_keys(torch.arange(1, 501), 10, 100).flatten()
    assert len(torch.unique(keys)) == len(keys)


@pytest.mark.parametrize("pairing", ["shared", "independent"])
def test_weights_are_shared_or_independent_as_asked(pairing: str) -> None:
    start = draw_start(make_study(strengths=(0.1, 0.2), pairing=pairing), 4)
    for value, other in zip(start.parameters[0], start.parameters[2], strict=True):
        assert torch.equal(value, other) == (pairing == "shared")


def test_generators_leave_the_global_random_numbers_alone() -> None:
    state = torch.get_rng_state()
    draw_start(make_study(), 4)
    assert torch.equal(torch.get_rng_state(), state)
