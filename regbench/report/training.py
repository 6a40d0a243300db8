"""What a training run shows: header, tables, sentences, pictures, logs and document."""

from __future__ import annotations

import itertools
from dataclasses import asdict, replace
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.best import sweep_of
from regbench.analysis.history import evenly, weight_edges
from regbench.analysis.statistics import mean_band
from regbench.errors import shell_word, visible
from regbench.regularizers import REGULARIZERS
from regbench.report.base import View
from regbench.report.claims import (
    answer_table,
    claims_table,
    has_answer_table,
    is_comparable,
    measures_of,
    why_tables,
)
from regbench.report.csv import csv_pieces
from regbench.report.format import count, seeds_text
from regbench.report.json import document_of, training_content
from regbench.report.so_far import CURVES
from regbench.report.tables import difference_table, loss_table
from regbench.report.verdicts import cautions, gate_line, sentences
from regbench.settings.groups import PILOT_REPLICATES
from regbench.tasks import task_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from regbench.analysis.result import Result
    from regbench.analysis.statistics import Comparison, Difference
    from regbench.report.tensorboard import Log, Point
    from regbench.settings.command import Request
    from regbench.settings.study import Study
    from regbench.storage.run_folder import Run

JUDGED = {
    "risk-at-best": "Judged by the risk, {}, with each arm at its own best epoch.",
    "risk": "Judged by the risk: {}.",
    "test-loss": "Judged by the test loss: the squared error at the test points alone.",
}
GLOSSARY = {
    "difference": "arm − baseline, paired: on the same replicate, so that luck cancels",
    "interval": "the mean differences that these replicates are compatible with",
}
"""Of the answer, what a reader may not know besides what a replicate is."""
FEWEST_SWEPT = 3
"""Strengths of which there is a picture of the risk over strength, in place of pairs."""
MOST_HISTOGRAMS = 10
"""Of a layer: at epochs from 0 to the last."""
VARIES = {
    "both": "",
    "data": "; only the data vary, not the initial weights and masks",
    "init": "; only the initial weights and masks vary, not the data",
}


def header(request: Request, study: Study, engine: str, device: str) -> list[str]:
    """Return what is about to run: arms, task, network, training, engine and device."""
    network, training, words = study.network, study.training, task_of(study).words
    arms = ", ".join(study.labels.values())
    sizes = "-".join(map(str, network.layer_sizes))
    weights = "the same" if study.pairing == "shared" else "independent"
    replicates = f"{count(study.replicates, 'replicate')} ({seeds_text(study.seeds)})"
    target_width = request.question.target_width
    if target_width is not None and study.replicates <= PILOT_REPLICATES:
        replicates = f"a pilot of {replicates} for an interval {target_width:g} wide"
    features = "" if network.features == "x" else f" of {network.features}"
    optimizer = f"Adam, lr {training.lr:g}"
    if training.optimizer == "sgd":
        optimizer = f"SGD, lr {training.lr:g}, momentum {training.momentum:g}"
    source = request.source
    named = f"{visible(PurePath(source.data).name)[1:-1]}: " if source.data else ""
    named += f"{visible(source.target)[1:-1]} from " if source.target else ""
    judged = " ".join(filter(None, (JUDGED[request.question.by].format(words.risk), words.scope)))
    return [
        f"{request.command.name}: {arms}; {replicates}, all arms on the same data from {weights} "
        f"initial weights{VARIES[study.vary]}",
        f"Task: {named}{words.header}. "
        f"Network: {sizes}{' ReLU' if network.depth else ', linear'}{features}, "
        f"{count(network.parameter_count, 'parameter')}. "
        f"Training: {count(training.epochs, 'epoch')} of full-batch {optimizer}; {engine} engine, "
        f"{device}, {study.dtype}. {judged}",
        *([f"Table: {'; '.join(words.notes)}."] if words.notes else []),
    ]


def view_without_result(run: Run, is_whole: bool) -> View:
    """Return the view of a run that has no result: a shard, or one that lacks its first blocks."""
    shard, folder = run.environment.shard, shell_word(run.folder)
    next_step = f"When all shards are: regbench merge {folder} ... --out DIR"
    said = [f"Shard {shard} is done. {next_step}"] if shard and is_whole else []
    is_complete = is_whole and not shard
    return View(lambda: document_of(run, run.environment, is_complete, {}), run, sentences=said)


def view(run: Run, result: Result, is_complete: bool) -> View:
    """Return the view of a result."""
    run = replace(run, request=replace(run.request, study=result.study))
    has_details, is_many = run.request.output.details, has_answer_table(result)
    tables = [loss_table(result, has_details)]
    if result.study.replicates > 1:
        tables[:0] = why_tables(result)
        if has_details or not is_many:
            tables.insert(0, claims_table(result))
        if has_details:
            tables.append(difference_table(result))
    pictures = pictures_of(result)
    gate = [gate_line(label, result.question, c, said) for label, c, said in result.judgements]
    where = result.environment.engine or "", result.environment.device
    return View(
        run=run,
        header=header(run.request, result.study, *where),
        document=lambda: document_of(
            run,
            result.environment,
            is_complete,
            {**training_content(result), "gate": gate_content(result, gate)},
        ),
        answer=answer_table(result) if is_many else None,
        tables=tables,
        sentences=sentences(result),
        cautions=cautions(result),
        warnings=divergence_lines(result) + gate,
        verdicts=result.verdicts,
        effects=effects_of(result),
        exit_code=result.exit_code,
        rows=[measure_row(found) for found in measures_of(result)],
        csv=csv_pieces({None: result}),
        pictures=pictures,
        subject=result,
        words={"replicate": result.task.words.replicate, **GLOSSARY}
        if result.study.replicates > 1
        else {},
        moving=partial(shown_of_every_epoch, result) if "fan" in pictures else None,
        moved=("fan", "weights"),
        logs=partial(logs, result),
    )


def shown_of_every_epoch(result: Result) -> dict[str, Any]:
    """Return what a page shows of every kept epoch."""
    from regbench.report.html.moving import moving

    return moving(result)


def effects_of(result: Result) -> dict[str, list[float]]:
    """Return each arm's headline difference and its interval, where they are finite numbers."""
    fresh = result.confirmation.comparisons if result.confirmation else []
    last = {c.arm: c for c in (*result.comparisons, *fresh)}
    return {arm: [c.mean_difference, *c.ci] for arm, c in last.items() if c.ci}


def measure_row(found: Difference) -> dict[str, Any]:
    """Return what a measure says of an arm, the ends of its interval apart."""
    row = asdict(found)
    for key in [key for key in row if key == "ci" or key.endswith("_ci") or key == "ci_alone"]:
        row[f"{key}_lower"], row[f"{key}_upper"] = row.pop(key) or (None, None)
    return row


def pictures_of(result: Result) -> list[str]:
    """Return which pictures there are, the most telling first; none where nothing is comparable."""
    if not is_comparable(result):
        return []
    is_sweep = len(sweep_of(result.study.arms[1:])) >= FEWEST_SWEPT
    first = ["risk_over_strength", "claims"] if is_sweep else ["claims", "pairs"]
    first = first if result.study.replicates > 1 else [first[0].replace("claims", "pairs")]
    fits = "fan" if result.task.axis else "predictions"
    return [*first, fits, "course", "weights"]


def gate_content(result: Any, lines: Sequence[str]) -> dict[str, Any] | None:
    """Return what `--require` asked, what came of it and why, or None where it was not asked."""
    question, outcomes = result.question, {0: "met", 3: "not met", 4: "inconclusive"}
    if question.require is None:
        return None
    outcome = outcomes.get(result.exit_code, "diverged")
    reason = "; ".join(lines or divergence_lines(result))
    asked = {"require": question.require, "margin": question.margin}
    return {**asked, "outcome": outcome, "reason": reason}


def logs(result: Result) -> Iterator[tuple[str, Log]]:
    """Yield a TensorBoard log for each arm, with the same tags."""
    from regbench.report.tensorboard import Log

    study, history = result.study, result.history
    known = study.by_key().items()
    settings = {key: value for key, value in known if key != "arms" and value is not None}
    neutral = {command: kind.neutral for command, kind in REGULARIZERS.items()}
    lost = [arm_index for arm_index, *_ in result.divergences]
    edges = weight_edges(study.network)
    kept_indices = evenly(len(history.kept_epochs), MOST_HISTOGRAMS)
    compared = dict(zip(study.training.logged_epochs, result.comparisons_by_epoch, strict=True))
    compared = {e: compared.get(e) or result.compared_at(e) for e in history.epochs.tolist()}
    for arm_index, arm in enumerate(study.arms):
        strengths = {part.command: part.strength for part in arm.parts}
        log = Log(settings | neutral | strengths, has_failed=arm_index in lost)
        for tag, points in curves_of(result, arm_index, compared):
            log.add_curve(tag, points)
        for kept_index in kept_indices:
            epoch = int(history.kept_epochs[kept_index])
            for layer, counts in history.named("weight_counts").items():
                rms = history.arrays[f"measures/rms_{layer}"][history.at(epoch), arm_index]
                if np.isfinite(rms).all():
                    own = counts[kept_index, arm_index]
                    log.add_histogram(f"weights/{layer}", own, edges[layer], epoch)
                else:
                    log.skipped += 1
        yield arm.name, log


def curves_of(
    result: Result, arm_index: int, compared: Mapping[int, Sequence[Comparison]]
) -> Iterator[tuple[str, Iterable[Point]]]:
    """Yield an arm's curves by tag: means over replicates, pointwise intervals, and differences.

    Intervals of differences hold together with those of the other arms, as those of the answer;
    `compared` has them by epoch.
    """
    study, history, headline = result.study, result.history, result.question.headline
    for name, values in history.named("measures").items():
        mean, half = mean_band(
            values[:, arm_index], result.question.confidence, result.task.overlap
        )
        group, intervals = CURVES.get(name, "network"), zip(mean - half, mean + half, strict=True)
        has_interval = group != "network" and study.replicates > 1
        if not np.isnan(mean).all():
            each = intervals if has_interval else itertools.repeat(None)
            yield f"{group}/{name}", zip(history.epochs.tolist(), mean, each, strict=False)
    if study.replicates > 1 and result.task.noise_variance is not None:
        for name in ("bias_squared", "variance"):
            parts = [getattr(arms[arm_index], name) for arms in result.decompositions]
            kept = zip(history.kept_epochs.tolist(), parts, strict=True)
            yield f"error/{name}", [(epoch, part.value, part.ci) for epoch, part in kept]
    found = [(epoch, arms[arm_index - 1]) for epoch, arms in compared.items()]
    differences = [(epoch, c.mean_difference, c.ci) for epoch, c in found]
    own = differences if arm_index else [(epoch, 0.0, c.ci and (0.0, 0.0)) for epoch, c in found]
    yield f"difference/{headline}", own


def divergence_lines(result: Result) -> list[str]:
    """Return a line for each arm that diverged, in the confirmation too."""
    study, lines = result.study, []
    for arm_index, epoch, lost in result.divergences:
        when, hint = "before the first step", f"{study.dtype} overflows: lower --x-max or --slope"
        if epoch:
            when, hint = f"by epoch {epoch}", f"lower --lr{' or the strength' * (arm_index > 0)}"
        lines.append(
            f"{study.arm_names[arm_index]} diverged in {lost} of {study.replicates} replicates "
            f"({seeds_text(study.seeds)}): {when} a loss is not finite; {hint}"
        )
    return lines + (divergence_lines(result.confirmation) if result.confirmation else [])
