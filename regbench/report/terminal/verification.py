"""What `regbench verify` says: predicted beside measured for every case, and a closing line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.text import Text

from regbench import __version__
from regbench.report.base import Table
from regbench.report.terminal.console import print_line, print_table, showable

if TYPE_CHECKING:
    from rich.console import Console

    from regbench.settings.groups import Machine
    from regbench.verify.runner import Row, Verification

HEADINGS = ("row", "predicted", "measured", "deviation", "allowed")
LINE = "{:<24}{:>13}{:>13}{:>11}{:>9}  "
"""The layout of a row on a terminal, where its statement stands below it."""
FOOTNOTE = (
    "Shown where the two lie furthest apart; deviation: their difference as a share of the "
    "largest prediction, or as z, in standard errors of a mean over replicates."
)
STYLES = {"ok": "green", "FAILED": "bold red", "skipped": "yellow"}


def print_verification(console: Console, verification: Verification) -> None:
    """Print every row: with its statement below it on a terminal, in one table elsewhere."""
    if console.is_terminal:
        console.print(LINE.format(*HEADINGS), style="bold")
        for row in verification.rows:
            console.print(LINE.format(*cells(row)), Text(row.status, STYLES[row.status]))
            text = Text(showable(console, explanation(row)), style="dim")
            console.print(Padding(text, (0, 0, 0, 2)))
    else:
        print_table(console, rows_table(verification))
    print_line(console, "")
    print_line(console, FOOTNOTE, style="dim")


def rows_table(verification: Verification) -> Table:
    """Return every row with what it says."""
    titles = (*HEADINGS, "status", "engine", "statement")
    rows = [(*cells(r), r.status, r.engine, explanation(r)) for r in verification.rows]
    return Table([titles, *rows], left=(0, 5, 6, 7))


def cells(row: Row) -> tuple[str, ...]:
    """Return name, predicted, measured, deviation and limit of a row."""
    agreement = row.agreement
    if agreement is None:
        return (row.case.name, *["n/a"] * 4)
    deviation, limit = f"{abs(agreement.deviation):.1e}", f"{agreement.limit:.0e}"
    if agreement.unit == "z":
        deviation, limit = f"z = {agreement.deviation:.2f}", f"|z| <= {agreement.limit:g}"
    values = f"{agreement.predicted:#.6g}", f"{agreement.measured:#.6g}"
    return (row.case.name, *values, deviation, limit)


def explanation(row: Row) -> str:
    """Return what the row says and where that is from, and why it was skipped."""
    text = f"{row.case.statement} ({row.case.source})"
    return f"{text}; {'' if row.agreement else 'skipped: '}{row.reason}" if row.reason else text


def print_closing(console: Console, verification: Verification) -> None:
    """Say how many rows agree, and name those that do not."""
    ok, skipped = verification.count("ok"), verification.count("skipped")
    engines = sorted({row.engine for row in verification.rows if row.agreement})
    failed = [row.case.name for row in verification.rows if row.status == "FAILED"]
    text = f"{ok} of {ok + len(failed)} rows agree ({', '.join(engines)})"
    if failed:
        text += f"; FAILED: {', '.join(failed)}"
    if skipped:
        text += f"; {skipped} skipped"
    seconds = verification.environment.duration_seconds
    print_line(console, f"{text}; {seconds:.0f} s.", style="bold" if verification.holds else "red")


def verification_document(
    verification: Verification, machine: Machine, names: list[str]
) -> dict[str, Any]:
    """Return the JSON document; `docs/schemas/verify.json` describes it."""
    numbers = ("predicted", "measured", "deviation", "unit", "limit")
    return {
        "schema": "regbench.verify/1",
        "version": __version__,
        "config": {"engine": machine.engine, "device": machine.device, "only": names},
        "environment": verification.environment.to_record(),
        "holds": verification.holds,
        "rows": [
            {
                **{name: getattr(row.case, name) for name in ("name", "statement", "source")},
                "engine": row.engine,
                "status": row.status.lower(),
                "reason": row.reason or None,
                **{name: getattr(row.agreement, name, None) for name in numbers},
            }
            for row in verification.rows
        ],
    }
