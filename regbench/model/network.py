"""The multi-layer perceptron: its parameters, their initial values, and the forward pass.

Knows nothing about data, losses or training.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from regbench.settings.study import Network

Parameters = list[Tensor]
"""Weight and bias of each layer in turn, `(..., out, in)` and `(..., out)`, as in `nn.Linear`."""


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
    """Return the powers 1 to K of inputs: `(..., 1)` to `(..., K)`, rounded once from float64."""
    if degree == 1:
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
