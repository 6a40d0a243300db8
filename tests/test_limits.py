"""What a process may have is the least of all limits, in whatever control groups it is."""

from __future__ import annotations

import os
import resource
import threading
from typing import TYPE_CHECKING, NoReturn

import pytest
import torch
from commands import TINY, run_process
from training import make_request

from regbench import limits
from regbench.engines.machine import in_threads, isolated
from regbench.errors import UsageError
from regbench.experiments.feasibility import check_memory
from regbench.program import plan
from regbench.verify import dropout_scale

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MAX_1 = "9223372036854771712"


def groups(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, membership: str | None, files: dict[str, str]
) -> None:
    """Let a process be in control groups that show these files."""
    root, own = tmp_path / "cgroup", tmp_path / "membership"
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if membership is not None:
        own.write_text(membership)
    monkeypatch.setattr(limits, "GROUPS", root)
    monkeypatch.setattr(limits, "MEMBERSHIP", own)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "1000000000\n"}, 1e9),  # in a container of version 2
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "2000000000"}, 2e9),
        ("0::/a/b\n", {"a/b/memory.max": "3000", "a/memory.max": "2000"}, 2000),
        ("0::/a\n", {"memory.max": "5000", "b/memory.max": "1"}, 5000),  # b is another's
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "7000\n"}, 7000),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": MAX_1}, float(MAX_1)),
        ("4:memory:/docker/1f\n", {"memory/memory.limit_in_bytes": "600"}, 600),  # as in Docker
        ("4:memory:/a:b/c\n0::/\n", {"memory/a:b/c/memory.limit_in_bytes": "800"}, 800),
        ("4:memory:/a\n0::/b\n", {"unified/b/memory.max": "900"}, 900),
        (None, {"memory.max": "1234"}, 1234),  # nothing says in which
        ("", {}, None),
        ("garbage\n\n::\n", {"memory.max": "garbage"}, None),
        ("0::/../..\n", {"memory.max": "4321"}, 4321),
    ],
)
def test_memory_of_a_control_group_is_the_least_above_the_process(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    membership: str | None,
    files: dict[str, str],
    expected: float | None,
) -> None:
    groups(monkeypatch, tmp_path, membership, files)
    found = {limit.words: limit.size for limit in limits.memory_limits()}
    assert found.get("its control group may have") == (expected or float("inf"))
    assert found["the machine has"] == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "150000 100000"}, 2),  # a process may keep one busy, and half of another
        ({"cpu.max": "1000 100000"}, 1),
        ({"cpu.max": "max 100000"}, 64),
        ({"a/cpu.max": "300000 100000", "cpu.max": "max 100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "10000"}, 5),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "400", "cpu,cpuacct/cpu.cfs_period_us": "100"}, 4),
        ({"cpu/cpu.cfs_quota_us": "50000"}, 64),
        ({}, 64),
    ],
)
def test_cores_are_those_that_the_quota_keeps_busy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    groups(monkeypatch, tmp_path, "1:cpu:/\n0::/a\n", files)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    assert limits.available_cores() == expected


def test_run_that_does_not_fit_its_control_group_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    groups(monkeypatch, tmp_path, "0::/\n", {"memory.max": "500000000"})
    train = make_request(replicates=10_000, log_every=1)
    draw = make_request("dropout-scale", trials=1_000_000, p=(0.1, 0.2, 0.3, 0.4))
    refused = r"its control group may have 0\.5 GB; lower"
    with pytest.raises(UsageError, match=f"{refused} hidden"):
        plan(train, train.machine)
    with pytest.raises(UsageError, match=f"{refused} trials"):
        dropout_scale.plan(draw.study)
    groups(monkeypatch, tmp_path, "0::/\n", {"memory.max": "100000000"})
    with pytest.raises(UsageError, match="raise that limit: the libraries alone"):
        check_memory(0, "lower something")


@pytest.mark.parametrize("size", [200_000_000, 600_000_000, 1_000_000_000])
def test_address_space_too_small_for_the_libraries_is_told_before_they_hang(
    tmp_path: Path, size: int
) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY and hard < size:
        pytest.skip("this process may not have so much itself")
    program = f"import resource; resource.setrlimit(resource.RLIMIT_AS, ({size}, {size}))\n"
    (tmp_path / "sitecustomize.py").write_text(program)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    finished = run_process(["wdecay", *TINY], tmp_path, PYTHONPATH=path)
    assert (finished.code, finished.out) == (2, "")
    (line,) = finished.err.splitlines()
    assert "this process may map (ulimit -v)" in line
    assert not (tmp_path / "runs").exists()


def refuse(*_: object) -> NoReturn:
    raise RuntimeError("can't start new thread")


def test_without_new_threads_work_is_done_in_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []

    def work(piece: int, advance: Callable[[int], None]) -> tuple[int, threading.Thread]:
        advance(piece)
        return piece, threading.current_thread()

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert not limits.can_start_thread()
    here = threading.current_thread()
    assert isolated(lambda advance: threading.current_thread()) is here
    assert in_threads(work, [1, 2, 3], 2, told.append) == [(piece, here) for piece in (1, 2, 3)]
    assert told == [1, 2, 3]
    torch.set_flush_denormal(False)


def test_other_errors_of_threads_are_errors() -> None:
    def fail(piece: int, advance: Callable[[int], None]) -> NoReturn:
        raise RuntimeError("of the work")

    with pytest.raises(RuntimeError, match="of the work"):
        in_threads(fail, [1, 2], 2, lambda _: None)
    with pytest.raises(RuntimeError, match="start new thread"):
        isolated(refuse)
