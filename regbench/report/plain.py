"""matplotlib as it comes, whatever the user's settings are, until all pictures are drawn."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

BACKEND = os.environ.pop("MPLBACKEND", None)  # with one that is not there, the import would fail
try:
    import matplotlib
finally:
    if BACKEND is not None:
        os.environ["MPLBACKEND"] = BACKEND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def plain(draw: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Let what draws pictures, one after the other, draw by matplotlib's own defaults."""

    @functools.wraps(draw)
    def drawn(*given: Any) -> Iterator[Any]:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            yield from draw(*given)

    return drawn
