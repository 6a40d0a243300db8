"""One network in the layout of the fused kernel, and what a thread needs to train it.

Others see weights and biases as `nn.Linear` has them. Knows nothing about threads, arms or what is
measured.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regbench.engines.base import BETA_2, EPSILON
from regbench.engines.fused.kernel import LARGEST_BLOCK, U64, train
from regbench.engines.fused.simd import VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array


class Coefficients(NamedTuple):
    """What one network is trained with; what SGD calls momentum is Adam's first decay.

    `l2`: λθ is added to the gradient; `decoupled`: θ is multiplied by 1 - ηλ before the step; `l1`:
    soft thresholding by ηλ after it, where the momentum takes up what is cut off, over η; `p`:
    inverted dropout on the hidden activations. The regularizers' hooks do the same.
    """

    lr: float
    momentum: float
    l2: float = 0.0
    l1: float = 0.0
    decoupled: float = 0.0
    p: float = 0.0
    beta_2: float = BETA_2
    epsilon: float = EPSILON


class Network:
    """The parameters and momenta of one network, in the layout of `train`.

    It starts from weights `(out, in)` and biases `(out,)` in turn, of one dtype (float32 or
    float64), for hidden layers of one width and a single output. With 2 planes it is trained by
    SGD, with 3 by Adam.
    """

    def __init__(self, parameters: Sequence[Array], planes: int = 2) -> None:
        weights = parameters[::2]
        self.sizes = [weights[0].shape[1], *(weight.shape[0] for weight in weights)]
        dtype = weights[0].dtype
        columns = round_up(self.sizes[-2], VECTOR_BYTES // dtype.itemsize)
        rows = sum(size + 1 for size in self.sizes[:-2]) + 2
        self.theta = aligned((rows, planes, columns), dtype)
        for view, parameter in zip(self.views(), parameters, strict=True):
            view[:] = parameter

    def views(self) -> list[Array]:
        """Return writable views of weights and biases in turn."""
        first, views = 0, []
        for before, after in zip(self.sizes[:-2], self.sizes[1:-1], strict=True):
            rows = self.theta[first : first + before + 1, 0, :after]
            views += [rows[:-1].T, rows[-1]]
            first += before + 1
        return [*views, self.theta[-2:-1, 0, : self.sizes[-2]], self.theta[-1, 0, :1]]


class Workspace:
    """What a thread needs to train or ask networks of one shape at N inputs `x`, `(N, D)`."""

    def __init__(self, network: Network, x: Array) -> None:
        (rows, _, columns), dtype = network.theta.shape, network.theta.dtype
        self.points, inputs = x.shape
        self.lanes = VECTOR_BYTES // dtype.itemsize
        blocks = -(-self.points // LARGEST_BLOCK)
        self.block = -(-self.points // blocks)
        self.sizes = inputs, network.sizes[-2], len(network.sizes) - 2
        samples = round_up(self.block, self.lanes)
        signal, back = (aligned((rows + self.lanes, blocks, samples), dtype) for _ in range(2))
        grid, slope = (aligned((blocks, samples, columns), dtype) for _ in range(2))
        total, self.answer = aligned((columns,), dtype), aligned((blocks, samples), dtype)
        by_row = np.arange(rows), np.zeros(rows, int)
        self.scratch = signal, back, grid, slope, total, self.answer, *by_row
        self.fill(x)

    def fill(self, x: Array, shares: Array | None = None) -> None:
        """Take the inputs `(N, D)`, and what each counts in the loss `(N,)`: 1/N where not given.

        A row that counts 0 is padding.
        """
        if shares is None:
            shares = np.full(self.points, 1 / self.points, x.dtype)
        (signal, _, grid, *_), inputs = self.scratch, self.sizes[0]
        self.share = self.in_blocks(shares[None])[0]
        if self.sizes[2]:
            signal[:inputs, :, : self.block] = self.in_blocks(x.T)
            signal[inputs, :, : self.block] = self.share > 0
        else:
            grid[:, : self.block, :inputs] = np.moveaxis(self.in_blocks(x.T), 0, 2)

    def in_blocks(self, rows: Array) -> Array:
        """Return `(..., N)` as `(..., blocks, block)`, filled up with zeros."""
        blocks = len(self.answer)
        padded = np.pad(rows, [(0, 0), (0, blocks * self.block - self.points)])
        return np.ascontiguousarray(padded).reshape(-1, blocks, self.block)

    def train(
        self,
        network: Network,
        y: Array,
        coefficients: Coefficients,
        seed: int,
        epoch: int,
        count: int,
    ) -> float:
        """Train a network in place towards `y`, `(N,)`, and return its loss; see `kernel.train`."""
        targets, numbers = self.in_blocks(y[None])[0], tuple(map(float, coefficients))
        about = self.share, self.sizes, numbers, U64(seed), epoch, count, self.scratch
        lengths = self.block, self.lanes, network.theta.shape[1]
        return float(train(network.theta, targets, *about, *((0,) * length for length in lengths)))

    def ask(self, network: Network) -> Array:
        """Return a network's answers `(N,)` in evaluation mode."""
        nothing = np.zeros(self.points, network.theta.dtype)
        self.train(network, nothing, Coefficients(0.0, 0.0), seed=0, epoch=1, count=0)
        return self.answer[:, : self.block].flatten()[: self.points]


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return zeros that start at a multiple of 64 bytes."""
    size = math.prod(shape) * dtype.itemsize
    raw = np.zeros(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


def round_up(count: int, unit: int) -> int:
    """Return the smallest multiple of `unit` from `count` on."""
    return -(-count // unit) * unit
