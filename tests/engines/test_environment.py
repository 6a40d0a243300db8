"""What blocks are named by besides their settings: whatever makes libraries round otherwise."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import torch
from commands import NO_FILES, TINY, run_process

from regbench.engines.machine import describe_provenance

if TYPE_CHECKING:
    from pathlib import Path

CPU = torch.device("cpu")
ROUND_OTHERWISE = {
    "MKL_CBWR": "COMPATIBLE",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "MKL_DEBUG_CPU_TYPE": "5",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "DNNL_MAX_CPU_ISA": "SSE41",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "",
    "NUMBA_OPT": "1",
    "NUMBA_SLP_VECTORIZE": "1",
    "NUMBA_DISABLE_INTEL_SVML": "1",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA",
    "NVIDIA_TF32_OVERRIDE": "1",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "CUBLAS_WORKSPACE_CONFIG": ":16:8",
}


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave none of the variables."""
    for name in ROUND_OTHERWISE:
        monkeypatch.delenv(name, raising=False)


def test_provenance_has_no_more_keys_where_nothing_is_set() -> None:
    known = {"engine", "device", "processor", "regbench", "torch", "numpy"}
    assert describe_provenance("batched", CPU).keys() == known
    assert describe_provenance("fused", CPU).keys() == known | {"numba"}


@pytest.mark.parametrize("name", ROUND_OTHERWISE)
def test_variable_that_makes_libraries_round_otherwise_is_in_the_provenance(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = describe_provenance("fused", CPU)
    monkeypatch.setenv(name, ROUND_OTHERWISE[name])
    assert describe_provenance("fused", CPU) == before | {name: ROUND_OTHERWISE[name]}


@pytest.mark.parametrize(
    "name",
    ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NUMBA_CACHE_DIR", "CUBLAS_HOME"],
)
def test_threads_and_folders_are_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = describe_provenance("fused", CPU)
    monkeypatch.setenv(name, "3")
    assert describe_provenance("fused", CPU) == before


def test_run_uses_no_blocks_that_were_rounded_otherwise(tmp_path: Path) -> None:
    options = ["wdecay", *TINY, *NO_FILES, "--engine=batched", "--quiet"]
    variables = {"first": {}, "other": {"MKL_CBWR": "COMPATIBLE"}, "one": {"MKL_NUM_THREADS": "1"}}
    for name, own in variables.items():
        finished = run_process([*options, f"--out={name}"], tmp_path, **own)
        assert finished.code == 0, finished.err
    blocks = {name: set(os.listdir(tmp_path / name / "blocks")) for name in variables}  # noqa: PTH208
    assert blocks["first"] == blocks["one"]
    assert not blocks["first"] & blocks["other"]
