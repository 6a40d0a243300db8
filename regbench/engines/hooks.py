"""How engines let the parts of an arm act: each hook with the `Step` that it is told.

Knows no regularizer, and nothing about how a step is computed.
"""

from __future__ import annotations

import functools
import math
import operator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from regbench.engines.base import torch_dtype
from regbench.engines.model import Noise, noise_keys
from regbench.regularizers.base import HOOKS, ParameterInfo, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Batch
    from regbench.regularizers import Arm, Regularizer

HIDDEN, INPUTS, TARGETS, FIRST_PARAMETER = range(4)
"""Numbers of the places where hooks act; parameters are numbered from the last one on."""


class Steps:
    """The `Step` of the present epoch for every place and every stream of noise.

    Arms that are trained together share it: at the same place and epoch one stream has one noise.
    `rows` are those of a replicate's training data.
    """

    def __init__(self, batch: Batch, device: torch.device, rows: int) -> None:
        network, sizes = batch.study.network, batch.study.network.noisy_sizes
        self.training, self.dtype = batch.study.training, torch_dtype(batch.study)
        self.seeds = torch.tensor(batch.noise_seeds, device=device)
        self.hidden = (len(sizes), len(self.seeds), rows, sizes[0])
        names = enumerate(network.parameter_names)
        infos = [ParameterInfo(name, index // 2, index % 2 == 1) for index, name in names]
        self.infos: list[Any] = [None] * FIRST_PARAMETER + infos
        self.clock = torch.zeros((), dtype=torch.int64, device=device)
        self.epoch, self.batch = torch.zeros(2, dtype=torch.float64, device=device)
        self.keys, self.steps = dict[tuple[int, int], Tensor](), dict[tuple[int, int], Step]()

    def advance(self) -> None:
        """Begin the next epoch; the first one is 1."""
        self.clock.add_(1)
        self.epoch.add_(1)
        self.steps.clear()

    def at(self, place: int, stream: int, shape: Sequence[int]) -> Step:
        """Return what a hook of a stream is told at a place, with noise of a shape.

        To the noise each place is a layer of its own: first the hidden ones, then the others.
        """
        key = place, stream
        if key not in self.steps:
            if key not in self.keys:
                layers, first = self.hidden[0], 0
                if place != HIDDEN:
                    layers, first = 1, layers + place - 1
                samples = math.prod(shape[:-1]) // (layers * len(self.seeds))
                keys = noise_keys(self.seeds, layers, samples, stream, first)
                self.keys[key] = keys.reshape(*shape[:-1])
            noise = Noise(self.keys[key], self.clock, shape[-1], self.dtype)
            told = self.epoch, self.batch, self.training, noise, self.infos[place]
            self.steps[key] = Step(*told)
        return self.steps[key]


class Hooks:
    """The hooks of an arm's active parts, which act one after the other.

    Raises `TypeError` where one returns what it must not, or does not return what it must.
    """

    def __init__(self, arm: Arm, steps: Steps) -> None:
        self.steps = steps
        self.parts = {hook: [p for p in arm.active if p.has_hook(hook)] for hook in HOOKS}

    def perturb(self, hook: str, place: int, values: Tensor) -> Tensor:
        """Return inputs or targets as the parts perturb them."""
        for part in self.parts[hook]:
            step = self.steps.at(place, part.stream, values.shape)
            found = getattr(part, hook)(values.clone(), step)
            if getattr(found, "shape", None) != values.shape:
                raise TypeError(f"{hook} returns no tensor of the same shape")
            values = found
        return values

    def factor_of(self, part: Regularizer) -> Tensor | None:
        """Return a part's factor, or None."""
        return part.factor(self.steps.at(HIDDEN, part.stream, self.steps.hidden))

    def factor(self) -> Tensor | None:
        """Return the product of the parts' factors, or None."""
        found = [factor for p in self.parts["factor"] if (factor := self.factor_of(p)) is not None]
        return functools.reduce(operator.mul, found) if found else None

    def change_(self, hook: str, index: int, tensor: Tensor, *others: Tensor | None) -> None:
        """Let the parts change the gradient or the parameter of an index in place."""
        for part in self.parts[hook]:
            step = self.steps.at(FIRST_PARAMETER + index, part.stream, tensor.shape)
            if getattr(part, hook)(tensor, *others, step) is not None:
                raise TypeError(f"{hook} returns a value, and is to change its tensor in place")
