"""The multi-layer perceptron, and where its random numbers come from.

Data and initial weights are drawn in sequence from a generator that a replicate's seed alone
determines. Noise during training (dropout masks) is a pure function of where it is used, so that
it is the same in any batch, engine, process or device, and for every arm. Knows nothing about
tasks, losses, training or regularizers.
"""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from regbench.settings.study import Network

Parameters = list[Tensor]
"""Weight and bias of each layer in turn, `(..., out, in)` and `(..., out)`, as in `nn.Linear`."""
LAYERS_APART = 2**20
"""Layers between two streams of noise: more than a network has."""


def draw_parameters(network: Network, generator: torch.Generator) -> Parameters:
    """Draw initial parameters of one network, float32, digit for digit as `nn.Linear` does.

    Weights are Kaiming-uniform with a = √5 and biases uniform, which for both is
    U(-1/√in, 1/√in); each layer's weight is drawn before its bias.
    """
    parameters: Parameters = []
    for fan_in, fan_out in itertools.pairwise(network.layer_sizes):
        weight = torch.empty(fan_out, fan_in, dtype=torch.float32)
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        bound, bias = 1 / math.sqrt(fan_in), weight.new_empty(fan_out)
        parameters += [weight, bias.uniform_(-bound, bound, generator=generator)]
    return parameters


def expand(x: Tensor, degree: int) -> Tensor:
    """Return the powers 1 to K of inputs: `(..., 1)` to `(..., K)`, rounded once from float64.

    Inputs that are so many already are returned as they are.
    """
    if degree == x.shape[-1]:
        return x
    return x.double().pow(torch.arange(1, degree + 1, device=x.device)).to(x.dtype)


def forward(parameters: Parameters, x: Tensor, factors: Tensor | None = None) -> list[Tensor]:
    """Return what R networks make of inputs `(R, N, D)`: the input of every layer, and the outputs.

    These are the inputs, the hidden activations `(R, N, H)` after ReLU and factor, and the outputs
    `(R, N, 1)`. Factors are `(L, R, N, H)`; without hidden layers, on the inputs: `(1, R, N, D)`.
    """
    activations = [x * factors[0] if len(parameters) == 2 and factors is not None else x]
    for layer, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        output = torch.baddbmm(bias.unsqueeze(1), activations[-1], weight.mT)
        if 2 * layer + 2 < len(parameters):
            output.relu_()
            if factors is not None:
                output *= factors[layer]
        activations.append(output)
    return activations


def replicate_generator(seed: int) -> torch.Generator:
    """Return the CPU generator of a replicate's data and initial weights; seeds have 32 bits."""
    return torch.Generator().manual_seed(seed)


def noise_keys(seeds: Tensor, layers: int, samples: int, stream: int = 0, first: int = 0) -> Tensor:
    """Return what `layer_noise` needs of every (layer, replicate, sample), computed once.

    Of int64 seeds `(R,)`, L hidden layers and N training points that is int64 `(L, R, N)`, to be
    read as unsigned. The stream is that of the regularizer that uses the noise; layers are counted
    from `first`.
    """
    key = _absorb(torch.zeros_like(seeds), seeds)
    layer = stream * LAYERS_APART + first + torch.arange(layers, device=seeds.device)
    key = _absorb(key, layer[:, None])
    return _absorb(key[..., None], torch.arange(samples, device=seeds.device))


class Noise:
    """The noise of one epoch, in the forms that regularizers ask for; see `regularizers.Noise`.

    Keys are from `noise_keys`; `epoch` is int64 `()`, from 1; `units` is H; networks are trained in
    `dtype`.
    """

    def __init__(self, keys: Tensor, epoch: Tensor, units: int, dtype: torch.dtype) -> None:
        self.keys, self.epoch, self.units, self.dtype = keys, epoch, units, dtype

    @cached_property
    def _uniform(self) -> Tensor:
        return layer_noise(self.keys, self.epoch, self.units).double().mul_(2.0**-32).add_(0.5)

    def uniform(self) -> Tensor:
        """Return float64 `(L, R, N, H)`, uniform on the multiples of 2⁻³² in [0, 1)."""
        return self._uniform

    def normal(self) -> Tensor:
        """Return standard normal numbers `(L, R, N, H)`: Φ⁻¹ of the middle of each multiple."""
        normal: Tensor = torch.special.ndtri(self._uniform + 2.0**-33).to(self.dtype)
        return normal


def layer_noise(keys: Tensor, epoch: Tensor, units: int) -> Tensor:
    """Return the noise of one epoch: independent, uniform 32-bit words.

    A word is a hash of its coordinates (seed, layer, sample, epoch, unit) alone. All but the unit
    are absorbed into a 64-bit key by SplitMix64's finalizer (Steele, Lea & Flood 2014, OOPSLA).
    The unit, as a step of a Weyl sequence, is mixed with one half of the key before and the other
    half between the two multiplications of a 32-bit finalizer (Wellons 2018, "Prospecting for Hash
    Functions", `lowbias32`), without its last xor-shift, which changes only the 16 low bits.

    Takes what `Noise` does; int32 `(L, R, N, H)`, of which word / 2³² + 1/2 is uniform on [0, 1).
    """
    key = _absorb(keys, epoch)[..., None]
    weyl = torch.arange(units, device=keys.device).mul_(0x9E3779B9).to(torch.int32)  # 2³² over φ
    word = key.to(torch.int32) + weyl
    word ^= (word >> 16) & 0xFFFF
    word *= 0x7FEB352D
    word ^= (word >> 15) & 0x1FFFF
    word ^= (key >> 32).to(torch.int32)
    word *= 0x846CA68B - 2**32
    return word


def _absorb(key: Tensor, coordinate: Tensor) -> Tensor:
    """Return the key that has taken in one more coordinate: a SplitMix64 step."""
    key = key + (coordinate + 1) * (0x9E3779B97F4A7C15 - 2**64)  # 2⁶⁴ over φ, signed as all here
    key = _xor_shifted(key, 30) * (0xBF58476D1CE4E5B9 - 2**64)
    key = _xor_shifted(key, 27) * (0x94D049BB133111EB - 2**64)
    return _xor_shifted(key, 31)


def _xor_shifted(key: Tensor, bits: int) -> Tensor:
    """Return the exclusive or of `key` and itself, shifted right as an unsigned number."""
    shifted: Tensor = (key >> bits) & (2 ** (64 - bits) - 1)
    return key ^ shifted
