"""`regbench resume`: what is missing or damaged of a run is trained, and nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from commands import NO_FILES, TINY
from runs import (
    THREE_PARTS,
    assert_one_line,
    blocks_of,
    change_manifest,
    numbers_of,
    spoil_manifest,
)
from training import make_request

from regbench.analysis.history import Gathering
from regbench.commands import run_experiment
from regbench.engines import ENGINES, machine
from regbench.experiments import COMMANDS, feasibility

if TYPE_CHECKING:
    from commands import Command
    from runs import Trained

    from regbench.analysis.history import Batch, History


def test_what_is_missing_is_trained_and_nothing_else(regbench: Command, trained: Trained) -> None:
    regbench(*THREE_PARTS, "--out=run")
    arms = ("baseline", "wdecay=0.1", "wdecay=0.2")
    assert trained == [(1, arms), (65, arms), (129, arms)]
    whole, numbers = blocks_of("run"), numbers_of("run")
    assert len(whole) == 9
    trained.clear()
    for path in list(Path("run/blocks").iterdir())[:2]:
        path.unlink()
    Path("run/DONE").unlink()
    partial = regbench("report", "run")
    assert partial.code == 1
    assert "it has 7 of 9 blocks" in partial.err
    assert regbench("resume", "run").code == 0
    assert sum(len(arms) for _, arms in trained) == 2
    assert blocks_of("run") == whole
    assert numbers_of("run") == numbers


def test_resumed_run_says_what_was_asked_and_not_what_was_chosen(regbench: Command) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run")
    numbers = numbers_of("run")
    assert numbers["config"]["engine"] == "auto"
    sorted(Path("run/blocks").iterdir())[0].unlink()
    assert regbench("resume", "run").code == 0
    assert numbers_of("run") == numbers


def test_long_work_is_saved_arm_by_arm_with_the_same_bytes(
    regbench: Command,
    monkeypatch: pytest.MonkeyPatch,
    trained: Trained,
) -> None:
    regbench(*THREE_PARTS, "--out=whole")
    trained.clear()
    monkeypatch.setattr(feasibility, "thread_seconds", lambda *_: 1.0)
    regbench(*THREE_PARTS, "--out=run")
    arms = ("baseline", "wdecay=0.1", "wdecay=0.2")
    assert trained == [(first, (arm,)) for first in (1, 65, 129) for arm in arms]
    assert blocks_of("run") == blocks_of("whole")


def test_finished_run_is_not_run_again_unless_a_block_is_damaged(regbench: Command) -> None:
    regbench(*THREE_PARTS, "--out=run")
    whole = blocks_of("run")
    again = regbench("resume", "run", "--quiet")
    assert (again.code, again.err) == (0, "regbench: 'run' is complete: nothing to train\n")
    victim = sorted(Path("run/blocks").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-1])
    reported = regbench("report", "run", "--quiet")
    assert reported.code == 1
    assert f"block {victim.stem} is damaged and not used" in reported.err
    assert "it has 8 of 9 blocks" in reported.err
    assert regbench("resume", "run", "--quiet").code == 0
    assert blocks_of("run") == whole
    assert victim.with_suffix(".damaged").exists()
    assert regbench("report", "run", "--quiet").code == 0


def test_whole_block_under_the_name_of_another_is_noticed_and_trained_again(
    regbench: Command, trained: Trained
) -> None:
    regbench(*THREE_PARTS, "--out=run")
    whole = blocks_of("run")
    trained.clear()
    other, victim = sorted(Path("run/blocks").iterdir())[:2]
    shutil.copy(other, victim)
    reported = regbench("report", "run", "--quiet")
    assert reported.code == 1
    assert f"block {victim.stem} is damaged and not used" in reported.err
    assert regbench("resume", "run", "--quiet").code == 0
    assert sum(len(arms) for _, arms in trained) == 1
    assert blocks_of("run") == whole


@pytest.mark.parametrize("last", [1, 2, 3])
def test_out_of_memory_loses_no_finished_block(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    regbench(*THREE_PARTS, "--out=whole")
    train, calls = ENGINES["batched"], 0

    def run_out(batch: Batch, *others: Any) -> History:
        nonlocal calls
        calls += 1
        if calls == last:
            raise MemoryError
        return train(batch, *others)

    with monkeypatch.context() as patch:
        patch.setitem(ENGINES, "batched", run_out)
        finished = regbench(*THREE_PARTS, "--out=run", "--quiet")
    assert_one_line(finished, 1, "out of memory", "hidden units", "regbench resume run")
    assert len(blocks_of("run")) == 3 * (last - 1)
    assert regbench("resume", "run").code == 0
    assert blocks_of("run") == blocks_of("whole")
    assert numbers_of("run") == numbers_of("whole")


def test_out_of_memory_after_training_says_how_to_go_on(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(gathering: Gathering, replicates: int) -> History:
        assert gathering.arrays["train_y"].shape[0] == replicates
        raise MemoryError  # when all batches are trained

    with monkeypatch.context() as patch:
        patch.setattr(Gathering, "history", run_out)
        finished = regbench(*THREE_PARTS, "--out=run", "--quiet")
    assert_one_line(finished, 1, "out of memory", "hidden units", "regbench resume run")
    assert regbench("resume", "run").code == 0


def test_other_versions_finish_a_run_only_where_that_is_allowed(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    regbench(*THREE_PARTS, "--out=run")
    before = blocks_of("run")
    victim = sorted(Path("run/blocks").iterdir())[0]
    victim.unlink()
    describe = machine.describe_provenance

    def describe_other(*arguments: Any) -> dict[str, str]:
        return {**describe(*arguments), "torch": "9.9"}

    monkeypatch.setattr(machine, "describe_provenance", describe_other)
    for _ in range(2):
        refused = regbench("resume", "run")
        assert_one_line(refused, 2, "torch", "then and 9.9 now", "--allow-mixed")
    assert blocks_of("run") == {k: v for k, v in before.items() if k != victim.name}
    allowed = regbench("resume", "run", "--allow-mixed")
    assert allowed.code == 0
    assert len(blocks_of("run")) == len(before)
    assert victim.name not in blocks_of("run"), "a block is named by what computed it"
    assert regbench("report", "run").code == 0


def test_run_of_a_gpu_is_not_finished_on_a_cpu_in_silence(regbench: Command) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    regbench(*THREE_PARTS, "--out=run")
    Path("run/DONE").unlink()
    manifest = json.loads(Path("run/environment.json").read_text())
    environment, (provenance,) = manifest["environment"], manifest["provenances"]
    change_manifest(
        Path("run"),
        environment={**environment, "device": "cuda:0"},
        provenances=[{**provenance, "device": "cuda"}],
    )
    assert_one_line(regbench("resume", "run"), 2, "--device", "cuda", "choose --device=cpu")
    assert regbench("resume", "run", "--allow-mixed").code == 0


def test_damaged_manifest_costs_no_block(regbench: Command, trained: Trained) -> None:
    options = [option for option in THREE_PARTS if option != "--no-cache"]
    regbench(*options, "--out=run")
    spoil_manifest(Path("run"))
    trained.clear()
    assert regbench("wdecay", "--config=run/config.toml", "--out=again").code == 0
    assert trained == []
    assert blocks_of("again") == blocks_of("run")


def test_run_without_its_folder_of_blocks_is_trained_anew(regbench: Command) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run")
    numbers = numbers_of("run")
    shutil.rmtree("run/blocks")
    assert regbench("resume", "run").code == 0
    assert numbers_of("run") == numbers
    assert regbench("report", "run").code == 0


CHANGES: dict[str, Any] = {
    "truth": "sine", "points": 5, "test_points": 3, "slope": 2.0, "x_min": -2.0, "x_max": 2.0,
    "noise": 0.1, "test_noise": 0.1, "features": "polynomial:2", "hidden": 5, "depth": 2,
    "optimizer": "adam", "epochs": 6, "lr": 0.02, "momentum": 0.5, "log_every": 4,
    "strengths": (0.3,), "replicates": 3, "seed": 9, "pairing": "independent", "vary": "data",
    "dtype": "float64", "command": "l1", "device": "auto", "engine": "reference", "over": "lr=1,2",
}  # fmt: skip
SHOWN = {
    "out", "tensorboard", "plots", "report", "figure_format", "cache", "json", "details", "quiet",
    "threads", "confidence", "confirm", "export", "format",
    "target_width", "require", "margin", "by", "shard", "scheduler", "allow_mixed",
}  # fmt: skip
"""Settings that change no number of a block."""
OF_TABLES = {key for key, s in COMMANDS["wdecay"].settings.items() if s.panel == "Table"}
"""A table's blocks are named by its values, which `test_own_table.py` changes."""
DECISIVE = {*COMMANDS["wdecay"].settings} - {"lambda", "inputs", *SHOWN, *OF_TABLES}
DECISIVE |= {"command", "strengths"}


@pytest.mark.parametrize("name", sorted(DECISIVE))
def test_changed_setting_never_finds_the_blocks_of_another(
    regbench: Command, trained: Trained, name: str
) -> None:
    base = {
        "strengths": (0.1,), "points": 4, "hidden": 4, "depth": 1, "replicates": 2, "epochs": 4,
        "log_every": 2, "device": "cpu", "plots": False, "tensorboard": False, "quiet": True,
        "engine": "batched",
    }  # fmt: skip

    def run(out: str, **changes: Any) -> dict[str, bytes]:
        assert run_experiment(make_request(**{**base, "out": out, **changes})) == 0
        return blocks_of(out)

    regbench("--version")  # an empty folder to work in
    before = run("before")
    trained.clear()
    after = run("after", **{name: CHANGES[name]})
    shared = set(before) & set(after)
    # Only the baseline may be shared, and only where nothing but the arm differs; or all of it
    # where `auto` is the same device.
    expected = {"strengths": 1, "command": 1, "device": 0 if torch.cuda.is_available() else 2}
    assert len(shared) == expected.get(name, 0)
    assert all(before[block] == after[block] for block in shared)
