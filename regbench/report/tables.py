"""What a training result says in tables: losses, differences, and what errors are made of."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.statistics import mean_band, paired_differences
from regbench.report.base import Table
from regbench.report.claims import judged_text
from regbench.report.format import interval_text, percent, probability, rounded

if TYPE_CHECKING:
    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Interval

MOST_ROWS = 40
"""Most rows of the table of losses; the files have every logged epoch and arm."""
EARLIER = "Earlier epochs are in figures/course and in history.csv."
COURSE = {0, 10, 100, 400}
"""Epochs of the course, where measured, besides each arm's best one and the last one."""


def loss_table(result: Result, has_details: bool) -> Table:
    """Return mean losses by epoch and their differences; more than two arms stand in rows.

    Two arms have the epochs of a course, more arms the last one; with details, all have every
    logged epoch.
    """
    history, study = result.history, result.study
    labels, is_replicated = list(study.labels.values()), study.replicates > 1
    is_pair, is_noisy = len(labels) == 2, any(arm.is_noisy for arm in study.arms)
    losses = {"train loss": history.train_loss_eval}
    if is_noisy:
        losses["with its noise"] = history.train_loss
    name = result.question.headline
    headline = name.replace("_", " ")
    losses[headline] = result.headline

    titles = ["\nepoch"] if is_pair else ["\nepoch", "\narm"]
    for title in losses:
        first, *others = labels if is_pair else [""]
        titles += [f"{title}\n{first}", *(f"\n{label}" for label in others)]
    titles.append(f"{headline}\ndifference")
    if is_replicated:
        titles.append(f"\n{percent(result.question.confidence)} interval")

    confidence, epochs, note = result.question.confidence, study.training.logged_epochs, ""
    logged = dict(zip(epochs, result.comparisons_by_epoch, strict=True))
    if is_pair and not has_details:
        bests = lowest_epochs(result)
        epochs = sorted(COURSE & {*history.epochs.tolist()} | {*bests.values(), epochs[-1]})
        where = " and ".join(f"{epoch} ({label})" for label, epoch in bests.items())
        note = f"The mean {headline} is lowest at epoch {where}." if bests else ""
    elif not has_details or len(epochs) * len(labels) > MOST_ROWS:
        note, epochs = EARLIER * (len(epochs) > 1), epochs[-1:]
    rows = [titles]
    for epoch in epochs:
        index = history.at(epoch)
        sample = result.task.sample(history, name, index)
        overlap = result.task.overlap
        bands = [mean_band(loss[index], confidence, overlap) for loss in losses.values()]
        bands[-1] = (sample.levels, bands[-1][1])  # of a table the mean over rows, as in the answer
        pairs = [zip(*band, strict=True) for band in bands]
        means = [[rounded(mean, (mean - half, mean + half)) for mean, half in p] for p in pairs]
        compared = logged.get(epoch) or paired_differences(
            study.compared, headline, sample, confidence
        )
        gaps = [estimate(c.mean_difference, c.ci)[: 1 + is_replicated] for c in compared]
        if is_pair:
            rows.append([str(epoch), *itertools.chain(*means), *gaps[0]])
            continue
        gaps.insert(0, [""] * len(gaps[0]))
        for label, *arm_means, gap in zip(labels, *means, gaps, strict=True):
            rows.append([str(epoch), label, *arm_means, *gap])
    whose = f" of the one replicate, seed {study.seed}"
    if is_replicated:
        whose = f", mean of {study.replicates} replicates; difference: arm − baseline"
    return Table(
        rows,
        f"Mean squared error{whose}",
        note=note,
        left=() if is_pair else (1,),
        dispensable=[(3, 4) if is_pair else (3,)] if is_noisy else [],
        is_grouped=not is_pair,
    )


def lowest_epochs(result: Result) -> dict[str, int]:
    """Return by label at which measured epoch after the first each arm's mean is lowest."""
    epochs, means = result.history.epochs[1:].tolist(), result.levels[1:].T
    lowest = zip(result.study.labels.values(), means, strict=True)
    return {label: epochs[np.nanargmin(m)] for label, m in lowest if np.isfinite(m).any()}


def difference_table(result: Result) -> Table:
    """Return how each arm's headline measure compares with the baseline's at the last epoch."""
    interval = f"{percent(result.question.confidence)} interval"
    zeros = result.history.zero_share[-1, 1:].mean(axis=1)
    titles = ["arm", "mean", interval, "median", interval, "wins", "p-value", "r", "gain"]
    rows = [[*titles, "interval alone", "by sign flips", "zeros"]]
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
        f"{judged_text(result)}, arm − baseline; wins: replicates of {result.study.replicates} in "
        f"which it is lower; r: correlation of the pairs; gain: how many times smaller pairing "
        f"makes the variance"
    )
    if zeros.any():
        caption += "; zeros: share of weights that are 0"
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
