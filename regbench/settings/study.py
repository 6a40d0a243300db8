"""The studies: all that decides a network's numbers, or those of `dropout-scale`.

Knows nothing about where values come from, about tensors, or about what the settings do.
"""

from __future__ import annotations

import bisect
import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, InstanceOf, field_validator, model_validator

from regbench.errors import UsageError
from regbench.regularizers import Arm, Regularizer
from regbench.regularizers.plugins import described
from regbench.settings.base import Settings, check_strength
from regbench.settings.table import Table
from regbench.settings.truths import TRUTHS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regbench.settings.groups import Question
    from regbench.settings.rows import Rows

MOST_REPLICATES = 10_000_000
LAST_SEED = 2**32 - 1
"""Largest seed: torch's CPU generator uses 32 bits."""
MOST_KEPT = 20
"""Most epochs of which predictions and counts of weights are kept."""
LARGEST = 1e6
"""Largest magnitude accepted for task settings and the learning rate."""
MOST_DRAWS = 10**11


class Task(Settings, title="Task"):
    """The synthetic regression problem: y = truth(x) + noise."""

    inputs: ClassVar[int] = 1
    """The number of inputs, D."""
    epochs: ClassVar[int | None] = None
    """Epochs where none are given, if other than usual."""

    truth: str = Field(
        default="linear",
        pattern=f"^({'|'.join(TRUTHS)})$",
        description="Target without noise, scaled by --slope: "
        f"{', '.join(f'{name} {truth.formula.strip()}' for name, truth in TRUTHS.items())}.",
        json_schema_extra={
            "allowed": ", ".join(TRUTHS),
            "choices": list(TRUTHS),
            "metavar": "NAME",
        },
    )
    points: int = Field(
        default=10,
        ge=1,
        le=1_000_000,
        description="Training points; of a table all rows of the training part if not given.",
    )
    test_points: int = Field(
        default_factory=lambda settings: settings["points"],
        ge=1,
        le=1_000_000,
        description="Test points; by default as many as --points.",
    )
    noise: float = Field(
        default=0.5,
        ge=0,
        le=LARGEST,
        description="Noise of the training targets (standard deviation).",
    )
    slope: float = Field(
        default=1.5,
        ge=-LARGEST,
        le=LARGEST,
        description="Slope of the true line, or scale of another truth.",
    )
    x_min: float = Field(default=-1.0, ge=-LARGEST, le=LARGEST, description="Smallest input.")
    x_max: float = Field(default=1.0, ge=-LARGEST, le=LARGEST, description="Largest input.")
    test_noise: float = Field(
        default=0.3, ge=0, le=LARGEST, description="Noise of the test targets (standard deviation)."
    )

    def refuse(self, asked: Mapping[str, Any]) -> None:
        """Raise `UsageError` for a setting elsewhere that has no meaning of such a task."""

    @model_validator(mode="after")
    def _has_a_range(self) -> Self:
        if not self.x_min < self.x_max:
            problem = f"which must be below --x-max ({self.x_max!r})"
            raise UsageError("x_min", self.x_min, problem=problem)
        return self


class Network(Settings, title="Network"):
    """The multi-layer perceptron and its inputs."""

    hidden: int = Field(default=200, ge=1, le=100_000, description="Units of each hidden layer.")
    depth: int = Field(default=3, ge=0, le=100, description="Hidden layers; 0 is a linear model.")
    features: str = Field(
        default="x",
        pattern=r"^(x|polynomial:([1-9]|[1-4][0-9]|50))$",
        description="Inputs of the network: x, or polynomial:K for the powers 1 to K of x (K is at "
        "most 50).",
        json_schema_extra={
            "allowed": "x, or polynomial:K with K from 1 to 50",
            "choices": ["x", "polynomial:9"],
            "metavar": "x|polynomial:K",
        },
    )

    inputs: int = Field(
        default=1,
        ge=1,
        exclude_if=lambda number: number == 1,
        json_schema_extra={"allowed": "the number of the task's inputs", "hidden": True},
    )

    @property
    def input_size(self) -> int:
        """The number of inputs, D."""
        return int(self.features.partition(":")[2] or self.inputs)

    @property
    def layer_sizes(self) -> list[int]:
        """The width of every layer, from the inputs to the one output."""
        return [self.input_size, *[self.hidden] * self.depth, 1]

    @property
    def noisy_sizes(self) -> list[int]:
        """The widths of the layers that dropout acts on: the hidden ones, or else the inputs."""
        return self.layer_sizes[1:-1] or [self.input_size]

    @property
    def layer_names(self) -> list[str]:
        """`hidden1`, … `output`."""
        return [*(f"hidden{layer + 1}" for layer in range(self.depth)), "output"]

    @property
    def parameter_names(self) -> list[str]:
        """`hidden1.weight`, `hidden1.bias`, … `output.weight`, `output.bias`."""
        return [f"{layer}.{kind}" for layer in self.layer_names for kind in ("weight", "bias")]

    @property
    def parameter_count(self) -> int:
        """The number of weights and biases of one network, P."""
        return sum(i * o + o for i, o in itertools.pairwise(self.layer_sizes))


class Training(Settings, title="Training"):
    """Full-batch gradient descent."""

    epochs: int = Field(
        default=2000, ge=1, le=1_000_000_000, description="Full-batch steps; 200 with --data."
    )
    lr: float = Field(default=0.01, gt=0, le=LARGEST, description="Learning rate.")
    optimizer: Literal["sgd", "adam"] = Field(
        default="sgd", description="SGD with --momentum, or Adam."
    )
    momentum: float = Field(default=0.9, ge=0, lt=1, description="Momentum of SGD.")
    log_every: int = Field(default=200, ge=1, le=1_000_000_000, description="Log every N epochs.")

    @property
    def logged_epochs(self) -> list[int]:
        """Every multiple of `log_every`, and the last epoch."""
        return [*range(self.log_every, self.epochs, self.log_every), self.epochs]

    @property
    def logged_count(self) -> int:
        """The number of logged epochs."""
        return -(-self.epochs // self.log_every)

    @property
    def measured_epochs(self) -> list[int]:
        """0, before the first logged one about eight for each decade, and the logged ones."""
        logged = self.logged_epochs
        early = {round(10 ** (step / 8)) for step in range(80)}
        return [0, *sorted(epoch for epoch in early if epoch < logged[0]), *logged]

    @property
    def kept_epochs(self) -> list[int]:
        """The measured epochs of which more is kept: 0, and others in about equal ratios."""
        measured, steps = self.measured_epochs, MOST_KEPT - 2
        goals = [self.epochs ** (step / steps) for step in range(steps + 1)]
        return [0, *sorted({measured[bisect.bisect_left(measured, goal)] for goal in goals})]


class BaseStudy(Settings):
    """What decides the numbers of an experiment, whichever that is."""

    has_blocks: ClassVar[bool] = True
    """Whether its numbers are stored in blocks, so that a run can go on and be read back."""

    def by_key(self) -> dict[str, Any]:
        """Return all that decides the numbers by key, ready for JSON."""
        return self.model_dump(mode="json")

    @property
    def plugins(self) -> list[dict[str, Any]]:
        """The plug-ins that it uses; see `regularizers.plugins.described`."""
        return []

    def with_rows(self, rows: Rows) -> Self:
        """Return the study of a table with its rows; raises `UsageError` where these are others."""
        raise UsageError("data", problem="but it is no study of a table")

    def check_question(self, question: Question) -> None:
        """Raise `UsageError` where a question cannot be asked of this study."""


class Study(BaseStudy):
    """A baseline against regularized networks on the same replicates.

    The baseline is the first of the arms, and need not be given.
    """

    if TYPE_CHECKING:
        task: Any  # else whoever asks a synthetic task for its noise would have to tell them apart
    else:
        task: Task | Table = Field(default_factory=Task)
    network: Network = Field(default_factory=Network)
    training: Training = Field(default_factory=Training)
    arms: tuple[InstanceOf[Arm], ...] = Field(
        min_length=2, max_length=1001, json_schema_extra={"allowed": "regularizers and their sums"}
    )
    replicates: int = Field(
        default=30, ge=1, le=MOST_REPLICATES, description="Draws of data and initial weights."
    )
    seed: int = Field(default=1, ge=0, le=LAST_SEED, description="Seed of the first replicate.")
    pairing: Literal["shared", "independent"] = Field(
        default="shared",
        description="Whether all arms of a replicate share initial weights or draw their own.",
    )
    vary: Literal["both", "data", "init"] = Field(
        default="both",
        description="What changes between replicates: the data, the initial weights (with the "
        "masks of dropout), or both.",
    )
    dtype: Literal["float32", "float64"] = Field(
        default="float32", description="Floating-point type to train in."
    )

    if TYPE_CHECKING:  # one arm may stand for several
        # fmt: off
        def __init__(
            self, *, arms: Sequence[Arm | Regularizer] | Arm | Regularizer,
            task: Task | Table = ..., network: Network = ..., training: Training = ...,
            replicates: int = ..., seed: int = ..., pairing: Literal["shared", "independent"] = ...,
            vary: Literal["both", "data", "init"] = ...,
            dtype: Literal["float32", "float64"] = ...,
        ) -> None: ...
        # fmt: on

    @model_validator(mode="before")
    @classmethod
    def _follows_its_task(cls, values: Any) -> Any:
        task = values.get("task")
        if isinstance(task, Task | Table):
            network = values.get("network", Network())
            training = values.get("training", Training())
            if isinstance(network, Network) and network.inputs != task.inputs:
                values = {**values, "network": network.replaced(inputs=task.inputs)}
            if isinstance(training, Training) and not {"epochs"} & training.model_fields_set:
                own = {} if task.epochs is None else {"epochs": task.epochs}
                values = {**values, "training": training.replaced(**own)}
        return values

    @field_validator("arms", mode="before")
    @classmethod
    def _begins_with_the_baseline(cls, arms: Any) -> Any:
        several = arms if isinstance(arms, list | tuple) else (arms,)
        sums = tuple(Arm((arm,)) if isinstance(arm, Regularizer) else arm for arm in several)
        if not all(isinstance(arm, Arm) for arm in sums):
            raise UsageError("arms", arms, "regularizers and their sums")
        return sums if sums[:1] == (Arm(),) else (Arm(), *sums)

    @property
    def arm_names(self) -> list[str]:
        """The arms' names; the first is `baseline`."""
        return [arm.name for arm in self.arms]

    @property
    def labels(self) -> dict[str, str]:
        """What people call the arms, by name: by symbols, where each stands for one regularizer."""
        kinds = {type(part) for arm in self.arms for part in arm.parts}
        if len({kind.symbol for kind in kinds}) < len(kinds):
            return {name: name for name in self.arm_names}
        return {arm.name: "+".join(p.label for p in arm.parts) or arm.name for arm in self.arms}

    @property
    def plugins(self) -> list[dict[str, Any]]:
        """The plug-ins that it uses, each once, in the order of their commands; see `described`."""
        kinds = {type(part) for arm in self.arms for part in arm.parts if part.origin}
        return [described(kind) for kind in sorted(kinds, key=lambda kind: kind.command)]

    @property
    def compared(self) -> list[str]:
        """The names of the arms without the baseline."""
        return self.arm_names[1:]

    @property
    def seeds(self) -> range:
        """One seed per replicate."""
        return range(self.seed, self.seed + self.replicates)

    def by_key(self) -> dict[str, Any]:
        """Return all that decides the numbers by key, ready for JSON; arms by their names."""
        groups = [group.model_dump() for group in (self.task, self.network, self.training)]
        own = self.model_dump(exclude={"arms", "task", "network", "training"})
        return {"arms": self.compared} | groups[0] | groups[1] | groups[2] | own

    def with_rows(self, rows: Rows) -> Self:
        """Return the study of a table with its rows; raises `UsageError` where these are others."""
        if not isinstance(self.task, Table):
            return super().with_rows(rows)
        return self.replaced(task=self.task.replaced(values=rows))

    def check_question(self, question: Question) -> None:
        """Raise `UsageError` where a question cannot be asked of this study."""
        self.task.refuse(question.model_dump())
        confirm = question.confirm or 0
        self._check_seeds(confirm)
        if confirm and self.vary != "both":
            problem = "which needs --vary=both: fresh replicates would have another fixed part"
            raise UsageError("confirm", confirm, problem=problem)
        if question.by == "risk-at-best" and self.replicates == 1:
            problem = "which is chosen by other replicates, and there is one"
            raise UsageError("by", question.by, problem=problem, hint="use 2 replicates or more")

    def _check_seeds(self, more: int) -> None:
        if self.seed + self.replicates + more > LAST_SEED + 1:
            also = f" and {more} to confirm" if more else ""
            last = f"the last seed would pass {LAST_SEED}"
            problem = f"but with {self.replicates} replicates{also} {last}"
            hint = "lower --seed, --replicates or --confirm, or raise --target-width"
            raise UsageError("seed", self.seed, problem=problem, hint=hint)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self._check_seeds(0)
        self.task.refuse({"pairing": self.pairing, "vary": self.vary, **self.network.model_dump()})
        training, names = self.training, self.arm_names
        is_mixed = len({type(part) for arm in self.arms for part in arm.parts}) > 1
        for part in (part for arm in self.arms for part in arm.active):
            limit, reason = part.strength_limit(training)
            got = part.name if is_mixed else part.strength
            check_strength("arms", part.strength, limit, got, reason)
        if repeated := next((name for name in names if names.count(name) > 1), None):
            problem = f"got '{repeated}' twice"
            raise UsageError("arms", problem=problem, hint="give each arm once")
        return self


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
