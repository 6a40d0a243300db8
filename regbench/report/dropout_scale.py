"""What dropout-scale shows: a table for each p beside theory, a picture, a log."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.report.base import Table, View
from regbench.report.format import count, minus, probability
from regbench.report.json import document_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regbench.report.tensorboard import Log
    from regbench.settings.command import Request
    from regbench.settings.study import DropoutScale
    from regbench.storage.run_folder import Run
    from regbench.verify.dropout_scale import Scale, ScaleResult


def header(request: Request, study: DropoutScale) -> list[str]:
    """Return what is about to be drawn."""
    return [
        f"{request.command.name}: {study.units} inputs of one, all weights one, "
        f"{count(study.trials, 'trial')} at each p, seed {study.seed}"
    ]


def view(run: Run, result: ScaleResult) -> View:
    """Return the view of a result."""
    verdicts = {
        f"p={scale.drop_probability!r}": "fits" if scale.fits_law else "does not fit"
        for scale in result.scales
    }
    return View(
        run=run,
        header=header(run.request, result.study),
        document=lambda: document_of(
            run, result.environment, True, {"scales": [*map(scale_record, result.scales)]}
        ),
        tables=[scale_table(scale) for scale in result.scales],
        remark="inverted: what is kept is divided by 1-p in training, and evaluation needs no "
        "scaling; classic: training is not scaled, and evaluation is multiplied by 1-p.",
        sentences=[scale_sentence(scale) for scale in result.scales],
        verdicts=verdicts,
        exit_code=int("does not fit" in verdicts.values()),
        rows=[
            {"p": scale.drop_probability, "convention": name, **numbers}
            for scale in result.scales
            for name, numbers in summaries(scale).items()
        ],
        pictures=["scale"],
        subject=result,
        logs=partial(logs, result),
    )


def scale_sentence(scale: Scale) -> str:
    """Return whether torch's dropout fits the law."""
    return (
        f"p={scale.drop_probability!r}: torch's dropout "
        f"{'fits' if scale.fits_law else 'DOES NOT FIT'} the binomial law (two-sided "
        f"probability of the number kept {probability(scale.keep_probability)}, of its "
        f"distribution {probability(scale.shape_probability)}; largest error of an output's "
        f"scale {scale.scale_error:.1e})."
    )


def logs(result: ScaleResult) -> Iterator[tuple[str, Log]]:
    """Yield a TensorBoard log for each p: outputs, their mean and standard deviation."""
    from regbench.report.tensorboard import Log

    for scale in result.scales:
        log = Log({**result.study.by_key(), "p": scale.drop_probability})
        log.add_histogram("output/train", *np.histogram(scale.outputs, bins=50), 0)
        values = {"mean": scale.outputs.mean(), "sd": scale.outputs.std(ddof=1)}
        for name, value in {**values, "eval": scale.eval_output}.items():
            log.add_curve(f"output/{name}", [(0, value, None)])
        yield f"p={scale.drop_probability!r}", log


def scale_table(scale: Scale) -> Table:
    """Return the table of one drop probability."""
    names = {
        "first_output": "training mode, first trial",
        "mean": f"training mode, mean of {len(scale.kept)}",
        "theory_mean": "  in theory",
        "sd": "training mode, standard deviation",
        "theory_sd": "  in theory",
        "eval_output": "evaluation mode",
    }
    inverted, classic = summaries(scale).values()
    rows = [[names[key], f"{inverted[key]:.2f}", f"{classic[key]:.2f}"] for key in names]
    note = ""
    if scale.article_z is not None:
        note = (
            f"The article's single draw, 9868, lies {minus(f'{scale.article_z:.2f}')} standard "
            f"deviations from {scale.units} (exact two-sided probability "
            f"{scale.article_probability:.3f})."
        )
    titles = [f"output, p = {scale.drop_probability!r}", "inverted (torch)", "classic"]
    return Table([titles, *rows], note=note)


def summaries(scale: Scale) -> dict[str, dict[str, float]]:
    """Return what was drawn and what theory says, of inverted and of classic dropout."""
    keep = 1 - scale.drop_probability
    return {
        name: {
            "first_output": float(drawn[0]),
            "mean": float(drawn.mean()),
            "sd": float(drawn.std(ddof=1)),
            "theory_mean": scale.units * factor,
            "theory_sd": scale.theory_sd * factor,
            "eval_output": scale.eval_output * factor,
        }
        for name, drawn, factor in (("inverted", scale.outputs, 1.0), ("classic", scale.kept, keep))
    }


def scale_record(scale: Scale) -> dict[str, Any]:
    """Return what the document says of one drop probability."""
    probabilities = ("article_z", "article_probability", "keep_probability", "shape_probability")
    return {
        "p": scale.drop_probability,
        "units": scale.units,
        "trials": len(scale.outputs),
        **summaries(scale),
        **{name: getattr(scale, name) for name in (*probabilities, "scale_error", "fits_law")},
        "outputs": scale.outputs.tolist(),
    }
