"""The plug-in of the documentation, and short ways to run it."""

from __future__ import annotations

import re
from pathlib import Path

from commands import NO_FILES, TINY

from regbench.regularizers import REGULARIZERS

DOCS = Path(__file__).parents[1] / "docs" / "extending.md"
PLUGIN = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]
"""The one of the documentation."""
RUN = [*TINY, *NO_FILES, "--dtype=float64"]


def forget() -> None:
    """Be another process, which has loaded nothing."""
    for name in [name for name, kind in REGULARIZERS.items() if kind.origin]:
        del REGULARIZERS[name]
