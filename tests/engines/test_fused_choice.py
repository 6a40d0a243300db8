"""How the fused engine is chosen, what it tells, and how its kernel is compiled and kept."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from numba.core.caching import FunctionCache
from training import CPU, make_batch, make_request, make_study

from regbench.engines import ENGINES, Listener, choose_device, choose_engine
from regbench.engines.fused import compilation, simd
from regbench.engines.fused.engine import COEFFICIENTS, COMPILING
from regbench.errors import UsageError
from regbench.regularizers import Arm
from regbench.regularizers.noise import Dropout
from regbench.regularizers.penalties import L1, WeightDecay

if TYPE_CHECKING:
    from regbench.settings.command import Request


def test_progress_adds_up_to_all_epochs() -> None:
    told: list[int] = []
    ENGINES["fused"](make_batch(make_study(epochs=31)), CPU, 2, Listener(advance=told.append))
    assert sum(told) == 31 * 3 * 2


def test_an_error_in_the_report_ends_training() -> None:
    batch = make_batch(make_study(epochs=1_000_000_000, log_every=1_000_000))

    def fail(epochs: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ENGINES["fused"](batch, CPU, 2, Listener(advance=fail))


def chosen_engine(request: Request) -> str:
    return choose_engine(request.study, request.machine)


def test_auto_picks_fused_on_the_cpu_and_batched_where_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for has_gpu, device, engine in (
        (False, "auto", "fused"),
        (False, "cpu", "fused"),
        (True, "auto", "batched"),
        (True, "cuda:0", "batched"),
        (True, "cpu", "fused"),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        assert chosen_engine(make_request(device=device)) == engine
    machine = make_request(device="auto", engine="fused").machine
    assert choose_device(machine, "fused") == torch.device("cpu")
    with pytest.raises(UsageError, match='runs on the CPU; choose engine="batched"'):
        choose_device(machine.replaced(device="cuda"), "fused")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_optimizer_is_trained_by_fused(optimizer: str) -> None:
    assert chosen_engine(make_request(optimizer=optimizer, device="cpu")) == "fused"
    assert chosen_engine(make_request(optimizer=optimizer, engine="fused")) == "fused"


def test_arms_that_do_not_fit_are_left_to_the_batched_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert COEFFICIENTS[Dropout] == "p"
    monkeypatch.delitem(COEFFICIENTS, WeightDecay)
    assert chosen_engine(make_request(device="cpu")) == "batched"
    with pytest.raises(UsageError, match=r'cannot train wdecay=0\.1; choose engine="batched"'):
        chosen_engine(make_request(strengths=(0.1,), engine="fused"))


@pytest.mark.parametrize("missing", [Dropout, L1])  # the first part of the sum, and the second
def test_sum_fits_where_all_of_its_parts_do_that_are_not_neutral(
    monkeypatch: pytest.MonkeyPatch, missing: type[Dropout | L1]
) -> None:
    def chosen(*strengths: float) -> str:
        parts = Dropout(strengths[0]), L1(strengths[1])
        study = make_study().replaced(arms=(WeightDecay(0.1), Arm(parts)))
        return choose_engine(study, make_request(device="cpu").machine)

    assert chosen(0.2, 0.1) == "fused"
    monkeypatch.delitem(COEFFICIENTS, missing)
    assert chosen(0.2, 0.1) == "batched"
    assert chosen(*((0.0, 0.1) if missing is Dropout else (0.2, 0.0))) == "fused"


def test_compilation_is_told_once_and_numba_is_imported_by_training_alone(tmp_path: Path) -> None:
    program = """if True:
        import sys, torch
        from regbench.analysis.history import Batch
        from regbench.engines import ENGINES, Listener
        from regbench.experiments import resolve
        assert "numba" not in sys.modules
        study = resolve("wdecay", {"epochs": ["1"]}).study
        for seed in (1, 2):
            batch = Batch(study, range(seed, seed + 1))
            ENGINES["fused"](batch, torch.device("cpu"), 2, Listener(say=print))
    """
    for told in (1, 0):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == told * f"{COMPILING}\n"
        assert done.stderr == ""


def add_one(number: int) -> int:
    return number + 1


def test_full_disk_or_damaged_cache_costs_a_compilation_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def stumble(*_: object) -> None:
        raise EOFError("Ran out of input")

    monkeypatch.setattr(FunctionCache, "save_overload", fail)
    monkeypatch.setattr(FunctionCache, "load_overload", stumble)
    assert compilation.compiled(add_one)(1) == 2  # type: ignore[no-untyped-call]


def test_processes_that_compile_at_once_do_not_share_file_names() -> None:
    caches: list[Any] = [
        compilation.KernelCache(add_one)  # type: ignore[no-untyped-call]
        for _ in range(100)
    ]
    assert len({cache._cache_file._data_name(1) for cache in caches}) == 100


def test_a_change_of_the_vectors_renews_the_compiled_kernel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    noted = []

    def compilations() -> int:
        with compilation.compilation_noted(lambda: noted.append("compiled")):
            assert compilation.compiled(add_one)(1) == 2  # type: ignore[no-untyped-call]
        return len(noted)

    assert [compilations(), compilations()] == [1, 1]
    source = Path(simd.__file__).read_bytes()
    assert hashlib.sha256(source).hexdigest() == compilation.SIMD_DIGEST
    monkeypatch.setattr(
        compilation, "SIMD_DIGEST", hashlib.sha256(source + b"# changed").hexdigest()
    )
    assert [compilations(), compilations()] == [2, 2]
