"""What a regularizer is: one strength, its words, and the hooks through which it acts.

An arm is a sum of regularizers, of which the empty one is the baseline. Knows nothing about
engines, tasks or the command line. Hooks only call methods of the tensors that they are handed, so
that naming a regularizer never imports torch.
"""

from __future__ import annotations

import itertools
import math
import sys
import zlib
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from regbench.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

HOOKS = (
    *("perturb_inputs", "perturb_targets", "factor", "change_gradient_", "add_penalty_gradient_"),
    *("before_step_", "after_step_", "stops_at"),
)
"""The hooks, in the order in which every engine calls them."""


PERTURBING = ("perturb_inputs", "perturb_targets", "factor")
"""Hooks that make the training-mode loss differ from the evaluation-mode loss."""


class Noise(Protocol):
    """Random numbers of one epoch; see `engines.model`.

    They have the shape of what the hook works on: `(L, R, N, H)` for the factors of L hidden
    layers, and that of the inputs, the targets or the parameter in the other hooks.
    """

    dtype: torch.dtype
    """The floating-point type of training."""

    def uniform(self) -> Tensor:
        """Return float64 numbers, uniform on the multiples of 2⁻³² in [0, 1)."""

    def normal(self) -> Tensor:
        """Return standard normal numbers in `dtype`, on all devices the same to rounding."""


@dataclass(frozen=True)
class ParameterInfo:
    """Which parameter a hook works on: its name (`hidden1.weight`) and its layer, from 0."""

    name: str
    layer: int
    is_bias: bool


@dataclass(frozen=True)
class Step:
    """What every hook is told about the step in which it is called.

    Attributes:
        epoch: The epoch, from 1: a float64 tensor `()`, so that a GPU can repeat a recorded step.
        batch: The batch within the epoch; 0, as every batch has all training points.
        training: The study's `regbench.Training`: `lr`, `momentum`, `optimizer` and so on.
        noise: Random numbers that no other regularizer, place or epoch has.
        parameter: Which parameter the hook works on; None in hooks on data.
    """

    epoch: Tensor
    batch: Tensor
    training: Any
    noise: Noise
    parameter: ParameterInfo = None  # type: ignore[assignment]  # in hooks on data


@dataclass(frozen=True)
class Regularizer:
    """One way to regularize at one strength: a part of an arm.

    A subclass declares the words by which users know it and the hooks that it needs. From these
    it gets its subcommand, option, validation, labels, tables and figures. Every hook does
    nothing by default; at the neutral strength none is called, so that such an arm is the baseline.
    `strength` is λ, p, a bound or the like.
    """

    command: ClassVar[str]
    """The subcommand, as in `regbench wdecay`, and the name in an arm's."""
    option: ClassVar[str]
    """The option and configuration key of the strength, without dashes."""
    symbol: ClassVar[str]
    """The strength's usual letter, for tables and figures."""
    default: ClassVar[float]
    """The strength where none is given."""
    meaning: ClassVar[str] = "Strength of the regularizer"
    """What the strength is, in the option's help."""
    neutral: ClassVar[float] = 0.0
    """The strength that is no regularization: infinity for a bound."""
    upper_bound: ClassVar[float] = math.inf
    """What every strength is below, whatever is trained; see `strength_limit` too."""
    is_probability: ClassVar[bool] = False
    """Whether the strength is a probability: sweeps then space it evenly, not by its logarithm."""
    makes_zeros: ClassVar[bool] = False
    """Whether it sets parameters to exactly 0 by design."""
    is_whole: ClassVar[bool] = False
    """Whether the strength is a whole number, such as an epoch."""
    stream: ClassVar[int] = 0
    """Random stream, which makes noises in a sum independent; by default a hash of the command."""
    order: ClassVar[int]
    """Its place in a sum, which the registry sets."""
    summary: ClassVar[str]
    """What the subcommand does, in one line of help."""

    origin: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Where a plug-in comes from; empty for the package's own. See `plugins`."""

    strength: float = None  # type: ignore[assignment]  # the default

    def __init_subclass__(cls) -> None:
        if "stream" not in vars(cls) and "command" in vars(cls):
            cls.stream = 2**20 + zlib.crc32(str(cls.command).encode())

    def __post_init__(self) -> None:
        """Take the default where none is given; raises `UsageError` for what is no strength."""
        strength: Any = self.strength
        given = self.default if strength is None else strength
        given = given.item() if hasattr(given, "item") else given  # a number of NumPy's
        is_number = isinstance(given, (int, float)) and not isinstance(given, bool)
        is_strength = is_number and (0 <= given < self.upper_bound or given == self.neutral)
        if not is_strength or (self.is_whole and given < math.inf and given % 1):
            allowed = f"a {'whole' if self.is_whole else 'finite'} number from 0"
            if self.upper_bound < math.inf:
                allowed = f"numbers from 0 to below {self.upper_bound:g}"
            raise UsageError(type(self).__name__, given, allowed)
        is_integer = self.is_whole and given < math.inf
        object.__setattr__(self, "strength", int(given) if is_integer else float(given))
        for name, value in self.constants.items():
            is_taken = hasattr(Regularizer, name) or name in Regularizer.__annotations__
            if is_taken or not isinstance(value, (int, float)):
                allowed = "a number, as a constant with a name of its own"
                raise UsageError(f"{type(self).__name__}.{name}", value, allowed)
            object.__setattr__(self, name, float(value))

    @property
    def constants(self) -> dict[str, float]:
        """The constants of its own: its fields besides the strength, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)[1:]}

    @property
    def values(self) -> str:
        """The strength and its own constants, as an arm's name has them: printable ASCII."""
        own = "".join(f",{name}={value!r}" for name, value in self.constants.items())
        return f"{self.strength!r}{own}"

    @property
    def name(self) -> str:
        """Its text in an arm's name."""
        return f"{self.command}={self.values}"

    @property
    def label(self) -> str:
        """Its text for people, by its symbol: a whole number is written without `.0`."""
        return f"{self.symbol}={self.values}".replace(".0,", ",").removesuffix(".0")

    @property
    def is_active(self) -> bool:
        """Whether it does anything."""
        return self.strength != self.neutral

    @classmethod
    def strength_limit(cls, training: Any) -> tuple[float, str]:
        """Return the smallest strength that cannot work in a training, and why."""
        return math.inf, ""

    def __add__(self, other: Regularizer | Arm) -> Arm:
        return Arm((self,)) + other

    def has_hook(self, hook: str) -> bool:
        """Return whether it is active and has a hook of this name."""
        return self.is_active and getattr(type(self), hook) is not getattr(Regularizer, hook)

    def perturb_inputs(self, x: Tensor, step: Step) -> Tensor:
        """Return what the network sees in training in place of its inputs, `(R, N, D)`."""
        return x

    def perturb_targets(self, y: Tensor, step: Step) -> Tensor:
        """Return what the network is trained towards in place of its targets, `(R, N, 1)`."""
        return y

    def factor(self, step: Step) -> Tensor | None:
        """Return what multiplies the hidden activations in training, or None for nothing.

        That is `(L, R, N, H)` of `step.noise.dtype`, with mean 1 over the noise. A linear model has
        no hidden layer: there it multiplies the inputs, as one layer of them.
        """
        return None

    def change_gradient_(self, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        """Change the gradient of this step's loss in place, before penalties are added.

        Weights are `(R, out, in)`, with what leads into a unit along the last axis, and biases
        `(R, out)`.
        """

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        """Add the gradient of the penalty to `gradient`, in place, so that momentum sees it.

        `gradient` may hold more than this step's (a momentum buffer), so that it is only added to.
        """

    def before_step_(self, parameter: Tensor, step: Step) -> None:
        """Change a parameter in place after all gradients are taken, before the optimizer moves."""

    def after_step_(self, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
        """Change a parameter in place after the optimizer's step.

        `momentum` is the buffer of SGD that the next step adds to; None with Adam, and where there
        is none.
        """

    def stops_at(self, epochs: int) -> int:
        """Return the epoch from whose end on the network stays as it is: the last, of `epochs`."""
        return epochs


def rank(regularizer: Regularizer) -> tuple[int, str]:
    """Return what the parts of a sum are sorted by: the registry's order, then plug-ins by name."""
    kind = type(regularizer)
    return vars(kind).get("order", sys.maxsize), kind.command


@dataclass(frozen=True)
class Arm:
    """What is compared: regularizers that act together, in the registry's order, each only once.

    Raises `UsageError` where one is there twice.
    """

    parts: tuple[Regularizer, ...] = ()

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.parts, key=rank))
        object.__setattr__(self, "parts", ordered)
        for one, other in itertools.pairwise(ordered):
            if type(one) is type(other):
                raise UsageError("arms", self.name, problem=f"which has {one.command} twice")

    def __add__(self, other: Regularizer | Arm) -> Arm:
        """Return the sum of all parts; raises `UsageError` as an arm does."""
        if not isinstance(other, Arm | Regularizer):
            raise UsageError("arms", other, "regularizers and their sums")
        return Arm(self.parts + (other.parts if isinstance(other, Arm) else (other,)))

    @property
    def name(self) -> str:
        """Its text, which is its name in every file: `wdecay=0.01+dropout=0.5`, or `baseline`."""
        return "+".join(part.name for part in self.parts) or "baseline"

    @property
    def active(self) -> tuple[Regularizer, ...]:
        """The parts that are not at their neutral strength."""
        return tuple(part for part in self.parts if part.is_active)

    @property
    def is_noisy(self) -> bool:
        """Whether a part acts on data or hidden activations, in training alone."""
        return any(part.has_hook(hook) for part in self.parts for hook in PERTURBING)

    def stops_at(self, epochs: int) -> int:
        """Return the first epoch after which a part stops the training, or the last one."""
        return min([part.stops_at(epochs) for part in self.active], default=epochs)
