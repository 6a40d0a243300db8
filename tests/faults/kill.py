"""Kill runs anywhere, resume them, and see the same bytes as of runs that nobody disturbed.

    python tests/faults/kill.py [--kills 200] [--stride 1]

First SIGKILL at random moments, until so many processes were killed; each run is resumed, and
killed again, until it is done. Then a crash at every write (with half of the bytes written), fsync
and rename of a run, or at every STRIDE-th. Lost is what differs from an undisturbed run by a byte,
a block that was reported as saved and is not there, and a partial run that is shown as complete.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from forks import Child, finish, start
from results import SMALL, SWEEPS, fingerprint

from regbench.storage.files import SUFFIX, Store, unseal

if TYPE_CHECKING:
    from collections.abc import Callable

ACKNOWLEDGED = "acknowledged"


def acknowledge() -> None:
    """Let every block that `Store.save` has saved be logged at once, in a file of its own."""
    save = Store.save
    log = os.open(ACKNOWLEDGED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def save_and_log(self: Store, name: str, content: bytes) -> None:
        save(self, name, content)
        os.write(log, f"{self.folder / name}{SUFFIX}\n".encode())

    Store.save = save_and_log  # type: ignore[method-assign]


def check(folder: Path) -> None:
    """Check what a killed run left: acknowledged blocks whole, and nothing shown as complete."""
    log = folder / ACKNOWLEDGED
    for name in log.read_text().split() if log.exists() else []:
        assert unseal((folder / name).read_bytes()) is not None, (
            f"{name} was acknowledged and is lost"
        )
    run = folder / "run"
    if run.exists() and not (run / "DONE").exists():
        child = start(["report", "run"], folder)
        code = child.wait()
        assert code == 1, f"report of a partial run: exit {code}"
        assert "this run is not complete: it has " in child.err, child.err


def resume(folder: Path, arguments: list[str], prepare: Callable[[], None]) -> Child:
    """Go on with a run, or begin it where it was killed before it had a folder."""
    if (folder / "run").exists():
        arguments = ["resume", "run", "--quiet"]
    return start(arguments, folder, prepare)


def kill_at_random(kills: int) -> None:
    """Kill so many processes at random moments of random runs."""
    chance = random.Random(1)
    killed = runs = 0
    with tempfile.TemporaryDirectory() as top_name:
        top = Path(top_name)
        expected, seconds = {}, {}
        for name, options in SWEEPS.items():
            (top / name).mkdir()
            started = time.monotonic()
            finish([*options, "--out=run"], top / name)
            seconds[name] = time.monotonic() - started
            expected[name] = fingerprint(top / name / "run")
        while killed < kills:
            name = chance.choice(list(SWEEPS))
            folder = top / "trial"
            folder.mkdir()
            before = killed
            while not (folder / "run" / "DONE").exists():
                child = resume(folder, [*SWEEPS[name], "--out=run"], acknowledge)
                time.sleep(chance.uniform(0, 1.1 * seconds[name]))
                child.kill()
                code = child.wait()
                assert code in (0, -signal.SIGKILL), f"exit {code}\n{child.err}"
                killed += code != 0
                check(folder)
            assert fingerprint(folder / "run") == expected[name], f"{name} differs after kills"
            runs += 1
            shutil.rmtree(folder)
            print(f"{name}: killed {killed - before} times, resumed, the same bytes", flush=True)
    print(f"{killed} kills of {runs} runs: nothing lost", flush=True)


class Countdown:
    """Ends the process at the n-th call."""

    def __init__(self, count: int, log: Path | None = None) -> None:
        self.left, self.log = count, log

    def __call__(self) -> None:
        """Count one place."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.log:
            with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "wb") as f:
                f.write(b".")


class HalfWriter:
    """A file whose every write is done in two halves, with a chance to crash between them."""

    def __init__(self, file: IO[Any], tick: Countdown) -> None:
        self.file, self.tick = file, tick

    def __enter__(self) -> HalfWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, data: bytes) -> int:
        """Write all of it."""
        middle = len(data) // 2
        self.file.write(data[:middle])
        self.file.flush()
        self.tick()
        return self.file.write(data[middle:]) + middle


def crash_at(tick: Countdown) -> None:
    """Call `tick` in every write, and before and after every fsync and rename of a run's files."""
    opened, fsync = Path.open, os.fsync
    renames = {name: getattr(Path, name) for name in ("replace", "rename")}

    def open_half(self: Path, mode: str = "r", *more: Any, **options: Any) -> Any:
        file = opened(self, mode, *more, **options)
        return HalfWriter(file, tick) if mode == "wb" else file

    def fsync_between(descriptor: int) -> None:
        tick()
        fsync(descriptor)
        tick()

    def rename_between(name: str) -> Callable[[Path, Path], Path]:
        def rename(self: Path, target: Path) -> Path:
            tick()
            moved: Path = renames[name](self, target)
            tick()
            return moved

        return rename

    Path.open = open_half  # type: ignore[method-assign]
    os.fsync = fsync_between  # type: ignore[assignment]
    Path.replace = rename_between("replace")  # type: ignore[assignment, method-assign]
    Path.rename = rename_between("rename")  # type: ignore[assignment, method-assign]


def crash_everywhere(stride: int) -> None:
    """Crash a run at every place where it changes the disk, or at every `stride`-th."""
    options = ["wdecay", "--lambda=0.1", "--replicates=5", "--engine=batched", *SMALL, "--out=run"]
    with tempfile.TemporaryDirectory() as top_name:
        top = Path(top_name)
        log = top / "ticks"
        (top / "whole").mkdir()
        child = start(options, top / "whole", lambda: crash_at(Countdown(0, log)))
        assert child.wait() == 0, child.err
        expected, places = fingerprint(top / "whole" / "run"), log.stat().st_size
        for place in range(1, places + 1, stride):
            folder = top / "trial"
            folder.mkdir()

            def crash(place: int = place) -> None:
                acknowledge()
                crash_at(Countdown(place))

            child = start(options, folder, crash)
            assert child.wait() == -signal.SIGKILL, child.err
            check(folder)
            if not (folder / "run" / "DONE").exists():
                code = (child := resume(folder, options, lambda: None)).wait()
                assert code == 0, f"crash {place}: exit {code}\n{child.err}"
            assert fingerprint(folder / "run") == expected, f"differs after crash {place}"
            shutil.rmtree(folder)
    print(f"crashes at {len(range(0, places, stride))} of {places} places: nothing lost")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stride", type=int, default=1)
    given = parser.parse_args()
    kill_at_random(given.kills)
    crash_everywhere(given.stride)


if __name__ == "__main__":
    main()
