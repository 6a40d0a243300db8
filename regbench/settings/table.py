"""The table: which file has the rows, which column is learned, and what of them decides numbers.

Knows nothing about how a file is read, how rows are cut into folds, or training.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_serializer, model_validator

from regbench.errors import UsageError, differences
from regbench.settings.base import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regbench.settings.rows import Rows

FILES = "a CSV or TSV file in UTF-8, or a .npz file"
COLUMN = {"allowed": "the name of a column", "metavar": "COLUMN"}
HIDDEN = Field(json_schema_extra={"hidden": True, "allowed": "what is known of a table's rows"})
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "by": (("risk", "risk-at-best"), "but the rows that a table holds out have no other loss"),
    "confirm": ((), "but fresh splits of the same rows confirm nothing"),
    "target_width": ((), "but more splits of the same rows hardly narrow an interval: add rows"),
    "features": (("x",), "but a table has inputs of its own"),
    "pairing": (("shared",), "but all arms start from the same weights on a table"),
    "vary": (("both",), "but on a table both the split and the weights vary"),
}
"""Settings that have no meaning of a table: the usual values, and why there are no others."""


class Source(Settings, title="Table"):
    """Where the rows come from, and what the columns are."""

    data: str | None = Field(
        default=None,
        min_length=1,
        description="Train on the rows of this table: a CSV, TSV or .npz file.",
        json_schema_extra={"allowed": FILES, "metavar": "FILE"},
    )
    target: str | None = Field(
        default=None, description="Column to predict from the others.", json_schema_extra={**COLUMN}
    )
    drop: tuple[str, ...] = Field(
        default=(),
        exclude_if=lambda names: not names,
        description="Columns to leave out, separated by commas or one at a time.",
        json_schema_extra={"allowed": "names of columns", "metavar": "COLUMN,…"},
    )
    group: str | None = Field(
        default=None,
        description="Column whose rows of the same value never stand on both sides; no input.",
        json_schema_extra={**COLUMN},
    )
    test_data: str | None = Field(
        default=None,
        min_length=1,
        description="Train on all rows of --data, and judge by those of this table.",
        json_schema_extra={"allowed": FILES, "metavar": "FILE"},
    )
    missing: Literal["error", "median", "drop"] = Field(
        default="error",
        exclude_if=lambda word: word == "error",
        description="Missing values: an error, the median of the training part with an input that "
        "says where it stands, or drop their rows.",
    )

    @field_serializer("data", "test_data")
    def _is_told_by_its_name(self, data: str | None) -> str | None:
        return data and PurePath(data).name

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = {"target": self.target, "drop": ",".join(self.drop), "group": self.group}
        given |= {"test_data": self.test_data, "missing": self.missing.replace("error", "")}
        for key, value in given.items():
            if value and self.data is None:
                raise UsageError(key, value, problem="but no table", hint="add --data=FILE")
        if self.data is not None and not self.target:
            hint = "name the column to predict: --target=COLUMN"
            raise UsageError("data", self.data, problem="but no target", hint=hint)
        if self.group and self.test_data:
            problem = "not together with --test-data, which says what is held out"
            raise UsageError("group", self.group, problem=problem)
        return self


class Table(Settings, title="Table"):
    """A table by what decides numbers; tables of equal facts are equal, with or without values.

    `Table(X, y, groups)` takes inputs `(n, D)`, targets `(n,)` and labels of groups `(n,)` as NumPy
    arrays, pandas tables or torch tensors; `test=(X, y)` are rows to be judged by instead of folds,
    which are the last ones of `rows` then. Stored facts are given by key, `groups` as a number, or
    are those of `values`. Raises `UsageError` where the table cannot be learned from.
    """

    epochs: ClassVar[int] = 200
    """Epochs where none are given."""

    rows: Annotated[int, HIDDEN, Field(ge=1)]
    inputs: Annotated[int, HIDDEN, Field(ge=1)]
    digest: Annotated[str, HIDDEN, Field(pattern="^[0-9a-f]{32}$")]
    groups: Annotated[int | None, HIDDEN, Field(ge=1)] = None
    largest_group: Annotated[int, HIDDEN, Field(ge=1)] = 1
    test_rows: Annotated[int, HIDDEN, Field(ge=0, exclude_if=lambda rows: not rows)] = 0
    folds: int = Field(
        default=10,
        ge=2,
        description="Parts that the rows are cut into: each replicate holds one out.",
    )
    points: int | None = Field(
        default=None,
        ge=1,
        description="Train on N rows of the training part; by default on all.",
    )
    values: Any = Field(None, exclude=True, repr=False)
    """The rows themselves, or None where only what is known of them is at hand; see `Rows`."""

    # fmt: off
    def __init__(
        self, X: Any = None, y: Any = None, groups: Any = None,  # noqa: N803 - the field's letter
        folds: int = 10, points: int | None = None, *, test: tuple[Any, Any] | None = None,
        values: Rows | None = None, **facts: Any,
    ) -> None:
        # fmt: on
        if X is not None or y is not None or not (values or facts):
            from regbench.settings.rows import rows_of

            values, groups = rows_of(X, y, groups, test), None
        facts |= {"folds": folds, "points": points, "values": values}
        facts |= {} if groups is None else {"groups": groups}
        super().__init__(**((values.facts if values else {}) | facts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self.model_dump() == other.model_dump()

    def __hash__(self) -> int:
        return hash(tuple(self.model_dump().values()))

    @property
    def largest_fold(self) -> int:
        """Rows of the largest fold, where each group joins the fold with fewest rows.

        Without groups that is exact; with groups it is Graham's bound (1969, list scheduling).
        Test rows are the only fold.
        """
        if self.test_rows:
            return self.test_rows
        return (self.rows + (self.folds - 1) * self.largest_group) // self.folds

    @property
    def smallest_fold(self) -> int:
        """Rows of the smallest fold; no two folds are further apart than the largest group."""
        if self.test_rows:
            return self.test_rows
        return max(1, -(((self.folds - 1) * self.largest_group - self.rows) // self.folds))

    def refuse(self, asked: Mapping[str, Any]) -> None:
        """Raise `UsageError` for a setting elsewhere that has no meaning of a table."""
        if self.test_rows and asked.get("by") == "risk-at-best":
            problem = "but the test rows that choose an epoch would be those that judge it"
            raise UsageError("by", asked["by"], problem=problem)
        for key, (usual, problem) in REFUSED.items():
            if asked.get(key) not in (None, *usual):
                raise UsageError(key, asked[key], problem=problem)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        known = self.values.facts if self.values else {}
        if apart := differences({key: getattr(self, key) for key in known}, known, "there", "here"):
            raise UsageError("data", problem=f"which is another table: {apart}")
        for count, least, what in ((self.rows, 2, "rows"), (self.groups, 1, "groups")):
            if count is not None and count < least * self.folds and not self.test_rows:
                most, problem = count // least, f"but the table has {count} {what}"
                allowed = f"from 2 to {most}" if most >= 2 else f"a table of {2 * least} {what}"
                raise UsageError("folds", self.folds, allowed, problem=problem)
        if self.points and self.points > (most := self.rows - self.largest_fold):
            raise UsageError("points", self.points, f"from 1 to {most}, the smallest training part")
        return self
