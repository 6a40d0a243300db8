"""What pictures say of arms: the pieces of titles, as on the screen, and which arms are shown.

Knows nothing about drawing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import evenly
from regbench.report.figures.palette import colors_of, labels_of
from regbench.report.format import count, percent, rounded

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Comparison, Interval

MOST_PANELS = 8
"""Arms that have panels of their own; of more, some are shown."""


def amount(value: float, ci: Interval | None, sign: str = "") -> str:
    """Return a number with the decimals that its interval gives it; `+` gives it a sign."""
    plus = sign if value > 0 else ""
    return plus + rounded(value, ci).replace("-", "−")


def short(value: float, sign: str = "") -> str:
    """Return a number with three decimals, or two digits where that says more."""
    if value == 0 or 5e-4 <= abs(value) < 1e3 or not math.isfinite(value):
        return f"{value:{sign}z.3f}".replace("-", "−")
    return ("−" if value < 0 else sign) + power(abs(value))


def power(value: float) -> str:
    """Return a positive number with two digits, a small or a large one with its power of ten."""
    if 1e-3 <= value < 1e3:
        return f"{float(f'{value:.2g}'):g}"
    digits, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits.removesuffix('.0')}·10{raised}".removeprefix("1·")


def bracket(value: float, ci: Interval | None, sign: str = "") -> str:
    """Return a number and its interval: `−0.040 [−0.045, −0.035]`."""
    ends = f" [{amount(ci[0], ci)}, {amount(ci[1], ci)}]" if ci else ""
    return amount(value, ci, sign) + ends


class Cast:
    """The arms of a result as pictures show them: lists by index, and what is said of them.

    Attributes:
        labels, colors: Of each arm, the baseline first.
        lost: What is said of arms that are not finite at the end, by index.
        shown: The arms that have panels: the baseline, the best, and the rest evenly.
        several: Whether there are replicates to speak of.
    """

    def __init__(self, result: Result) -> None:
        self.result, study = result, result.study
        last = np.isfinite(result.headline[-1] + result.history.risk[-1])
        self.labels, self.colors = [*labels_of(study).values()], colors_of(study.arms)
        self.lost = {
            index: f"diverged in {number} of {study.replicates}, first seen at epoch {epoch}"
            for index, epoch, number in result.divergences
            if not last[index].all()
        }
        self.several, arms = study.replicates > 1, len(study.arms)
        self.best = study.arm_names.index(result.best_arm.name) if result.best_arm else 0
        self.shown = [0, *(index + 1 for index in evenly(arms - 1, MOST_PANELS - 1))]
        if self.best not in self.shown:
            nearest = min(self.shown[1:], key=lambda index: abs(index - self.best))
            self.shown[self.shown.index(nearest)] = self.best
        self.networks = f"{count(study.replicates, 'replicate')}, epoch {result.history.epochs[-1]}"
        is_some = len(self.shown) < arms
        self.omitted = f" {len(self.shown)} of {arms} arms are shown." if is_some else ""
        simultaneous = "simultaneous " if arms > 2 else ""
        self.interval = f"{simultaneous}{percent(result.question.confidence)} interval"

    @property
    def parts(self) -> list[Any]:
        """What each arm's error is made of at the end; None of one replicate."""
        found: list[Any] = self.result.decompositions[-1]
        return found


def judged(result: Result) -> list[Comparison]:
    """Return the comparison that counts for each arm: the confirmation's, where there is one."""
    fresh = {c.arm: c for c in result.confirmation.comparisons} if result.confirmation else {}
    return [fresh.get(c.arm, c) for c in result.comparisons]


def headline_title(result: Result) -> str:
    """Return the finding about the headline measure: of the best arm first, then what differs."""
    labels, what = labels_of(result.study), result.question.words
    found = [c for c in judged(result) if c.verdict != "diverged"]
    if not found:
        return f"No comparison: a {what} is not finite"
    best = next(c for c in found if result.best_arm and c.arm == result.best_arm.name)
    label, size, ci = labels[best.arm], abs(best.mean_difference), best.ci
    if best.replicates == 1:
        side = "lower" if best.mean_difference < 0 else "higher"
        rest = "one replicate, no interval"
        return f"{label}: {what} {amount(size, None)} {side} than the baseline's ({rest})"
    is_fresh = result.confirmation is not None and best in result.confirmation.comparisons
    of = f"{best.wins} of {best.replicates}{' fresh' * is_fresh} replicates"
    by = f"by {amount(size, ci)}"
    others = [c for c in found if c is not best]
    if best.verdict == "did nothing":
        title = f"{label} did nothing"
    elif best.verdict == "equal":
        within, change = result.question.margin, bracket(best.mean_difference, ci, "+")
        title = f"{label}: the {what} is equal within ±{within:g}, {change}"
    elif best.verdict == "better":
        title = (
            f"{label} lowers the {what}{' most,' * (bool(others) and not is_fresh)} {by}, in {of}"
        )
    elif best.verdict == "worse":
        title = f"{label} raises the {what} {by}, and is better in {of}"
    else:
        change = bracket(best.mean_difference, ci, "+")
        title = f"{label}: no change of the {what} can be told, {change}"
    for verdict, one, many in (
        ("worse", "{} raises it", "{} arms raise it"),
        ("equal", "{} leaves it equal", "{} others leave it equal"),
        ("did nothing", "{} did nothing", "{} others did nothing"),
        ("inconclusive", "for {} it cannot be told", "for {} others it cannot be told"),
    ):
        such = [labels[c.arm] for c in others if c.verdict == verdict]
        if such and verdict != best.verdict:
            title += "; " + (one.format(*such) if len(such) == 1 else many.format(len(such)))
    return title
