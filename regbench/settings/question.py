"""The question: what is asked of the numbers. No network depends on it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from regbench.errors import UsageError
from regbench.settings.base import Settings
from regbench.settings.study import LARGEST, MOST_REPLICATES

PILOT_REPLICATES = 10
"""Replicates from which `--target-width` estimates how many it needs."""


class Question(Settings, title="Statistics"):
    """By what arms are judged, how sure an answer has to be, and what a script wants to hear."""

    by: Literal["risk", "test-loss"] = Field(
        default="risk",
        description="Judge arms by the risk, the expected squared error at a fresh input, or by "
        "the loss at the test points.",
    )
    confirm: int | None = Field(
        default=None,
        ge=2,
        le=MOST_REPLICATES,
        description="Measure the best strength again on so many fresh replicates.",
    )
    target_width: float | None = Field(
        default=None,
        gt=0,
        le=LARGEST,
        description=f"Run as many replicates, after a pilot of {PILOT_REPLICATES}, as make the "
        f"interval of the mean difference so wide; in place of --replicates.",
    )
    require: Literal["better", "not-worse"] | None = Field(
        default=None,
        description="Exit with 3 where the interval says the opposite and 4 where it cannot say: "
        "better or not-worse.",
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        le=LARGEST,
        description="Difference of the risk, or of what --by says, that --require leaves room for.",
    )
    confidence: float = Field(
        default=0.95,
        ge=0.5,
        le=0.9999,
        description="Probability with which an interval holds the truth.",
    )

    @model_validator(mode="after")
    def _has_use_for_a_margin(self) -> Self:
        if self.margin and self.require is None:
            raise UsageError("margin", self.margin, problem="which needs --require")
        return self

    @property
    def headline(self) -> str:
        """The measure by which arms are judged."""
        return self.by.replace("-", "_")

    @property
    def words(self) -> str:
        """The same as people read it."""
        return self.by.replace("-", " ")
