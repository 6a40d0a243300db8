"""How a result shows itself: its pictures, and its answer in a notebook.

Knows nothing about how that is done: `regbench.api`, from which users have their results, says it.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Shown:
    """A result that can be looked at; only looking imports what draws or trains."""

    make_figures: ClassVar[Callable[[Any], Any]]
    make_html: ClassVar[Callable[[Any], str]]
    make_network: ClassVar[Callable[[Any, int | None, str | None], Any]]

    @cached_property  # which a notebook's completion looks into, as it does into no property
    def figures(self) -> Any:
        """Its pictures, each drawn into axes by a method; see `regbench.report.figures`."""
        return type(self).make_figures(self)

    def _repr_html_(self) -> str:
        """Return the answer as HTML, for a notebook."""
        return type(self).make_html(self)
