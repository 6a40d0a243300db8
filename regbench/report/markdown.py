"""A result as Markdown, such as the summary of a job: the answer, why, and how to repeat it."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from regbench import __version__
from regbench.errors import printable
from regbench.report.format import told

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from regbench.report.base import Table, View


def text_of(view: View) -> str:
    """Return a view's answer and its tables as Markdown."""
    return "\n\n".join(filter(None, paragraphs(view))) + "\n"


def paragraphs(view: View) -> Iterator[str]:
    """Yield what the text consists of; some may be empty."""
    if view.run:
        yield f"### regbench {view.request.command.name}"
    if view.answer:
        yield table_text(view.answer)
    for sentence in view.sentences:
        yield f"**{escaped(sentence)}**"
    for table in view.tables:
        yield table_text(table)
    yield escaped(view.remark)
    yield "; ".join(f"`{name}`: {told(verdict)}" for name, verdict in view.verdicts.items())
    for line in (*(f"Mind: {caution}." for caution in view.cautions), *view.warnings):
        yield f"> {escaped(line)}"
    if view.run:
        command = view.request.command_line
        fence = "```" + "`" * command.count("`")  # longer than any within
        yield f"Repeat it (regbench {__version__}):\n\n{fence}sh\n{command}\n{fence}"


def table_text(table: Table) -> str:
    """Return a table between its caption and its note."""
    titles, *rows = table.grouped_rows()
    rule = [":--" if column in table.left else "--:" for column in range(len(titles))]
    lines = "\n".join(map(row_text, (titles, rule, *rows)))
    return "\n\n".join(filter(None, (escaped(table.caption), lines, escaped(table.note))))


def row_text(cells: Sequence[str]) -> str:
    """Return a row of a table."""
    return f"| {' | '.join(map(escaped, cells))} |"


def escaped(text: str) -> str:
    """Return a text on one line that is no HTML and ends no cell."""
    line = html.escape(printable(text.replace("\n", " ").strip()), quote=False)
    return line.replace("|", "\\|")
