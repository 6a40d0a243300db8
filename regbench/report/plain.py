"""matplotlib as it comes, whatever the user's settings are, while pictures are drawn.

A program that uses matplotlib too finds its backend, its settings and its logger as they were.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from regbench.storage.files import discard_at_signal

LOGGER, BEFORE = logging.getLogger("matplotlib"), dict(os.environ)
LEVEL, IS_FIRST = LOGGER.level, "matplotlib" not in sys.modules
os.environ.pop("MPLBACKEND", None)  # with one that is not there, the import would fail
LOGGER.setLevel(logging.ERROR)  # it warns of files that no picture depends on
try:
    import matplotlib.style

    if (folder := os.environ.get("MPLCONFIGDIR")) != BEFORE.get("MPLCONFIGDIR"):  # it made one
        discard_at_signal(Path(folder or ""))
finally:
    LOGGER.setLevel(LEVEL)
    if "MPLBACKEND" in BEFORE:
        os.environ["MPLBACKEND"] = BEFORE["MPLBACKEND"]
if IS_FIRST and os.environ.get("MPLBACKEND"):
    with suppress(ValueError):
        matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def plain() -> Iterator[None]:
    """Let what is drawn and saved within have matplotlib's own defaults, and names that repeat."""
    with matplotlib.style.context("default"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a symbol may be any letter
        matplotlib.rcParams["svg.hashsalt"] = "regbench"
        matplotlib.rcParams["text.hinting"] = "no_hinting"  # to fit letters to pixels takes longer
        yield
