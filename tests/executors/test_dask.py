"""What a scheduler may be; `tests/faults/cluster.py` has real ones, with workers of all kinds."""

from __future__ import annotations

import logging
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from commands import NO_FILES, TINY
from distributed import LocalCluster
from runs import assert_one_line, blocks_of

from regbench.executors import dask, train_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from commands import Command

    from regbench.analysis.history import Batch, History
    from regbench.engines import Listener
    from regbench.executors import Trained

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


def test_every_value_of_a_setting_is_trained_by_workers(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def train(own: dask.Dask, batches: Iterable[Batch], listener: Listener) -> Iterator[Trained]:
        for batch in batches:
            sent.append((batch.study.training.lr, own.address))
            history = train_batch(batch, own.engine, own.device, 1, listener)
            yield batch, history, own.provenance

    monkeypatch.setattr(dask.Dask, "prepare", lambda *_: 1)
    monkeypatch.setattr(dask.Dask, "train", train)
    over = "--over=lr=0.01,0.02", "--scheduler=tcp://a:1"
    assert regbench(*OPTIONS, *over).code == 0
    assert sent == [(0.01, "tcp://a:1"), (0.02, "tcp://a:1")]


def test_one_failure_of_every_batch_costs_a_run_nothing(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert regbench(*OPTIONS, "--no-cache", "--out=here").code == 0
    tried: list[str] = []

    def fail_first(batch: Batch, *others: Any) -> History:
        tried.append(batch.arms[0].name)
        if tried.count(tried[-1]) == 1:
            raise ConnectionError("no luck")
        return train_batch(batch, *others)

    monkeypatch.setattr(dask, "train_batch", fail_first)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)  # the worker is in this process
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
        local_directory=str(tmp_path),
    ) as cluster:
        there = "--out=there", f"--scheduler={cluster.scheduler_address}"
        finished = regbench(*OPTIONS, "--no-cache", *there)
    assert finished.code == 0, finished.err
    assert sorted(tried) == ["baseline"] * 2 + ["wdecay=0.01"] * 2
    assert blocks_of("there") == blocks_of("here")


def test_verify_has_no_other_machines(regbench: Command) -> None:
    assert_one_line(regbench("verify", "--scheduler=tcp://a:1"), 2, "--scheduler")
    assert "--shard" not in regbench("verify", "--help").out
