"""Which of the article's claims hold for each arm, by the paired differences that decide them.

Each dot is a replicate. The pair of the first one is marked; it may be the article's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regbench.report.claims import CLAIM_WORDS, differences_of
from regbench.report.figures.findings import Cast, amount, bracket, power, sentence_of
from regbench.report.figures.marks import Row, draw_rows
from regbench.report.figures.palette import BAD, GOOD, GREY, INK
from regbench.report.figures.sheet import EDGE, name_width, width_of
from regbench.settings.study import Network, Task, Training

if TYPE_CHECKING:
    from regbench.analysis.claims import Claim
    from regbench.analysis.result import Result
    from regbench.report.figures.sheet import Sheet
    from regbench.settings.study import Study

HOLDS = {True: ("✓", GOOD), False: ("✗", BAD), None: ("?", GREY)}
MEASURES = {
    "train_loss_eval": "training loss",
    "rms_slope": "rms slope of the fit",
    "weight_norm": "norm of all weights",
}
"""What decides a claim, where that is not the headline measure."""
ARTICLE = {"wdecay=0.01", "dropout=0.5"}
MOST_DOTTED = 8
"""Arms up to which replicates are dots."""


def size(result: Result) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    rows = len(result.study.compared)
    return 9.4, 2.08 + rows * (0.9 if rows <= MOST_DOTTED else 0.22)


def by_arm(result: Result) -> list[list[Claim]]:
    """Return the claims of each arm, in the order of the arms."""
    return [[c for c in result.claims if c.arm == name] for name in result.study.compared]


def title(result: Result) -> str:
    """Return how many claims hold: of each of few arms, or of how many arms all of them."""
    cast, arms = Cast(result), by_arm(result)
    total, clauses = len(arms[0]), list[str]()
    if len(arms) > 2:
        whole = sum(all(claim.holds for claim in own) for own in arms)
        return f"All {total} claims hold for {whole} of {len(arms)} arms"
    for name, own in zip(cast.names[1:], arms, strict=True):
        if not all(np.isfinite(claim.mean_difference) for claim in own):
            clauses.append(f"{name} diverged")
            continue
        holds = [claim.holds for claim in own]
        yes, no, open_ = (holds.count(value) for value in (True, False, None))
        told = f"{yes} of {total} hold" if yes < total else f"all {total} claims hold"
        told += f", {no} {'does' if no == 1 else 'do'} not" * bool(no)
        clauses.append(f"{name}: {told}" + f", for {open_} cannot tell" * bool(open_))
    return sentence_of(*clauses)


def is_articles(study: Study) -> bool:
    """Whether the first pair of every arm is one of the article's two."""
    settings = study.task, study.network, study.training, study.seed
    return settings == (Task(), Network(), Training(), 1) and {*study.compared} <= ARTICLE


def draw(result: Result, sheet: Sheet) -> None:
    """Draw a column for each claim and in it a row for each arm, over one axis."""
    cast, study, arms = Cast(result), result.study, by_arm(result)
    is_dotted, is_fresh = len(arms) <= MOST_DOTTED, result.confirmation is not None
    pair = "The article's own pair" if is_articles(study) else "The first pair"
    said = (
        f"Paired differences, arm − baseline, whose line is at 0; bar: mean and {cast.interval}. "
    )
    said += f"{cast.networks}. "
    if is_dotted:
        said += "A dot is one replicate, hollow where it says the opposite of the claim. "
        said += f"{pair}, seed {study.seed}, is the ◆." * (not is_fresh)
    top = sheet.heading(title(result), said) + 0.5
    left = name_width(cast.labels[1:]) + 0.05
    width = (sheet.width - left - EDGE) / len(arms[0])
    for column, claims in enumerate(zip(*arms, strict=True)):
        first, side, rows = claims[0], left + column * width + 0.15, list[Row]()
        for claim, label, color in zip(claims, cast.labels[1:], cast.colors[1:], strict=True):
            values, (mark, tone), ci = differences_of(result, claim), HOLDS[claim.holds], claim.ci
            number = bracket(claim.mean_difference, ci, "+") * is_dotted
            if width_of(number, 8) > width - 0.35:  # the bar has the interval
                number = amount(claim.mean_difference, ci, "+")
            texts = [[(-0.15 * (not is_dotted), mark, tone), (0.16, number, INK)]]
            is_full = values >= 0 if claim.claim == "train_loss_higher" else values <= 0
            lost = "diverged" * (not np.isfinite(claim.mean_difference))
            dots = values if is_dotted else None
            bars, marked = [(claim.mean_difference, ci)], None if is_fresh else 0
            seed = study.seed + study.replicates * is_fresh
            rows.append(Row(label, color, bars, texts, dots, is_full, marked, lost, seed))
        best = cast.labels[cast.best]
        ys = draw_rows(sheet, side, top, width - 0.3, rows, best, is_beside=False, below=0.33)
        what = MEASURES.get(first.measure, result.question.words)
        baseline = next(m.baseline for m in result.measures if m.measure == first.measure)
        sheet.text(side, top - 0.22, CLAIM_WORDS[first.claim], 10, weight="bold", va="bottom")
        said = f"{what}, baseline {power(baseline)}"
        sheet.text(side, top - 0.05, said, 7.5, color=GREY, va="bottom")
    sheet.names(cast.labels[1:], cast.colors[1:], ys, left - 0.05)
