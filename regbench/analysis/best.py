"""What is best: the epoch of each arm, and the strength of a sweep.

A baseline that is trained for too long makes whatever slows training look good at the last epoch.
So each arm is also stopped at its own best epoch, chosen by some replicates for others. Knows
nothing about how this is shown.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.statistics import AT_BEST, MANY_REPLICATES, Difference, paired_differences
from regbench.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from regbench.analysis.history import Array, History
    from regbench.analysis.statistics import Interval
    from regbench.regularizers import Arm, Regularizer
    from regbench.settings.groups import Question
    from regbench.settings.study import Study
    from regbench.tasks.sample import Sample

FEWEST_STRENGTHS = 5
RESAMPLES = 1999
"""Bootstrap samples of the replicates."""
CURVE_POINTS = 401
"""Points at which the curve through the arms is searched for its minimum."""


@dataclass(frozen=True)
class AtBest(Difference):
    """The paired difference of the risk, each arm at its own best epoch.

    Attributes:
        epochs, baseline_epochs: The epochs that replicates chose for others.
    """

    epochs: list[int]
    baseline_epochs: list[int]

    @property
    def difference(self) -> Difference:
        """The same without the epochs."""
        return Difference(*(getattr(self, field.name) for field in fields(Difference)))


@np.errstate(over="ignore", invalid="ignore")
def best_at(history: History, choosers: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the index of each replicate's best epoch, `(A, R)`, which others choose `(R, R)`.

    It is of the measured ones after the first step the earliest at which the arm's mean risk over
    the choosing replicates is lowest and finite; see `Task.choosers`.
    """
    risk = history.risk[1:].astype(np.float64)
    at = np.empty(risk.shape[1:], dtype=np.int64)
    for chooser in np.unique(choosers, axis=0):
        mean = risk[..., chooser].mean(axis=-1)
        best = np.where(np.isfinite(mean), mean, np.inf).argmin(axis=0)
        at[:, (choosers == chooser).all(axis=1)] = 1 + best[:, None]
    return at


def differences_at_best(
    names: Sequence[str], sample: Sample, epochs: NDArray[np.int64], confidence: float
) -> list[AtBest]:
    """Compare the risk of every arm with the baseline's, each at its best epochs `(A, R)`."""
    first, *chosen = (sorted(set(arm)) for arm in epochs.tolist())
    found = map(asdict, paired_differences(names, AT_BEST, sample, confidence))
    pairs = zip(found, chosen, strict=True)
    return [AtBest(**told, epochs=own, baseline_epochs=first) for told, own in pairs]


def judged_sample(study: Study, history: History, question: Question) -> Sample:
    """Return the sample by which arms are judged: at the last epoch, or at the best ones."""
    task = task_of(study)
    choosers = task.choosers(study.seeds)
    if question.is_at_best and choosers is not None:
        return task.sample(history, "risk", best_at(history, choosers))
    return task.sample(history, question.headline)


@dataclass(frozen=True)
class Optimum:
    """The strength at which a curve through the arms' mean losses is the lowest."""

    strength: float  # of the one part in which the arms differ
    ci: Interval | None  # its percentile interval, or None of one replicate
    is_at_end: bool  # whether it is an end of the sweep: the best may lie beyond


def sweep_of(arms: Sequence[Arm]) -> list[tuple[Regularizer, int]]:
    """Return the one part in which arms differ and the arm's index, by strength; or none.

    Where they are no sweep of one regularizer there is none. Neutral strengths are left out.
    """
    parts = [part for arm in arms for part in arm.parts]
    varied = [[part for part in arm.parts if parts.count(part) < len(arms)] for arm in arms]
    if {len(own) for own in varied} != {1}:
        return []
    if len({(type(own[0]), *own[0].constants.values()) for own in varied}) > 1:
        return []
    found = [(own[0], index) for index, own in enumerate(varied)]
    swept = [pair for pair in found if pair[0].is_active and pair[0].strength > 0]
    return sorted(swept, key=lambda pair: pair[0].strength)


def curve_through(x: Array, y: Array) -> tuple[Array, Array]:
    """Return many points of the modified Akima curves through `y` `(S,)` or `(S, ...)` at `x`.

    Of fewer than `FEWEST_STRENGTHS` the points themselves.
    """
    if len(x) < FEWEST_STRENGTHS:
        return x, y
    from scipy.interpolate import Akima1DInterpolator

    fine = np.linspace(x[0], x[-1], CURVE_POINTS)
    return fine, Akima1DInterpolator(x, y, method="makima")(fine)


def optimum_of(arms: Sequence[Arm], losses: Array, confidence: float) -> Optimum | None:
    """Return the best strength of a sweep, or None where the arms are none, or too few.

    By the minimum of the modified Akima curve through mean losses, over the logarithm of the
    strength, or over itself for a probability; its interval by the bootstrap of replicates, which
    are drawn for all arms together (Efron & Tibshirani 1993, ch. 13), or for many replicates by its
    normal limit. `losses` are `(A, R)` of `arms`, the baseline left out.
    """
    swept = sweep_of(arms)
    if len(swept) < FEWEST_STRENGTHS or not np.isfinite(losses).all():
        return None
    is_probability = swept[0][0].is_probability
    x = np.array([part.strength for part, _ in swept])
    x = x if is_probability else np.log(x)
    ordered = losses[[index for _, index in swept]].astype(np.float64)
    count, generator, mean = ordered.shape[1], np.random.default_rng(0), ordered.mean(axis=1)
    if count > MANY_REPLICATES:
        drawn = generator.multivariate_normal(mean, np.cov(ordered) / count, RESAMPLES).T
    else:
        times = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)
        drawn = ordered @ times.T / count
    means = np.column_stack([mean, drawn])
    fine, curves = curve_through(x, means)
    lowest = fine[curves.argmin(axis=0)]
    lowest = lowest if is_probability else np.exp(lowest)
    tail = (1 - confidence) / 2
    ci = np.quantile(lowest[1:], [tail, 1 - tail]) if count > 1 else None
    is_at_end = bool(curves[:, 0].argmin() in (0, CURVE_POINTS - 1))
    best = float(lowest[0])
    return Optimum(best, None if ci is None else (float(ci[0]), float(ci[1])), is_at_end)
