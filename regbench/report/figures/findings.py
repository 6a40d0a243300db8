"""What pictures say of arms: the pieces of titles, as on the screen, and which arms are shown.

Knows nothing about drawing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.history import evenly
from regbench.analysis.scores import Judged
from regbench.errors import UsageError
from regbench.report.claims import finite_arms, is_comparable
from regbench.report.figures.palette import colors_of, distinct, labels_of, names_of
from regbench.report.format import count, percent, rounded
from regbench.report.verdicts import way_of

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Interval

LARGE = 1e5
"""Numbers from here on have a power of ten."""
MOST_PANELS = 8
"""Arms that have panels of their own; of more, some are shown."""


def amount(value: float, ci: Interval | None, sign: str = "") -> str:
    """Return a number with the decimals that its interval gives it; `+` gives it a sign."""
    if ci is None:
        return short(value, sign)
    plus = sign if value > 0 else ""
    return plus + rounded(value, ci).replace("-", "−")


def short(value: float, sign: str = "") -> str:
    """Return a number with three decimals, from 10 on four digits, or two where that says more."""
    if 10 <= abs(value) < LARGE:
        return f"{value:{sign}.{max(0, 3 - math.floor(math.log10(abs(value))))}f}".replace("-", "−")
    if value == 0 or 5e-4 <= abs(value) < 1e3 or not math.isfinite(value):
        return f"{value:{sign}z.3f}".replace("-", "−")
    return ("−" if value < 0 else sign) + power(abs(value))


def power(value: float) -> str:
    """Return a positive number with two digits, a small or a large one with its power of ten."""
    if 1e-3 <= value < 1e3:
        return f"{float(f'{value:.2g}'):g}"
    if 1e3 < value < LARGE and math.log10(value) % 1:  # no power of ten
        return f"{value:.0f}"
    digits, exponent = f"{value:.1e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{digits.removesuffix('.0')}·10{raised}".removeprefix("1·")


def bracket(value: float, ci: Interval | None, sign: str = "") -> str:
    """Return a number and its interval: `−0.040 [−0.045, −0.035]`."""
    ends = f" [{amount(ci[0], ci)}, {amount(ci[1], ci)}]" if ci else ""
    return amount(value, ci, sign) + ends


def cut(values: Any, ends: tuple[float, float]) -> str:
    """Return how far values reach beyond the ends of an axis, or nothing."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    told = [f"▲ up to {short(high)}"] if high > ends[1] else []
    return "  ".join([*told, f"▼ down to {short(low)}"] if low < ends[0] else told)


class Cast:
    """The arms of a result as pictures show them: lists by index, and what is said of them.

    Attributes:
        labels, names, colors: Of each arm, the baseline first; titles use the names.
        lost: What is said of arms that are not finite at the end, by index.
        best: The index of the arm that is judged the best.
        shown: The arms that have panels: the baseline, and the others evenly by their effect.
        several: Whether there are replicates to speak of.
        counted, dot, axis: What replicates are called, what one's dot is, and the axis of dots.

    Raises:
        UsageError: The baseline or every other arm has diverged, so that nothing can be compared.
    """

    counted = "replicates"
    dot = (
        "A dot is one replicate: its regularized network minus its baseline, on the same data from "
        "the same initial weights; hollow where the baseline was better. "
    )

    def __init__(self, result: Result) -> None:
        self.result, study, self.sign = result, result.study, 1
        self.what, self.arms, fresh = result.question.words, study.arm_names, result.confirmation
        self.axis = f"← lower is better     paired difference in {self.what}, arm − baseline"
        self.fresh = {c.arm: c for c in fresh.comparisons} if fresh else {}
        if not is_comparable(result):
            problem = "a picture compares arms, and the baseline or every other arm diverged"
            raise UsageError("figures", problem=problem)
        self.labels, self.names = ([*f(study).values()] for f in (labels_of, names_of))
        self.colors = colors_of(study.arms)
        is_finite = finite_arms(result)
        self.lost = {
            index: f"diverged in {number} of {study.replicates}, first seen at epoch {epoch}"
            for index, epoch, number in result.divergences
            if not is_finite[index]
        }
        losses = np.where(is_finite, result.judged.mean(axis=1, dtype=float), np.inf)
        order = (1 + losses[1:].argsort(kind="stable")).tolist()
        self.best, self.several, arms = order[0], study.replicates > 1, len(study.arms)
        self.shown = [0, *sorted(order[rank] for rank in evenly(len(order), MOST_PANELS - 1))]
        self.networks = f"{count(study.replicates, 'replicate')}, epoch {result.history.epochs[-1]}"
        is_some = len(self.shown) < arms
        self.omitted = f" {len(self.shown)} of {arms} arms are shown, by effect." if is_some else ""
        simultaneous = "simultaneous " if arms > 2 else ""
        self.interval = f"{simultaneous}{percent(result.question.confidence)} interval"

    @property
    def parts(self) -> list[Any]:
        """What each arm's error is made of at the end; None of one replicate."""
        found: list[Any] = self.result.decompositions[-1]
        return found


class CastOfScores(Cast):
    """The arms of scores that may be from anywhere."""

    counted = "pairs"

    def __init__(self, result: Judged) -> None:
        self.arms = self.labels = self.names = [*result.scores]
        self.several, self.fresh = True, {}
        self.what, self.sign, asked = result.measure, result.sign, result.question
        self.colors = distinct(len(self.arms))
        if result.best is None:
            problem = "a picture compares arms, and the scores of none can be compared"
            raise UsageError("figures", problem=problem)
        self.best, better = self.arms.index(result.best.arm), f"{asked.better} is better"
        compared = enumerate(result.comparisons, 1)
        self.lost = {i: "a score is not finite" for i, c in compared if c.verdict == "diverged"}
        law = " by Nadeau and Bengio" * bool(asked.splits) if result.pairs else " by Welch"
        simultaneous = "simultaneous " if len(self.arms) > 2 else ""
        self.interval = f"{simultaneous}{percent(asked.confidence)} interval{law}"
        self.networks = count(len(result.pairs), "pair")
        self.dot = (
            "A dot is one pair: the arm's score minus the baseline's; hollow where the baseline's "
            "was better. "
        )
        self.axis = f"paired difference in {self.what}, arm − {result.baseline}"
        if not result.pairs:
            sizes = [str(len(own)) for own in result.scores.values()]
            self.networks = f"{', '.join(sizes[:-1])} and {sizes[-1]} scores"
            self.dot = "Scores are not paired: a dot is one score, minus the baseline's mean. "
            self.axis = f"{self.what}, minus the mean of {result.baseline}"
        side = f"← {better}" if self.sign > 0 else f"{better} →"
        self.axis = f"{side}     {self.axis}"


def cast_of(result: Result | Judged) -> Cast:
    """Return the arms of a result as pictures show them."""
    return CastOfScores(result) if isinstance(result, Judged) else Cast(result)


def sentence_of(*clauses: str) -> str:
    """Return clauses as a title, which begins with a capital letter."""
    text = "; ".join(clauses)
    return text[:1].upper() + text[1:]


def headline_title(result: Result | Judged) -> str:
    """Return the finding about the headline measure: of one arm, then what differs from it.

    That arm is the confirmed one, or the one that lowers the measure most, or else the best.
    """
    cast, margin = cast_of(result), result.question.margin
    what, fresh = cast.what, cast.fresh
    found = [fresh.get(c.arm, c) for c in result.comparisons]
    names = dict(zip(cast.arms, cast.names, strict=True))
    better = [c for c in found if c.verdict == "better"]
    first = [c for c in found if c.arm in fresh] or better or [found[cast.best - 1]]
    best = min(first, key=lambda c: cast.sign * c.mean_difference)
    others = [c for c in found if c is not best]
    name, size, ci = names[best.arm], amount(abs(best.mean_difference), best.ci), best.ci
    of = f"{best.wins} of {best.replicates}{' fresh' * bool(fresh)} {cast.counted}"
    in_of, better_in = (
        (f", in {of}", f", and is better in {of}") if best.wins is not None else ("", "")
    )
    change = bracket(best.mean_difference, ci, "+")
    if best.replicates == 1:
        side = "lower" if best.mean_difference < 0 else "higher"
        than = f"{what} {size} {side} than the baseline's (one replicate, no interval)"
        return sentence_of(f"{name}: {than}")
    lower, higher = ("lower", "higher") if cast.sign > 0 else ("better", "worse")
    most = " most," * (bool(others) and not fresh)
    clauses = [
        {
            "better": f"{name} {way_of(best)} the {what}{most} by {size}{in_of}",
            "worse": f"{name} {way_of(best)} the {what} by {size}{better_in}",
            "equal": f"{name}: the {what} is equal within ±{margin:g}, {change}",
            "did nothing": f"{name} did nothing",
            "diverged": f"{name} diverged on fresh replicates",
        }.get(best.verdict, f"{name}: cannot tell, the {what} changes by {change}")
    ]
    for verdict, words in (
        ("better", f"{lower} too with"), ("worse", f"{higher} with"), ("equal", "equal with"),
        ("did nothing", "nothing done by"), ("inconclusive", "cannot tell for"),
        ("diverged", "diverged with"),
    ):  # fmt: skip
        such = [names[c.arm] for c in others if c.verdict == verdict]
        who = such[0] if len(such) == 1 else f"{len(such)} others"
        clauses += [f"{words} {who}"] * bool(such)
    is_named = isinstance(result, Judged)  # by somebody else, who may mean small letters
    return "; ".join(clauses) if is_named else sentence_of(*clauses)
