"""What a training run says in the terminal: a header, three tables, and closing lines in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regbench.errors import shell_word
from regbench.report.format import (
    count,
    interval_text,
    make_table,
    number,
    percent,
    probability,
    rounded,
    seeds_text,
)
from regbench.report.terminal.console import (
    arm_label,
    print_line,
    print_table,
    print_whole,
    showable,
    table_width,
)
from regbench.report.verdicts import cautions, choice, sentence
from regbench.settings.study import PILOT_REPLICATES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from rich.console import Console

    from regbench.analysis.result import Result
    from regbench.settings.study import TrainingExperiment

SHAPES = {"linear": "x", "quadratic": "x^2", "sine": " sin(pi x)", "step": " sign(x)", "abs": "|x|"}
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam"}
VARIES = {
    "both": "",
    "data": "; data vary, initial weights and masks are those of the first",
    "init": "; initial weights and masks vary, data are those of the first",
}
LONG_SECONDS = 60
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))
EVALUATION = "in evaluation"
"""Title of the training loss without masks, which narrow terminals go without."""
MOST_ROWS = 40
"""Of the table of losses: more logged epochs and arms are left to the files."""


def print_training_header(
    console: Console, settings: TrainingExperiment, engine: str, device: str
) -> None:
    """Say what is about to run: arms, task, network, training, engine and device."""
    arms = ", ".join(arm_label(console, arm) for arm in settings.arms)
    sizes = "-".join(str(size) for size in settings.layer_sizes)
    weights = "the same" if settings.pairing == "shared" else "independent"
    replicates = f"{count(settings.replicates, 'replicate')} ({seeds_text(settings.seeds)})"
    if settings.target_width is not None and settings.replicates <= PILOT_REPLICATES:
        replicates = f"a pilot of {replicates} for an interval {settings.target_width:g} wide"
    features = "" if settings.features == "x" else f" of {settings.features}"
    momentum = f", momentum {settings.momentum:g}" if settings.optimizer == "sgd" else ""
    optimizer = f"{OPTIMIZERS[settings.optimizer]}, lr {settings.lr:g}{momentum}"
    print_line(
        console,
        f"{settings.experiment}: {arms}; {replicates}, same data and {weights} initial weights "
        f"in all arms{VARIES[settings.vary]}",
        style="bold",
    )
    print_line(
        console,
        f"Task: y = {settings.slope:g}{SHAPES[settings.truth]} "
        f"on [{settings.x_min:g}, {settings.x_max:g}], "
        f"{settings.points} training points (noise sd {settings.noise:g}), "
        f"{settings.test_points} test points (noise sd {settings.test_noise:g}). "
        f"Network: {sizes}{' ReLU' if settings.depth else ', linear'}{features}, "
        f"{count(settings.parameter_count, 'parameter')}. "
        f"Training: {count(settings.epochs, 'epoch')} of full-batch {optimizer}; {engine} engine, "
        f"{device}, {settings.dtype}.",
    )


def print_estimate(console: Console, seconds: float, work: str = "training") -> None:
    """Say how long training, or other work, will take, roughly, where that is over a minute."""
    if seconds > LONG_SECONDS:
        unit, length = next((u, n) for u, n in UNITS if seconds >= n)
        print_line(
            console,
            f"This will take about {count(round(seconds / length), unit)} of {work}, by rough "
            f"estimate; it can be interrupted and resumed.",
        )


def print_tables(console: Console, result: Result) -> None:
    """Print the losses by epoch, and differences and decomposition at the last epoch."""
    print_loss_table(console, result)
    if result.settings.replicates > 1:
        print_difference_table(console, result)
        print_decomposition_table(console, result)
    print_line(console, "")


def print_loss_table(console: Console, result: Result) -> None:
    """Print the mean losses of every arm at every logged epoch, and their paired differences."""
    history, settings = result.history, result.settings
    arms, places = settings.arms, range(len(history.epochs))
    if len(places) * len(arms) > MOST_ROWS:
        places = places[-1:]
    labels = [arm_label(console, arm) for arm in arms]
    is_replicated = settings.replicates > 1
    is_pair = len(arms) == 2
    titles = ["\nepoch", *([] if is_pair else ["\narm"])]
    losses = {"train loss": history.train_loss, "test loss": history.test_loss}
    if any(arm.acts_on_hidden for arm in arms):
        losses = {
            "train loss": history.train_loss,
            EVALUATION: history.train_loss_eval,
            "test loss": history.test_loss,
        }
    dispensable = []
    for title in losses:
        first, *others = labels if is_pair else [""]
        added = [f"{title}\n{first}", *(f"\n{label}" for label in others)]
        if title == EVALUATION:
            dispensable = [tuple(range(len(titles), len(titles) + len(added)))]
        titles += added
    titles.append("test loss\ndifference")
    if is_replicated:
        titles.append(f"\n{percent(settings.confidence)} interval")
    rows: list[Sequence[str]] = [titles]
    for place in places:
        epoch, compared = str(history.epochs[place]), result.comparisons_by_epoch[place]
        means = [[number(float(v.mean())) for v in loss[place]] for loss in losses.values()]
        gaps = [
            [rounded(c.mean_difference, c.ci), *([interval_text(c.ci)] * is_replicated)]
            for c in compared
        ]
        if is_pair:
            rows.append((epoch, *(mean for loss in means for mean in loss), *gaps[0]))
            continue
        for index, label in enumerate(labels):
            gap = gaps[index - 1] if index else [""] * (1 + is_replicated)
            shown = epoch if index == 0 or not console.is_terminal else ""
            rows.append((shown, label, *(loss[index] for loss in means), *gap))
    print_line(console, "")
    print_line(
        console,
        f"Mean squared error, mean of {settings.replicates} replicates; difference: arm - baseline"
        if is_replicated
        else f"Mean squared error of the one replicate, seed {settings.seed}",
    )
    print_widest(console, rows, dispensable, left=() if is_pair else (1,))
    if len(places) < len(history.epochs):
        print_line(console, "Earlier epochs are in history.csv and in the pictures.", style="dim")


def print_difference_table(console: Console, result: Result) -> None:
    """Print how each arm's test loss compares with the baseline's at the last epoch."""
    interval = f"{percent(result.settings.confidence)} interval"
    p_title = "p (Holm)" if len(result.comparisons) > 1 else "p"
    zeros = result.history.zero_share[-1, 1:].mean(axis=1)
    has_zeros = bool(zeros.any())
    titles = ("arm", "mean", interval, "median", interval, "wins", p_title, "r", "gain")
    rows: list[Sequence[str]] = [(*titles, "zeros") if has_zeros else titles]
    for arm, c, share in zip(result.settings.arms[1:], result.comparisons, zeros, strict=True):
        row = (
            arm_label(console, arm),
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
    print_line(console, "")
    print_line(
        console,
        f"Test loss at epoch {result.history.epochs[-1]}, arm - baseline; wins: of "
        f"{result.settings.replicates}; r: correlation; gain: of pairing, in variance"
        + ("; zeros: of the weights" if has_zeros else ""),
    )
    print_widest(console, rows, dispensable=[(4,), (4, 7), (3, 4, 7)])


def print_decomposition_table(console: Console, result: Result) -> None:
    """Print what the expected test error of each arm is made of at the last epoch."""
    interval = f"{percent(result.settings.confidence)} interval"
    bias_squared = showable(console, "bias²", "bias^2")
    rows = [("arm", bias_squared, interval, "variance", interval, "noise", "sum")]
    for arm, parts in zip(result.settings.arms, result.decompositions[-1], strict=True):
        assert parts is not None
        rows.append(
            (
                arm_label(console, arm),
                rounded(parts.bias_squared.value, parts.bias_squared.ci),
                interval_text(parts.bias_squared.ci),
                rounded(parts.variance.value, parts.variance.ci),
                interval_text(parts.variance.ci),
                f"{parts.noise_variance:.4g}",
                rounded(parts.expected_test_error.value, parts.expected_test_error.ci),
            )
        )
    print_line(console, "")
    print_line(console, f"Expected test error at epoch {result.history.epochs[-1]}")
    print_widest(console, rows, dispensable=[(5,), (5, 6)])


def print_widest(
    console: Console,
    rows: Sequence[Sequence[str]],
    dispensable: Sequence[Sequence[int]],
    left: Collection[int] = (0,),
) -> None:
    """Print a table with all columns or, on a narrow terminal, without those that others replace.

    Args:
        console: Where to print.
        rows: The titles first.
        dispensable: The columns to leave out, ever more of them; the last ones where none fits.
        left: The columns that start at the left; numbers end at the right.
    """
    for left_out in [(), *dispensable]:
        table = make_table(console)
        kept = [place for place in range(len(rows[0])) if place not in left_out]
        for place in kept:
            table.add_column(rows[0][place], justify="left" if place in left else "right")
        for row in rows[1:]:
            table.add_row(*(row[place] for place in kept))
        if not console.is_terminal or table_width(console, table) <= console.width:
            break
    print_table(console, table)


def print_verdicts(console: Console, result: Result) -> None:
    """Say in words how each arm's test loss compares with the baseline's."""
    labels = {arm.name: arm_label(console, arm) for arm in result.settings.arms}
    confirmed = result.confirmation.comparisons if result.confirmation else []
    for comparison in result.comparisons:
        if comparison.arm not in {c.arm for c in confirmed}:
            print_line(console, sentence(labels[comparison.arm], comparison), style="bold")
    best = result.best_arm
    if best is not None and (len(result.comparisons) > 1 or confirmed):
        print_line(console, choice(labels[best.name], result), style="bold")
    for comparison in confirmed:
        print_line(console, sentence(labels[comparison.arm], comparison), style="bold")
    for line in cautions(result, labels):
        print_line(console, f"Mind: {line}.")


def divergence_lines(result: Result) -> list[str]:
    """Return a line for each arm that diverged, in the confirmation too."""
    arms = result.settings.arms
    lines = [
        f"{arms[arm].name} diverged in {lost} of {result.settings.replicates} replicates ("
        f"{seeds_text(result.settings.seeds)}): by epoch {epoch} a loss is not finite; lower --lr"
        f"{f' or --{arms[arm].option}' if arm else ''}"
        for arm, epoch, lost in result.divergences
    ]
    return lines + (divergence_lines(result.confirmation) if result.confirmation else [])


def print_files(console: Console, folder: Path, has_tensorboard: bool) -> None:
    """Say where the files are and how to look at them."""
    print_whole(console, f"Results: {shell_word(folder, console.encoding)}")
    if has_tensorboard:
        logs = shell_word(folder / "tensorboard", console.encoding)
        print_whole(console, f"Look inside: tensorboard --logdir {logs}")
