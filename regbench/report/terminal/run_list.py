"""The list of runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from regbench.errors import shell_word
from regbench.report.base import Table
from regbench.report.terminal.console import draw_table, print_drawn

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from rich.console import Console

    from regbench.storage.run_list import Summary


VERDICT_WIDTH = 22
"""Columns on a terminal, so that the table of most runs is at most 80 wide; words wrap in them."""


def print_runs(console: Console, runs: Sequence[Summary], now: datetime.datetime) -> None:
    """Print a table of runs with state, age, arms and verdicts: one to a line on a terminal."""
    separator = "\n" if console.is_terminal else ", "
    rows: list[tuple[str, ...]] = [("run", "state", "age", "verdict")]
    for run in runs:
        verdicts = [f"{arm} {run.verdicts.get(arm, '')}".strip() for arm in run.arms]
        age = "" if run.started is None else age_text((now - run.started).total_seconds())
        folder = shell_word(run.folder, console.encoding)
        rows.append((folder, run.state, age, separator.join(shortened(verdicts))))
    drawn = draw_table(console, Table(rows, left=range(4)))
    for column in drawn.columns[:3]:
        column.no_wrap = True
    drawn.columns[3].max_width = VERDICT_WIDTH if console.is_terminal else None
    drawn.columns[3].overflow = "fold"  # names of sums may be longer than that
    print_drawn(console, drawn)


def shortened(names: list[str]) -> list[str]:
    """Return at most four names, and how many more there are."""
    return names if len(names) <= 4 else [*names[:3], f"and {len(names) - 3} more"]


def age_text(seconds: float) -> str:
    """Return an age in its largest unit: `3 min`, `2 h`, `5 d`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def runs_text(runs: Sequence[Summary]) -> str:
    """Return the list as a JSON document."""
    listed = [
        {
            "run_dir": str(run.folder),
            "state": run.state,
            "blocks": run.blocks,
            "started": None if run.started is None else run.started.isoformat(),
            "arms": run.arms,
            "verdicts": run.verdicts,
        }
        for run in runs
    ]
    return json.dumps({"schema": "regbench.runs/1", "runs": listed}, indent=1) + "\n"
