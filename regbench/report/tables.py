"""What a run says in the terminal: a header, a table, and closing lines in words."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from regbench.report.terminal import arm_label, print_line, print_table, print_whole
from regbench.statistics import standard_error

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from regbench.config import DropoutScale, TrainingExperiment
    from regbench.dropout_scale import Scale, ScaleResult
    from regbench.result import Result


def print_training_header(
    console: Console, settings: TrainingExperiment, engine: str, device: str
) -> None:
    """Say what is about to run: arms, task, network, training, engine and device."""
    arms = ", ".join(arm_label(console, arm) for arm in settings.arms)
    sizes = "-".join(str(size) for size in settings.layer_sizes)
    weights = "the same" if settings.pairing == "shared" else "independent"
    seeds = (
        f"seeds {settings.seed} to {settings.seeds[-1]}"
        if settings.replicates > 1
        else f"seed {settings.seed}"
    )
    print_line(
        console,
        f"{settings.experiment}: {arms}; {count(settings.replicates, 'replicate')} ({seeds}), "
        f"same data and {weights} initial weights in all arms",
        style="bold",
    )
    print_line(
        console,
        f"Task: y = {settings.slope:g}x on [{settings.x_min:g}, {settings.x_max:g}], "
        f"{settings.points} training points (noise sd {settings.noise:g}), "
        f"{settings.test_points} test points (noise sd {settings.test_noise:g}). "
        f"Network: {sizes} ReLU, {settings.parameter_count} parameters. "
        f"Training: {settings.epochs} epochs of full-batch SGD, lr {settings.lr:g}, "
        f"momentum {settings.momentum:g}; {engine} engine, {device}, {settings.dtype}.",
    )


def print_loss_table(console: Console, result: Result) -> None:
    """Print the losses of every arm at every logged epoch: means with their standard errors."""
    history, settings = result.history, result.settings
    is_replicated = settings.replicates > 1
    what = (
        f"Mean squared error: mean over {settings.replicates} replicates and its standard error "
        f"(s.e.)"
        if is_replicated
        else f"Mean squared error of the one replicate, seed {settings.seed}"
    )
    table = make_table(console)
    table.add_column("\nepoch", justify="right")
    table.add_column("\narm")
    losses = {
        "train\nloss": history.train_loss,
        "train loss\n(eval)": history.train_loss_eval,
        "test\nloss": history.test_loss,
    }
    for title in losses:
        table.add_column(title, justify="right")
        if is_replicated:
            table.add_column("\ns.e.", justify="right", style="dim")
    for place, epoch in enumerate(history.epochs):
        for index, arm in enumerate(settings.arms):
            is_first = index == 0 or not console.is_terminal
            row = [str(epoch) if is_first else "", arm_label(console, arm)]
            for loss in losses.values():
                values = loss[place, index]
                row.append(number(float(values.mean())))
                if is_replicated:
                    row.append(number(float(standard_error(values))))
            table.add_row(*row)
    print_line(console, "")
    print_line(console, what)
    print_table(console, table)
    print_line(
        console,
        "train loss: as trained, before the update; (eval) and test: in evaluation mode, after it",
        style="dim",
    )
    print_line(console, "")


def print_verdicts(console: Console, result: Result) -> None:
    """Say in words how each arm's test loss compares with the baseline's, and what diverged."""
    arms = {arm.name: arm for arm in result.settings.arms}
    for comparison in result.comparisons:
        label = arm_label(console, arms[comparison.arm])
        difference = comparison.mean_difference
        if math.isnan(difference):
            text = f"{label}: no comparison, because a test loss is not finite"
        else:
            direction = "lower than" if difference < 0 else "higher than"
            amount = f"{number(abs(difference))} {direction}" if difference else "equal to"
            scope = (
                f"on the same replicates (mean of {comparison.replicates}); lower in "
                f"{comparison.wins} of {comparison.replicates}"
                if comparison.replicates > 1
                else "in this one replicate"
            )
            text = f"{label}: test loss {amount} the baseline's {scope}."
        print_line(console, text, style="bold")


def divergence_lines(result: Result) -> list[str]:
    """Return a line for each arm that diverged."""
    arms = result.settings.arms
    return [
        f"{arms[arm].name} diverged in {lost} of {result.settings.replicates} replicates: by "
        f"epoch {epoch} a loss is not finite; lower --lr"
        f"{f' or --{arms[arm].option}' if arm else ''}"
        for arm, epoch, lost in result.divergences
    ]


def print_scale_header(console: Console, settings: DropoutScale) -> None:
    """Say what is about to be drawn."""
    print_line(
        console,
        f"dropout-scale: {settings.units} inputs of one, all weights one, "
        f"{count(settings.trials, 'trial')} at each p, seed {settings.seed}",
        style="bold",
    )


def print_scale_tables(console: Console, result: ScaleResult) -> None:
    """Print what each drop probability gave, in both conventions, beside theory."""
    for scale in result.scales:
        print_line(console, "")
        print_table(console, scale_table(console, scale))
        if scale.article_z is not None:
            print_line(
                console,
                f"The article's single draw, 9868, lies {scale.article_z:.2f} standard deviations "
                f"from {scale.units} (exact two-sided probability "
                f"{scale.article_probability:.3f}).",
            )
    print_line(console, "")
    print_line(
        console,
        "inverted: what is kept is divided by 1-p in training, and evaluation needs no scaling; "
        "classic: training is not scaled, and evaluation is multiplied by 1-p.",
        style="dim",
    )
    print_line(console, "")


def scale_table(console: Console, scale: Scale) -> Table:
    """Return the table of one drop probability."""
    keep = 1 - scale.drop_probability
    rows = [
        ("training mode, first trial", scale.outputs[0], scale.kept[0]),
        (f"training mode, mean of {len(scale.kept)}", scale.outputs.mean(), scale.kept.mean()),
        ("  in theory", scale.units, scale.units * keep),
        (
            "training mode, standard deviation",
            scale.outputs.std(ddof=1),
            scale.kept.std(ddof=1),
        ),
        ("  in theory", scale.theory_sd, scale.theory_sd * keep),
        ("evaluation mode", scale.eval_output, scale.eval_output * keep),
    ]
    table = make_table(console)
    table.add_column(f"output, p = {scale.drop_probability!r}")
    table.add_column("inverted (torch)", justify="right")
    table.add_column("classic", justify="right")
    for name, inverted, classic in rows:
        table.add_row(name, f"{float(inverted):.2f}", f"{float(classic):.2f}")
    return table


def print_scale_verdicts(console: Console, result: ScaleResult) -> None:
    """Say in words whether torch's dropout fits the law."""
    for scale in result.scales:
        print_line(
            console,
            f"p={scale.drop_probability!r}: torch's dropout "
            f"{'fits' if scale.fits_law else 'DOES NOT FIT'} the binomial law (two-sided "
            f"probability of the number kept {probability(scale.keep_probability)}, of its "
            f"distribution {probability(scale.shape_probability)}; largest error of an output's "
            f"scale {scale.scale_error:.1e}).",
            style="bold",
        )


def print_files(console: Console, folder: Path, has_tensorboard: bool) -> None:
    """Say where the files are and how to look at them."""
    print_whole(console, f"Results: {folder}")
    if has_tensorboard:
        logs = shlex.quote(str(folder / "tensorboard"))
        print_whole(console, f"Look inside: tensorboard --logdir {logs}")


def probability(value: float | None) -> str:
    """Return a probability with three decimals, or an exponent where that says more."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def make_table(console: Console) -> Table:
    """Return an empty table: ruled on a terminal, bare columns elsewhere."""
    return Table(
        box=box.SIMPLE_HEAD if console.is_terminal else None,
        padding=(0, 1, 0, 0) if console.is_terminal else (0, 2, 0, 0),
        pad_edge=False,
    )


def number(value: float | None) -> str:
    """Return a number with five decimals, or three digits and an exponent where that says more."""
    if value is None or math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:.5f}"
    return f"{value:.2e}"


def count(amount: int, what: str) -> str:
    """Return the amount and its noun: `1 trial`, `2 trials`."""
    return f"{amount} {what}{'' if amount == 1 else 's'}"
