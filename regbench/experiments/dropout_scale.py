"""The output of one dropout layer in training and evaluation mode, against its exact law.

A dropout layer stands before a linear layer whose inputs and weights are all one, so that the
output counts what was kept. Knows nothing about files or the terminal.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import Field, field_validator, model_validator

from regbench.errors import UsageError
from regbench.experiments.base import SILENT, Observer, Plan
from regbench.settings.base import check_strength
from regbench.settings.study import LAST_SEED, BaseStudy

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from regbench.analysis.history import Array
    from regbench.settings.machine import Environment, Machine
    from regbench.settings.question import Question
    from regbench.storage.blocks import Archive

MOST_DRAWS = 10**11
ARTICLE_OUTPUT = 9868.0
"""The one training-mode output that the article prints, of 10 000 units at p = 0.5."""
SMALLEST_PROBABILITY = 1e-6
"""Outcomes of a fair dropout less probable than this are taken as a fault."""
LARGEST_ROUNDING = 1e-3
"""Of an output, as a share of N; a wrong scale or mode is far larger."""
EVALUATIONS = 10
"""Outputs in evaluation mode: one of a layer that drops there too may be right by chance."""
MEASURED = ("outputs", "kept", "eval_output")
CHUNK = 2**22
"""Units drawn at once."""
UNIT_SECONDS = 2.5e-8
"""What it takes to draw and add up a unit, roughly."""
SMALLEST_EXPECTED_COUNT = 5.0
"""Of a bin in the chi-square test."""


class DropoutScale(BaseStudy):
    """What to draw."""

    experiment: ClassVar[str] = "dropout_scale"

    p: tuple[float, ...] = Field(
        (0.5,), min_length=1, max_length=100, description="Drop probability, one or several."
    )
    units: int = Field(10_000, ge=1, le=100_000_000, description="Inputs, all of them one.")
    trials: int = Field(1000, ge=2, le=1_000_000, description="Draws of the dropout mask.")
    seed: int = Field(1, ge=0, le=LAST_SEED, description="Seed of the masks.")

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
            check_strength("p", p, 1.0, "")
            if self.p.count(p) > 1:
                raise UsageError("p", problem=f"got '{p}' twice", hint="give each once")
        draws = self.units * self.trials
        if draws > MOST_DRAWS:
            problem = f"but {self.units} units would need {draws:.0e} draws"
            raise UsageError("trials", self.trials, f"at most {MOST_DRAWS:.0e}", problem=problem)
        return self


@dataclass(frozen=True)
class Scale:
    """What the layer gave at one drop probability.

    Attributes:
        drop_probability: p.
        units: N, the number of inputs.
        outputs: Outputs of the network in training mode, `(trials,)`, float64.
        kept: How many units each trial kept, `(trials,)`.
        eval_output: The network's output in evaluation mode: the one furthest from N of
            `EVALUATIONS`, which should be equal.
    """

    drop_probability: float
    units: int
    outputs: Array
    kept: NDArray[np.int64]
    eval_output: float

    @property
    def law(self) -> Any:
        """The exact law of the number kept: Binomial(N, 1 - p)."""
        from scipy import stats

        return stats.binom(self.units, 1 - self.drop_probability)

    @property
    def theory_sd(self) -> float:
        """The standard deviation √(N p/(1-p)) of the output of inverted dropout."""
        p = self.drop_probability
        return math.sqrt(self.units * p / (1 - p))

    @property
    def article_z(self) -> float | None:
        """How many standard deviations the article's output lies from N, in its setting."""
        if (self.units, self.drop_probability) != (10_000, 0.5):
            return None
        return (ARTICLE_OUTPUT - self.units) / self.theory_sd

    @property
    def article_probability(self) -> float | None:
        """The exact two-sided probability of the article's output, in its setting."""
        kept = round(ARTICLE_OUTPUT * (1 - self.drop_probability))
        return None if self.article_z is None else self._probability(kept, self.units)

    @property
    def keep_probability(self) -> float:
        """The exact two-sided probability of the total number kept (binomial test)."""
        return self._probability(int(self.kept.sum()), self.units * len(self.kept))

    def _probability(self, kept: int, draws: int) -> float:
        from scipy import stats

        return float(stats.binomtest(kept, draws, 1 - self.drop_probability).pvalue)

    @property
    def shape_probability(self) -> float | None:
        """The probability of the trials' distribution (chi-square on binned counts).

        Bins hold about equal shares of the law and at least `SMALLEST_EXPECTED_COUNT` trials
        each; None where that leaves fewer than two bins.
        """
        import numpy as np
        from scipy import stats

        quantiles = np.linspace(0, 1, 21)[1:-1]
        edges = np.unique(self.law.ppf(quantiles))
        shares = np.diff(self.law.cdf(edges), prepend=0.0, append=1.0)
        counts = np.bincount(np.searchsorted(edges, self.kept), minlength=len(shares))
        expected, observed = [0.0], [0]
        for share, count in zip(shares, counts, strict=True):
            if expected[-1] >= SMALLEST_EXPECTED_COUNT:
                expected.append(0.0)
                observed.append(0)
            expected[-1] += share * len(self.kept)
            observed[-1] += int(count)
        if len(expected) > 1 and expected[-1] < SMALLEST_EXPECTED_COUNT:
            expected[-2:] = [sum(expected[-2:])]
            observed[-2:] = [sum(observed[-2:])]
        if len(expected) < 2:
            return None
        return float(stats.chisquare(observed, expected).pvalue)

    @property
    def scale_error(self) -> float:
        """The largest deviation of an output from what it must be, as a share of N.

        In training mode that is kept/(1-p), in evaluation mode N; only rounding is between.
        """
        expected = self.kept / (1 - self.drop_probability)
        largest = max(abs(self.outputs - expected).max(), abs(self.eval_output - self.units))
        return float(largest / self.units)

    @property
    def fits_law(self) -> bool:
        """Whether torch's dropout scales right and may follow the law.

        At `SMALLEST_PROBABILITY`, and within `LARGEST_ROUNDING`.
        """
        shape = self.shape_probability
        return (
            self.scale_error <= LARGEST_ROUNDING
            and self.keep_probability >= SMALLEST_PROBABILITY
            and (shape is None or shape >= SMALLEST_PROBABILITY)
        )


@dataclass(frozen=True)
class ScaleResult:
    """What was asked, where it ran, and a `Scale` for each drop probability."""

    study: DropoutScale
    environment: Environment
    scales: list[Scale]


def plan(
    study: DropoutScale, question: Question, machine: Machine, began: Environment | None = None
) -> Plan:
    """Return the plan of a run, which the CPU draws; see `base.Experiment.plan`."""
    import torch

    from regbench.engines.environment import describe_environment, describe_provenance

    del machine
    cpu = torch.device("cpu")
    return Plan(
        study=study,
        question=question,
        environment=began or describe_environment(cpu),
        provenance=describe_provenance("torch", cpu),
        work="drawing",
        seconds=UNIT_SECONDS * study.units * study.trials * len(study.p),
    )


def misfit(study: DropoutScale, machine: Machine) -> None:
    """Return None: no engine draws."""
    del study, machine


def run(plan: Plan, archive: Archive | None = None, observer: Observer = SILENT) -> ScaleResult:
    """Draw what is missing and return the result; see `base.Experiment.run`."""
    started, study, scales = time.perf_counter(), plan.study, []
    with observer.stage(plan.work, study.trials * len(study.p)) as advance:
        for p in study.p:
            scale = archive and load_scale(archive, study, p)
            if scale:
                advance(study.trials)
            else:
                scale = measure_scale(p, study, advance)
                if archive:
                    measured = {name: getattr(scale, name) for name in MEASURED}
                    archive.save_arrays(scale_key(study, p), measured)
            scales.append(scale)
    duration = round(time.perf_counter() - started, 3)
    environment = dataclasses.replace(plan.environment, duration_seconds=duration)
    return ScaleResult(study, environment, scales)


def read_back(
    study: DropoutScale, question: Question, environment: Environment, archive: Archive
) -> tuple[ScaleResult, int, int]:
    """Return the result of the blocks that are there; see `base.Experiment.read_back`."""
    del question
    loaded = [load_scale(archive, study, p) for p in study.p]
    scales = [scale for scale in loaded if scale is not None]
    return ScaleResult(study, environment, scales), len(scales), len(loaded)


def scale_key(study: DropoutScale, p: float) -> dict[str, Any]:
    """Return all that the trials of one p depend on; see `storage.blocks.block_key`."""
    from regbench.storage.blocks import BLOCK_SCHEMA

    return {"schema": BLOCK_SCHEMA, "scale": [p, study.units, study.trials, study.seed]}


def load_scale(archive: Archive, study: DropoutScale, p: float) -> Scale | None:
    """Return what was measured at p, or None where it is not in the archive."""
    arrays = archive.load_arrays(scale_key(study, p))
    if arrays is None:
        return None
    return Scale(p, study.units, **{**arrays, "eval_output": float(arrays["eval_output"])})


def measure_scale(p: float, study: DropoutScale, advance: Callable[[int], None]) -> Scale:
    """Run torch's own dropout and linear layers; each p starts again from the seed."""
    import torch
    from torch import nn

    dropout, linear = nn.Dropout(p), nn.Linear(study.units, 1, bias=False, device="meta")
    linear.weight = nn.Parameter(torch.ones(1, study.units))
    chunk = max(1, CHUNK // study.units)
    outputs, kept = [], []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(study.seed)
        for first in range(0, study.trials, chunk):
            rows = min(chunk, study.trials - first)
            dropped = dropout(torch.ones(rows, study.units))
            outputs.append(linear(dropped).relu().squeeze(1).double())
            kept.append(dropped.count_nonzero(dim=1))
            advance(rows)
    network = nn.Sequential(dropout, linear, nn.ReLU()).eval()
    ones = torch.ones(study.units)
    evaluations = [float(network(ones).item()) for _ in range(EVALUATIONS)]
    return Scale(
        drop_probability=p,
        units=study.units,
        outputs=torch.cat(outputs).numpy(),
        kept=torch.cat(kept).numpy(),
        eval_output=max(evaluations, key=lambda output: abs(output - study.units)),
    )
