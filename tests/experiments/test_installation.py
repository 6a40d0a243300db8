"""What `regbench info` says of an installation."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from regbench.limits import available_cores

if TYPE_CHECKING:
    import pytest
    from commands import Command


def test_info_says_what_a_report_of_a_fault_needs(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = regbench("info", "--json").document
    for name in ("torch", "numpy", "numba", "tensorboard"):
        assert document[name] == metadata.version(name)
    assert f"{available_cores()} cores" in document["processor"]
    assert document["engines"] == "reference, batched, fused"
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    document = regbench("info", "--json").document
    assert document["engines"] == "reference, batched; not fused with NUMBA_DISABLE_JIT set"
    assert "| torch | " in regbench("info", "--format", "markdown").out
