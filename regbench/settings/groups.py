"""The question, the machine and the output: all that is asked besides the study.

No network depends on the question or the output, and its numbers on the machine by rounding alone.
Knows nothing about how a question is answered, a network trained or a file written.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from regbench.errors import UsageError, shareable
from regbench.limits import available_cores
from regbench.settings.base import Settings
from regbench.settings.study import LARGEST, MOST_REPLICATES, BaseStudy

HEADLINES = {"risk-at-best": "risk at its best epoch"}
"""What a headline is called, where that differs from its name."""
PILOT_REPLICATES = 10
"""Replicates from which `--target-width` estimates how many it needs."""
SHARD = "[1-9][0-9]{0,8}/[1-9][0-9]{0,8}"
Size = Annotated[int, Field(ge=1)]
FORMATS = {".md": "markdown", ".csv": "csv", ".json": "json", ".html": "html"}
"""The forms of a result by the suffix of a file; `regbench.report` has a module for each."""
VIEWS = ("plots", "figure_format", "report", "tensorboard", "cache")
"""Output settings that a stored run keeps: which files are made in its folder, and how."""
SUFFIXES = " or ".join(", ".join(FORMATS).rsplit(", ", 1))


class Question(Settings, title="Statistics"):
    """By what arms are judged, how sure an answer has to be, and what a script wants to hear."""

    by: Literal["risk", "test-loss", "risk-at-best"] = Field(
        default="risk",
        description="What decides: the risk (squared error at fresh or held-out inputs), the "
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
    def is_at_best(self) -> bool:
        """Whether replicates chose the epochs at which others are judged."""
        return self.by == "risk-at-best"

    @property
    def headline(self) -> str:
        """The same measure at any one epoch."""
        return "test_loss" if self.by == "test-loss" else "risk"

    @property
    def words(self) -> str:
        """The measure by which arms are judged as people read it."""
        return HEADLINES.get(self.by) or self.by.replace("-", " ")


class Scores(BaseStudy):
    """Scores that regbench has not measured, or that several runs have."""

    has_blocks: ClassVar[bool] = False

    scores: tuple[str, ...] = Field(
        default=(), min_length=1, description="A table (CSV; - is stdin), or runs."
    )


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


class Machine(Settings, title="Machine"):
    """Where and how to train. Numbers depend on engine and device by rounding alone."""

    engine: Literal["auto", "reference", "batched", "fused"] = Field(
        default="auto",
        description="How to train: like the article's program (reference), all replicates stacked "
        "(batched, CPU or GPU), or by a compiled kernel (fused, CPU).",
    )
    device: str = Field(
        default="auto",
        pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
        description="Where to train; auto takes a GPU if there is one.",
        json_schema_extra={
            "allowed": "auto, cpu, cuda or cuda:N",
            "choices": ["auto", "cpu", "cuda"],
            "metavar": "auto|cpu|cuda|cuda:N",
        },
    )
    threads: int = Field(
        default_factory=available_cores,
        ge=1,
        le=4096,
        description="CPU threads, by default one per core. They change no number.",
    )
    shard: str | None = Field(
        default=None,
        pattern=f"^({SHARD}|slurm)$",
        description="Train only part I of N, or with `slurm` the part of this task of a Slurm "
        "array. `regbench merge` joins the parts.",
        json_schema_extra={"allowed": "I/N with I from 1 to N, or slurm", "metavar": "I/N"},
    )
    scheduler: str | None = Field(
        default=None,
        pattern=r"^(tcp|tls)://[^\s/]+:[0-9]{1,5}$",
        description="Dask scheduler whose workers train, such as tcp://HOST:PORT.",
        json_schema_extra={"allowed": "tcp://HOST:PORT or tls://HOST:PORT", "metavar": "ADDRESS"},
    )
    allow_mixed: bool = Field(
        default=False, description="Accept workers with other versions or another processor."
    )


@dataclass(frozen=True)
class Environment:
    """What a reader needs to judge or repeat a result; `docs/schemas/result.json` describes each.

    What concerns an engine is None where none trains, and the duration while it is not finished.
    """

    device: str
    device_name: str
    cpu_count: int | None
    platform: str
    python: str
    torch: str
    numpy: str
    started: str
    engine: str | None = None
    threads: int | None = None
    batch_replicates: Size | list[Size] | None = None  # a list over the values of a setting
    shard: Annotated[str, Field(pattern=f"^{SHARD}$")] | None = None
    duration_seconds: float | None = None

    def to_record(self) -> dict[str, Any]:
        """Return what is known, ready for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


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
