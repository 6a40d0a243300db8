"""What a training experiment at several values of a setting shows: where its arms help.

Composed of the views that a run at each value alone would have.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from regbench.report import training
from regbench.report.base import Table, View
from regbench.report.claims import MARKS, OTHERS, TITLES, best_cell, change_of, is_comparable
from regbench.report.csv import csv_pieces
from regbench.report.format import interval_text, percent, rounded
from regbench.report.json import document_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from regbench.analysis.result import OverResult
    from regbench.analysis.statistics import Comparison
    from regbench.report.tensorboard import Log
    from regbench.settings.command import Request
    from regbench.settings.over import Over
    from regbench.storage.run_folder import Run

    Views = Mapping[Any, View]

FINDINGS = {
    "better": "lowers {what} at {where}",
    "worse": "raises {what} at {where}",
    "equal": "changes {what} by no more than the margin at {where}",
    "inconclusive": "at {where}: cannot tell",
    "did nothing": "does nothing at {where}",
    "diverged": "cannot be compared at {where}, where a loss is not finite",
}
TURNS = {"better": "falls", "worse": "rises", "inconclusive": "changes"}
EXIT_CODES = (1, 3, 4, 0)
"""The most severe first: one value is enough."""


def header(request: Request, study: Over, engine: str, device: str) -> list[str]:
    """Return what is about to run at the first value, and which others there are."""
    values = [text_of(value) for value in study.by_value]
    over = f"Over {study.key}={', '.join(values)}: each on replicates of the same seeds."
    first = next(iter(study.by_value.values()))
    arms, *lines = training.header(request, first, engine, device)
    return [arms, f"{over} At {study.key}={values[0]}:", *lines]


def view(run: Run, result: OverResult, is_complete: bool) -> View:
    """Return the view of a result."""
    views, key = dict[Any, View](), result.study.key
    for value, one in result.by_value.items():
        asked = replace(run, request=replace(run.request, study=one.study))
        views[value] = training.view(asked, one, is_complete=True)
    effects = [(v, found) for v, own in zip(views, result.effects, strict=True) for found in own]

    def document() -> dict[str, Any]:
        content = {
            "effects": [{"value": value, **record(found)} for value, found in effects],
            "changes": [record(found) for found in result.changes],
            "over": [{"value": value, "document": own.document()} for value, own in views.items()],
        }
        return document_of(run, result.environment, is_complete, content)

    codes, tables = {own.exit_code for own in views.values()}, [effect_table(result)]
    if run.request.output.details:
        tables += [
            replace(table, caption=f"At {key}={text_of(value)}: {table.caption}")
            for value, own in views.items()
            for table in own.tables
        ]
    where = result.environment.engine or "", result.environment.device
    return View(
        run=run,
        header=header(run.request, result.study, *where),
        document=document,
        tables=tables,
        sentences=sentences(result),
        cautions=lines_of(key, {value: own.cautions for value, own in views.items()}),
        warnings=lines_of(key, {value: own.warnings for value, own in views.items()}),
        verdicts={f"{found.arm} at {key}={value}": found.verdict for value, found in effects},
        effects={f"{c.arm} at {key}={v}": [c.mean_difference, *c.ci] for v, c in effects if c.ci},
        rows=[{key: value, **row} for value, own in views.items() for row in own.rows],
        exit_code=next(code for code in EXIT_CODES if code in codes),
        csv=csv_pieces(result.by_value, key),
        pictures=["over"] * any(map(is_comparable, result.over)),
        subject=result,
        logs=partial(logs, key, views),
    )


def record(found: Comparison) -> dict[str, Any]:
    """Return what the document says of a difference that values are compared by."""
    keys = ("arm", "measure", "replicates", "mean_difference", "ci", "p_value", "verdict")
    return {key: getattr(found, key) for key in keys}


def sentences(result: OverResult) -> list[str]:
    """Return at which values each arm helps, and whether its difference changes over them."""
    if result.over[0].study.replicates == 1:
        return ["One pair at each value cannot tell; use --replicates 30."]
    labels = result.study.study.labels
    first, *_, last = (text_of(value) for value in (*result.by_value, *result.by_value))
    return [f"{finding}." for finding in findings(result, labels)] + [
        f"From {result.study.key}={first} to {last} the difference of "
        f"{labels[found.arm]} {TURNS[found.verdict]} by {rounded(found.mean_difference, found.ci)} "
        f"({percent(found.confidence)} interval {interval_text(found.ci)})"
        f"{': cannot tell' * (found.verdict == 'inconclusive')}."
        for found in result.changes
        if found.verdict in TURNS and found.mean_difference and first != last
    ]


def findings(result: OverResult, labels: Mapping[str, str]) -> list[str]:
    """Return of each arm at which values it lowers the headline measure, raises it, and so on."""
    order, lines = [*result.by_value], []
    for effects in zip(*result.effects, strict=True):
        what, key, parts = f"the {result.question.words}", f"{result.study.key}=", list[str]()
        for verdict, finding in FINDINGS.items():
            where = [v for v, e in zip(order, effects, strict=True) if e.verdict == verdict]
            if where:
                parts.append(finding.format(what=what, where=key + listed(where, order)))
                what, key = "it", ""
        lines.append(f"{labels[effects[0].arm]} {'; '.join(parts)}")
    return lines


def listed(values: Sequence[Any], others: Sequence[Any]) -> str:
    """Return some values of all; of five numbers and more that are neighbours the ends."""
    if isinstance(values[0], str):
        return ", ".join(values)
    order, texts = sorted(others), []
    ranked = ((order.index(value) - rank, value) for rank, value in enumerate(sorted(values)))
    for _, run in itertools.groupby(ranked, lambda pair: pair[0]):
        first, *more = (text_of(value) for _, value in run)
        texts += [f"{first} to {more[-1]}"] if len(more) > 3 else [first, *more]
    return ", ".join(texts)


def text_of(value: Any) -> str:
    """Return a value as people read it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def lines_of(key: str, lines: Mapping[Any, Sequence[str]]) -> list[str]:
    """Return the lines of all values, each once and with the values that it is said of."""
    said = dict.fromkeys(line for own in lines.values() for line in own)
    where = {line: [value for value, own in lines.items() if line in own] for line in said}
    return [f"at {key}={listed(where[line], [*lines])}: {line}" for line in said]


def effect_table(result: OverResult) -> Table:
    """Return the headline of each arm at each value, and which claims hold."""
    what, interval = result.question.words, f"{percent(result.question.confidence)} interval"
    titles = f"\n{result.study.key}", "\narm", f"{what}\nis", "\ndifference", f"\n{interval}"
    others = "at best\nepochs", *(TITLES[claim] for claim in OTHERS)
    rows = [[*titles, "better\nin", *others, "\nbaseline"]]
    for (value, one), effects in zip(result.by_value.items(), result.effects, strict=True):
        marks = {(claim.arm, claim.claim): MARKS[claim.holds] for claim in one.claims}
        best = {found.arm: best_cell(found) for found in one.at_best_epochs}
        for c, e in zip(one.comparisons, effects, strict=True):
            word = change_of(e)
            row = [text_of(value), one.study.labels[e.arm], word]
            row += [rounded(e.mean_difference, e.ci), interval_text(e.ci)]
            row.append("n/a" if e.wins is None else f"{e.wins} of {e.replicates}")
            row += [best.get(e.arm, "n/a"), *(marks[e.arm, claim] for claim in OTHERS)]
            rows.append([*row, rounded(c.baseline, e.ci)])
    at = what.capitalize() + " at the last epoch" * (not result.question.is_at_best)
    caption = f"{at}: arm − baseline; {interval}s hold for all arms and values at once"
    note = "Best epochs and the other claims are judged at each value alone. ? means cannot tell."
    few = [(5,), (5, 10), (5, 7, 8, 9, 10), (5, 6, 7, 8, 9, 10)]
    return Table(rows, caption, note, left=(1, 2), dispensable=few, is_grouped=True)


def logs(key: str, views: Views) -> Iterator[tuple[str, Log]]:
    """Yield the TensorBoard logs of every value."""
    for value, own in views.items():
        for name, log in own.logs():
            yield f"{key}={value}/{name}", log
