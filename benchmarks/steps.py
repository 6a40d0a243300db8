"""Where the processor time of a run goes: imports, training, statistics, pictures, files.

    python benchmarks/steps.py [--replicates 30] [--epochs 2000] [--cached]

One run of `regbench wdecay` in this process; what is imported is imported beforehand, in turn.
With `--cached` it finds its blocks in a run that another process has made.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

IMPORTS = {
    "import of the command line": "regbench.cli",
    "import of torch": "torch",
    "import of Numba and the kernel": "regbench.engines.fused.network",
    "import of SciPy's functions": "scipy.special",
    "import of matplotlib": "regbench.report.figures",
    "import of TensorBoard's records": "regbench.report.tensorboard",
    "import of Jinja": "jinja2",
}
spent: dict[str, float] = {}


def timed(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose processor time is added to what was spent, without that within it."""

    def call(*arguments: Any, **named: Any) -> Any:
        before, start = sum(spent.values()), time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            within = sum(spent.values()) - before
            spent[what] = spent.get(what, 0.0) + time.process_time() - start - within

    return call


def main() -> None:
    """Run and print."""
    spent["start of Python"] = time.process_time()
    for what, module in IMPORTS.items():
        timed(what, importlib.import_module)(module)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--cached", action="store_true")
    given = parser.parse_args()

    from regbench import cli, program
    from regbench.experiments import training
    from regbench.report import figures
    from regbench.report import training as shown

    def draw(name: str, *others: Any) -> Any:
        return timed(f"picture {name}", drawn)(name, *others)

    def write(name: str, *others: Any) -> Any:
        return timed(f"files of {name}", lambda *given: [*written(*given)])(name, *others)

    drawn, written = figures.draw, vars(program)["write_output"]
    figures.draw = draw  # type: ignore[assignment]
    vars(program)["write_output"] = write
    training.complete = timed("training and measuring", training.complete)
    shown.view = timed("statistics and tables", shown.view)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(SystemExit):
        asked = f"--replicates={given.replicates}", f"--epochs={given.epochs}"
        arguments = ["wdecay", *asked, f"--out={folder}/run", "--quiet"]
        if given.cached:
            first = *asked, f"--out={folder}/first", "--no-plots", "--no-tensorboard", "--no-report"
            command = [sys.executable, "-m", "regbench", "wdecay", *first, "--quiet"]
            subprocess.run(command, check=True, capture_output=True)
        else:
            arguments.append("--no-cache")
        timed("all else", cli.main)(arguments)
    whole = sum(spent.values())
    print(f"{'step':34}  seconds of the processor  share")
    for what, seconds in {**spent, "the whole": whole}.items():
        print(f"{what:34}  {seconds:24.2f}  {seconds / whole:5.0%}")


if __name__ == "__main__":
    main()
