"""The best strength of a sweep, with an interval.

Works on arrays and knows nothing about how they came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.simultaneous import MANY_REPLICATES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array
    from regbench.analysis.statistics import Interval
    from regbench.regularizers import Arm

FEWEST_STRENGTHS = 5
RESAMPLES = 1999
"""Of replicates."""
CURVE_POINTS = 401
"""At which a curve through the arms is looked up for its minimum."""


@dataclass(frozen=True)
class Optimum:
    """The strength at which a curve through the arms' mean losses is the lowest."""

    strength: float  # of the one part in which the arms differ
    ci: Interval | None  # its percentile interval, or None of one replicate
    is_at_end: bool  # whether it is an end of the sweep: the best may lie beyond


def optimum_of(arms: Sequence[Arm], losses: Array, confidence: float) -> Optimum | None:
    """Return the best strength of a sweep, or None where the arms are none, or too few.

    By the minimum of the modified Akima curve through mean losses, over the logarithm of the
    strength, or over itself for a probability; its interval by the bootstrap of replicates, which
    are drawn for all arms together (Efron & Tibshirani 1993, ch. 13), or for many replicates by its
    normal limit. `losses` are `(A, R)` of `arms`, the baseline left out.
    """
    parts = [part for arm in arms for part in arm.parts]
    varied = [[part for part in arm.parts if parts.count(part) < len(arms)] for arm in arms]
    if {len(own) for own in varied} != {1} or len({type(own[0]) for own in varied}) > 1:
        return None
    found = [(own[0], values) for own, values in zip(varied, losses, strict=True)]
    swept = [pair for pair in found if pair[0].is_active and pair[0].strength > 0]
    swept.sort(key=lambda pair: pair[0].strength)
    if len(swept) < FEWEST_STRENGTHS or not np.isfinite(losses).all():
        return None
    from scipy.interpolate import Akima1DInterpolator

    is_probability = swept[0][0].is_probability
    x = np.array([part.strength for part, _ in swept])
    x = x if is_probability else np.log(x)
    fine = np.linspace(x[0], x[-1], CURVE_POINTS)
    ordered = np.array([values for _, values in swept], dtype=np.float64)
    count, generator, mean = ordered.shape[1], np.random.default_rng(0), ordered.mean(axis=1)
    if count > MANY_REPLICATES:
        drawn = generator.multivariate_normal(mean, np.cov(ordered) / count, RESAMPLES).T
    else:
        times = generator.multinomial(count, np.full(count, 1 / count), RESAMPLES)
        drawn = ordered @ times.T / count
    means = np.column_stack([mean, drawn])
    curves = Akima1DInterpolator(x, means, method="makima")(fine)
    lowest = fine[curves.argmin(axis=0)]
    lowest = lowest if is_probability else np.exp(lowest)
    tail = (1 - confidence) / 2
    ci = np.quantile(lowest[1:], [tail, 1 - tail]) if count > 1 else None
    is_at_end = bool(curves[:, 0].argmin() in (0, CURVE_POINTS - 1))
    best = float(lowest[0])
    return Optimum(best, None if ci is None else (float(ci[0]), float(ci[1])), is_at_end)
