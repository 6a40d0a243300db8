"""What outputs are made of: a view of a result, its tables, and who is shown it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from regbench.experiments import Observer
from regbench.report.json import to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from regbench.report.tensorboard import Log
    from regbench.settings.command import Request
    from regbench.storage.run_folder import Run


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns."""

    rows: Sequence[Sequence[str]]  # the titles first; a title may have lines
    caption: str = ""  # stands above it
    note: str = ""  # stands below it
    left: Collection[int] = (0,)  # columns that start at the left; numbers end at the right
    dispensable: Sequence[Sequence[int]] = ()  # columns to leave out for want of room, ever more
    wrapped: Mapping[int, int] = field(default_factory=dict)  # by column, where its words wrap
    names_omitted: bool = False  # whether to say which columns were left out
    is_grouped: bool = False  # whether a first cell that repeats the one above goes without saying

    def grouped_rows(self) -> list[list[str]]:
        """Return the rows without what goes without saying."""
        rows = [list(row) for row in self.rows]
        for above, row in reversed(list(itertools.pairwise(rows)) if self.is_grouped else []):
            row[0] = "" if row[0] == above[0] else row[0]
        return rows


@dataclass
class View:
    """All that can be shown of a result."""

    document: Callable[[], dict[str, Any]]
    run: Run | None = None  # a list of runs has none
    header: Sequence[str] = ()  # what was run, a paragraph each
    answer: Table | None = None  # where a sentence for each arm would be too long
    tables: Sequence[Table] = ()
    remark: str = ""  # explains the tables
    words: Mapping[str, str] = field(default_factory=dict)  # what those of the answer mean
    sentences: Sequence[str] = ()  # the answer
    cautions: Sequence[str] = ()  # what limits the answer
    warnings: Sequence[str] = ()  # what went wrong, and why the exit code is what it is
    verdicts: Mapping[str, str] = field(default_factory=dict)  # by the name of what is compared
    effects: Mapping[str, Sequence[float]] = field(default_factory=dict)  # difference and interval
    exit_code: int = 0
    rows: Sequence[Mapping[str, Any]] = ()  # the answer's numbers, all with the same keys
    csv: Iterable[bytes] = ()  # all numbers as a tidy table, in pieces
    pictures: Sequence[str] = ()  # their modules
    subject: Any = None  # what they are drawn of
    inputs: tuple[str, str] | None = None  # of a page, in place of settings: how to use them first
    moving: Callable[[], dict[str, Any]] | None = None  # what a page shows of every kept epoch
    moved: Collection[str] = ()  # the pictures that it stands in for
    logs: Callable[[], Iterable[tuple[str, Log]]] = tuple  # TensorBoard's, by the name of the run

    @property
    def folder(self) -> Path:
        """The run's folder."""
        assert self.run is not None
        return self.run.folder

    @property
    def request(self) -> Request:
        """What was asked."""
        assert self.run is not None
        return self.run.request

    @cached_property
    def text(self) -> str:
        """The JSON document as text; numbers that are not finite are null."""
        return to_text(self.document())


class Viewer(Observer):
    """Who is shown a run, from its header to its files. Looks at nothing by default."""

    def begin(self, header: Iterable[str]) -> None:
        """Take what is about to run, a paragraph each."""

    def show(self, view: View) -> None:
        """Take the view of the result."""

    def close(self, view: View, notes: Sequence[str], is_new: bool) -> None:
        """Take what there is to note at the end; `is_new` where the run's files were written."""
