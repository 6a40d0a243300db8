"""The answer as a table, and every measured number as a tidy one: a row for each."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from regbench.errors import printable
from regbench.report.json import finite
from regbench.storage.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from regbench.analysis.result import Result
    from regbench.report.base import View
    from regbench.report.figures import Picture

NUMBER = r"[\d.]+(e[-+]\d+)?"
FORMULA = re.compile(rf"[=@\t\r\n]|[-+](?!{NUMBER}( to [-+]?{NUMBER})?\Z)")  # no interval is one


def text_of(view: View) -> str:
    """Return the numbers of a view's answer, or its first table where it has none.

    Cells are empty where a number is not finite.
    """
    text, rows = io.StringIO(), view.tables[0].rows if view.tables else []
    if view.rows:
        rows = [[*view.rows[0]], *(finite([*row.values()]) for row in view.rows)]
    csv.writer(text, lineterminator="\n").writerows([map(cell, row) for row in rows])
    return text.getvalue()


def cell(value: Any) -> Any:
    """Return a value for a spreadsheet: a text that it would take for a formula behind a `'`."""
    if not isinstance(value, str):
        return value
    value = re.sub(r"−(?=\d)", "-", value)  # a spreadsheet reads no other minus
    return "'" * bool(FORMULA.match(value)) + printable(value.replace("\n", " "))


def write(view: View, pictures: Sequence[Picture]) -> Iterable[str]:
    """Write `history.csv`, where there is a table."""
    if view.csv:
        write_whole(view.folder / "history.csv", view.csv)
    return ()


def csv_pieces(by_value: Mapping[Any, Result], key: str = "") -> Iterator[bytes]:
    """Yield the table in pieces: its header, then the rows of an arm at an epoch.

    Results at several values of a setting have its key and value in the first column. Fresh
    replicates that confirm an arm are at the stage `confirming`.
    """
    yield f"{key},stage,arm,replicate,seed,epoch,measure,value\n".removeprefix(",").encode()
    for value, result in by_value.items():
        first = f"{value}," if key else ""
        yield from rows_of(f"{first}training", result)
        if result.confirmation:
            yield from rows_of(f"{first}confirming", result.confirmation)


def rows_of(stage: str, result: Result) -> Iterator[bytes]:
    """Yield the rows of a stage, with what stands before them; see `csv_pieces`."""
    history, seeds = result.history, list(enumerate(result.study.seeds))
    for epoch_index, epoch in enumerate(history.epochs.tolist()):
        for arm_index, arm in enumerate(result.study.arm_names):
            for measure, measured in history.named("measures").items():
                values = measured[epoch_index, arm_index].tolist()
                yield "".join(
                    f"{stage},{arm},{replicate},{seed},{epoch},{measure},{value!r}\n"
                    for (replicate, seed), value in zip(seeds, values, strict=True)
                ).encode()
