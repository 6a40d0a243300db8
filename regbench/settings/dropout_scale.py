"""The settings of `dropout-scale`: which masks of one dropout layer to draw.

Knows nothing about how they are drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from regbench.errors import UsageError
from regbench.settings.base import check_strength
from regbench.settings.study import LAST_SEED, BaseStudy

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_DRAWS = 10**11


class DropoutScale(BaseStudy):
    """What to draw."""

    has_blocks: ClassVar[bool] = False

    p: tuple[float, ...] = Field(
        default=(0.5,),
        min_length=1,
        max_length=100,
        description="Drop probability, one or several.",
    )
    units: int = Field(default=10_000, ge=1, le=100_000_000, description="Inputs, each of them 1.")
    trials: int = Field(default=1000, ge=2, le=1_000_000, description="Draws of the dropout mask.")
    seed: int = Field(default=1, ge=0, le=LAST_SEED, description="Seed of the masks.")

    if TYPE_CHECKING:  # one p may stand for several

        def __init__(self, *, p: Sequence[float] | float = ..., **values: Any) -> None: ...

    @property
    def compared(self) -> list[str]:
        """The drop probabilities."""
        return [f"p={p!r}" for p in self.p]

    @field_validator("p", mode="before")
    @classmethod
    def _is_a_tuple(cls, p: Any) -> Any:
        return tuple(p) if isinstance(p, list | tuple) else (p,)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for p in self.p:
            check_strength("p", p, 1.0, p)
            if self.p.count(p) > 1:
                raise UsageError("p", problem=f"got '{p}' twice", hint="give each once")
        draws = self.units * self.trials
        if draws > MOST_DRAWS:
            problem = f"but {self.units} units would need {draws:.0e} draws"
            raise UsageError("trials", self.trials, f"at most {MOST_DRAWS:.0e}", problem=problem)
        return self
