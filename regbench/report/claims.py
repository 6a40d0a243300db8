"""What a training result says first: which claims hold, and why.

Knows nothing about where it is shown.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.claims import CLAIMS
from regbench.report.base import Table
from regbench.report.format import interval_text, percent, rounded, told

if TYPE_CHECKING:
    from regbench.analysis.best import AtBest
    from regbench.analysis.claims import Claim
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Difference, Interval

TITLES = {
    "train_loss_higher": "train loss\nhigher",
    "generalizes_better": "generalizes\nbetter",
    "fit_smoother": "fit\nsmoother",
    "weights_nearer_zero": "weights\nnearer 0",
}
CLAIM_WORDS = {claim: title.replace("\n", " ") for claim, title in TITLES.items()}
OTHERS = [claim for claim in TITLES if claim != "generalizes_better"]
"""What is claimed besides what the headline says."""
HOLDS = {True: "yes", False: "no", None: "cannot tell"}
MARKS = {True: "yes", False: "no", None: "?"}
FEW_ARMS = 2
"""So many have a row for each claim; more have a row for each arm."""


def claims_table(result: Result) -> Table:
    """Return which claims hold for each arm, with the differences that say so."""
    labels, claims = result.study.labels, result.claims
    measures = {(found.arm, found.measure): found for found in measures_of(result)}
    arms = {claim.arm for claim in claims}
    notes = [*slope_notes(result), *layer_notes(result), *failure_notes(result)]
    is_few = len(arms) <= FEW_ARMS
    if is_few:
        interval = f"{percent(result.question.confidence)} interval"
        rows = [["arm", "claim", "holds", "difference", interval, "holds in", "baseline", "arm"]]
        for claim in claims:
            found, ci = measures[claim.arm, claim.measure], claim.ci
            row = [labels[claim.arm], CLAIM_WORDS[claim.claim], HOLDS[claim.holds]]
            row += [rounded(claim.mean_difference, ci), interval_text(ci), holds_in(result, claim)]
            rows.append([*row, rounded(found.baseline, ci), rounded(found.value, ci)])
    else:
        rows = [["\narm", *TITLES.values()]]
        for arm, own in itertools.groupby(claims, key=lambda claim: claim.arm):
            cells = [f"{MARKS[c.holds]} {rounded(c.mean_difference, c.ci)}" for c in own]
            rows.append([labels[arm], *cells])
        notes.insert(0, "Each number is the difference, arm − baseline. ? means cannot tell.")
    return Table(
        rows,
        f"What is claimed of regularizers, at epoch {result.history.epochs[-1]}",
        note=" ".join(notes),
        left=(0, 1, 2) if is_few else (0,),
        dispensable=[(6, 7), (5, 6, 7)] if is_few else [],
        is_grouped=is_few,
    )


def finite_arms(result: Result) -> list[bool]:
    """Return of each arm whether its last headline measure and risk are finite everywhere."""
    last = result.headline[-1] + result.history.risk[-1]
    return [bool(value) for value in np.isfinite(last).all(axis=1)]


def is_comparable(result: Result) -> bool:
    """Whether the baseline and another arm are finite at the end."""
    first, *others = finite_arms(result)
    return first and any(others)


def has_answer_table(result: Result) -> bool:
    """Whether there are too many arms to have a sentence each."""
    return len(result.comparisons) > FEW_ARMS and result.study.replicates > 1


def answer_table(result: Result) -> Table:
    """Return the answer for many arms, a row for each: the headline, and which claims hold."""
    what, study = result.question.words, result.study
    interval = f"{percent(result.question.confidence)} interval"
    rows = [["\narm", f"{what}\nis", "\ndifference", f"\n{interval}", "better\nin"]]
    rows[0] += ["at best\nepochs", *(TITLES[claim] for claim in OTHERS)]
    marks = {(claim.arm, claim.claim): MARKS[claim.holds] for claim in result.claims}
    confirmed = result.confirmation.comparisons if result.confirmation else []
    best = {found.arm: found for found in result.at_best_epochs}
    fresh = {f.arm: f for f in result.confirmation.at_best_epochs} if result.confirmation else {}
    for c in sorted([*result.comparisons, *confirmed], key=lambda c: study.arm_names.index(c.arm)):
        word = change_of(c)
        wins = "n/a" if c.wins is None else f"{c.wins} of {c.replicates}"
        stopped = best_cell((fresh if c in confirmed else best).get(c.arm))
        cells = rounded(c.mean_difference, c.ci), interval_text(c.ci), wins, stopped
        label = study.labels[c.arm] + " fresh" * (c in confirmed)
        rows.append([label, word, *cells, *(marks.get((c.arm, name), "") for name in OTHERS)])
    caption = f"{judged_text(result)}: arm − baseline; {interval}s hold for all arms at once"
    note = " ".join([*layer_notes(result), *failure_notes(result)])
    few = [(4,), (4, 6, 7, 8), (4, 5, 6, 7, 8)]
    return Table(rows, caption, note, left=(0, 1), dispensable=few)


def change_of(found: Difference) -> str:
    """Return in a word how an arm changes what it is judged by."""
    if found.verdict not in ("better", "worse", "lower", "higher"):
        return told(found.verdict)
    return "lower" if found.mean_difference < 0 else "higher"


def measures_of(result: Result) -> list[Difference]:
    """Return the differences of every measure; of a confirmed arm those of its fresh replicates."""
    fresh = result.confirmation.measures if result.confirmation else []
    again = {(found.arm, found.measure): found for found in fresh}
    return [again.get((found.arm, found.measure), found) for found in result.measures]


def differences_of(result: Result, claim: Claim) -> Array:
    """Return a claim's paired differences, on the replicates that decided it."""
    fresh = result.confirmation
    own = fresh if fresh and claim.arm in fresh.study.compared else result
    is_judged = claim.measure == own.question.judged_by
    values = own.judged if is_judged else own.history.named("measures")[claim.measure][-1]
    found: Array = values[own.study.arm_names.index(claim.arm)].astype(float) - values[0]
    return found


def holds_in(result: Result, claim: Claim) -> str:
    """Return in how many replicates a claim holds: `30 of 30`."""
    differences = differences_of(result, claim)
    if not np.isfinite(differences).all():
        return "n/a"
    return f"{(CLAIMS[claim.claim][1] * differences > 0).sum()} of {len(differences)}"


def judged_text(result: Result) -> str:
    """Return by what arms are judged, and when, to begin a caption."""
    what, last = result.question.words.capitalize(), result.history.epochs[-1]
    return what if result.question.is_at_best else f"{what} at epoch {last}"


def best_cell(found: AtBest | None) -> str:
    """Return what becomes of an arm at its best epoch, in a word with the difference."""
    if found is None:
        return "n/a"
    return f"{told(found.verdict)} {rounded(found.mean_difference, found.ci)}"


def slope_notes(result: Result) -> list[str]:
    """Return how many times as steep as the baseline's the fit of each arm is, where known."""
    fresh, lines = result.confirmation.slope_ratios if result.confirmation else {}, []
    verdicts = {(found.arm, found.measure): found.verdict for found in measures_of(result)}
    for arm, (ratio, ci) in (result.slope_ratios | fresh).items():
        if ci is None:
            continue
        said = "lower" if ci[1] < 1 else "higher" if ci[0] > 1 else "inconclusive"
        verdict = verdicts[arm, "rms_slope"]
        other = "cannot tell" if verdict == "inconclusive" else "says otherwise"
        apart = "" if said == verdict else f", but the difference {other}"
        which = f"With {result.study.labels[arm]} the" if len(result.slope_ratios) > 1 else "The"
        lines.append(
            f"{which} fit is {ratio:.2f} times as steep as the baseline's "
            f"({ci[0]:.2f} to {ci[1]:.2f}){apart}."
        )
    return lines


def failure_notes(result: Result) -> list[str]:
    """Return in how many replicates each arm failed to train, or what may fail all the same."""
    replicates, failures = result.study.replicates, result.failures
    if failures is None:
        return []
    if not any(failures) and result.task.overlap:
        return []  # splits of one table say less than as many independent replicates
    if not any(failures):
        most = percent(min(1.0, float(f"{3 / replicates:.2g}")))
        return [f"No network failed to train in {replicates} replicates; up to {most} still might."]
    arms = zip(result.study.labels.values(), failures, strict=True)
    counts = ", ".join(f"{label} in {count}" for label, count in arms if count)
    return [f"No better than the best constant: {counts} of {replicates} replicates."]


def layer_notes(result: Result) -> list[str]:
    """Return which layers of which arms do not go the way of the norm of all weights."""
    arms: dict[str, list[str]] = {}
    for arm, own in itertools.groupby(measures_of(result), key=lambda found: found.arm):
        verdicts = {found.measure: found.verdict for found in own}
        for verdict, size in (("lower", "smaller"), ("higher", "larger")):
            layers = [
                layer.replace("hidden", "hidden layer ").replace("output", "the output layer")
                for layer in result.study.network.layer_names
                if verdicts[f"rms_{layer}"] == verdict != verdicts["weight_norm"]
            ]
            if layers:
                *others, last = layers
                named = f"{', '.join(others)} and {last}" if others else last
                said = f"the weights of {named} are {size}."
                arms.setdefault(said, []).append(result.study.labels[arm])
    if len(result.study.compared) == 1:
        return [said.capitalize() for said in arms]
    return [f"With {', '.join(labels)} {said}" for said, labels in arms.items()]


def why_tables(result: Result) -> list[Table]:
    """Return what the risk is made of, and by how much each arm's parts differ, at the end.

    Of many arms each has one row, without the intervals of the values. Where the noise is unknown
    there are no values, and no table where too few replicates hold out a row.
    """
    interval = f"{percent(result.question.confidence)} interval"
    epoch, noise = result.history.epochs[-1], result.task.noise_variance
    if noise is None:
        return [why_changed(result)] if result.decomposition_differences[-1] else []
    caption = f"Why: the risk at epoch {epoch} is bias² + variance + noise ({noise:.4g})"
    rows = [["arm", "part", "value", interval, "difference", interval]]
    differences = {found.arm: found for found in result.decomposition_differences[-1]}
    for arm, parts in zip(result.study.arm_names, result.decompositions[-1], strict=True):
        for name, key in (("bias²", "bias_squared"), ("variance", "variance")):
            row = [result.study.labels[arm], name]
            for found in (parts, differences.get(arm)):
                part = getattr(found, key) if found else None
                row += [rounded(part.value, part.ci), interval_text(part.ci)] if part else ["", ""]
            rows.append(row)
    if len(result.comparisons) <= FEW_ARMS:
        return [Table(rows, caption, left=(0, 1), dispensable=[(3,)], is_grouped=True)]
    titles = "\ndifference", f"\n{interval}", "\nvalue"
    wide = [["\narm", f"bias²{titles[0]}", *titles[1:], f"variance{titles[0]}", *titles[1:]]]
    for bias, variance in zip(rows[1::2], rows[2::2], strict=True):
        wide.append([bias[0], *bias[4:], bias[2], *variance[4:], variance[2]])
    return [Table(wide, caption, dispensable=[(3, 6)])]


def why_changed(result: Result) -> Table:
    """Return by how much each arm's parts of the risk differ where nobody knows the parts."""
    rows = [["arm", "part", "difference", f"{percent(result.question.confidence)} interval"]]
    for found in result.decomposition_differences[-1]:
        for name, part in (("bias²", found.bias_squared), ("variance", found.variance)):
            cells = rounded(part.value, part.ci), interval_text(part.ci)
            rows.append([result.study.labels[found.arm], name, *cells])
    caption = "Why: a difference of the risk is one of bias² and one of variance"
    note = "Their levels take the truth, which a table does not tell; the noise is the same."
    return Table(rows, caption, note, left=(0, 1), is_grouped=True)


def optimum_sentences(result: Result) -> list[str]:
    """Return which strength a sweep says is the best, with its interval."""
    optimum = result.optimum
    if optimum is None:
        return []
    one, other = result.study.arms[1:3]
    (symbol,) = (part.symbol for part in one.parts if part not in other.parts)
    ci = " to ".join(outward_ends(optimum.ci)) if optimum.ci else ""
    interval = f" ({percent(result.question.confidence)} interval {ci})" if ci else ""
    beyond = " That is an end of the sweep; the best may lie beyond it." * optimum.is_at_end
    best = f"{symbol}={optimum.strength:.2g}{interval}"
    return [f"A curve through all arms is lowest at {best}.{beyond}"]


def outward_ends(interval: Interval) -> list[str]:
    """Return the ends of an interval of positive numbers with two digits, rounded away from it."""
    ends = []
    for end, towards in zip(interval, (math.floor, math.ceil), strict=True):
        digits = 10.0 ** (1 - math.floor(math.log10(end))) if end > 0 else 1.0
        ends.append(f"{towards(round(end * digits, 9)) / digits:.2g}")
    return ends


def interaction_sentences(result: Result) -> list[str]:
    """Return whether the parts of each sum add up."""
    labels, lines = result.study.labels, []
    for found in result.interactions:
        _, *parts = (labels[name] for name in found.arms)
        names = " and ".join(parts)
        if found.verdict == "diverged":
            lines.append(f"{names} cannot be compared with their sum: a value is not finite.")
            continue
        what = {"additive": " add up", "cannot tell": ": cannot tell whether they add up"}
        lines.append(
            f"{names}{what.get(found.verdict, f' {found.verdict}')}. The sum changes the "
            f"{result.question.words} by {rounded(found.mean_difference, found.ci)} "
            f"({interval_text(found.ci)}) beyond its parts."
        )
    return lines
