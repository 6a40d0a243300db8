"""Disturb runs that several machines share, and see the same bytes as of one that nobody disturbed.

    python tests/faults/cluster.py [--trials 50]

Scheduler, workers and client are processes of their own. A worker dies in a batch; one joins late;
a client is killed, or interrupted, and its run resumed; a batch fails on every try; a worker has
another version; a shard is killed, resumed and merged with the others. They wait for one another by
files, so that each fault happens where it is meant to.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import itertools
import json
import os
import random
import signal
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from distributed import Scheduler, Worker
from forks import FOREVER, Child, finish, fork, start
from results import SWEEPS, fingerprint

from regbench.executors import dask as executor
from regbench.executors import train_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from regbench.analysis.history import Batch

OPTIONS = [*SWEEPS["fused"], "--no-plots", "--no-tensorboard"]
BLOCKS = 9


def wait_for(holds: Callable[[], bool]) -> None:
    """Return when something holds; fail where it never does."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < FOREVER, "waited for ever"
        time.sleep(0.01)


class Cluster:
    """A scheduler and its workers in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.children = folder, list[Child]()
        place = folder / "address"
        self.children.append(self.fork(lambda: asyncio.run(schedule(place))))
        wait_for(place.exists)
        self.address = place.read_text()

    def fork(self, run: Callable[[], None]) -> Child:
        """Start a scheduler or worker in a folder of its own."""
        own = self.folder / f"child-{len(self.children)}"
        own.mkdir()
        return fork(own, run)

    def add_worker(self, hook: Callable[[int, Batch], None] = lambda number, batch: None) -> Child:
        """Start a worker of one thread, and wait until it has joined.

        `hook` is called there with the number of a batch, from 1, and with that.
        """
        joined = self.folder / f"joined-{len(self.children)}"
        self.children.append(self.fork(lambda: asyncio.run(work(self.address, joined, hook))))
        wait_for(joined.exists)
        return self.children[-1]

    def run(self, *arguments: str) -> Child:
        """Start a client."""
        return start([*arguments, f"--scheduler={self.address}"], self.folder)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Yield a scheduler without workers; it ends with all of them."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        made = Cluster(Path(name))
        try:
            yield made
        finally:
            for child in made.children:
                child.kill()
            for child in made.children:
                child.wait()


async def schedule(place: Path) -> None:
    """Be a scheduler, and write its address into a file."""
    async with Scheduler(host="127.0.0.1", port=0, dashboard=False) as scheduler:
        draft = place.with_suffix(".draft")
        draft.write_text(scheduler.address)
        draft.rename(place)
        await scheduler.finished()


async def work(address: str, joined: Path, hook: Callable[[int, Batch], None]) -> None:
    """Be a worker, which makes a file when it has joined."""
    numbers = itertools.count(1)

    def train_with_fault(batch: Batch, *others: Any) -> Any:
        hook(next(numbers), batch)
        return train_batch(batch, *others)

    vars(executor)["train_batch"] = train_with_fault
    where = {"host": "127.0.0.1", "local_directory": str(joined.parent)}
    async with Worker(address, nthreads=1, dashboard=False, **where) as worker:
        joined.touch()
        await worker.finished()


def blocks(folder: Path) -> int:
    """Return how many blocks a run has."""
    return len([*folder.glob("run/blocks/*.block")])


def expect(child: Child, code: int, *named: str) -> None:
    """Check how a client ended, and what its last line names."""
    found = child.wait()
    assert found == code, f"exit {found} instead of {code}:\n{child.err}"
    for text in named:
        assert text in child.err.splitlines()[-1], child.err


def worker_dies(made: Cluster, chance: random.Random) -> None:
    """A worker dies in one of its batches, and another one does that too."""
    dead, last = made.folder / "dead", chance.randint(1, 3)

    def die(number: int, batch: Batch) -> None:
        if number == last:
            dead.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    victim = made.add_worker(die)
    made.add_worker(lambda number, batch: wait_for(dead.exists))
    expect(made.run(*OPTIONS, "--out=run"), 0)
    assert victim.wait() == -signal.SIGKILL
    made.children.remove(victim)


def worker_joins_late(made: Cluster, chance: random.Random) -> None:
    """A run begins without workers; the second one joins when the first one holds a batch."""
    held, helped, last = made.folder / "held", made.folder / "helped", chance.randint(1, 4)

    def hold(number: int, batch: Batch) -> None:
        if number == last:
            held.touch()
            wait_for(helped.exists)

    client = made.run(*OPTIONS, "--out=run")
    wait_for(lambda: "waiting for a worker to join" in client.err)
    made.add_worker(hold)
    wait_for(held.exists)
    made.add_worker(lambda number, batch: helped.touch())
    expect(client, 0)


def client_ends(made: Cluster, chance: random.Random, number: int, code: int) -> None:
    """A client ends by a signal when some blocks are there; what it had queued is given up."""
    gone, last = made.folder / "gone", chance.randint(2, BLOCKS)
    done = made.folder / "done"

    def hold(count: int, batch: Batch) -> None:
        with done.open("a") as file:
            file.write(f"{batch.seeds} {batch.arms}\n")
        if count == last:
            wait_for(gone.exists)

    made.add_worker(hold)
    client = made.run(*OPTIONS, "--out=run")
    wait_for(lambda: blocks(made.folder) >= last - 1)
    client.kill(number)
    expect(client, code)
    if code > 0:
        assert f"resume run --scheduler {made.address}" in client.err, client.err
    assert blocks(made.folder) == last - 1
    gone.touch()
    expect(made.run("resume", "run"), 0)
    # The batch that was held was begun twice, and perhaps one that the worker had at hand; what was
    # queued behind them was not.
    assert len(done.read_text().splitlines()) <= BLOCKS + 2, done.read_text()


def client_killed(made: Cluster, chance: random.Random) -> None:
    """See `client_ends`."""
    client_ends(made, chance, signal.SIGKILL, -signal.SIGKILL)


def client_interrupted(made: Cluster, chance: random.Random) -> None:
    """See `client_ends`."""
    client_ends(made, chance, signal.SIGINT, 130)


def batch_fails(made: Cluster, chance: random.Random) -> None:
    """A batch fails on every try; all others are done."""
    seed, arm = chance.choice([1, 65, 129]), chance.choice(["baseline", "wdecay=0.01"])

    def fail(number: int, batch: Batch) -> None:
        if (batch.seeds[0], batch.arms[0].name) == (seed, arm):
            raise ValueError("no luck")

    bad = made.add_worker(fail)
    named = f"{arm} with seeds {seed} to ", "ValueError: no luck", "regbench resume run"
    expect(made.run(*OPTIONS, "--out=run"), 1, *named)
    assert blocks(made.folder) == BLOCKS - 1
    bad.kill()
    made.add_worker()
    expect(made.run("resume", "run"), 0)


def version_differs(made: Cluster, chance: random.Random) -> None:
    """A worker of another version is refused, at once or later; if allowed it is recorded."""
    names = vars(executor)
    describe = names["describe_provenance"]

    def describe_other(*arguments: Any) -> dict[str, str]:
        return {**describe(*arguments), "torch": "9.9"}

    is_late, asked = chance.random() < 0.5, made.folder / "asked"
    named = f"torch {torch.__version__} here and 9.9 there", "--allow-mixed"
    client = None
    if is_late:
        client = made.run(*OPTIONS, "--out=run")
        wait_for(lambda: "waiting for a worker to join" in client.err)
    names["describe_provenance"] = describe_other
    made.add_worker(lambda number, batch: asked.touch())
    names["describe_provenance"] = describe
    if client:
        expect(client, 1, *named, "regbench resume run")
        assert blocks(made.folder) == 0
        expect(made.run("resume", "run", "--allow-mixed"), 0)
    else:
        expect(made.run(*OPTIONS, "--out=run"), 2, *named)
        assert not (made.folder / "run").exists()
        expect(made.run(*OPTIONS, "--out=run", "--allow-mixed"), 0)
    assert asked.exists()
    manifest = json.loads((made.folder / "run" / "environment.json").read_text())
    versions = [provenance["torch"] for provenance in manifest["provenances"]]
    assert versions == ["9.9", torch.__version__]
    expect(start(["report", "run", "--quiet"], made.folder), 0)


def shard_killed(made: Cluster, chance: random.Random) -> None:
    """Shards, one of which is killed at a random moment, are resumed and merged."""
    count = chance.randint(2, 4)
    victim, names = chance.randint(1, count), [f"part-{n}" for n in range(1, count + 1)]
    for n, name in enumerate(names, 1):
        shard = [*OPTIONS, f"--shard={n}/{count}", f"--out={name}"]
        child = start(shard, made.folder)
        if n == victim:
            time.sleep(chance.uniform(0, 1.5))
            child.kill()
            child.wait()
            is_there = (made.folder / name).exists()
            child = start(["resume", name] if is_there else shard, made.folder)
        expect(child, 0)
    expect(start(["merge", *names, "--out=run"], made.folder), 0)


KINDS = [worker_dies, worker_joins_late, client_killed, client_interrupted, batch_fails,
         version_differs, shard_killed]  # fmt: skip


def main() -> None:
    """Run so many trials, of each kind in turn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=50)
    trials, chance = parser.parse_args().trials, random.Random(1)
    found: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        finish([*OPTIONS, "--out=run"], Path(name))
        expected = fingerprint(Path(name, "run"))
    for _, disturb in zip(range(trials), itertools.cycle(KINDS)):
        with cluster() as made:
            disturb(made, chance)
            left = fingerprint(made.folder / "run")
            if disturb is version_differs:  # its blocks have other names
                left = {name: left[name] for name in ("summary.json", "history.csv")}
            assert left.items() <= expected.items(), f"differs after {disturb.__name__}"
        found[disturb.__name__] += 1
        print(f"{disturb.__name__}: the same bytes", flush=True)
    print(", ".join(f"{kind} {count}" for kind, count in found.items()))
    print(f"{trials} trials: nothing lost")


if __name__ == "__main__":
    main()
