"""What a scheduler may be; `tests/faults/cluster.py` has real ones, with workers of all kinds."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY
from runs import assert_one_line

from regbench.executors import dask

if TYPE_CHECKING:
    from commands import Command

OPTIONS = ["wdecay", *TINY, *NO_FILES]


def test_address_where_nobody_answers_is_refused_before_there_is_a_folder(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "TIMEOUT", 0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    refused = regbench(*OPTIONS, f"--scheduler={address}")
    assert_one_line(refused, 2, "--scheduler", address, "no Dask scheduler answers")
    assert not Path("runs").exists()


def test_missing_package_is_named_with_the_command_that_installs_it(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    refused = regbench(*OPTIONS, "--scheduler=tcp://127.0.0.1:8786")
    assert_one_line(refused, 2, "--scheduler", "pip install 'regbench[dask]'")


@pytest.mark.parametrize("address", ["localhost", "http://localhost:80", "tcp://localhost", "tcp:"])
def test_what_is_no_address_is_refused(regbench: Command, address: str) -> None:
    refused = regbench(*OPTIONS, f"--scheduler={address}")
    assert_one_line(refused, 2, "--scheduler", address, "tcp://HOST:PORT")


def test_verify_has_no_other_machines(regbench: Command) -> None:
    assert_one_line(regbench("verify", "--scheduler=tcp://a:1"), 2, "--scheduler")
    assert "--shard" not in regbench("verify", "--help").out
