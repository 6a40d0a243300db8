"""matplotlib as it comes, whatever the user's settings are; nothing global changes for long."""

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
        pictures = draw(*given)
        while True:
            with matplotlib.rc_context():
                matplotlib.rcdefaults()
                picture = next(pictures, None)
            if picture is None:
                return
            yield picture

    return drawn
