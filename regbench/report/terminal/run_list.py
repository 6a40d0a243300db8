"""The list of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regbench.errors import shell_word
from regbench.report.base import Table
from regbench.report.json import to_text
from regbench.report.terminal.console import print_table

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from rich.console import Console

    from regbench.storage.run_list import Summary


def print_runs(console: Console, runs: Sequence[Summary], now: datetime.datetime) -> None:
    """Print a table of runs with state, age, arms and verdicts: one to a line on a terminal."""
    separator = "\n" if console.is_terminal else ", "
    rows: list[tuple[str, ...]] = [("run", "state", "age", "verdict")]
    for run in runs:
        verdicts = [f"{arm} {run.verdicts.get(arm, '')}".strip() for arm in run.arms]
        if len(verdicts) > 4:
            verdicts[3:] = [f"and {len(verdicts) - 3} more"]
        age = "" if run.started is None else age_text((now - run.started).total_seconds())
        folder = shell_word(run.folder, console.encoding)
        rows.append((folder, run.state, age, separator.join(verdicts)))
    # So wide that most runs fit into 80 columns.
    print_table(console, Table(rows, left=range(4), wrapped={3: 22}))


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
            "started": run.started and run.started.isoformat(),
            "arms": run.arms,
            "verdicts": run.verdicts,
        }
        for run in runs
    ]
    return to_text({"schema": "regbench.runs/1", "runs": listed})
