"""What is claimed of regularizers, and whether it holds for an arm.

Works on a result's differences and knows nothing about how they are shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regbench.analysis.statistics import paired_differences, sample_of
from regbench.tasks.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array
    from regbench.analysis.statistics import Difference, Interval
    from regbench.regularizers import Arm

CLAIMS = {
    "train_loss_higher": ("train_loss_eval", 1),
    "generalizes_better": ("", -1),
    "fit_smoother": ("rms_slope", -1),
    "weights_nearer_zero": ("weight_norm", -1),
}
"""The article's claims: for each, the measure whose paired difference decides and the sign that it
is claimed to have. Where no measure is named, it is the headline measure."""
ADDITIVE = 0.1
"""An interaction so small, relative to the sum of both effects, is called none."""

Together = Literal[
    "additive", "help each other", "get in each other's way", "cannot tell", "diverged"
]


@dataclass(frozen=True)
class Claim:
    """Whether a claim holds for an arm."""

    arm: str
    claim: str  # a key of `CLAIMS`
    holds: bool | None  # None where the interval does not tell
    measure: str  # whose paired difference, arm − baseline, decides
    mean_difference: float
    ci: Interval | None


@dataclass(frozen=True)
class Interaction:
    """What the effect of a sum of regularizers differs by from the sum of their effects.

    Attributes:
        arms: The names of the sum, and of its parts.
        measure: The headline measure.
        mean_difference: d(sum) − Σ d(part), each d paired with the baseline, mean over replicates.
        ci: Its t interval.
        verdict: `additive` where the interval lies within `ADDITIVE` of the parts' effects
            together, either way.
    """

    arms: list[str]
    measure: str
    mean_difference: float
    ci: Interval | None
    verdict: Together


def claims_of(measures: Sequence[Difference], headline: str) -> list[Claim]:
    """Return what becomes of every claim, arm by arm, from the differences of all measures."""
    by_key = {(found.arm, found.measure): found for found in measures}
    claims = []
    for arm in dict.fromkeys(found.arm for found in measures):
        for claim, (name, sign) in CLAIMS.items():
            found = by_key[arm, name or headline]
            says = {"higher": sign > 0, "lower": sign < 0, "did nothing": False}.get(found.verdict)
            mean, ci = found.mean_difference, found.ci
            claims.append(Claim(arm, claim, says, found.measure, mean, ci))
    return claims


@np.errstate(invalid="ignore", over="ignore")
def interactions_of(
    arms: Sequence[Arm], measure: str, values: Sample | Array, confidence: float
) -> list[Interaction]:
    """Return the interaction of every sum whose parts are arms too; `values` are `(A, R)`."""
    sample, found = sample_of(values), list[Interaction]()
    places = {arm.name: index for index, arm in enumerate(arms)}
    for arm in arms:
        parts = [part.name for part in arm.parts]
        if len(parts) < 2 or not places.keys() >= set(parts):
            continue
        own = [places[part] for part in parts]

        def effects(values: Array, own: Any = own, whole: int = places[arm.name]) -> Array:
            return np.stack([(values[own] - values[0]).sum(axis=0), values[whole] - values[0]])

        of_sum = Sample.of(effects, sample)
        (extra,) = paired_differences([arm.name], measure, of_sum, confidence)
        ci, near = extra.ci, ADDITIVE * abs(extra.baseline)
        verdict: Together = "cannot tell"
        if extra.verdict == "diverged":
            verdict = "diverged"
        elif ci and -near <= ci[0] and ci[1] <= near:
            verdict = "additive"
        elif extra.verdict in ("lower", "higher"):
            verdict = "help each other" if extra.verdict == "lower" else "get in each other's way"
        names = [arm.name, *parts]
        found.append(Interaction(names, measure, extra.mean_difference, ci, verdict))
    return found
