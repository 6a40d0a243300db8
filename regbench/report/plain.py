"""matplotlib as it comes, whatever the user's settings are, until all pictures are drawn."""

from __future__ import annotations

import functools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regbench.storage.files import discard_at_signal

LOGGER, BEFORE = logging.getLogger("matplotlib"), dict(os.environ)
os.environ.pop("MPLBACKEND", None)  # with one that is not there, the import would fail
LOGGER.setLevel(logging.ERROR)  # it warns of files that no picture depends on
try:
    import matplotlib

    if (folder := os.environ.get("MPLCONFIGDIR")) != BEFORE.get("MPLCONFIGDIR"):  # it made one
        discard_at_signal(Path(folder or ""))
finally:
    LOGGER.setLevel(logging.NOTSET)
    if "MPLBACKEND" in BEFORE:
        os.environ["MPLBACKEND"] = BEFORE["MPLBACKEND"]

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
