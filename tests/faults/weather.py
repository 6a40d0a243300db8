"""Runs in environments that users really have: what they leave must not depend on them.

    python tests/faults/weather.py [--combinations 100]

First every setting of matplotlib alone, then random combinations of them all with random commands.
Each must end with the exit code of the experiment and with whole files, whose pictures are byte for
byte those of a run without any of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

OPTIONS = "--points=4 --hidden=4 --depth=1 --replicates=3 --epochs=4 --log-every=2 --device=cpu"
COMMANDS = {
    "wdecay": f"wdecay {OPTIONS}",
    "compare": f"compare wdecay=0.1 dropout=0.5+l1=0.01 {OPTIONS} --confirm=3",
    "early-stopping": f"early-stopping --stop-epoch=1,2 {OPTIONS}",
    "dropout-scale": "dropout-scale --p=0.1,0.5 --units=50 --trials=20",
}
BACKENDS = ["module://matplotlib_inline.backend_inline", "qtagg", "no such backend", "agg"]
RC_FILES = [
    "text.usetex: True\n",
    "font.family: no such font\nfont.size: 30\n",
    "figure.constrained_layout.use: True\nsavefig.bbox: tight\nfigure.dpi: 300\n",
    "axes.prop_cycle: cycler('color', ['k'])\naxes.grid: True\nlines.linewidth: 9\n",
    "axes.formatter.use_locale: True\nimage.cmap: gray\npath.sketch: 5, 100, 2\n",
    "no such key: 1\nlines.linewidth: thick\n\x00",
]
STYLE = "axes.facecolor: black\nlines.linewidth: 12\n"


def weather(folder: Path, choices: dict[str, Any]) -> dict[str, str]:
    """Return the variables of an environment, whose files are put into a folder."""
    environment = {}
    if "backend" in choices:
        environment["MPLBACKEND"] = str(choices["backend"])
    if "rc" in choices:
        (folder / "rc").mkdir()
        (folder / "rc" / "matplotlibrc").write_text(str(choices["rc"]), encoding="utf-8")
        environment["MATPLOTLIBRC"] = str(folder / "rc")
    if "rc here" in choices:
        (folder / "matplotlibrc").write_text(str(choices["rc here"]), encoding="utf-8")
    if "style" in choices:
        styles = folder / "config" / "stylelib"
        styles.mkdir(parents=True)
        (styles / "default.mplstyle").write_text(STYLE, encoding="utf-8")
        environment["MPLCONFIGDIR"] = str(folder / "config")
    if "unwritable" in choices:
        (folder / "file").write_text("not a folder")
        environment["MPLCONFIGDIR"] = str(folder / "file" / "config")
    return environment


def pictures_of(command: str, choices: dict[str, Any]) -> dict[str, bytes]:
    """Run a command and return its pictures by name, and the document's numbers."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent)
        finished = subprocess.run(
            [sys.executable, "-m", "regbench", *COMMANDS[command].split(), "--out=run", "--quiet"],
            cwd=folder,
            env={**os.environ, **weather(folder, choices)},
            capture_output=True,
            check=False,
        )
        assert finished.returncode == 0, (command, choices, finished.stderr.decode()[-2000:])
        assert b"Traceback" not in finished.stderr, (command, choices)
        run = folder / "run"
        assert (run / "DONE").is_file(), (command, choices)
        document = json.loads((run / "summary.json").read_text(encoding="utf-8"))
        del document["environment"]
        found = {path.name: path.read_bytes() for path in sorted((run / "figures").iterdir())}
        return {"document": json.dumps(document).encode(), **found}


def main() -> None:
    """Compare every setting alone with none, and then combinations."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--combinations", type=int, default=100)
    given = parser.parse_args()
    alone: list[dict[str, Any]] = [
        *[{"backend": backend} for backend in BACKENDS],
        *[{"rc": text} for text in RC_FILES],
        *[{"rc here": text} for text in RC_FILES],
        {"style": True},
        {"unwritable": True},
    ]
    draw = random.Random(1)
    tried = [("wdecay", choices) for choices in alone] if given.combinations >= 100 else []
    for _ in range(given.combinations):
        mixed = {key: value for part in draw.sample(alone, 4) for key, value in part.items()}
        tried.append((draw.choice(list(COMMANDS)), mixed))
    expected = {command: pictures_of(command, {}) for command in {name for name, _ in tried}}
    for command, choices in tried:
        found = pictures_of(command, choices)
        assert found == expected[command], (command, choices)
    print(f"{len(tried)} runs: pictures and numbers are those of a run in fair weather")


if __name__ == "__main__":
    main()
