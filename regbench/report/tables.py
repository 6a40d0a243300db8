"""What a training result says in tables: losses, differences, and what errors are made of."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from regbench.report.base import Table
from regbench.report.claims import judged_text
from regbench.report.format import interval_text, number, percent, probability, rounded

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Interval

MOST_ROWS = 40
"""Most rows of the table of losses; the files have every logged epoch and arm."""
EARLIER = "Earlier epochs are in figures/course and in history.csv."


def loss_table(result: Result, has_details: bool) -> Table:
    """Return mean losses by epoch and their differences; more than two arms stand in rows.

    Of these it has the last epoch alone, but for details.
    """
    history, study = result.history, result.study
    labels, is_replicated = list(study.labels.values()), study.replicates > 1
    is_pair, is_noisy = len(labels) == 2, any(arm.is_noisy for arm in study.arms)
    losses = {"train loss": history.train_loss_eval}
    if is_noisy:
        losses["with its noise"] = history.train_loss
    headline = result.question.headline.replace("_", " ")
    losses[headline] = result.headline

    titles = ["\nepoch"] if is_pair else ["\nepoch", "\narm"]
    for title in losses:
        first, *others = labels if is_pair else [""]
        titles += [f"{title}\n{first}", *(f"\n{label}" for label in others)]
    titles.append(f"{headline}\ndifference")
    if is_replicated:
        titles.append(f"\n{percent(result.question.confidence)} interval")

    logged = list(zip(study.training.logged_epochs, result.comparisons_by_epoch, strict=True))
    is_whole = (is_pair or has_details) and len(logged) * len(labels) <= MOST_ROWS
    rows = [titles]
    for epoch, compared in logged if is_whole else logged[-1:]:
        epoch_index = history.at(epoch)
        means = [[number(float(v.mean())) for v in loss[epoch_index]] for loss in losses.values()]
        gaps = [estimate(c.mean_difference, c.ci)[: 1 + is_replicated] for c in compared]
        if is_pair:
            rows.append([str(epoch), *itertools.chain(*means), *gaps[0]])
            continue
        gaps.insert(0, [""] * len(gaps[0]))
        for label, *arm_means, gap in zip(labels, *means, gaps, strict=True):
            rows.append([str(epoch), label, *arm_means, *gap])
    whose = f" of the one replicate, seed {study.seed}"
    if is_replicated:
        whose = f", mean of {study.replicates} replicates; difference: arm - baseline"
    return Table(
        rows,
        f"Mean squared error{whose}",
        note="" if is_whole or len(logged) == 1 else EARLIER,
        left=() if is_pair else (1,),
        dispensable=[(3, 4) if is_pair else (3,)] if is_noisy else [],
        is_grouped=not is_pair,
    )


def difference_table(result: Result) -> Table:
    """Return how each arm's headline measure compares with the baseline's at the last epoch."""
    interval = f"{percent(result.question.confidence)} interval"
    zeros = result.history.zero_share[-1, 1:].mean(axis=1)
    titles = ["arm", "mean", interval, "median", interval, "wins", "p-value", "r", "gain"]
    rows = [[*titles, "interval alone", "p-value of flips", "zeros"]]
    for c, share, arm in zip(result.comparisons, zeros, result.study.arms[1:], strict=True):
        label, mean = result.study.labels[c.arm], estimate(c.mean_difference, c.ci)
        median = rounded(c.median_difference, c.median_ci or c.ci), interval_text(c.median_ci)
        r = "n/a" if c.correlation is None else f"{c.correlation:.2f}"
        gain = "n/a" if c.pairing_gain is None else f"{c.pairing_gain:.3g}"
        wins_and_p = "n/a" if c.wins is None else str(c.wins), probability(c.p_value)
        alone = interval_text(c.ci_alone), probability(c.p_value_sign_flip)
        is_sparse = any(part.makes_zeros for part in arm.parts)
        shown = "underflow" if share and not is_sparse else share_text(share)
        rows.append([label, *mean, *median, *wins_and_p, r, gain, *alone, shown])
    caption = (
        f"{judged_text(result)}, arm - "
        f"baseline; wins: of {result.study.replicates}; r: correlation; gain: of pairing, in "
        f"variance"
    )
    if zeros.any():
        caption += "; zeros: of the weights"
    else:
        rows = [row[:-1] for row in rows]
    few = (9, 10), (4, 9, 10), (4, 7, 9, 10), (3, 4, 7, 9, 10)
    return Table(rows, caption, dispensable=[(9,), *few])


def share_text(share: float) -> str:
    """Return a share in per cent; 100.0 % means all, and 0.0 % none."""
    least, most = (0.1, 99.9) if 0 < share < 1 else (0.0, 100.0)
    return f"{min(max(100 * share, least), most):.1f} %"


def estimate(value: float, interval: Interval | None) -> list[str]:
    """Return the cells of an estimate and of its interval."""
    return [rounded(value, interval), interval_text(interval)]
