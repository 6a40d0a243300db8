"""TensorBoard's curves of a run that goes on, read with TensorBoard's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from test_tensorboard import read
from training import make_study, train

from regbench.analysis.history import History
from regbench.experiments import Observer
from regbench.report import so_far
from regbench.report.so_far import SoFar, folder_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commands import Command

    from regbench.settings.study import Study


@pytest.fixture
def study() -> Study:
    return make_study(strengths=(0.1, 1.0), replicates=6)


@pytest.fixture
def history(study: Study) -> History:
    return train(study, "batched")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list whose one number is the time."""
    now = [0.0]
    monkeypatch.setattr("regbench.report.so_far.time.monotonic", lambda: now[0])
    return now


def curve(reader: Any, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in reader.Scalars(tag)]


def check(readers: Sequence[Any], history: History, done: slice) -> None:
    """Compare the curves of all arms with the means of some replicates."""
    for index, reader in enumerate(readers):
        for tag in ("error/risk", "loss/train_loss_eval"):
            losses = history.named("measures")[tag.partition("/")[2]]
            steps, values = zip(*curve(reader, tag), strict=True)
            assert list(steps) == history.epochs.tolist()
            np.testing.assert_allclose(values, losses[:, index, done].mean(axis=1), rtol=1e-5)
        assert curve(reader, "so_far/replicates") == [(30, done.stop - done.start)]


def test_curves_are_means_of_what_is_done_in_all_arms_and_later_ones_take_their_place(
    study: Study, history: History, clock: list[float], tmp_path: Path
) -> None:
    live, arms = SoFar(Observer(), tmp_path), study.arms

    def finish(seeds: slice, chosen: tuple[int, ...]) -> None:
        own = history.part(R=seeds, A=list(chosen))
        live.finish([arms[index] for index in chosen], study.seeds[seeds], own)

    live.stage("training", 1, study.labels)
    clock[0] = 61
    finish(slice(4), (0, 2))  # in no replicate are all arms done
    folder = folder_of(tmp_path)
    assert not folder.exists()
    finish(slice(2, 5), (1,))
    readers = [read(folder / arm.name) for arm in arms]
    check(readers, history, slice(2, 4))
    clock[0] += 59
    finish(slice(2), (1,))
    finish(slice(5, 6), (1,))
    check([read(folder / arm.name) for arm in arms], history, slice(2, 4))  # not yet
    clock[0] += 2
    finish(slice(4, 6), (0, 2))
    for reader in readers:
        reader.Reload()  # as TensorBoard does, which goes on
    check(readers, history, slice(0, 6))


def test_a_stage_of_its_own_begins_anew_and_a_shard_has_no_curves(
    study: Study, history: History, clock: list[float], tmp_path: Path
) -> None:
    live, folder = SoFar(Observer(), tmp_path), folder_of(tmp_path)
    live.stage("training", 1)
    clock[0] = 61
    live.finish(study.arms, study.seeds, history)
    assert not folder.exists()
    for seeds in (slice(4), slice(1, 3)):
        live.stage("training", 1, study.labels)
        clock[0] += 61
        live.finish(study.arms, study.seeds[seeds], history.part(R=seeds))
        found = curve(read(folder / "baseline"), "error/risk")[-1][1]
        expected = history.risk[-1, 0, seeds].mean()
        assert found == pytest.approx(expected, rel=1e-5)


def test_what_is_written_so_far_is_there_while_a_run_goes_on_and_gone_when_it_is_done(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(so_far, "LEAST_SECONDS", 0)
    seen, write = list[Path](), SoFar.write

    def note(live: SoFar, names: list[str], epochs: list[int]) -> None:
        write(live, names, epochs)
        seen.extend(live.folder.rglob("*tfevents*"))

    monkeypatch.setattr(SoFar, "write", note)
    given = ["--points=6", "--hidden=8", "--epochs=20", "--replicates=3", "--no-plots"]
    assert regbench("wdecay", *given, "--out=run").code == 0
    assert {path.parent.name for path in seen} == {"baseline", "wdecay=0.01"}
    names = {path.name for path in Path("run/tensorboard").iterdir()}
    assert names == {"answer", "baseline", "wdecay=0.01"}
    count = len(seen)
    assert regbench("wdecay", *given, "--out=other", "--no-tensorboard", "--no-cache").code == 0
    assert len(seen) == count


def test_a_disk_that_takes_no_curves_ends_no_run(
    study: Study, history: History, clock: list[float], tmp_path: Path
) -> None:
    (tmp_path / "tensorboard").write_text("in the way")
    live = SoFar(Observer(), tmp_path)
    live.stage("training", 1, study.labels)
    clock[0] = 61
    live.finish(study.arms, study.seeds, history)
    assert live.written == 6


def test_a_task_without_a_measure_has_the_other_curves(
    study: Study, history: History, clock: list[float], tmp_path: Path
) -> None:
    others = {k: v for k, v in history.arrays.items() if k != "measures/risk"}
    live = SoFar(Observer(), tmp_path)
    live.stage("training", 1, study.labels)
    clock[0] = 61
    live.finish(study.arms, study.seeds, History(others))
    tags = read(folder_of(tmp_path) / "baseline").Tags()["scalars"]
    assert "error/risk" not in tags
    assert "error/test_loss" in tags
