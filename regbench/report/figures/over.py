"""The arms at each value of a setting: their paired differences, as rows on one axis.

Of a sweep the risk over strength at each value, one below the other, with its best strength.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regbench.analysis.history import evenly
from regbench.report.claims import FEW_ARMS, is_comparable, outward_ends
from regbench.report.figures.findings import Cast, bracket, cut, sentence_of, short
from regbench.report.figures.marks import BAR, Row, draw_rows
from regbench.report.figures.pairs import VERDICTS
from regbench.report.figures.palette import BASELINE, BEST, GREY, INK, names_of
from regbench.report.figures.risk_over_strength import Sweep, curves_of, draw_curves
from regbench.report.figures.sheet import limits, name_width, ticks
from regbench.report.format import count, percent
from regbench.report.over import findings, text_of

if TYPE_CHECKING:
    from regbench.analysis.result import OverResult, Result
    from regbench.report.figures.sheet import Sheet

LEFT, RIGHT, TABLE, MOST_PANELS = 1.5, 1.9, 4.6, 8
"""Inches left and right of the panels of a sweep and of the texts of rows; values with a panel."""


def size(result: OverResult) -> tuple[float, float]:
    """Return width and height of the file in inches."""
    if sweeps := sweeps_of(result):
        return 8.4, 2.0 + 1.1 * min(MOST_PANELS, len(sweeps))
    return 9.4, 2.0 + BAR * len(rows_of(result))


def title(result: OverResult) -> str:
    """Return the best strength at either end, where each of few arms helps, or the best arms."""
    study, what, key = result.study.study, result.question.words, result.study.key
    values = [*map(text_of, result.by_value)]
    ends = {values[index]: result.over[index] for index in (0, -1)}
    if result.over[0].study.replicates == 1:
        return "One pair at each value cannot tell where an arm helps"
    if sweeps := sweeps_of(result):
        told = [f"{best_text(one)} at {key}={value}" for value, one in ends.items()]
        return sentence_of(f"{what} is lowest at {sweeps[0].part.symbol}* = {' and '.join(told)}")
    if len(study.compared) <= FEW_ARMS:
        return sentence_of(*findings(result, names_of(study)))
    lowest = dict[str, list[str]]()
    for value, one in ends.items():
        means = np.nan_to_num(one.judged.mean(axis=1), nan=np.inf)
        name = [*names_of(study).values()][int(means.argmin())]
        lowest.setdefault(name, []).append(value)
    told = [f"{name} at {key}={' and '.join(where)}" for name, where in lowest.items()]
    return sentence_of(f"{what} is lowest with {' and with '.join(told)}")


def sweeps_of(result: OverResult) -> list[Sweep]:
    """Return the sweep at each value, or nothing where one has no best strength."""
    has_best = all(is_comparable(one) and one.optimum for one in result.over)
    return [Sweep(one) for one in result.over] if has_best else []


def best_text(result: Result) -> str:
    """Return the best strength of a sweep, with its interval."""
    found = result.optimum
    ci = " [{}, {}]".format(*outward_ends(found.ci)) if found and found.ci else ""
    return f"{found.strength:.2g}{ci}" if found else ""


def rows_of(result: OverResult) -> list[Row]:
    """Return a row for each arm at each value, arm by arm."""
    cast, rows = Cast(next(filter(is_comparable, result.over))), list[Row]()
    for index in cast.shown[1:]:
        label, color = cast.labels[index], cast.colors[index]
        for value, one, effects in zip(result.by_value, result.over, result.effects, strict=True):
            found, means = effects[index - 1], one.judged.mean(axis=1, dtype=float)
            texts = [(0.0, bracket(found.mean_difference, found.ci, "+"), INK)]
            texts.append((1.9, f"{short(means[0])} → {short(means[index])}", INK))
            if cast.several and found.verdict != "diverged":
                texts.append((3.35, *VERDICTS[found.verdict]))
            lost = "diverged" * (found.verdict == "diverged")
            bars = [(found.mean_difference, found.ci)]
            name = f"{label}, {result.study.key}={text_of(value)}"
            rows.append(Row(name, GREY if lost else color, bars, [texts], lost=lost))
    return rows


def draw(result: OverResult, sheet: Sheet) -> None:
    """Draw a panel for each value of a sweep, or else a row for each arm at each value."""
    what, sweeps, several = (
        result.question.words,
        sweeps_of(result),
        result.over[0].study.replicates > 1,
    )
    said = f"{count(result.over[0].study.replicates, 'replicate')} at each value, last epoch."
    interval = f"{percent(result.question.confidence)} interval"
    if sweeps:
        said += (
            f" Bands: {interval} of each curve alone, dashed: the baseline, yellow: {interval} of"
        )
        said += f" the best strength {sweeps[0].part.symbol}*."
    elif several:
        said += f" Bars: mean and {interval}; they hold together for all arms and values."
    lost = [text_of(value) for value, one in result.by_value.items() if one.has_diverged]
    said += f" Diverged: an arm at {result.study.key}={', '.join(lost)}." * bool(lost)
    if sweeps:
        draw_sweeps(result, sweeps, sheet, sheet.heading(title(result), said) + 0.3)
        return
    rows, omitted = rows_of(result), Cast(next(filter(is_comparable, result.over))).omitted
    top = sheet.heading(title(result), said + omitted) + 0.28
    left, right = name_width([row.label for row in rows], 2.2) + 0.1, sheet.width - TABLE
    ys = draw_rows(sheet, left, top, right - left, rows, "")
    sheet.text(left, sheet.height - 0.27, f"paired difference in {what}, arm − baseline", 8.5)
    for x, head in ((0.1, "difference"), (2.0, f"{what}: baseline → arm")):
        sheet.text(right + x, top - 0.06, head, 8.5, color=GREY, va="bottom")
    sheet.names([row.label for row in rows], [row.color for row in rows], ys, left - 0.1)


def draw_sweeps(result: OverResult, sweeps: list[Sweep], sheet: Sheet, top: float) -> None:
    """Draw the risk over strength at each value, one below the other on the same scales."""
    shown = evenly(len(sweeps), MOST_PANELS)
    width, step = sheet.width - LEFT - RIGHT, (sheet.height - top - 0.55) / len(shown)
    curves = {i: curves_of(result.over[i], sweeps[i].rows)[:1] for i in shown}
    bases = {i: curves_of(result.over[i], [0])[0][2][:, 0] for i in shown}
    bands = {i: values[1:].T for i, ((_, _, values),) in curves.items()}
    bests = [bands[i][values[0].argmin()] for i, ((_, _, values),) in curves.items()]
    ends = limits([*bests, *(base[1:] for base in bases.values())], [*bands.values()])
    heading = f"{result.question.words}   ↓ lower is better"
    sheet.text(LEFT, top - 0.06, heading, color=GREY, va="bottom")
    for place, index in enumerate(shown):
        over, sweep, one = top + place * step, sweeps[index], result.over[index]
        panel = sheet.panel(LEFT, over, width, step - 0.12, xlim=sweep.ends, ylim=ends)
        panel.axhline(bases[index][0], color=BASELINE, lw=1.6, dashes=(5, 2), zorder=1)
        draw_curves(panel, sweep.x, curves[index])
        sweep.mark_best(panel, one)
        sweep.ticks(panel, width, is_labelled=place == len(shown) - 1)
        ticks(panel, "y", most=2)
        name = f"{result.study.key}={text_of([*result.by_value][index])}"
        middle, right = over + (step - 0.12) / 2, LEFT + width
        sheet.text(LEFT - 0.5, middle, name, 8.5, ha="right", va="center", weight="bold")
        said = f"{sweep.part.symbol}* {best_text(one)}"
        sheet.text(right + 0.1, middle, said, 8.5, color=BEST, va="center", weight="bold")
        sheet.text(right + 0.1, over, cut(bands[index], ends), 7.5, color=GREY)
    sheet.text(LEFT + width / 2, sheet.height - 0.27, sweeps[0].heading, ha="center")
