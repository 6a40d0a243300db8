"""What a command line left: its exit code and what it printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regbench.engines.fused.compilation import cache_folder
from regbench.errors import option_of

if TYPE_CHECKING:
    from pathlib import Path

TINY = ["--points=4", "--hidden=4", "--depth=1", "--replicates=2", "--epochs=4", "--log-every=2"]
TINY += ["--device=cpu"]
"""Options that make a training run of milliseconds."""
NO_FILES = ["--no-plots", "--no-tensorboard", "--no-report"]


@dataclass(frozen=True)
class Finished:
    """A command that has exited."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout, which must be strict JSON."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        parsed: dict[str, Any] = json.loads(self.out, parse_constant=refuse)
        return parsed


Command = Callable[..., Finished]


def word_of(key: str) -> str:
    """Return the word of the command line that stands for a setting in the help."""
    return "ARM" if key == "arms" else option_of(key)


os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder() or ""))  # else each home compiles
SOURCES = {n: os.environ[n] for n in ("PYTHONPATH", "NUMBA_CACHE_DIR") if n in os.environ}
"""Where this process finds package and compiled kernel: for one that gets no other variable."""


def run_process(arguments: list[str], folder: Path, **environment: str) -> Finished:
    """Run `python -m regbench` in a folder, with nothing but paths and some variables."""
    process = subprocess.run(
        [sys.executable, "-m", "regbench", *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **SOURCES, **environment},
        capture_output=True,
        check=False,
    )
    return Finished(
        process.returncode,
        process.stdout.decode("utf-8"),
        process.stderr.decode("utf-8"),
    )
