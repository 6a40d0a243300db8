"""The output: what is written and shown. It changes no number."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from regbench.settings.base import Settings

FigureFormat = Literal["png", "svg", "pdf"]


class Output(Settings, title="Output"):
    """Where results go, and in which forms."""

    out: str | None = Field(
        default=None,
        min_length=1,
        description="Folder for the results; a new one under runs/ where not given.",
        json_schema_extra={"allowed": "a path of printable characters"},
    )
    tensorboard: bool = Field(default=True, description="Write TensorBoard logs.")
    report: bool = Field(default=True, description="Write report.html.")
    plots: bool = Field(default=True, description="Draw pictures.")
    figure_format: FigureFormat = Field(default="png", description="Format of the pictures.")
    cache: bool = Field(default=True, description="Use blocks that earlier runs have trained.")
    json_: bool = Field(
        default=False, alias="json", description="Print one JSON document and nothing else."
    )
    details: bool = Field(
        default=False, description="Show medians, correlations and every epoch too."
    )
    quiet: bool = Field(default=False, description="Print the closing lines only.")

    @field_validator("out")
    @classmethod
    def _is_printable(cls, out: str | None) -> str | None:
        if out is not None and not out.isprintable():
            raise ValueError
        return out
