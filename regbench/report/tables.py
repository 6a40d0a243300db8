"""What a training result says in tables: losses by epoch, differences, and what errors are made of.

Knows nothing about where a table is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from regbench.report.base import Table
from regbench.report.format import interval_text, number, percent, probability, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.result import Result

EVALUATION = "in evaluation"
"""Title of the training loss without masks, which narrow terminals go without."""
MOST_ROWS = 40
"""Of the table of losses: more logged epochs and arms are left to the files."""


def loss_table(result: Result) -> Table:
    """Return the mean losses of every arm at every logged epoch, and their paired differences."""
    history, study = result.history, result.study
    epoch_indices = range(len(history.epochs))
    if len(epoch_indices) * len(study.arms) > MOST_ROWS:
        epoch_indices = epoch_indices[-1:]
    labels = list(study.labels.values())
    is_replicated, is_pair = study.replicates > 1, len(labels) == 2
    losses = {"train loss": history.train_loss, "test loss": history.test_loss}
    if any(arm.acts_on_hidden for arm in study.arms):
        losses = {
            "train loss": history.train_loss,
            EVALUATION: history.train_loss_eval,
            "test loss": history.test_loss,
        }
    titles, dispensable = ["\nepoch", *([] if is_pair else ["\narm"])], []
    for title in losses:
        first, *others = labels if is_pair else [""]
        added = [f"{title}\n{first}", *(f"\n{label}" for label in others)]
        if title == EVALUATION:
            dispensable = [tuple(range(len(titles), len(titles) + len(added)))]
        titles += added
    titles.append("test loss\ndifference")
    if is_replicated:
        titles.append(f"\n{percent(result.question.confidence)} interval")
    rows: list[Sequence[str]] = [titles]
    for epoch_index in epoch_indices:
        epoch, compared = str(history.epochs[epoch_index]), result.comparisons_by_epoch[epoch_index]
        means = [[number(float(v.mean())) for v in loss[epoch_index]] for loss in losses.values()]
        gaps = [
            [rounded(c.mean_difference, c.ci), *([interval_text(c.ci)] * is_replicated)]
            for c in compared
        ]
        if is_pair:
            rows.append((epoch, *(mean for loss in means for mean in loss), *gaps[0]))
            continue
        for arm_index, label in enumerate(labels):
            gap = gaps[arm_index - 1] if arm_index else [""] * (1 + is_replicated)
            rows.append((epoch, label, *(loss[arm_index] for loss in means), *gap))
    is_whole = len(epoch_indices) == len(history.epochs)
    return Table(
        rows,
        caption=f"Mean squared error, mean of {study.replicates} replicates; difference: arm - "
        f"baseline"
        if is_replicated
        else f"Mean squared error of the one replicate, seed {study.seed}",
        note="" if is_whole else "Earlier epochs are in history.csv and in the pictures.",
        left=() if is_pair else (1,),
        dispensable=dispensable,
        is_grouped=not is_pair,
    )


def difference_table(result: Result) -> Table:
    """Return how each arm's test loss compares with the baseline's at the last epoch."""
    interval = f"{percent(result.question.confidence)} interval"
    p_title = "p (Holm)" if len(result.comparisons) > 1 else "p"
    zeros = result.history.zero_share[-1, 1:].mean(axis=1)
    has_zeros = bool(zeros.any())
    titles = ("arm", "mean", interval, "median", interval, "wins", p_title, "r", "gain")
    rows: list[Sequence[str]] = [(*titles, "zeros") if has_zeros else titles]
    for c, share in zip(result.comparisons, zeros, strict=True):
        row = (
            result.study.labels[c.arm],
            rounded(c.mean_difference, c.ci),
            interval_text(c.ci),
            rounded(c.median_difference, c.median_ci or c.ci),
            interval_text(c.median_ci),
            str(c.wins),
            probability(c.p_value_holm),
            "n/a" if c.correlation is None else f"{c.correlation:.2f}",
            "n/a" if c.pairing_gain is None else f"{c.pairing_gain:.3g}",
        )
        rows.append((*row, f"{100 * share:.1f} %") if has_zeros else row)
    caption = (
        f"Test loss at epoch {result.history.epochs[-1]}, arm - baseline; wins: of "
        f"{result.study.replicates}; r: correlation; gain: of pairing, in variance"
    )
    caption += "; zeros: of the weights" if has_zeros else ""
    return Table(rows, caption, dispensable=[(4,), (4, 7), (3, 4, 7)])


def decomposition_table(result: Result) -> Table:
    """Return what the expected test error of each arm is made of at the last epoch."""
    interval = f"{percent(result.question.confidence)} interval"
    rows = [("arm", "bias²", interval, "variance", interval, "noise", "sum")]
    for label, parts in zip(result.study.labels.values(), result.decompositions[-1], strict=True):
        assert parts is not None
        rows.append(
            (
                label,
                rounded(parts.bias_squared.value, parts.bias_squared.ci),
                interval_text(parts.bias_squared.ci),
                rounded(parts.variance.value, parts.variance.ci),
                interval_text(parts.variance.ci),
                f"{parts.noise_variance:.4g}",
                rounded(parts.expected_test_error.value, parts.expected_test_error.ci),
            )
        )
    caption = f"Expected test error at epoch {result.history.epochs[-1]}"
    return Table(rows, caption, dispensable=[(5,), (5, 6)])
