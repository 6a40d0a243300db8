"""The machine, or several: where to compute, as was asked for, and where that was in the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from regbench.limits import available_cores
from regbench.settings.base import Settings

PART = "[1-9][0-9]{0,8}/[1-9][0-9]{0,8}"
Size = Annotated[int, Field(ge=1)]


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
        pattern=f"^({PART}|slurm)$",
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
    shard: Annotated[str, Field(pattern=f"^{PART}$")] | None = None
    duration_seconds: float | None = None

    def to_record(self) -> dict[str, Any]:
        """Return what is known, ready for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}
