"""A list of runs: what came out of each, and the settings in which they differ."""

from __future__ import annotations

import math
import sys
from functools import partial
from typing import TYPE_CHECKING

from regbench.errors import option_of, shell_word, visible
from regbench.report.base import Table, View
from regbench.report.format import interval_text, rounded, setting_text, told
from regbench.settings.base import keys_of
from regbench.settings.groups import Output

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence

    from regbench.storage.run_list import Summary

MOST_RESUMED = 5
"""How many unfinished runs are listed with the command that finishes them."""
MOST_ARMS = 4
"""Most arms of a run on the screen; of a longer list the best three are shown."""
NOT_COMPARED = {"experiment", "arms", *keys_of(Output)}
"""Settings that other columns show, or that change no number."""


def runs_view(runs: Sequence[Summary], now: datetime.datetime, most: int) -> View:
    """Return the view of a list of runs, of whose arms at most so many are shown."""
    shown = "state", "blocks", "bytes", "resume", "arms", "verdicts", "effects", "settings"
    document = [
        {"run_dir": str(run.folder), "started": run.started and run.started.isoformat()}
        | {name: getattr(run, name) for name in shown}
        for run in runs
    ]
    tables = [runs_table(runs, now, most)] if runs else []
    lines = [f"{visible(run.folder, 200)[1:-1]}: {run.resume}" for run in runs if run.resume]
    if more := len(lines[MOST_RESUMED:]):
        lines[MOST_RESUMED:] = [f"and {more} more"]
    lines[:0] = ["Not done; finish with:"] * bool(lines)
    content = {"schema": "regbench.runs/1", "runs": document}
    return View(lambda: content, tables=tables, warnings=lines)


def effect_of(effects: Mapping[str, Sequence[float]], arm: str) -> tuple[float, float, float]:
    """Return an arm's difference and the ends of its interval; infinities where there are none."""
    try:
        difference, low, high = map(float, effects[arm])
    except (LookupError, TypeError, ValueError):  # a folder may say anything
        return math.inf, math.inf, math.inf
    return difference, low, high


def effect_cells(effects: Mapping[str, Sequence[float]], arm: str) -> tuple[str, str]:
    """Return the cells of an arm's difference and of its interval; empty where there are none."""
    difference, low, high = effect_of(effects, arm)
    shown = rounded(difference, (low, high)), interval_text((low, high))
    return shown if difference < math.inf else ("", "")


def runs_table(runs: Sequence[Summary], now: datetime.datetime, most: int = MOST_ARMS) -> Table:
    """Return a table with a row for each arm of each run; of more than `most` only the best."""
    keys = differing(runs)
    rows = [["run", "age", "verdict", "effect", "interval", "size", *map(option_of, keys)]]
    for run in runs:
        age = "" if run.started is None else age_text((now - run.started).total_seconds())
        folder = shell_word(run.folder, sys.stdout.encoding)
        shown = run.arms
        if len(shown) > most:
            shown = sorted(shown, key=partial(effect_of, run.effects))[: most - 1]
        for arm in shown or [""]:
            state = told(run.verdicts.get(arm, "")) if run.state == "done" else run.state
            own = f"{arm} {state}".strip(), *effect_cells(run.effects, arm), size_text(run.bytes)
            rows.append([folder, age, *own, *(setting_text(run.settings.get(k)) for k in keys)])
        if more := len(run.arms) - len(shown):
            rows.append([folder, age, f"and {more} more", "", "", "", *[""] * len(keys)])
    # A narrow terminal loses settings but three, the size, these three, then the age.
    last = len(rows[0]) - 1
    order = [*range(last, 8, -1), 5, *range(min(last, 8), 5, -1), 1]
    spared = [order[: count + 1] for count in range(len(order))]
    room = max(49 - max(len(row[0]) for row in rows), 12)  # run, verdict, interval: 80 columns
    return Table(
        rows,
        left=(0, 1, 2),
        dispensable=spared,
        wrapped={2: room},
        names_omitted=True,
        is_grouped=True,
    )


def differing(runs: Sequence[Summary]) -> list[str]:
    """Return the keys of the settings, but strengths, in which runs that have them differ."""
    texts: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.settings.items():
            if key not in NOT_COMPARED and not isinstance(value, list):
                texts.setdefault(key, set()).add(str(value))
    return [key for key, different in texts.items() if len(different) > 1]


def size_text(size: int) -> str:
    """Return a number of bytes in its largest unit: `21 MB`."""
    for unit, length in (("GB", 10**9), ("MB", 10**6), ("kB", 1000)):
        if size >= length:
            return f"{size / length:.0f} {unit}"
    return f"{size} B"


def age_text(seconds: float) -> str:
    """Return an age in its largest unit: `3 min`, `2 h`, `5 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
