"""What outputs and experiments agree on: a view of a result, its tables, and sinks that show it.

Knows nothing about any experiment, and nothing about any output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from regbench.report.figures import Picture
    from regbench.report.tensorboard import Log
    from regbench.settings.question import Question
    from regbench.storage.run_folder import Run


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns.

    Attributes:
        rows: The titles first; a title may have lines.
        caption: What stands above it, or nothing.
        note: What stands below it, or nothing.
        left: The columns that start at the left; numbers end at the right.
        dispensable: The columns to leave out where they do not all fit, ever more of them.
        wrapped: Columns whose words wrap on a terminal, with the width at which they do.
        is_grouped: Whether a first cell that repeats the one above it goes without saying.
    """

    rows: Sequence[Sequence[str]]
    caption: str = ""
    note: str = ""
    left: Collection[int] = (0,)
    dispensable: Sequence[Sequence[int]] = ()
    wrapped: Mapping[int, int] = field(default_factory=dict)
    is_grouped: bool = False


@dataclass
class View:
    """All that can be shown of a result, whichever experiment it is of.

    Attributes:
        folder: The run's folder.
        document: Returns the JSON document.
        tables: The details.
        remark: What explains the tables.
        sentences: The answer in words.
        cautions: What limits the answer.
        warnings: What went wrong, and why the exit code is what it is.
        verdicts: By the name of what is compared, the answer in a word or two.
        exit_code: What the command exits with.
        csv: The numbers as a tidy table, in pieces.
        picture_count: How many pictures `draw` makes.
        draw: Draws the pictures that also stand in the logs.
        summaries: Draws the others.
        logs: Makes TensorBoard logs by name, with the pictures of `draw` in them.
    """

    folder: Path
    document: Callable[[], dict[str, Any]]
    tables: Sequence[Table] = ()
    remark: str = ""
    sentences: Sequence[str] = ()
    cautions: Sequence[str] = ()
    warnings: Sequence[str] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)
    exit_code: int = 0
    csv: Iterable[bytes] = ()
    picture_count: int = 0
    draw: Callable[[], Iterable[Picture]] = tuple
    summaries: Callable[[], Iterable[Picture]] = tuple
    logs: Callable[[Sequence[Picture]], Iterable[tuple[str, Log]]] = lambda pictures: ()
    _pictures: list[Picture] = field(default_factory=list)

    @cached_property
    def text(self) -> str:
        """The JSON document as text; numbers that are not finite are null."""
        from regbench.report.json import to_text

        return to_text(self.document())

    def pictures(self, advance: Callable[[int], None]) -> list[Picture]:
        """Return the pictures of `draw`, drawn once; `advance` is called with 1 for each."""
        if not self._pictures:
            for picture in self.draw():
                self._pictures.append(picture)
                advance(1)
        return self._pictures


class Report(Protocol):
    """A module that shows what an experiment gave."""

    def header(
        self, command: str, study: Any, question: Question, engine: str, device: str
    ) -> list[str]:
        """Return what is about to run, a paragraph each."""

    def view(self, run: Run, result: Any, is_complete: bool) -> View:
        """Return the view of a result; of one that is None, only the document can be asked for."""


class Sink:
    """An output. Every method does nothing by default."""

    def write(self, view: View, advance: Callable[[int], None]) -> Iterable[str]:
        """Write files into the run's folder; returns what there is to say about them.

        Raises:
            RunError: A file cannot be written.
        """
        return ()

    def close(self, view: View) -> None:
        """Take the result again once all files are there."""
