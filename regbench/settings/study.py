"""Every setting: its name, default, range and meaning.

Knows nothing about where values come from, about tensors, or about what the settings do.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from regbench.errors import UsageError, visible
from regbench.regularizers import REGULARIZERS, Baseline, Regularizer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo


MOST_REPLICATES = 10_000_000
PILOT_REPLICATES = 10
"""Replicates from which `--target-width` estimates how many it needs."""


def available_cores() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Settings(BaseModel):
    """Settings are immutable, complete and finite."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )


class TaskSettings(Settings):
    """The synthetic regression task: y = truth(x) + noise."""

    truth: Literal["linear", "quadratic", "sine", "step", "abs"] = Field(
        "linear",
        description="The noise-free target: the slope times x, x squared, sin(pi x), the sign of "
        "x, or the magnitude of x.",
    )

    points: int = Field(10, ge=1, le=1_000_000, description="Training points.")
    test_points: int = Field(
        default_factory=lambda settings: settings["points"],
        ge=1,
        le=1_000_000,
        description="Test points; as many as --points where not given.",
    )
    slope: float = Field(
        1.5, ge=-1e6, le=1e6, description="Slope of the true line; scale of the other truths."
    )
    x_min: float = Field(-1.0, ge=-1e6, le=1e6, description="Smallest input.")
    x_max: float = Field(1.0, ge=-1e6, le=1e6, description="Largest input.")
    noise: float = Field(
        0.5, ge=0, le=1e6, description="Standard deviation of the training targets' noise."
    )
    test_noise: float = Field(
        0.3, ge=0, le=1e6, description="Standard deviation of the test targets' noise."
    )


class NetworkSettings(Settings):
    """The multi-layer perceptron and its inputs."""

    features: str = Field(
        "x",
        pattern=r"^(x|polynomial:([1-9]|[1-4][0-9]|50))$",
        description="Inputs of the network: x, or polynomial:K for x to the powers 1 to K (at "
        "most 50).",
    )

    hidden: int = Field(200, ge=1, le=100_000, description="Units of each hidden layer.")
    depth: int = Field(3, ge=0, le=100, description="Hidden layers; 0 is a linear model.")

    @property
    def input_size(self) -> int:
        """The number of inputs, D."""
        return int(self.features.partition(":")[2] or 1)

    @property
    def layer_sizes(self) -> list[int]:
        """The width of every layer, from the inputs to the one output."""
        return [self.input_size, *[self.hidden] * self.depth, 1]

    @property
    def noisy_sizes(self) -> list[int]:
        """The widths of the layers that dropout acts on: the hidden ones, or else the inputs."""
        return self.layer_sizes[1:-1] or [self.input_size]

    @property
    def parameter_names(self) -> list[str]:
        """`hidden1.weight`, `hidden1.bias`, … `output.weight`, `output.bias`."""
        layers = [*(f"hidden{layer + 1}" for layer in range(self.depth)), "output"]
        return [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]

    @property
    def parameter_count(self) -> int:
        """The number of weights and biases of one network."""
        return sum(i * o + o for i, o in itertools.pairwise(self.layer_sizes))


class TrainingSettings(Settings):
    """Full-batch gradient descent."""

    optimizer: Literal["sgd", "adam"] = Field(
        "sgd", description="SGD with --momentum, or Adam, which has moments of its own."
    )

    epochs: int = Field(2000, ge=1, le=1_000_000_000, description="Full-batch steps.")
    lr: float = Field(0.01, gt=0, le=1e6, description="Learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    log_every: int = Field(
        200, ge=1, le=1_000_000_000, description="Epochs from one logged epoch to the next."
    )

    @property
    def logged_epochs(self) -> list[int]:
        """Every multiple of `log_every`, and the last epoch."""
        return [*range(self.log_every, self.epochs, self.log_every), self.epochs]

    @property
    def logged_count(self) -> int:
        """The number of logged epochs."""
        return -(-self.epochs // self.log_every)


class OutputSettings(Settings):
    """What is written and shown; it changes no number."""

    out: str | None = Field(
        None,
        min_length=1,
        description="Folder for the results; a new one under runs/ where not given.",
    )

    tensorboard: bool = Field(True, description="Write TensorBoard logs.")
    plots: bool = Field(True, description="Draw pictures.")
    cache: bool = Field(True, description="Use blocks that earlier runs have trained.")
    json_: bool = Field(
        False, alias="json", description="Print one JSON document and nothing else."
    )
    quiet: bool = Field(False, description="Print the closing lines only.")

    @field_validator("out")
    @classmethod
    def _is_printable(cls, out: str | None) -> str | None:
        if out is not None and not out.isprintable():
            raise ValueError
        return out


class Experiment(OutputSettings):
    """What every experiment's configuration can do."""

    experiment: str

    def values(self) -> dict[str, Any]:
        """Return every setting by its key in files, environment and JSON."""
        return self.model_dump(by_alias=True)

    def to_file(self) -> dict[str, Any]:
        """Return the settings that a configuration file repeats the experiment with."""
        elsewhere = {"out", "json", "quiet", "threads"}
        return {
            key: value
            for key, value in self.values().items()
            if key not in elsewhere and value is not None
        }

    @property
    def arm_names(self) -> list[str]:
        """What a list of runs calls the things compared."""
        return []

    @property
    def digest(self) -> str:
        """64 hexadecimal digits that differ where a setting that changes numbers differs."""
        shown = {"tensorboard", "plots", "cache"}
        numbers = {key: value for key, value in self.to_file().items() if key not in shown}
        return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()

    @property
    def hash(self) -> str:
        """The first eight digits of the digest, for names."""
        return self.digest[:8]


class TrainingExperiment(TaskSettings, NetworkSettings, TrainingSettings, Experiment):
    """A baseline against one regularizer at one or several strengths."""

    strengths: tuple[float, ...] = Field(min_length=1, max_length=1000)
    replicates: int = Field(
        30, ge=1, le=MOST_REPLICATES, description="Draws of data and initial weights."
    )
    seed: int = Field(1, ge=0, le=2**32 - 1, description="Seed of the first replicate.")
    pairing: Literal["shared", "independent"] = Field(
        "shared",
        description="Initial weights of a replicate: the same in all arms, or drawn for each.",
    )
    vary: Literal["both", "data", "init"] = Field(
        "both",
        description="What differs from replicate to replicate: data, initial weights (with the "
        "masks of dropout), or both.",
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|cuda(:[0-9]{1,3})?)$",
        description="Where to train: auto, cpu, cuda or cuda:N.",
    )
    threads: int = Field(
        default_factory=available_cores,
        ge=1,
        le=4096,
        description="CPU threads; one per core where not given. No number depends on them.",
    )
    engine: Literal["auto", "reference", "batched", "fused"] = Field(
        "auto",
        description="How to train: as the article's program, all replicates stacked (CPU or GPU), "
        "or each network by a compiled kernel (CPU).",
    )
    dtype: Literal["float32", "float64"] = Field(
        "float32", description="Floating-point type to train in."
    )
    confidence: float = Field(
        0.95, ge=0.5, le=0.9999, description="Probability with which an interval holds the truth."
    )
    confirm: int | None = Field(
        None,
        ge=2,
        le=MOST_REPLICATES,
        description="Measure the best strength again on so many fresh replicates.",
    )
    target_width: float | None = Field(
        None,
        gt=0,
        le=1e6,
        description="Run as many replicates, after a pilot of 10, as make the interval of the mean "
        "difference so wide; in place of --replicates.",
    )
    require: Literal["better", "not-worse"] | None = Field(
        None,
        description="Exit with 3 where the interval says the opposite and 4 where it cannot say: "
        "better or not-worse.",
    )
    margin: float = Field(
        0.0, ge=0, le=1e6, description="Difference of test loss that --require leaves room for."
    )

    @property
    def regularizer(self) -> type[Regularizer]:
        """The regularizer under study."""
        return REGULARIZERS[self.experiment]

    @property
    def arms(self) -> tuple[Regularizer, ...]:
        """The baseline, and the regularizer at each strength."""
        return (Baseline(), *(self.regularizer(strength) for strength in self.strengths))

    @property
    def arm_names(self) -> list[str]:
        """The arms' names without the baseline."""
        return [arm.name for arm in self.arms[1:]]

    @property
    def seeds(self) -> range:
        """One seed per replicate."""
        return range(self.seed, self.seed + self.replicates)

    def values(self) -> dict[str, Any]:
        """Return every setting by its key; the strengths under the regularizer's own."""
        values = super().values()
        return {
            "experiment": values.pop("experiment"),
            self.regularizer.option: list(values.pop("strengths")),
            **values,
        }

    def to_file(self) -> dict[str, Any]:
        """Return the settings of a file; with a target width, replicates are not one of them."""
        values = super().to_file()
        if self.target_width is not None:
            del values["replicates"]
        return values

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.x_min < self.x_max:
            raise UsageError(
                f"--x-min: got {self.x_min!r}, which must be below --x-max ({self.x_max!r})"
            )
        confirm = self.confirm or 0
        if self.seed + self.replicates + confirm > 2**32:
            many = f"--replicates {self.replicates}"
            if self.target_width is not None:
                many = f"the {self.replicates} replicates of --target-width {self.target_width:g}"
            also = f" and --confirm {confirm}" if confirm else ""
            raise UsageError(
                f"--seed: got {self.seed}, but with {many}{also} the last "
                f"seed would pass 4294967295; lower one of them"
            )
        if self.confirm is not None and self.vary != "both":
            raise UsageError(
                f"--confirm: got {self.confirm}, which needs --vary both: fresh replicates would "
                f"have another fixed part"
            )
        if self.margin and self.require is None:
            raise UsageError(f"--margin: got {self.margin!r}, which needs --require")
        limit, reason = self.regularizer.strength_limit(self.lr, self.momentum, self.optimizer)
        check_strengths(self.regularizer.option, self.strengths, limit, reason)
        return self


class DropoutScale(Experiment):
    """The output of one dropout layer in training and evaluation mode."""

    experiment: Literal["dropout-scale"] = "dropout-scale"
    p: tuple[float, ...] = Field(
        (0.5,), min_length=1, max_length=100, description="Drop probability, one or several."
    )
    units: int = Field(10_000, ge=1, le=100_000_000, description="Inputs, all of them one.")
    trials: int = Field(1000, ge=2, le=1_000_000, description="Draws of the dropout mask.")
    seed: int = Field(1, ge=0, le=2**32 - 1, description="Seed of the masks.")

    @property
    def arm_names(self) -> list[str]:
        """The drop probabilities."""
        return [f"p={p!r}" for p in self.p]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        check_strengths("p", self.p, 1.0, "")
        if self.units * self.trials > 10**11:
            raise UsageError(
                f"--trials: got {self.trials}, but {self.units} units would need "
                f"{self.units * self.trials:.0e} draws; at most 1e+11 are allowed"
            )
        return self


EXPERIMENTS = (*REGULARIZERS, "dropout-scale")
"""The subcommands that run an experiment."""


def model_of(experiment: str) -> type[Experiment]:
    """Return the class of settings that a subcommand takes."""
    return DropoutScale if experiment == "dropout-scale" else TrainingExperiment


def kind_of(field: FieldInfo) -> Any:
    """Return the type of a setting's value, where it has one."""
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    is_optional = isinstance(field.annotation, UnionType)
    return kinds[0] if is_optional and len(kinds) == 1 else field.annotation


def keys_of(model: type[Settings]) -> set[str]:
    """Return the keys of a model's settings."""
    return {field.alias or name for name, field in model.model_fields.items()}


def settings_of(experiment: str) -> dict[str, FieldInfo]:
    """Return every setting of a subcommand by its key, in the order of its help."""
    fields = dict(model_of(experiment).model_fields)
    del fields["experiment"]
    settings: dict[str, FieldInfo] = {}
    if experiment in REGULARIZERS:
        settings[REGULARIZERS[experiment].option] = fields.pop("strengths")
    settings |= {field.alias or name: field for name, field in fields.items()}
    return settings


def option_of(key: str) -> str:
    """Return the command-line option of a key."""
    return "--" + key.replace("_", "-")


def check_strengths(option: str, strengths: Iterable[float], limit: float, reason: str) -> None:
    """Raise `UsageError` where a strength is negative, not below `limit`, or given twice."""
    seen = set()
    for strength in strengths:
        if not 0 <= strength < limit:
            why = f", which is {reason}" if reason else ""
            raise UsageError(
                f"--{option}: got {visible(strength)}; allowed: numbers from 0 to below "
                f"{limit:.10g}{why}"
            )
        if strength in seen:
            raise UsageError(f"--{option}: got {visible(strength)} twice; give each strength once")
        seen.add(strength)
