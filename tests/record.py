"""Record what small commands measure, and compare two recordings bit for bit.

    python tests/record.py record DIR          # of the version in the working directory
    python tests/record.py compare DIR1 DIR2   # exit code 1 where anything differs
    python tests/record.py golden              # golden/recorded_float64.json beside this script

For a change that should change no number: record before and after it, on one machine with the same
cores (torch's sums in dropout-scale depend on their number). Knows nothing about the package but
its command line and the keys of its documents, so that it runs with any version: `python -m
regbench` and `configs/` are those of the checkout it is called in.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NETWORK = "--hidden=16 --depth=2"  # 1/√16 is exact: the same initial weights on all processors
BRIEF = f"{NETWORK} --epochs=20 --log-every=10"
SMALL = f"{BRIEF} --replicates=3"
COMMANDS = {
    "article-wdecay": "wdecay --config=configs/article-wdecay.toml --epochs=400",
    "article-dropout": "dropout --config=configs/article-dropout.toml --epochs=300 --log-every=100",
    "article-scale": "dropout-scale --config=configs/article-dropout-scale.toml --trials=300",
    "small": "wdecay --config=configs/small.toml --epochs=100 --log-every=25 --replicates=6",
    "ridge": "wdecay --config=configs/ridge.toml --epochs=600 --log-every=200 --replicates=20",
    "default-width": "decoupled --lambda=0.01,0.1 --replicates=4 --epochs=100 --log-every=50",
    "fused": f"wdecay {SMALL} --lambda=0.01,0.1 --engine=fused --dtype=float64",
    "batched": f"dropout {SMALL} --engine=batched --dtype=float64",
    "adam": f"l1 {SMALL} --optimizer=adam --truth=step --dtype=float64",
    "independent": f"decoupled {SMALL} --pairing=independent --engine=reference --truth=abs "
    "--dtype=float64",
    "scale": "dropout-scale --p=0,0.1,0.5,0.9 --units=10000 --trials=50 --seed=7",
    "confirm": f"wdecay {BRIEF} --lambda=logspace:1e-4:1:5 --replicates=8 --confirm=9",
    "linspace": f"dropout {SMALL} --p=linspace:0.1:0.5:3 --engine=batched --truth=quadratic",
    "dropout-fused": f"dropout {SMALL} --engine=fused --truth=sine --test-points=25 --x-max=2",
    "dropout-reference": f"dropout {SMALL} --p=0.2,0.5 --engine=reference --pairing=independent",
    "dropout-paired": f"dropout {SMALL} --engine=reference --seed=4294967292 --momentum=0.5",
    "dropout-independent": f"dropout {SMALL} --engine=fused --pairing=independent",
    "l1-reference": f"l1 {SMALL} --lambda=0.01 --engine=reference --dtype=float64",
    "dropout-adam": f"dropout {SMALL} --optimizer=adam --vary=init --noise=0",
    "wdecay-adam": f"wdecay {SMALL} --lambda=0.01,0.1 --optimizer=adam --pairing=independent",
    "features": f"decoupled {SMALL} --engine=reference --optimizer=adam --features=polynomial:2",
    "target-width": f"decoupled {BRIEF} --lambda=0.1 --target-width=0.0015 --truth=abs",
    "vary-data": f"decoupled {SMALL} --vary=data --engine=batched --confidence=0.9",
    "polynomial": "wdecay --features=polynomial:3 --depth=0 --optimizer=sgd --truth=sine "
    "--lambda=0.001,0.1 --replicates=130 --epochs=200 --log-every=50",
    "two-blocks": f"l1 {BRIEF} --lambda=0.001,0.01 --replicates=70 --engine=batched",
    "diverging": f"wdecay {NETWORK} --replicates=2 --lr=10 --epochs=100 --log-every=10",
    "one-diverging": f"wdecay {NETWORK} --replicates=2 --lambda=0.1,379.9 --engine=batched "
    "--epochs=300 --log-every=50",
    "one-replicate": f"l1 {BRIEF} --replicates=1 --test-noise=0",
    "every-epoch": f"dropout {NETWORK} --replicates=3 --epochs=12 --log-every=1",
    "sums": f"compare wdecay=0.01 dropout=0.5 wdecay=0.01+dropout=0.5 {SMALL} --engine=fused "
    "--dtype=float64",
    "sums-batched": f"compare l1=0.001+decoupled=0.1,0.5 dropout=0.2+l1=0.01 {SMALL} "
    "--engine=batched --optimizer=adam --truth=sine",
    "sums-reference": f"compare wdecay=0.01+l1=0.001 decoupled=0.1+dropout=0.3 {BRIEF} "
    "--replicates=4 --engine=reference --confirm=3",
}
"""By the name of their file: every experiment, engine, optimizer, type, truth and kind of stage."""
KEYS = (
    *("history", "comparisons", "comparisons_by_epoch", "decomposition", "confirmation"),
    *("diverged", "best_arm", "scales", "seeds", "epochs", "exit_code"),
)
"""What is compared; every experiment has some of them."""
GOLDEN = ("fused", "batched", "adam", "independent", "scale", "sums")
"""Commands whose numbers differ between processors by rounding only, which few epochs keep low."""
GOLDEN_FILE = Path(__file__).parent / "golden" / "recorded_float64.json"
MASKED = {"outputs", "first_output", "mean", "sd"}
MASKED |= {"keep_probability", "shape_probability", "scale_error"}
"""Keys of `scales` that depend on the masks of torch's own dropout, which differ by processor."""


def arguments(command: str) -> list[str]:
    """Return a command's words and those that all have."""
    device = [] if command.startswith("dropout-scale") else ["--device=cpu"]
    return [*command.split(), *device, "--json", "--no-cache", "--no-plots", "--no-tensorboard"]


def run(command: str) -> dict[str, Any]:
    """Return a command's document with its exit code, or exit where it prints none."""
    environment = {key: v for key, v in os.environ.items() if not key.startswith("REGBENCH_")}
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "regbench", *arguments(command), f"--out={folder}/run"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(f"{command}\nexit code {done.returncode}, no document: {done.stderr}")
    return {"exit_code": done.returncode, **json.loads(done.stdout)}


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield every number, text and null inside `value`, and what is empty, each with its path."""
    if value and isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, f"{path}/{key}")
    else:
        yield path, value


def golden_numbers(document: dict[str, Any]) -> dict[str, Any]:
    """Return by path what the golden file keeps of a document."""
    kept = ("history", "comparisons", "decomposition", "scales")
    found = [leaf for key in kept if key in document for leaf in leaves(document[key], key)]
    return {path: value for path, value in found if MASKED.isdisjoint(path.split("/"))}


def record(folder: Path) -> None:
    """Run all commands and write the document of each."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SystemExit(f"{folder} is not empty; name a new folder")
    for name, command in COMMANDS.items():
        started = time.perf_counter()
        document = run(command)
        seconds = time.perf_counter() - started
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
        print(f"{name}: exit code {document['exit_code']}, {seconds:.1f} s", flush=True)


def compare(*folders: Path) -> int:
    """Print every difference of two recordings by its path, and return the exit code."""
    found: list[dict[str, Any]] = [{}, {}]
    for folder, values in zip(folders, found, strict=True):
        for file in folder.glob("*.json"):
            document = json.loads(file.read_text(encoding="utf-8"))
            values |= leaves({key: document[key] for key in KEYS if key in document}, file.stem)
    paths = sorted(found[0].keys() | found[1].keys())
    differences = 0
    for path in paths:
        before, after = (values.get(path, "missing") for values in found)
        if type(before) is not type(after) or before != after:
            differences += 1
            print(f"{path}: {before!r}, then {after!r}")
    commands = len({path.partition("/")[0] for path in paths})
    numbers = sum(type(value) in (int, float) for value in found[0].values())
    verdict = f"{differences} different" if differences or not numbers else "all equal"
    print(f"{commands} commands, {numbers} numbers, {verdict}")
    return 1 if differences or not numbers else 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record", folder]:
            record(Path(folder))
        case ["compare", before, after]:
            sys.exit(compare(Path(before), Path(after)))
        case ["golden"]:
            documents = {COMMANDS[name]: golden_numbers(run(COMMANDS[name])) for name in GOLDEN}
            GOLDEN_FILE.write_text(json.dumps(documents, indent=1) + "\n", encoding="utf-8")
        case _:
            sys.exit(__doc__)
