"""What a comparison means in words, and what to mind about it. Knows nothing about terminals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from regbench.report.format import count, interval_text, number, percent, rounded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regbench.result import Result
    from regbench.statistics import Comparison, Judgement

FEWEST_FOR_P = 6
"""Replicates from which a sign-flip test can give a two-sided p below .05: 2/2⁶ = .03."""
FEWEST_FOR_DECOMPOSITION = 50
"""Replicates from which the jackknife's intervals hold what they promise."""
FEWEST_FOR_MEDIAN = 10
LARGE_SKEWNESS = 1.2
"""Of at least `FEWEST_FOR_MEDIAN` differences: rare where they are normal."""


def sentence(label: str, comparison: Comparison) -> str:
    """Return the verdict on an arm in one sentence."""
    mean, ci = comparison.mean_difference, comparison.ci
    if comparison.verdict == "diverged":
        return f"{label}: no comparison, because a test loss is not finite."
    if comparison.replicates == 1:
        direction = "lower than" if mean < 0 else "higher than"
        amount = f"{number(abs(mean))} {direction}" if mean else "equal to"
        return (
            f"{label}: test loss {amount} the baseline's in this one replicate: one pair cannot "
            f"tell; use --replicates 30."
        )
    wins = f"better in {comparison.wins} of {comparison.replicates} replicates"
    how_sure = f"{percent(comparison.confidence)} interval"
    if comparison.verdict == "inconclusive":
        return (
            f"{label}: inconclusive; the test loss changes by {rounded(mean, ci)} ({how_sure} "
            f"{interval_text(ci)}), {wins}."
        )
    assert ci is not None
    ends = sorted(map(abs, ci))
    verb = "lowers" if comparison.verdict == "better" else "raises"
    return (
        f"{label} {verb} the test loss by {rounded(abs(mean), ci)} ({how_sure} "
        f"{interval_text((ends[0], ends[1]))}), {wins}."
    )


def choice(label: str, result: Result) -> str:
    """Return which strength did best, and what that is worth; of several arms."""
    seeds = result.settings.seeds
    if result.confirmation is not None:
        fresh = result.confirmation.settings.seeds
        return (
            f"Best of {len(result.comparisons)}: {label}, by seeds {seeds[0]} to {seeds[-1]}; "
            f"measured again on {len(fresh)} fresh replicates, seeds {fresh[0]} to {fresh[-1]}:"
        )
    return (
        f"Best of {len(result.comparisons)}: {label}. It was chosen by these replicates, which "
        f"flatters it: --confirm {result.settings.replicates} measures it on fresh ones."
    )


def cautions(result: Result, labels: Mapping[str, str]) -> list[str]:
    """Return what limits a result, each with what to do about it; `labels` are by arm's name."""
    replicates = result.settings.replicates
    lines = []
    if 1 < replicates < FEWEST_FOR_P:
        lines.append(
            f"{count(replicates, 'replicate')} can give no p below {2 / 2**replicates:.2g}: "
            f"use --replicates {FEWEST_FOR_P} or more"
        )
    elif 1 < replicates < FEWEST_FOR_DECOMPOSITION:
        lines.append(
            f"with {replicates} replicates the intervals of bias and variance are too narrow: "
            f"use --replicates {FEWEST_FOR_DECOMPOSITION} or more"
        )
    skewed = [
        labels[c.arm]
        for c in result.comparisons
        if c.replicates >= FEWEST_FOR_MEDIAN and abs(c.skewness or 0) > LARGE_SKEWNESS
    ]
    if skewed:
        names = skewed[0] if len(skewed) == 1 else f"{skewed[0]} and {len(skewed) - 1} more"
        lines.append(
            f"the differences of {names} are skewed: the mean's interval may be too narrow; "
            f"compare the median's, or raise --replicates"
        )
    return lines


def gate_line(label: str, result: Result, comparison: Comparison, judgement: Judgement) -> str:
    """Return why a gate is met, not met or inconclusive for an arm."""
    settings = result.settings
    bound = -settings.margin if settings.require == "better" else settings.margin
    if comparison.ci is None or math.isnan(comparison.mean_difference):
        why = "there is no interval"
    else:
        place = {"met": "lies below", "not met": "lies above", "inconclusive": "straddles"}
        why = f"the interval {interval_text(comparison.ci)} {place[judgement]} {bound or 0.0:g}"
    return f"--require {settings.require}: {judgement} by {label}: {why}"
