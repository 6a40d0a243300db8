"""The output of one dropout layer in training and evaluation mode, against its exact law.

A dropout layer stands before a linear layer whose inputs and weights are all one, so that the
output counts what was kept. Knows nothing about files or the terminal.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import stats
from torch import nn

from regbench.engines.environment import describe_environment, describe_provenance
from regbench.storage.blocks import BLOCK_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from regbench.analysis.history import Array
    from regbench.settings.study import DropoutScale
    from regbench.storage.archive import Archive
    from regbench.storage.blocks import Arrays, Provenance

ARTICLE_OUTPUT = 9868.0
"""The one training-mode output that the article prints, of 10 000 units at p = 0.5."""
SMALLEST_PROBABILITY = 1e-6
"""Outcomes of a fair dropout less probable than this are taken as a fault."""
LARGEST_ROUNDING = 1e-3
"""Of an output, as a share of N; a wrong scale or mode is far larger."""
EVALUATIONS = 10
"""Outputs in evaluation mode: one of a layer that drops there too may be right by chance."""
CHUNK = 2**22
"""Units drawn at once."""
UNIT_SECONDS = 2.5e-8
"""What drawing and adding up a unit takes, roughly."""
SMALLEST_EXPECTED_COUNT = 5.0
"""Of a bin in the chi-square test."""


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

    def to_arrays(self) -> Arrays:
        """Return what was measured as arrays by name; `load_scale` reads them back."""
        eval_output = np.array(self.eval_output)
        return {"outputs": self.outputs, "kept": self.kept, "eval_output": eval_output}

    @property
    def law(self) -> Any:
        """The exact law of the number kept: Binomial(N, 1 - p)."""
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
        if self.article_z is None:
            return None
        kept = round(ARTICLE_OUTPUT * (1 - self.drop_probability))
        return float(stats.binomtest(kept, self.units, 1 - self.drop_probability).pvalue)

    @property
    def keep_probability(self) -> float:
        """The exact two-sided probability of the total number kept (binomial test)."""
        draws = self.units * len(self.kept)
        test = stats.binomtest(int(self.kept.sum()), draws, 1 - self.drop_probability)
        return float(test.pvalue)

    @property
    def shape_probability(self) -> float | None:
        """The probability of the trials' distribution (chi-square on binned counts).

        Bins hold about equal shares of the law and at least `SMALLEST_EXPECTED_COUNT` trials
        each; None where that leaves fewer than two bins.
        """
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
        largest = max(np.abs(self.outputs - expected).max(), abs(self.eval_output - self.units))
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
    """The settings, the environment and a `Scale` for each drop probability."""

    settings: DropoutScale
    environment: dict[str, Any]
    scales: list[Scale]


def scale_environment() -> tuple[dict[str, Any], Provenance]:
    """Return where the layer runs, and what of it the numbers depend on."""
    cpu = torch.device("cpu")
    return describe_environment(cpu), describe_provenance("torch", cpu)


def run_dropout_scale(
    settings: DropoutScale,
    advance: Callable[[int], None] = lambda trials: None,
    environment: dict[str, Any] | None = None,
    archive: Archive | None = None,
) -> ScaleResult:
    """Draw the trials of every drop probability that is not in the archive, and put them there.

    Args:
        settings: What to draw.
        advance: Called now and then with the number of trials done since.
        environment: From `scale_environment`; made anew where not given.
        archive: Where trials are kept; None for nowhere.
    """
    environment = environment or scale_environment()[0]
    started = time.perf_counter()
    scales = []
    for p in settings.p:
        scale = archive and load_scale(archive, settings, p)
        if scale:
            advance(settings.trials)
        else:
            scale = measure_scale(p, settings, advance)
            if archive:
                archive.save_arrays(scale_key(settings, p), scale.to_arrays())
        scales.append(scale)
    duration = round(time.perf_counter() - started, 3)
    return ScaleResult(settings, {**environment, "duration_seconds": duration}, scales)


def seconds_estimate(settings: DropoutScale) -> float:
    """Return about how many seconds it takes to draw all trials."""
    return UNIT_SECONDS * settings.units * settings.trials * len(settings.p)


def scale_key(settings: DropoutScale, p: float) -> dict[str, Any]:
    """Return all that the trials of one p depend on; see `blocks.block_key`."""
    return {
        "schema": BLOCK_SCHEMA,
        "scale": [p, settings.units, settings.trials, settings.seed],
    }


def load_scale(archive: Archive, settings: DropoutScale, p: float) -> Scale | None:
    """Return what was measured at p, or None where it is not in the archive."""
    arrays = archive.load_arrays(scale_key(settings, p))
    if arrays is None:
        return None
    eval_output = float(arrays["eval_output"])
    return Scale(p, settings.units, arrays["outputs"], arrays["kept"], eval_output)


@torch.no_grad()
def measure_scale(p: float, settings: DropoutScale, advance: Callable[[int], None]) -> Scale:
    """Run torch's own dropout and linear layers; each p starts again from the seed."""
    dropout, linear = nn.Dropout(p), nn.Linear(settings.units, 1, bias=False, device="meta")
    linear.weight = nn.Parameter(torch.ones(1, settings.units))
    chunk = max(1, CHUNK // settings.units)
    outputs, kept = [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        for first in range(0, settings.trials, chunk):
            rows = min(chunk, settings.trials - first)
            dropped = dropout(torch.ones(rows, settings.units))
            outputs.append(linear(dropped).relu().squeeze(1).double())
            kept.append(dropped.count_nonzero(dim=1))
            advance(rows)
    network = nn.Sequential(dropout, linear, nn.ReLU()).eval()
    ones = torch.ones(settings.units)
    evaluations = [float(network(ones).item()) for _ in range(EVALUATIONS)]
    return Scale(
        drop_probability=p,
        units=settings.units,
        outputs=torch.cat(outputs).numpy(),
        kept=torch.cat(kept).numpy(),
        eval_output=max(evaluations, key=lambda output: abs(output - settings.units)),
    )
