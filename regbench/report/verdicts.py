"""What a comparison means in words, and what to mind about it. Knows nothing about terminals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from regbench.analysis.statistics import AT_BEST
from regbench.report.claims import has_answer_table, interaction_sentences, optimum_sentences
from regbench.report.format import interval_text, minus, number, percent, rounded, seeds_text, told

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Comparison, Difference, Judgement
    from regbench.settings.groups import Question

SIGNIFICANT = 0.05
GIVEN = {
    "both": "",
    "data": ", given the first replicate's initial weights",
    "init": ", given the first replicate's data",
}
"""By what varies from replicate to replicate, on what an answer is conditional."""
GAINS = {("better", True): "improves", ("worse", False): "worsens"}
"""Of a measure of which higher is better, by verdict and whether it is higher."""
FEWEST_FOR_SKEWNESS = 10
"""Replicates from which skewness is judged: fewer say little about it."""


def sentences(result: Result) -> list[str]:
    """Return the verdict on each of few arms, from its confirmation if there is one, and the best.

    Many arms have `claims.answer_table`.
    """
    labels, best = result.study.labels, result.best_arm
    confirmed = result.confirmation.comparisons if result.confirmation else []
    again = {c.arm for c in confirmed}
    given = GIVEN[result.study.vary]
    few = () if has_answer_table(result) else result.comparisons
    own = [c for c in few if c.arm not in again]
    lines = [sentence(labels[c.arm], c, given, result.question.margin) for c in own]
    lines += best_epoch_sentences(result, [c.arm for c in own])
    if best is not None and (len(result.comparisons) > 1 or confirmed):
        lines.append(choice(labels[best.name], result))
    lines += [sentence(labels[c.arm], c, margin=result.question.margin) for c in confirmed]
    if result.confirmation:
        lines += best_epoch_sentences(result.confirmation, [*again])
    lines += width_sentences(result)
    return [*lines, *optimum_sentences(result), *interaction_sentences(result)]


def best_epoch_sentences(result: Result, arms: Sequence[str]) -> list[str]:
    """Return what becomes of some arms where each is stopped at its own best epoch."""
    lines, labels, last = list[str](), result.study.labels, result.history.epochs[-1]
    if result.question.is_at_best:
        return []
    ends = {found.arm: found for found in result.measures if found.measure == "risk"}
    for found in result.at_best_epochs:
        if found.arm not in arms or found.arm in result.idle:
            continue
        first, own = map(epochs_text, (found.baseline_epochs, found.epochs))
        end, line = ends[found.arm].verdict, sentence(labels[found.arm], found)
        epochs = f"baseline {first}, {labels[found.arm]} {own}"
        lines.append(f"With each arm stopped at its best epoch ({epochs}), {line}")
        if end != found.verdict and "diverged" not in (end, found.verdict):
            lines[-1] += f" Epoch {last} says otherwise, so it matters when training stops."
    return lines


def epochs_text(epochs: Sequence[int]) -> str:
    """Return one or two best epochs, or the first and the last of more."""
    if len(epochs) > 2:
        return f"{epochs[0]} to {epochs[-1]}"
    return " or ".join(map(str, epochs))


def width_sentences(result: Result) -> list[str]:
    """Return how wide an interval was to be, and how wide the widest has become."""
    asked = result.question.target_width
    widths = [c.ci[1] - c.ci[0] for c in result.comparisons if c.ci]
    if asked is None or not widths:
        return []
    return [f"The interval is {max(widths):.3g} wide; it was to be at most {asked:g} wide."]


def sentence(
    label: str,
    comparison: Difference,
    given: str = "",
    margin: float = 0.0,
    noun: str = "replicates",
) -> str:
    """Return the verdict on an arm in one sentence."""
    mean, ci, measure = comparison.mean_difference, comparison.ci, comparison.measure
    what = "risk" if measure == AT_BEST else measure.replace("_", " ")
    if comparison.verdict == "diverged":
        return f"{label} cannot be compared, because a {what} is not finite."
    if comparison.verdict == "did nothing":
        return (
            f"{label} did nothing: at every epoch all its numbers equal the baseline's, to the bit."
        )
    if comparison.replicates == 1:
        direction = "lower than" if mean < 0 else "higher than"
        amount = f"{number(abs(mean))} {direction}" if mean else "equal to"
        return (
            f"{label}: in this one replicate the {what} is {amount} the baseline's. One pair "
            f"cannot tell; use --replicates 30."
        )
    changes = f"{label}: cannot tell; the {what} differs"
    if comparison.verdict == "equal":
        changes = f"{label}: equal within ±{margin:g}; the {what} differs"
    elif comparison.verdict != "inconclusive" and ci is not None:
        changes = f"{label} {way_of(comparison)} the {what}"
        low, high = sorted(map(abs, ci))
        mean, ci = abs(mean), (low, high)
    wins = f", better in {comparison.wins} of {comparison.replicates} {noun}"
    return (
        f"{changes} by {rounded(mean, ci)} ({percent(comparison.confidence)} interval "
        f"{interval_text(ci)}){'' if comparison.wins is None else wins}{given}."
    )


def way_of(found: Difference) -> str:
    """Return the verb of what an arm does to a measure."""
    is_higher = found.mean_difference > 0
    return GAINS.get((found.verdict, is_higher), "raises" if is_higher else "lowers")


def choice(label: str, result: Result) -> str:
    """Return which strength did best, if there are several, and what that is worth."""
    arms, seeds = len(result.comparisons), seeds_text(result.study.seeds)
    if result.confirmation is not None:
        fresh = result.confirmation.study.seeds
        chosen = label if arms == 1 else f"Best of {arms} arms on {seeds}: {label}"
        return f"{chosen}, measured again on {len(fresh)} fresh replicates ({seeds_text(fresh)}):"
    said = f"Best of {arms} arms: {label}. These replicates chose it, which flatters it"
    if result.task.noise_variance is None:
        return f"{said}; only other rows could confirm it."
    return f"{said}; --confirm {result.study.replicates} measures it again on fresh ones."


def cautions(result: Result) -> list[str]:
    """Return what limits a result, each with what to do about it."""
    labels, fresh = result.study.labels, result.confirmation
    if result.task.noise_variance is None:
        lines = rows_never_held_out(result) + failed_networks(result)
        return lines + contradicting_medians(result.comparisons, labels)
    lines = few_replicates(result.study.replicates, "replicates", "--replicates {}")
    lines += failed_networks(result) + contradicting_medians(result.comparisons, labels)
    lines += skewed_differences(result.comparisons, labels, "differences", "--replicates")
    if fresh is not None:
        lines += few_replicates(fresh.study.replicates, "fresh replicates", "--confirm {}")
        lines += failed_networks(fresh) + contradicting_medians(fresh.comparisons, labels)
        lines += skewed_differences(
            fresh.comparisons, labels, "confirming differences", "--confirm"
        )
    return lines


def rows_never_held_out(result: Result) -> list[str]:
    """Return a line where some rows of a table are never held out, or only once."""
    folds, replicates = result.study.task.folds, result.study.replicates
    if not result.task.overlap:
        return []
    if replicates < folds:
        said = f"with {replicates} of {folds} parts held out, other rows have no say"
        return [f"{said}; use --replicates {folds} or more"]
    if not result.decomposition_differences[-1]:
        enough = (2 if replicates < 2 * folds else 3) * folds  # a partition may be cut at an end
        said = "some rows are held out only once, so bias² and variance cannot be told apart"
        return [f"{said}; use --replicates {enough} or more"]
    return []


def few_replicates(replicates: int, noun: str, needed: str) -> list[str]:
    """Return a line where sign flips can give no p-value below .05, whatever the losses are."""
    least, enough = 2 / 2**replicates, math.floor(math.log2(2 / SIGNIFICANT)) + 1
    if replicates == 1 or least < SIGNIFICANT:
        return []
    said = f"with {replicates} {noun} the interval assumes normal differences"
    return [f"{said}; use {needed.format(enough)} or more"]


def failed_networks(result: Result) -> list[str]:
    """Return a line where networks have failed to train: their losses are no small noise."""
    lost = {arm_index for arm_index, *_ in result.divergences}  # of which more is said elsewhere
    counts = enumerate(zip(result.study.labels.values(), result.failures or (), strict=False))
    failed = [(label, n) for arm_index, (label, n) in counts if n and arm_index not in lost]
    lines = [f"{label} in {count} of {result.study.replicates}" for label, count in failed]
    if not lines:
        return []
    where = ", ".join(lines)
    if not result.sample.is_independent:  # rows are few, and the interval has their spread
        said = f"networks are no better than a constant ({where} replicates)"
        return [f"{said}; try other --epochs or --lr, or the rows are too few"]
    return [
        f"networks failed to train ({where} replicates), so the mean's interval is too narrow; "
        "compare the median's, or lower --lr or the strength"
    ]


def contradicting_medians(found: Sequence[Comparison], labels: Mapping[str, str]) -> list[str]:
    """Return a line for each arm whose median and mean differences have opposite signs."""
    return [
        f"the median difference of {labels[c.arm]} is "
        f"{rounded(c.median_difference, c.median_ci or c.ci)}, with the opposite sign of the mean"
        for c in found
        if c.median_difference * c.mean_difference < 0
    ]


def skewed_differences(
    found: Sequence[Comparison], labels: Mapping[str, str], noun: str, option: str
) -> list[str]:
    """Return a line where skewness makes the intervals of means too narrow."""
    measured = [(c, c.skewness) for c in found if c.skewness is not None]
    too_skewed = [c.arm for c, skewness in measured if is_too_skewed(skewness, c.replicates)]
    skewed = [labels[arm] for arm in too_skewed]
    if not skewed:
        return []
    names = skewed[0] if len(skewed) == 1 else f"{skewed[0]} and {len(skewed) - 1} more"
    return [
        f"the {noun} of {names} are skewed, so the mean's interval may be too narrow; compare the "
        f"median's, or raise {option}"
    ]


def is_too_skewed(skewness: float, replicates: int) -> bool:
    """Whether a t interval is too short for differences of this skewness: it misses skewness/√R."""
    least = max(1.2, 0.2 * math.sqrt(replicates))  # normal differences rarely show 1.2
    return replicates >= FEWEST_FOR_SKEWNESS and abs(skewness) > least


def gate_line(
    label: str, question: Question, comparison: Comparison, judgement: Judgement, sign: int = 1
) -> str:
    """Return whether an arm meets a gate, and why; `sign` is -1 where higher is better."""
    bound = sign * (-question.margin if question.require == "better" else question.margin)
    below, above = ("lies below", "lies above")[::sign]
    where = {"met": below, "not met": above, "inconclusive": "straddles"}
    limit = minus(f"{bound or 0.0:g}")
    if question.require == "equal":
        where |= {"met": "lies within", "not met": "lies outside"}
        limit = f"±{question.margin:g}"
    if comparison.verdict == "did nothing":
        why = "it did nothing"
    elif comparison.ci is None or math.isnan(comparison.mean_difference):
        why = "there is no interval"
    else:
        why = f"the interval {interval_text(comparison.ci)} {where[judgement]} {limit}"
    return f"--require {question.require}: {label}: {told(judgement)}, because {why}"
