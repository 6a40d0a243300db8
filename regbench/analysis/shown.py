"""How a result shows itself: its pictures, and its answer in a notebook."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import Any


class Shown:
    """A result that can be looked at; only looking imports what draws."""

    @cached_property  # which a notebook's completion looks into, as it does into no property
    def figures(self) -> Any:
        """Its pictures, each drawn into axes by a method; see `regbench.report.figures`."""
        return import_module("regbench.report.figures").Figures(self)

    def _repr_html_(self) -> str:
        """Return the answer as HTML, for a notebook."""
        return str(import_module("regbench.report.html").notebook(self))
