"""What judged scores show: a sentence or a row for each arm, a picture, and the document."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from regbench import __version__
from regbench.report import verdicts
from regbench.report.base import Table, View
from regbench.report.claims import FEW_ARMS
from regbench.report.format import interval_text, number, percent, probability, rounded, told
from regbench.report.training import gate_content, measure_row
from regbench.settings.study import MOST_REPLICATES

if TYPE_CHECKING:
    from regbench.analysis.scores import Judged
    from regbench.storage.run_folder import Run

WITH_SCORES = "At the shell, with these scores in the file:"


def view(run: Run, result: Judged) -> View:
    """Return the view of judged scores."""
    asked, found, count = result.question, result.comparisons, len(result.pairs)
    gate = [verdicts.gate_line(c.arm, asked, c, said, result.sign) for c, said in result.judgements]
    lines, table, is_many = lost_scores(result) + gate, arm_table(result), len(found) > FEW_ARMS
    content = {
        "schema": "regbench.judged/1",
        "version": __version__,
        "measure": result.measure,
        "baseline": result.baseline,
        "better": asked.better,
        "splits": asked.splits,
        "pairs": [*result.pairs],
        "required_pairs": result.required_pairs,
        "comparisons": [asdict(c) for c in found],
        "cautions": cautions(result),
        "gate": gate_content(result, lines or ["a score is not finite"]),
    }
    paired = f"in {count} pairs" if count else "without pairs"
    arms = ", ".join(c.arm for c in found)
    return View(
        run=run,
        header=[f"judge: {arms} against {result.baseline}, {paired}; {result.words}"],
        document=lambda: content,
        answer=table if is_many else None,
        tables=[] if is_many else [table],
        sentences=sentences(result, is_many),
        cautions=cautions(result),
        warnings=lines,
        exit_code=result.exit_code,
        rows=[measure_row(c) for c in found],
        pictures=["pairs"] if result.best else [],
        subject=result,
        inputs=(WITH_SCORES, scores_text(result)),
    )


def sentences(result: Judged, is_many: bool) -> list[str]:
    """Return the verdict on each of few arms, the best of several, and how many pairs it takes."""
    asked, found, count = result.question, result.comparisons, len(result.pairs)
    few = () if is_many else found
    lines = [verdicts.sentence(c.arm, c, margin=asked.margin, noun="pairs") for c in few]
    if result.best and len(found) > 1:
        chosen = f"Best of {len(found)} arms: {result.best.arm}. These scores chose it, which"
        lines.append(f"{chosen} flatters it; judge it again with fresh ones.")
    if (takes := result.required_pairs) is not None:
        more = f"{takes - count} more" if takes > count else "no more"
        takes_text = f"{takes}" if takes <= MOST_REPLICATES else f"over {MOST_REPLICATES}"
        said = f"An interval {asked.target_width:g} wide takes {takes_text} pairs"
        lines.append(f"{said} in nine of ten cases, {more} than these.")
    return lines


def arm_table(result: Judged) -> Table:
    """Return a row for each arm: its verdict, and the numbers that say so."""
    interval = f"{percent(result.question.confidence)} interval"
    rows = [["arm", "is", result.baseline, "arm", "difference", interval, "better in"]]
    rows[0] += ["p-value", "gain"]
    for c in result.comparisons:
        wins = "n/a" if c.wins is None else f"{c.wins} of {c.replicates}"
        row = [c.arm, told(c.verdict), number(c.baseline), number(c.value)]
        row += [rounded(c.mean_difference, c.ci), interval_text(c.ci), wins, probability(c.p_value)]
        rows.append([*row, "n/a" if c.pairing_gain is None else f"{c.pairing_gain:.3g}"])
    caption = f"{result.words[:1].upper()}{result.words[1:]}: each arm − {result.baseline}; "
    caption += (
        "intervals hold for all arms at once; gain: how many times smaller pairing makes the "
    )
    caption += "variance"
    few = (2, 3), (2, 3, 7, 8), (2, 3, 6, 7, 8)
    return Table(rows, caption, left=(0, 1), dispensable=few, wrapped={0: 24})


def scores_text(result: Judged) -> str:
    """Return the scores as a table that `judge` reads."""
    text, titles, scores = io.StringIO(), ["arm", "pair", result.measure], result.scores.items()
    rows = [(a, *pair) for a, own in scores for pair in itertools.zip_longest(result.pairs, own)]
    csv.writer(text, lineterminator="\n").writerows([titles, *rows])
    return text.getvalue()


def lost_scores(result: Judged) -> list[str]:
    """Return a line for each arm that has scores that are not finite."""
    lines = []
    for arm, own in result.scores.items():
        if lost := np.flatnonzero(~np.isfinite(own)).tolist():
            where = f": pair {', '.join(result.pairs[i] for i in lost)}" if result.pairs else ""
            lines.append(f"{len(lost)} of {len(own)} scores of {arm} are not finite{where}")
    return lines


def cautions(result: Judged) -> list[str]:
    """Return how scores were taken, and what limits the answer."""
    found, (baseline, *arms) = result.comparisons, result.scores.values()
    labels, lines = {c.arm: c.arm for c in found}, [*result.notes]
    if result.question.splits:
        lines.append("splits depend on each other: intervals are those of Nadeau and Bengio")
    elif result.pairs:
        lines += verdicts.few_replicates(len(result.pairs), "pairs", "{} pairs")
    for c, arm in zip(found, arms, strict=True):
        if c.verdict == "inconclusive" and c.ci is None:
            lines.append(f"all differences of {c.arm} are the same, so there is no interval")
        elif c.ci and result.pairs and (ties := int((arm == baseline).sum())):
            lines.append(f"{c.arm} ties in {ties} of {len(arm)} pairs, which are no wins")
    lines += verdicts.contradicting_medians(found, labels)
    return lines + verdicts.skewed_differences(found, labels, "differences", "the number of pairs")
