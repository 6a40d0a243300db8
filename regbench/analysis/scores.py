"""Scores from elsewhere, judged: each arm against the baseline, by the law of such scores.

Knows nothing about where scores are from or how the answer is shown.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from regbench.analysis import statistics
from regbench.analysis.result import Shown
from regbench.analysis.statistics import OF_A_LOSS, Comparison, compare_arms
from regbench.settings.groups import Scores
from regbench.settings.study import MOST_REPLICATES
from regbench.tasks.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array
    from regbench.analysis.statistics import Interval, Judgement
    from regbench.settings.groups import Judging

ROUNDING = 1e-9
"""Relative; differences whose interval is no wider are taken as all the same."""


@dataclass(frozen=True, repr=False)
class Judged(Shown):
    """Scores of arms, and what they say of each arm against the baseline.

    Attributes:
        measure: What the scores are called.
        scores: By arm `(R,)`, the baseline first.
        pairs: The names of the R pairs; empty where no two scores belong together.
        question: What the scores mean, and what is asked of them.
        notes: How scores were taken and what was left out, a line each.
        is_halved: Whether they are of regbench's best epochs, which need a law of their own.
    """

    measure: str
    scores: dict[str, Array]
    pairs: Sequence[str]
    question: Judging
    notes: Sequence[str] = ()
    is_halved: bool = False
    study: ClassVar[Scores] = Scores()

    def __repr__(self) -> str:
        """Return a line for each arm: its verdict, mean difference and interval."""
        lines = [f"By {self.measure}, against {self.baseline}:"]
        for c in self.comparisons:
            word = c.verdict.replace("inconclusive", "cannot tell")
            ci = f", {c.ci[0]:.5g} to {c.ci[1]:.5g}" if c.ci else ""
            lines.append(f"{c.arm}: {word}, {c.mean_difference:.5g}{ci}")
        return "\n".join(lines)

    @property
    def words(self) -> str:
        """What the scores are called, and which are better."""
        return f"{self.measure}, {self.question.better} is better"

    @property
    def sign(self) -> int:
        """1 where lower scores are better, and -1 where higher ones are."""
        return -1 if self.question.better == "higher" else 1

    @property
    def best(self) -> Comparison | None:
        """The arm whose mean is best, the baseline left out; None where none can be compared."""
        found = [c for c in self.comparisons if c.verdict != "diverged"]
        return min(found, key=lambda c: self.sign * c.mean_difference, default=None)

    @property
    def baseline(self) -> str:
        """The arm with which all others are compared."""
        return next(iter(self.scores))

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Every arm against the baseline; a difference is arm − baseline."""
        asked = self.measure, self.scores, self.question
        found = paired(*asked, self.is_halved) if self.pairs else unpaired(*asked)
        return [settled(c, self.question) for c in found]

    @property
    def required_pairs(self) -> int | None:
        """How many pairs make every interval as narrow as was asked, in nine of ten cases."""
        (baseline, *arms), width = self.scores.values(), self.question.target_width
        if width is None or any(c.ci is None for c in self.comparisons):
            return None
        asked = width, self.question.confidence, MOST_REPLICATES
        return statistics.required_replicates(np.array(arms) - baseline, *asked)

    @property
    def judgements(self) -> list[tuple[Comparison, Judgement]]:
        """What `--require` says of each arm; nothing where not asked or a score is not finite."""
        asked = self.question
        if asked.require is None or self.has_diverged:
            return []
        limits = asked.require, asked.margin
        return [(c, statistics.judge(as_loss(c.ci, asked), *limits)) for c in self.comparisons]

    @property
    def has_diverged(self) -> bool:
        """Whether an arm cannot be compared, because a score is not finite."""
        return any(c.verdict == "diverged" for c in self.comparisons)

    @property
    def exit_code(self) -> int:
        """1 where a score is not finite, 3 where an arm fails `--require`, 4 where one may."""
        return statistics.exit_code_of((said for _, said in self.judgements), self.has_diverged)


@np.errstate(all="ignore")
def paired(
    measure: str, scores: dict[str, Array], asked: Judging, is_halved: bool
) -> list[Comparison]:
    """Compare every arm with the baseline, pair by pair; see `Sample` for random splits."""
    (_, *names), values, found = scores, np.array([*scores.values()]), list[Comparison]()
    sample = Sample(values, overlap=asked.overlap, is_halved=is_halved)
    for c in compare_arms(names, measure, sample, asked.confidence):
        if asked.better == "higher" and c.wins is not None:
            wins = int((scores[c.arm] > values[0]).sum())
            chance = statistics.probability_interval(wins, c.replicates, asked.confidence)
            c = replace(c, wins=wins, win_probability_ci=c.win_probability_ci and chance)
        found.append(c)
    return found


@np.errstate(all="ignore")
def unpaired(measure: str, scores: dict[str, Array], asked: Judging) -> list[Comparison]:
    """Compare every arm with the baseline where no two scores belong together.

    By Welch's t interval (1947, Biometrika 34); those of several arms hold together by Šidák's
    inequality, as T2 of Tamhane (1979, JASA 74). `replicates` are the arm's own.
    """
    from scipy import stats

    (baseline, *arms), level, found = scores.values(), asked.confidence, list[Comparison]()
    for name, arm in zip([*scores][1:], arms, strict=True):
        means, ci, p_value = (float(baseline.mean()), float(arm.mean())), None, None
        if 0 < np.ptp(arm) + np.ptp(baseline) < math.inf:
            with warnings.catch_warnings(action="ignore"):  # of scores that are nearly the same
                tested = stats.ttest_ind(arm, baseline, equal_var=False)
            low, high = tested.confidence_interval(level ** (1 / len(arms)))
            ci, p_value = (float(low), float(high)), float(1 - (1 - tested.pvalue) ** len(arms))
        word = statistics.verdict_of(ci) if math.isfinite(sum(means)) else "diverged"
        numbers = *means, means[1] - means[0], ci, p_value, None
        found.append(Comparison(name, measure, len(arm), level, *numbers, word))
    return found


def settled(c: Comparison, asked: Judging) -> Comparison:
    """Return a comparison with the verdict that its interval gives.

    There is no interval where all differences are the same: nothing says how large the noise is.
    """
    ci, mean = c.ci, c.mean_difference
    if ci and ci[1] - ci[0] <= ROUNDING * abs(mean):
        return replace(c, ci=None, ci_alone=None, p_value=None, verdict="inconclusive")
    word = c.verdict if c.verdict == "diverged" else statistics.verdict_of(as_loss(ci, asked))
    is_equal = asked.margin and statistics.is_within(ci, asked.margin)
    return replace(c, verdict="equal" if is_equal else OF_A_LOSS.get(word, word))


def as_loss(ci: Interval | None, asked: Judging) -> Interval | None:
    """Return the interval of a difference with the sign that it has of losses."""
    return (-ci[1], -ci[0]) if ci and asked.better == "higher" else ci
