"""The truths: what a task's targets are without noise. One line each, and all else follows.

Functions only call methods of the tensors that they are handed, so that naming a truth never
imports torch. Knows nothing about ranges, noise or scale.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Truth(NamedTuple):
    """A noise-free target before it is scaled, and how people read it behind the slope."""

    shape: Callable[[Tensor], Tensor]
    formula: str


TRUTHS = {
    "linear": Truth(lambda x: x, "x"),
    "quadratic": Truth(lambda x: x.square(), "x^2"),
    "sine": Truth(lambda x: (math.pi * x).sin(), " sin(pi x)"),
    "step": Truth(lambda x: x.sign(), " sign(x)"),
    "abs": Truth(lambda x: x.abs(), "|x|"),
    "cosine": Truth(lambda x: (math.pi * x).cos(), " cos(pi x)"),
    "sawtooth": Truth(lambda x: 2 * (x - (x + 0.5).floor()), " saw(x)"),
}
