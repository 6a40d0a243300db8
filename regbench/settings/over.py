"""A study at each of several values of one setting.

Knows nothing about texts, and nothing about how studies are trained or compared.
"""

from __future__ import annotations

from collections.abc import Sequence  # noqa: TC003 - pydantic reads it
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, InstanceOf, model_validator

from regbench.errors import UsageError, suggestion
from regbench.settings.base import Settings, is_hidden, keys_of
from regbench.settings.command import nested_groups
from regbench.settings.study import BaseStudy, Study

if TYPE_CHECKING:
    from regbench.regularizers import Arm
    from regbench.settings.groups import Question
    from regbench.settings.rows import Rows

MOST_VALUES, MOST_EFFECTS = 30, 1000
"""Most values of the setting, and most values × arms, whose intervals hold together."""
SWEPT = {
    key: (name, field)
    for name, group in nested_groups(Study).items()
    for key, field in keys_of(group).items()
    if not is_hidden(field)
}
"""Settings that may be swept, keyed by name, each with its group in a study."""


class Values(Settings):
    """The values of one setting, as a text."""

    over: str | None = Field(
        default=None,
        min_length=1,
        description="Repeat it all at several values of one setting of task, network or training, "
        "such as points=10,30,100.",
        json_schema_extra={"allowed": "KEY=V,V,... as one text", "metavar": "KEY=V,V,..."},
    )


class Over(BaseStudy):
    """A study at 2 to 30 values of one setting of its task, network or training.

    What the study itself has for that setting means nothing.
    """

    study: InstanceOf[Study]
    key: str
    values: Sequence[Any]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = f"{self.key}={','.join(map(str, self.values))}"
        most = min(MOST_VALUES, MOST_EFFECTS // len(self.study.compared))
        if not 2 <= len(self.values) <= most or len(self.by_value) < len(self.values):
            raise UsageError("over", given, f"2 to {most} different values")
        return self

    @property
    def by_value(self) -> dict[Any, Study]:
        """The study at each value."""
        return {study.by_key()[self.key]: study for study in map(self._at, self.values)}

    def _at(self, value: Any) -> Study:
        name, _ = group_and_field(self.key)
        try:
            group = getattr(self.study, name).replaced(**{self.key: value})
            return self.study.replaced(**{name: group})
        except UsageError as error:
            if error.source != self.key:
                error.problem += f"{', ' * bool(error.problem)}at {self.key}={value}"
            raise

    def with_rows(self, rows: Rows) -> Self:
        """Return the study of a table with its rows at every value."""
        return self.replaced(study=self.study.with_rows(rows))

    @property
    def arms(self) -> tuple[Arm, ...]:
        """The arms, which are the same at every value."""
        return self.study.arms

    @property
    def plugins(self) -> list[dict[str, Any]]:
        """The plug-ins that the studies use."""
        return self.study.plugins

    @property
    def compared(self) -> list[str]:
        """The names of every arm but the baseline at every value."""
        return [f"{arm} at {self.key}={v}" for v in self.by_value for arm in self.study.compared]

    def by_key(self) -> dict[str, Any]:
        """Return what the studies have in common by key, ready for JSON, and what is swept."""
        first, *others = (study.by_key() for study in self.by_value.values())
        common = {k: v for k, v in first.items() if all(other[k] == v for other in others)}
        return common | {"over": f"{self.key}={','.join(map(str, self.by_value))}"}

    def check_question(self, question: Question) -> None:
        """Raise `UsageError` where a question cannot be asked of every value."""
        for key in ("confirm", "target_width"):
            if (asked := getattr(question, key)) is not None:
                problem = "not together with --over, where all values have the same replicates"
                raise UsageError(key, asked, problem=problem, hint="ask it at one value")


def group_and_field(key: str) -> Any:
    """Return where a study has a setting, and its field; refuse one that cannot be swept."""
    if key not in SWEPT:
        raise UsageError("over", key, ", ".join(SWEPT), hint=suggestion(key, SWEPT))
    return SWEPT[key]
