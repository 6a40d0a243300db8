"""What judged scores show: a sentence and a row for each arm, and the document."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from regbench import __version__
from regbench.report import verdicts
from regbench.report.base import Table, View
from regbench.report.format import interval_text, number, percent, probability, rounded, told
from regbench.report.training import gate_content, measure_row
from regbench.settings.study import MOST_REPLICATES

if TYPE_CHECKING:
    from regbench.analysis.scores import Judged
    from regbench.analysis.statistics import Comparison


def view(result: Judged) -> View:
    """Return the view of judged scores."""
    asked, found, count = result.question, result.comparisons, len(result.pairs)
    baseline, sign = next(iter(result.scores)), -1 if asked.better == "higher" else 1
    gate = [verdicts.gate_line(c.arm, asked, c, said, sign) for c, said in result.judgements]
    sentences = [verdicts.sentence(c.arm, c, margin=asked.margin, noun="pairs") for c in found]
    if (takes := result.required_pairs) is not None:
        more = f"{takes - count} more" if takes > count else "no more"
        takes_text = f"{takes}" if takes <= MOST_REPLICATES else f"over {MOST_REPLICATES}"
        said = f"An interval {asked.target_width:g} wide takes {takes_text} pairs"
        sentences.append(f"{said} in nine of ten cases, {more} than these.")
    content = {
        "schema": "regbench.judged/1",
        "version": __version__,
        "measure": result.measure,
        "baseline": baseline,
        "better": asked.better,
        "splits": asked.splits,
        "pairs": [*result.pairs],
        "required_pairs": takes,
        "comparisons": [asdict(c) for c in found],
        "cautions": cautions(result),
        "gate": gate_content(result, gate or ["a score is not finite"]),
    }
    interval = f"{percent(asked.confidence)} interval"
    rows = [["arm", "is", baseline, "arm", "difference", interval, "better in", "p-value", "gain"]]
    for c in found:
        gain = "n/a" if c.pairing_gain is None else f"{c.pairing_gain:.3g}"
        rows.append([c.arm, told(c.verdict), *cells(c), probability(c.p_value), gain])
    caption = f"{result.measure.capitalize()}, {asked.better} is better: each arm − {baseline}; "
    caption += "intervals hold for all arms at once; "
    caption += "gain: how many times smaller pairing makes the variance"
    return View(
        document=lambda: content,
        tables=[Table(rows, caption, left=(0, 1), dispensable=[(2, 3), (2, 3, 7, 8)])],
        sentences=sentences,
        cautions=cautions(result),
        warnings=gate,
        exit_code=result.exit_code,
        rows=[measure_row(c) for c in found],
    )


def cells(found: Comparison) -> list[str]:
    """Return the cells of a paired difference."""
    wins = "n/a" if found.wins is None else f"{found.wins} of {found.replicates}"
    difference = rounded(found.mean_difference, found.ci)
    return [number(found.baseline), number(found.value), difference, interval_text(found.ci), wins]


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
