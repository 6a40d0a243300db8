"""Damage the files of finished runs, and see that no wrong number is ever shown.

    python tests/faults/corruption.py [--flips 1000] [--truncations 200]

Each trial flips one bit of one file that a report reads (a block, `environment.json`,
`config.toml`, `DONE`), or cuts it off at a random place. `regbench report` must then show the same
numbers as before, or say that something is damaged, missing or not complete. Where it was a block,
`regbench resume` must put the damaged one aside and end with the same bytes as before.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import os
import random
import shutil
import tempfile
from pathlib import Path

from results import fingerprint, timeless

from regbench.cli import main as regbench

RUNS = {
    "training": ["wdecay", "--lambda=0.01,0.1", "--replicates=9", "--hidden=4", "--depth=1",
                 "--points=4", "--epochs=6", "--log-every=3", "--engine=batched", "--device=cpu"],
}  # fmt: skip


def call(*arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    code = 1
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            regbench(list(arguments))
        except SystemExit as stopped:
            code = stopped.code if isinstance(stopped.code, int) else 1
    return code, out.getvalue(), err.getvalue()


def damage(path: Path, is_cut: bool, chance: random.Random) -> str:
    """Flip one bit of a file, or cut it off somewhere; return what was done."""
    content = bytearray(path.read_bytes())
    if is_cut:
        length = chance.randrange(len(content))
        path.write_bytes(content[:length])
        return f"cut at {length}"
    bit = chance.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return f"bit {bit} flipped"


def judge(name: str, expected: dict[str, object]) -> str:
    """Return what a report of a damaged run makes of it; anything but a lie."""
    code, out, err = call("report", name, "--json")
    assert "Traceback" not in err
    if code == 2:
        assert out == "", "a refused run is not shown"
        assert err.count("\n") == 1, err
        return "refused"
    if code == 1:
        assert "this run is not complete: it has " in err, err
        return "not complete"
    assert code == 0, f"exit {code}: {err}"
    assert timeless(json.loads(out)) == expected, "a wrong number was shown in silence"
    return "the same"


def main() -> None:
    """Run the trials in a folder of their own."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--truncations", type=int, default=200)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        run_trials(given.flips, given.truncations)
        os.chdir("/")


def run_trials(flips: int, truncations: int) -> None:
    """Damage copies of finished runs, one after the other, and print what became of them."""
    chance = random.Random(1)
    found: collections.Counter[str] = collections.Counter()
    whole = {}
    for name, options in RUNS.items():
        assert call(*options, "--out", f"whole/{name}", "--no-plots", "--no-tensorboard")[0] == 0
        expected = timeless(json.loads(call("report", f"whole/{name}", "--json")[1]))
        whole[name] = expected, fingerprint(Path("whole", name))
    trials = [False] * flips + [True] * truncations
    for trial, is_cut in enumerate(trials):
        name = chance.choice(list(RUNS))
        expected, bytes_before = whole[name]
        run = Path(f"trial-{trial}")
        shutil.copytree(Path("whole", name), run)
        blocks = sorted((run / "blocks").glob("*.block"))
        records = [run / file for file in ("environment.json", "config.toml", "DONE")]
        victim = chance.choice([chance.choice(blocks), chance.choice(blocks), *records])
        what = damage(victim, is_cut, chance)
        try:
            outcome = judge(str(run), expected)
            found[f"{victim.suffix or victim.name}: {outcome}"] += 1
            if victim in blocks:
                assert outcome == "not complete", "damage to a block was not noticed"
                code, _, err = call("resume", str(run), "--quiet")
                assert code == 0, err
                assert "is damaged and not used" in err, err
                assert len(list((run / "blocks").glob("*.damaged"))) == 1
                assert fingerprint(run) == bytes_before, "resumed to other bytes"
        except AssertionError as error:
            raise AssertionError(f"trial {trial}, {victim.name}, {what}: {error}") from error
        shutil.rmtree(run)
    for outcome, count in sorted(found.items()):
        print(f"{outcome}: {count}")
    print(f"{flips} flips and {truncations} truncations: none silent")


if __name__ == "__main__":
    main()
