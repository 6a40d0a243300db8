"""matplotlib as it comes, whatever the user's settings are, while pictures are drawn."""

from __future__ import annotations

import logging
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
    from collections.abc import Iterator


@contextmanager
def plain() -> Iterator[None]:
    """Let what is drawn and saved within have matplotlib's own defaults, and names that repeat."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a symbol may be any letter
        matplotlib.rcdefaults()
        matplotlib.rcParams["svg.hashsalt"] = "regbench"
        yield
