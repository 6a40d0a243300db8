"""The question: what is asked of the numbers. No network depends on it."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from regbench.errors import UsageError
from regbench.settings.base import Settings
from regbench.settings.study import LARGEST, MOST_REPLICATES

WORDS = {"risk-at-best": "risk at its best epoch"}
"""What a headline is called, where that differs from its name."""
PILOT_REPLICATES = 10
"""Replicates from which `--target-width` estimates how many it needs."""


class Question(Settings, title="Statistics"):
    """By what arms are judged, how sure an answer has to be, and what a script wants to hear."""

    by: Literal["risk", "test-loss", "risk-at-best"] = Field(
        default="risk",
        description="What decides: the risk (the expected squared error at a fresh input), the "
        "test loss, or the risk at each arm's best epoch.",
    )
    confirm: int | None = Field(
        default=None,
        ge=2,
        le=MOST_REPLICATES,
        description="Measure the best arm again on N fresh replicates.",
    )
    target_width: float | None = Field(
        default=None,
        gt=0,
        le=LARGEST,
        description=f"Instead of --replicates: after a pilot of {PILOT_REPLICATES}, run as many as "
        f"make the interval of the mean difference at most this wide.",
    )
    require: Literal["better", "not-worse", "equal"] | None = Field(
        default=None,
        description="A gate: every arm must be better, not worse, or equal within --margin. Exit "
        "with 3 if one is not, and with 4 if its interval cannot tell.",
    )
    margin: float = Field(
        default=0.0,
        ge=0,
        le=LARGEST,
        description="Largest difference that does not matter: arms within it are equal, and "
        "--require allows for it.",
    )
    confidence: float = Field(
        default=0.95, ge=0.5, le=0.9999, description="Confidence level of the intervals."
    )

    @model_validator(mode="after")
    def _has_a_margin_for_equal(self) -> Self:
        if self.require == "equal" and not self.margin:
            raise UsageError("require", self.require, problem="which needs --margin above 0")
        return self

    @property
    def judged_by(self) -> str:
        """The measure by which arms are judged: `risk_at_best` is not that of one epoch."""
        return self.by.replace("-", "_")

    @property
    def headline(self) -> str:
        """The same measure at any one epoch."""
        return "test_loss" if self.by == "test-loss" else "risk"

    @property
    def words(self) -> str:
        """The measure by which arms are judged as people read it."""
        return WORDS.get(self.by) or self.by.replace("-", " ")


class Judging(Question):
    """What is asked of scores that regbench has not measured, and what they mean."""

    target_width: float | None = Field(
        default=None,
        gt=0,
        le=LARGEST,
        description="Say how many pairs make the interval of the mean difference at most so wide.",
    )
    by: Literal["risk"] = "risk"  # which of these scores is told by their table
    confirm: None = None
    baseline: str | None = Field(
        default=None,
        description="Compare with this arm: with baseline where not given, else with the first.",
        json_schema_extra={"allowed": "the name of an arm", "metavar": "NAME"},
    )
    better: Literal["lower", "higher"] = Field(
        default="lower", description="Which scores are better: lower ones, as of a loss, or higher."
    )
    splits: str | None = Field(
        default=None,
        pattern="^[1-9][0-9]{0,9}/[1-9][0-9]{0,9}$",
        description="Rows trained on and tested on, where scores are from random splits of one "
        "table: such scores depend on each other, and their intervals are wider.",
        json_schema_extra={"allowed": "N_TRAIN/N_TEST, such as 900/100", "metavar": "N/N"},
    )

    @property
    def overlap(self) -> float:
        """Rows tested on over rows trained on; 0 where scores are not from splits."""
        trained, tested = (self.splits or "1/0").split("/")
        return int(tested) / int(trained)
