"""The terminal: a console that never cuts a number, and progress that suits what it runs on."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import rich.table
from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.progress import BarColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from regbench.errors import printable
from regbench.limits import can_start_thread
from regbench.report.format import TONES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from regbench.report.base import Table

SPELT_OUT = {"λ": "lambda", "η": "eta", "μ": "mu", "α": "alpha", "σ": "sigma", "²": "^2", "−": "-"}
STYLES = {"good": "green", "bad": "red", "open": "dim"}
"""Styles for the tones of an answer's words."""
PLAIN_STEPS = 10
"""Progress lines per run where stderr is no terminal."""
LEAST_WIDTH, MOST_WIDTH = 20, 1000
SHORT_SECONDS = 2.0
"""Shorter runs show no progress off a terminal, and no table of means on it."""


class SteadyConsole(Console):
    """A console that never hides the cursor: who stops or pauses a program would miss it."""

    def show_cursor(self, show: bool = True) -> bool:
        """Do nothing."""
        return False


def make_consoles(is_quiet: bool, is_document: bool) -> tuple[Console, Console, Console]:
    """Return the consoles of details and closing lines, both stdout, and of stderr."""
    out = make_console(sys.stdout, quiet=is_quiet or is_document)
    return out, make_console(sys.stdout, quiet=is_document), make_console(sys.stderr, stderr=True)


def make_console(stream: TextIO, **options: Any) -> Console:
    """Return a console that wraps and moves on a real terminal alone, whatever variables say."""
    try:
        is_terminal = stream.isatty()
    except (AttributeError, ValueError):  # there is none, or it is closed
        is_terminal = False
    plain: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}
    console = SteadyConsole(force_terminal=is_terminal, **plain, **options)
    if not LEAST_WIDTH <= console.width <= MOST_WIDTH:  # COLUMNS may hold anything
        console.width = min(max(console.width, LEAST_WIDTH), MOST_WIDTH)
    return console


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Print a paragraph: wrapped on a terminal, one line elsewhere."""
    console.print(toned(showable(console, text)), style=style, soft_wrap=not console.is_terminal)


def print_table(console: Console, table: Table) -> None:
    """Print a table, on a narrow terminal without the columns that it can spare; cut no cell."""
    width, unlimited = console.width, console.options.update(width=10_000, max_width=10_000)
    for left_out in [(), *table.dispensable]:
        drawn = draw_table(console, table, left_out)
        natural_width = Measurement.get(console, unlimited, drawn).maximum
        if not console.is_terminal or natural_width <= width:
            break
    console.width = max(width, natural_width)
    if console.is_terminal:
        console.print(drawn)
        if table.names_omitted and left_out:
            names = ", ".join(table.rows[0][column] for column in sorted(left_out))
            print_line(console, f"Left out for want of room: {names}; --format csv has all.", "dim")
    else:
        with console.capture() as captured:
            console.print(drawn)
        for line in captured.get().splitlines():
            console.print(line.rstrip(), soft_wrap=True)
    console.width = width


def draw_table(console: Console, table: Table, left_out: Sequence[int]) -> rich.table.Table:
    """Return what rich makes of a table: ruled on a terminal, bare columns elsewhere."""
    is_ruled, gap = console.is_terminal, 1 if console.is_terminal else 2
    rule = box.SIMPLE_HEAD if is_ruled else None
    drawn = rich.table.Table(box=rule, padding=(0, gap, 0, 0), show_edge=False, pad_edge=False)
    is_wrapped = is_ruled and bool(left_out or not table.dispensable)
    told = table.grouped_rows() if is_ruled else table.rows
    titles, *rows = [[showable(console, text) for text in row] for row in told]
    columns = [column for column in range(len(titles)) if column not in left_out]
    for column in columns:
        drawn.add_column(
            titles[column],
            justify="left" if column in table.left else "right",
            max_width=table.wrapped.get(column) if is_wrapped else None,
            overflow="fold",  # a word may be longer than that
        )
    for row in rows:
        cells = [row[column].replace("\n", "\\n") for column in columns]
        if not left_out or any(cells[1:]):  # all that it had may be left out
            drawn.add_row(*map(toned, cells))
    return drawn


def toned(text: str) -> Text:
    """Return a text whose words of an answer have their colours."""
    colored = Text(text)
    for tone, words in TONES.items():
        colored.highlight_regex(words, STYLES[tone])
    return colored


def showable(console: Console, text: str) -> str:
    """Return lines with what no console can show escaped, and what this one cannot spelt out."""
    text = printable(text, "\n")
    if text.isascii():  # as long documents are
        return text
    return "".join(
        letter if letter.encode(console.encoding, "ignore") else SPELT_OUT.get(letter, "?")
        for letter in text
    )


class Bar(Progress):
    """A bar, and below it a table once it has lasted a little."""

    table: Callable[[], Table | None]

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield what is drawn."""
        yield from super().get_renderables()
        is_long = any((task.elapsed or 0) > SHORT_SECONDS for task in self.tasks)
        if is_long and (table := self.table()):
            yield draw_table(self.console, table, ())


@contextmanager
def progress(
    console: Console,
    what: str,
    total: int,
    is_quiet: bool = False,
    so_far: Callable[[], Table | None] = lambda: None,
) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal, or a line every tenth; yields what takes the amount done since.

    Below a bar that has lasted a little stands the table of what is known `so_far`.
    """
    if is_quiet:
        yield lambda amount: None
    elif console.is_terminal and not console.is_dumb_terminal and can_start_thread():
        done = "{task.description}", BarColumn(bar_width=None), "{task.percentage:>3.0f} %"
        times = TimeElapsedColumn(), "left", TimeRemainingColumn()
        columns = *done, *times
        with Bar(*columns, console=console, transient=True, refresh_per_second=5) as bar:
            bar.table = so_far
            task = bar.add_task(what, total=total)
            yield lambda amount: bar.advance(task, amount)
    else:
        yield plain_progress(console, what, total)


def plain_progress(console: Console, what: str, total: int) -> Callable[[int], None]:
    """Return what prints a line every tenth of the work, once that takes more than a moment."""
    started = time.monotonic()
    done = shown = 0

    def advance(amount: int) -> None:
        nonlocal done, shown
        done += amount
        step = PLAIN_STEPS * done // total
        seconds = time.monotonic() - started
        if shown < step < PLAIN_STEPS and seconds > SHORT_SECONDS:
            shown = step
            left = seconds * (total - done) / done
            print_line(console, f"{what}: {100 * done // total} %, about {left:.0f} s left")

    return advance
