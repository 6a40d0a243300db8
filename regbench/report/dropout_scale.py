"""What the dropout-scale experiment says in the terminal: a table for each p, beside theory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regbench.report.format import count, make_table, probability
from regbench.report.terminal.console import print_line, print_table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from regbench.experiments.dropout_scale import Scale, ScaleResult
    from regbench.settings.study import DropoutScale


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
