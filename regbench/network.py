"""The multi-layer perceptron: its parameters, their initial values, and the forward pass.

Knows nothing about data, losses or training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from regbench.config import NetworkSettings

Parameters = list["Tensor"]
"""Weight and bias of each layer in turn: `(..., out, in)` and `(..., out)`, as `nn.Linear`."""


def layer_sizes(network: NetworkSettings) -> list[int]:
    """Return the width of every layer, from the one input to the one output."""
    return [1, *[network.hidden] * network.depth, 1]


def parameter_count(network: NetworkSettings) -> int:
    """Return the number of weights and biases of one network."""
    sizes = layer_sizes(network)
    return sum(i * o + o for i, o in zip(sizes, sizes[1:], strict=False))


def parameter_names(network: NetworkSettings) -> list[str]:
    """Return `hidden1.weight`, `hidden1.bias`, … `output.bias`, in the order of `Parameters`."""
    layers = [*(f"hidden{layer + 1}" for layer in range(network.depth)), "output"]
    return [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]


def draw_parameters(network: NetworkSettings, generator: torch.Generator) -> Parameters:
    """Draw initial parameters of one network, float32, digit for digit as `nn.Linear` does.

    Weights are Kaiming-uniform with a = √5 and biases uniform, which for both is
    U(-1/√in, 1/√in); each layer's weight is drawn before its bias.
    """
    parameters: Parameters = []
    sizes = layer_sizes(network)
    for fan_in, fan_out in zip(sizes, sizes[1:], strict=False):
        weight = torch.empty(fan_out, fan_in)
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)
        bound = 1 / math.sqrt(fan_in)
        bias = torch.empty(fan_out).uniform_(-bound, bound, generator=generator)
        parameters += [weight, bias]
    return parameters


def forward(parameters: Parameters, x: Tensor, factors: Tensor | None = None) -> list[Tensor]:
    """Return the input of every layer, and last the networks' outputs.

    Args:
        parameters: Of R networks: weights `(R, out, in)`, biases `(R, out)`.
        x: Inputs `(R, N, 1)`.
        factors: What multiplies the hidden activations, `(L, R, N, H)`, or None in evaluation.

    Returns:
        `x`, the hidden activations `(R, N, H)` after ReLU and factor, and the outputs `(R, N, 1)`.
    """
    activations = [x]
    for layer, (weight, bias) in enumerate(zip(parameters[::2], parameters[1::2], strict=True)):
        output = torch.baddbmm(bias.unsqueeze(1), activations[-1], weight.mT)
        if 2 * layer + 2 < len(parameters):
            output.relu_()
            if factors is not None:
                output *= factors[layer]
        activations.append(output)
    return activations
