"""The terminal: details and the answer go to stdout, progress and warnings to stderr."""

from __future__ import annotations

import itertools
import math
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING

from regbench.errors import shell_word
from regbench.report import text_of
from regbench.report.base import Table, Viewer
from regbench.report.format import count, number
from regbench.report.terminal.console import (
    make_consoles,
    print_line,
    print_table,
    progress,
    showable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from rich.console import Console

    from regbench.analysis.history import History
    from regbench.regularizers import Arm
    from regbench.report.base import View
    from regbench.settings.groups import Output

MOST_SHOWN = 5
"""How many arms, the baseline first, are shown while a run goes on."""
SHOWN = {"train loss": "train_loss_eval", "risk": "risk"}
LONG_SECONDS = 60
UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def show_table(console: Console, table: Table) -> None:
    """Print a table between its caption and its note."""
    if table.caption:
        print_line(console, table.caption)
    print_table(console, table)
    if table.note:
        print_line(console, table.note)


class Progress(Viewer):
    """Shows in the terminal how far a run is."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.details, self.closing, self.errors = make_consoles(
            output.quiet, output.form != "table"
        )
        self.labels: dict[str, str] = {}  # of the arms that are shown while a stage goes on
        self.finished: dict[str, dict[int, tuple[float, ...]]] = {}  # what `SHOWN` names, by seed

    def estimate(self, work: str, seconds: float) -> None:
        """Say roughly how long the work will take, if over a minute or if a pilot came before."""
        seconds = max(seconds, 1)
        unit, length = next((u, n) for u, n in UNITS if seconds >= n)
        time = f"about {count(round(seconds / length), unit)} of {work}, by rough estimate"
        if seconds > LONG_SECONDS:
            self.alert(f"This will take {time}; it can be interrupted and resumed.")
        elif self.labels:
            self.say(f"This will take {time}.")

    def stage(
        self, what: str, total: int, labels: Mapping[str, str] = MappingProxyType({})
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Show how far a stage is, and what it has come to; see `console.progress`."""
        self.labels = dict(itertools.islice(labels.items(), MOST_SHOWN))
        self.finished = {arm: {} for arm in self.labels}
        return progress(self.errors, what, total, self.output.quiet, self.so_far)

    def finish(self, arms: Sequence[Arm], seeds: Sequence[int], history: History) -> None:
        """Add replicates to those whose means are shown while a stage goes on."""
        for index, arm in enumerate(arms):
            if arm.name in self.finished:
                last = [getattr(history, name)[-1, index].tolist() for name in SHOWN.values()]
                self.finished[arm.name] |= dict(zip(seeds, zip(*last, strict=True), strict=True))

    def so_far(self) -> Table | None:
        """Return the means of the replicates that are done in all arms that have begun.

        Without verdicts and intervals: who looks again and again finds differences that are not
        there.
        """
        begun = {arm: measured for arm, measured in self.finished.items() if measured}
        seeds = set.intersection(*map(set, begun.values())) if begun else set()
        rows = [["mean so far", "replicates", *SHOWN]]
        for arm, measured in begun.items() if seeds else ():
            columns = zip(*(measured[seed] for seed in sorted(seeds)), strict=True)
            means = (number(math.fsum(values) / len(seeds)) for values in columns)
            rows.append([self.labels[arm], str(len(seeds)), *means])
        return Table(rows) if rows[1:] else None

    def wait(self) -> None:
        """Say on a terminal that torch is loading, until the next line is written over it."""
        if self.errors.is_terminal and not self.output.quiet:
            self.errors.print("Loading torch ...", end="\r")

    def say(self, line: str) -> None:
        """Show a line among the details."""
        print_line(self.details, line)

    def warn(self, line: str) -> None:
        """Show a line on stderr, unless all is to be quiet."""
        if not self.output.quiet:
            self.alert(line)

    def alert(self, line: str) -> None:
        """Show a line on stderr, whatever was asked for."""
        print_line(self.errors, line)


class Screen(Progress):
    """Shows a run in the terminal, from its header to its files."""

    def begin(self, header: Iterable[str]) -> None:
        """Say what is about to run."""
        for line_number, line in enumerate(header):
            print_line(self.details, line, style=None if line_number else "bold")

    def show(self, view: View) -> None:
        """Show the answer, and the tables that explain it, of a view that has more than numbers."""
        if not (view.sentences or view.answer):
            return
        self.say("")
        if view.answer:
            show_table(self.closing, view.answer)
            self.say("")
        for sentence in view.sentences:
            print_line(self.closing, sentence, style="bold")
        for table in view.tables:
            self.say("")
            show_table(self.details, table)
        self.say("")
        if view.remark:
            print_line(self.details, view.remark, style="dim")
            self.say("")
        for caution in view.cautions:
            print_line(self.closing, f"Mind: {caution}.")

    def show_page(self, view: View) -> None:
        """Show tables that are all there is to see, or the document."""
        for index, table in enumerate(view.tables):
            if index:
                self.say("")
            show_table(self.details, table)
        self.close(view, (), is_new=False)

    def close(self, view: View, notes: Sequence[str], is_new: bool) -> None:
        """Print the document where asked to, say where new files are, and what to note."""
        if self.output.form != "table":
            sys.stdout.write(showable(self.closing, text_of(view, self.output.form)))
        elif is_new:
            encoding, logs = self.closing.encoding, view.folder / "tensorboard"
            files = ["report.html", *(f"figures/{name}.*" for name in view.pictures)]
            best = [path for name in files for path in view.folder.glob(name)][:1]
            lines = [f"Look at: {shell_word(path, encoding)}" for path in best]
            lines.append(f"Results: {shell_word(view.folder, encoding)}")
            if self.output.tensorboard:
                lines.append(f"Look inside: tensorboard --logdir {shell_word(logs, encoding)}")
            self.closing.print(*lines, sep="\n", soft_wrap=True)
        for line in (*notes, *view.warnings):
            self.alert(line)
