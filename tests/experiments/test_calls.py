"""A user's function in this process and in others: what is kept, raised, and left behind."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from commands import SOURCES

import regbench as rb
from regbench.experiments import calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SCRIPT = """
import os, signal, sys, time
import regbench as rb

def train(arm, seed):
    with open("called.txt", "a") as file:
        file.write(f"{arm},{seed}\\n")
    if "kill" in sys.argv and (arm, seed) == ("b", 2):
        while open("kept/scores.csv").read().count("\\n") < 2:
            time.sleep(0.01)
        os.kill(os.getppid() if WORKERS > 1 else os.getpid(), signal.SIGKILL)
        time.sleep(600)  # a worker is to end long before
    return seed + (arm == "b") * seed**2 / 7

WORKERS = int(sys.argv[1])
if __name__ == "__main__":
    result = rb.compare(train, ["a", "b"], range(5), "kept", workers=WORKERS)
    print(*result.scores["b"].tolist())
"""
PAIRS = [f"{arm},{seed}" for seed in range(5) for arm in "ab"]
MODULE = """
import os, signal, time

def train(arm, seed):
    if (arm, seed) == ("b", 2):
        raise ValueError("no memory")
    return {"loss": seed + (arm == "b") * seed**2 / 7, "time": 1}

def die(arm, seed):
    if (arm, seed) == ("b", 2):
        while open("scores.csv").read().count("\\n") < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return seed + seed % 2 * (arm == "b")

def interrupt(arm, seed):
    with open("workers.txt", "a") as file:
        file.write(f"{os.getpid()}\\n")
    if seed == 0:
        return 1.0
    while len(workers := open("workers.txt").read().split()) < 4:
        time.sleep(0.01)
    for process in (*workers, os.getppid()) if arm == "b" else ():  # as a terminal does
        os.kill(int(process), signal.SIGINT)
    time.sleep(20)
    open("late", "w").close()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a module of functions that other processes can import."""
    (tmp_path / "functions_of_mine.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("functions_of_mine")
    del sys.modules["functions_of_mine"]


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_comparison_goes_on_and_calls_nothing_twice_that_was_kept(
    tmp_path: Path, workers: int
) -> None:
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        """Run the script, until its workers have ended too: they have its stdout."""
        command = [sys.executable, "script.py", str(workers), *words]
        where = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **SOURCES}
        captured: Any = {"capture_output": True, "check": False, "text": True, "timeout": 120}
        return subprocess.run(command, cwd=tmp_path, env=where, **captured)

    def lines(name: str) -> list[str]:
        return (tmp_path / name).read_text(encoding="utf-8").splitlines()

    assert run("kill").returncode == -signal.SIGKILL
    first, kept = (
        lines("called.txt"),
        [line.rpartition(",")[0] for line in lines("kept/scores.csv")],
    )
    assert 2 <= len(kept) <= len(PAIRS), "with the titles; the call that kills is never kept"
    if workers == 1:
        assert (first, kept) == (PAIRS[:6], ["arm,seed", *PAIRS[:5]])
    finished = run()
    assert finished.returncode == 0, finished.stderr
    again = lines("called.txt")[len(first) :]
    assert sorted([*kept[1:], *again]) == sorted(PAIRS)
    assert finished.stdout.split() == [str(seed + seed**2 / 7) for seed in range(5)]
    run()
    assert lines("called.txt") == [*first, *again]


def test_workers_give_the_scores_of_one_process_and_lose_nothing_where_a_call_raises(
    mine: Any, tmp_path: Path
) -> None:
    alone = rb.compare(mine.train, ["a", "b"], range(5))
    result = rb.compare(mine.train, ["a", "b"], range(5), tmp_path / "kept", workers=3)
    assert result.comparisons == alone.comparisons
    assert result.pairs == alone.pairs == ["0", "1", "3", "4"]
    assert result.notes[0] == alone.notes[0] == "train(b, 2) raised ValueError: no memory"
    assert result.measure == "loss"


def fold(arm: Any, seed: Any) -> float:
    raise AssertionError


fold.__qualname__ = "is_nowhere"


@pytest.mark.parametrize("function", [lambda arm, seed: 1, fold])
def test_function_that_no_other_process_can_have_is_refused_in_a_line(
    function: Callable[[Any, Any], float],
) -> None:
    with pytest.raises(
        rb.UsageError, match=r"train: which no other .*put it into a file"
    ) as refused:
        rb.compare(function, ["a", "b"], range(3), workers=2)
    assert "\n" not in str(refused.value)


def test_function_of_a_notebook_is_refused_in_a_line(mine: Any, tmp_path: Path) -> None:
    (tmp_path / "functions_of_mine.py").write_text("", encoding="utf-8")  # as a cell is nowhere
    with pytest.raises(rb.UsageError, match=r"no other process can import: .*'train'.*put it into"):
        rb.compare(mine.train, ["a", "b"], range(3), workers=2)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2", True])
def test_workers_are_a_whole_number(workers: Any) -> None:
    with pytest.raises(rb.UsageError, match=r"workers: got .*a whole number from 1"):
        rb.compare(lambda arm, seed: 1, ["a", "b"], range(3), workers=workers)


def test_worker_that_dies_is_told_in_a_line_and_the_scores_before_are_kept(
    mine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rb.RunError, match=r"a worker has died.* the same call goes on") as died:
        rb.compare(mine.die, ["a", "b"], range(3), tmp_path, workers=2)
    assert "\n" not in str(died.value)
    kept = (tmp_path / "scores.csv").read_text(encoding="utf-8")
    assert kept.startswith("arm,seed,score\na,0,0.0\n")


def test_interrupt_ends_workers_at_once(
    mine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        rb.compare(mine.interrupt, ["a", "b"], range(2), workers=4)
    for child in multiprocessing.active_children():
        child.join(60)
    assert not multiprocessing.active_children()
    assert not (tmp_path / "late").exists()


def test_progress_is_told_on_stderr_and_changes_nothing(
    mine: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from regbench.report.terminal import console

    monkeypatch.setattr(console, "SHORT_SECONDS", -1.0)
    quiet = rb.compare(mine.train, ["a", "b"], range(5))
    assert capfd.readouterr() == ("", "")
    told = rb.compare(mine.train, ["a", "b"], range(5), progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split(",")[0] for line in err.splitlines()] == [
        f"scores: {tenth}0 %" for tenth in range(1, 10)
    ]
    assert told.comparisons == quiet.comparisons


def test_processes_end_where_the_interrupt_comes_once_more() -> None:
    ended = []

    class Child:
        """One that Ctrl-C interrupts the end of, the first time."""

        def terminate(self) -> None:
            """End, or be interrupted."""
            ended.append(self)
            if len(ended) == 1:
                raise KeyboardInterrupt

    children = [Child(), Child()]
    with pytest.raises(KeyboardInterrupt):
        calls.end(children)
    assert ended == [children[0], *children]
