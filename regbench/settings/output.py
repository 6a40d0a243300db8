"""The output: what is written and shown. It changes no number."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from regbench.errors import UsageError, shareable
from regbench.settings.base import Settings

FORMATS = {".md": "markdown", ".csv": "csv", ".json": "json", ".html": "html"}
"""The forms of a result by the suffix of a file; `regbench.report` has a module for each."""
VIEWS = ("plots", "figure_format", "report", "tensorboard", "cache")
"""Output settings that a stored run keeps: which files are made in its folder, and how."""
SUFFIXES = " or ".join(", ".join(FORMATS).rsplit(", ", 1))


class Output(Settings, title="Output"):
    """Where results go, and in which forms."""

    out: str | None = Field(
        default=None,
        min_length=1,
        description="Folder for the results; by default a new one under runs/.",
        json_schema_extra={"allowed": "a path of printable characters", "metavar": "DIR"},
    )
    export: tuple[str, ...] = Field(
        default=(),
        description=f"Also write the result to this file, as its suffix says: {SUFFIXES}.",
        json_schema_extra={"allowed": f"files whose names end in {SUFFIXES}", "metavar": "FILE"},
    )
    format: Literal["table", "markdown", "csv", "json"] | None = Field(
        default=None,
        description="What to print: table (the default), markdown, csv or json.",
        json_schema_extra={"allowed": "table, markdown, csv or json", "metavar": "NAME"},
    )
    json_: bool = Field(default=False, alias="json", description="The same as --format json.")
    quiet: bool = Field(default=False, description="Print only the answer.")
    details: bool = Field(
        default=False, description="Also show medians, correlations and every logged epoch."
    )
    plots: bool = Field(default=True, description="Draw pictures.")
    figure_format: Literal["png", "svg", "pdf"] = Field(
        default="png", description="Format of the pictures."
    )
    report: bool = Field(default=True, description="Write report.html.")
    tensorboard: bool = Field(default=True, description="Write TensorBoard logs.")
    cache: bool = Field(default=True, description="Reuse what earlier runs have trained.")

    @field_validator("out")
    @classmethod
    def _is_printable(cls, out: str | None) -> str | None:
        if out is not None and not out.isprintable():
            raise ValueError
        return out and os.path.expanduser(out)  # noqa: PTH111 - which knows no error

    @field_validator("export")
    @classmethod
    def _has_known_suffixes(cls, export: tuple[str, ...]) -> tuple[str, ...]:
        for name in export:
            if PurePath(name).suffix not in FORMATS or not name.isprintable():
                raise UsageError("export", name, f"a printable path that ends in {SUFFIXES}")
        return tuple(map(os.path.expanduser, export))

    @model_validator(mode="after")
    def _has_one_form(self) -> Self:
        if self.json_ and self.format not in (None, "json"):
            raise UsageError("json", problem=f"not together with --format {self.format}")
        return self

    @property
    def shown_words(self) -> list[str]:
        """The options that ask for what is shown and exported."""
        words = [word for name in self.export for word in ("--export", shareable(name))]
        words += ["--format", self.form] if self.form != "table" else []
        return words + ["--details"] * self.details

    @property
    def form(self) -> str:
        """What is printed: `table`, or the name of a document's form."""
        return self.format or ("json" if self.json_ else "table")
