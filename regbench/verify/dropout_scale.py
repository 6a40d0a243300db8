"""The output of one dropout layer in training and evaluation mode, against its exact law.

A dropout layer stands before a linear layer whose inputs and weights are all one, so that the
output counts what was kept.
"""

from __future__ import annotations

import dataclasses
import math
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from regbench.analysis.result import Shown
from regbench.experiments import SILENT, Observer, Plan
from regbench.experiments.feasibility import check_memory
from regbench.settings.groups import Question

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from regbench.analysis.history import Array
    from regbench.settings.groups import Environment
    from regbench.settings.study import DropoutScale

CHUNK_NUMBERS = 2**22
"""Units whose masks are drawn at once; at least one trial."""
SECONDS_PER_UNIT = 2.5e-8
"""About how long a CPU takes to draw one unit's mask and to add it up."""
ARTICLE_OUTPUT = 9868.0
"""The one training-mode output that the article prints, of 10 000 units at p = 0.5."""


@dataclass(frozen=True)
class Scale:
    """What the layer gave at one drop probability p with N inputs."""

    drop_probability: float
    units: int
    outputs: Array  # of the network in training mode, `(trials,)`, float64
    kept: NDArray[np.int64]  # how many units each trial kept, `(trials,)`
    eval_output: float  # the network's output in evaluation mode: the one furthest from N of ten

    @property
    def law(self) -> Any:
        """The exact law of the number kept: Binomial(N, 1 - p)."""
        from scipy import stats

        return stats.binom(self.units, 1 - self.drop_probability)

    @property
    def theory_sd(self) -> float:
        """The standard deviation √(N p/(1-p)) of the output of inverted dropout."""
        return math.sqrt(self.units * self.drop_probability / (1 - self.drop_probability))

    @property
    def article_z(self) -> float | None:
        """How many standard deviations the article's output lies from N, in its setting."""
        is_article = (self.units, self.drop_probability) == (10_000, 0.5)
        return (ARTICLE_OUTPUT - self.units) / self.theory_sd if is_article else None

    @property
    def article_probability(self) -> float | None:
        """The exact two-sided probability of the article's output, in its setting."""
        from scipy import stats

        if self.article_z is None:
            return None
        return float(stats.binomtest(round(ARTICLE_OUTPUT / 2), self.units).pvalue)

    @property
    def keep_probability(self) -> float:
        """The exact two-sided probability of the total number kept (binomial test)."""
        from scipy import stats

        draws, keep = self.units * len(self.kept), 1 - self.drop_probability
        return float(stats.binomtest(int(self.kept.sum()), draws, keep).pvalue)

    @property
    def shape_probability(self) -> float | None:
        """The probability of the trials' distribution (chi-square on binned counts).

        Bins have about equal shares and at least five expected trials; None where one is left.
        """
        import numpy as np
        from scipy import stats

        edges = np.unique(self.law.ppf(np.linspace(0, 1, 21)[1:-1]))
        shares = np.diff(self.law.cdf(edges), prepend=0.0, append=1.0)
        counts = np.bincount(np.searchsorted(edges, self.kept), minlength=len(shares))
        bins = [np.zeros(2)]  # of each, how many trials are expected and how many observed
        for share, count in zip(shares, counts, strict=True):
            if bins[-1][0] >= 5:
                bins.append(np.zeros(2))
            bins[-1] += share * len(self.kept), count
        if len(bins) > 1 and bins[-1][0] < 5:
            bins[-2:] = [bins[-2] + bins[-1]]
        if len(bins) < 2:
            return None
        expected, observed = np.transpose(bins)
        return float(stats.chisquare(observed, expected).pvalue)

    @property
    def scale_error(self) -> float:
        """The largest deviation from kept/(1-p), in evaluation mode from N, as a share of N."""
        expected = self.kept / (1 - self.drop_probability)
        largest = max(abs(self.outputs - expected).max(), abs(self.eval_output - self.units))
        return float(largest / self.units)

    @property
    def fits_law(self) -> bool:
        """Whether torch's dropout scales right to rounding and, at 10⁻⁶, may follow the law."""
        shape = self.shape_probability
        smallest = min(self.keep_probability, 1.0 if shape is None else shape)
        return self.scale_error <= 1e-3 and smallest >= 1e-6


@dataclass(frozen=True)
class ScaleResult(Shown):
    """What was asked, where it ran, and a `Scale` for each drop probability."""

    study: DropoutScale
    environment: Environment
    scales: list[Scale]


def plan(study: DropoutScale) -> Plan:
    """Plan a measurement, which the CPU makes; raises `UsageError` where memory would not do."""
    drawn = 16 * max(CHUNK_NUMBERS, study.units) + 50 * study.trials * len(study.p)
    check_memory(drawn, "lower --trials or --units")
    import torch

    from regbench.engines.machine import describe_environment, describe_provenance

    cpu, seconds = torch.device("cpu"), SECONDS_PER_UNIT * study.units * study.trials * len(study.p)
    environment, provenance = describe_environment(cpu), describe_provenance("torch", cpu)
    return Plan(
        study, Question(), environment, provenance=provenance, work="drawing", seconds=seconds
    )


def measure(plan: Plan, observer: Observer = SILENT) -> ScaleResult:
    """Measure the layer at every p, each from the study's seed."""
    from regbench.engines.machine import isolated

    study: DropoutScale = plan.study
    started = time.perf_counter()
    with observer.stage(plan.work, study.trials * len(study.p)) as advance:
        scales = [
            isolated(partial(measure_scale, p, study), advance, is_alone=True) for p in study.p
        ]
    duration = round(time.perf_counter() - started, 3)
    environment = dataclasses.replace(plan.environment, duration_seconds=duration)
    return ScaleResult(study, environment, scales)


def measure_scale(p: float, study: DropoutScale, advance: Callable[[int], None]) -> Scale:
    """Run torch's own dropout and linear layers; each p starts again from the seed."""
    import torch
    from torch import nn

    dropout, linear = nn.Dropout(p), nn.Linear(study.units, 1, bias=False, device="meta")
    linear.weight = nn.Parameter(torch.ones(1, study.units))
    chunk = max(1, CHUNK_NUMBERS // study.units)  # trials drawn at once
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
    ones = torch.ones(study.units)  # a layer that drops here too may be right once, by chance
    evaluations = [float(network(ones).item()) for _ in range(10)]
    furthest = max(evaluations, key=lambda output: abs(output - study.units))
    return Scale(p, study.units, torch.cat(outputs).numpy(), torch.cat(kept).numpy(), furthest)
