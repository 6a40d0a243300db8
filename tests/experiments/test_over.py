"""`--over`: a run at several values is the runs at each of them, in one folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import NO_FILES, TINY
from runs import assert_one_line, blocks_of, numbers_of
from scipy import stats

import regbench as rb
from regbench.engines import ENGINES
from regbench.experiments import feasibility
from regbench.experiments.feasibility import memory_estimate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commands import Command
    from runs import Trained

BATCHED = [*TINY[1:], "--engine=batched", *NO_FILES]
"""Without `--points`."""
OVER = ["dropout", *BATCHED, "--over=points=3,4,5"]


def at_value(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without its folder, and without when and for how long it was made."""
    environment = dict(document["environment"])
    del environment["started"], environment["duration_seconds"]
    return {**document, "environment": environment, "run_dir": None}


@pytest.mark.parametrize(
    ("command", "key", "values"),
    [
        (["wdecay", "--lambda=0.1,0.2"], "points", ["3", "4"]),
        (["dropout", "--test-points=7"], "points", ["3", "5"]),
        (["compare", "wdecay=0.1+dropout=0.5", "dropout=0.5"], "depth", ["0", "2"]),
        (["l1"], "lr", ["0.001", "0.02", "0.3"]),
        (["wdecay"], "truth", ["sine", "linear"]),
        (["wdecay", "--require=better"], "epochs", ["5", "2"]),
        (["dropout", "--pairing=independent"], "features", ["x", "polynomial:3"]),
    ],
)
def test_document_and_blocks_at_a_value_are_those_of_a_run_of_its_own(
    regbench: Command, command: list[str], key: str, values: list[str]
) -> None:
    options = [*(o for o in BATCHED if not o.startswith(f"--{key}=")), "--no-cache", "--json"]
    over = regbench(*command, *options, f"--over={key}={','.join(values)}", "--out=over").document
    assert [str(part["value"]) for part in over["over"]] == values
    assert key not in over["config"]
    blocks = blocks_of("over")
    for part, value in zip(over["over"], values, strict=True):
        out = f"--out=at {value}"
        alone = regbench(*command, *options, f"--{key}={value}", out).document
        assert at_value(part["document"]) == at_value(alone)
        own = blocks_of(f"at {value}")
        assert own.items() <= blocks.items()
        blocks = {name: content for name, content in blocks.items() if name not in own}
    assert not blocks


def test_values_have_batches_of_their_own_size(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(feasibility.THREAD_SPEED, "reference", (1e10, 0.0))
    one = feasibility.thread_seconds(small(values=(4, 5)).by_value[4], "reference")
    monkeypatch.setattr(feasibility, "BATCH_SECONDS", 12.5 * one)
    options = ["--hidden=4", "--depth=1", "--epochs=6", "--replicates=13", "--engine=reference"]
    options += [*NO_FILES, "--no-cache"]
    regbench("dropout", *options, "--over=points=4,40", "--out=over")
    assert numbers_of("over")["environment"]["batch_replicates"] == [12, 8]
    for points in ("4", "40"):
        regbench("dropout", *options, f"--points={points}", f"--out={points}")
        assert blocks_of(points).items() <= blocks_of("over").items()
    assert regbench("report", "over").code == 0


def test_blocks_are_shared_with_runs_at_one_value_both_ways(
    regbench: Command, trained: Trained
) -> None:
    regbench("dropout", *BATCHED, "--points=4", "--out=before")
    trained.clear()
    regbench(*OVER, "--out=over")
    assert len(trained) == 2
    trained.clear()
    regbench("dropout", *BATCHED, "--points=5", "--out=after")
    assert not trained


def test_run_that_is_cut_off_between_values_is_shown_and_finished(
    regbench: Command, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    regbench(*OVER, "--out=whole", "--no-cache")
    train = ENGINES["batched"]

    def fail(batch: Any, *others: Any) -> Any:
        if batch.study.task.points == 4:
            raise OSError("the plug was pulled")
        return train(batch, *others)

    with monkeypatch.context() as patched:
        patched.setitem(ENGINES, "batched", fail)
        assert regbench(*OVER, "--out=run", "--no-cache").code == 1
    partial = regbench("report", "run", "--json")
    assert partial.code == 1
    assert "it has 2 of 6 blocks" in partial.err
    assert [part["value"] for part in partial.document["over"]] == [3]
    assert not partial.document["is_complete"]
    assert "cut off" not in regbench("report", "run").out
    trained.clear()
    assert regbench("resume", "run").code == 0
    assert len(trained) == 2
    assert blocks_of("run") == blocks_of("whole")
    again, whole = numbers_of("run"), numbers_of("whole")
    for document in (again, whole):
        document["over"] = [at_value(part["document"]) for part in document["over"]]
    assert again == whole


def test_run_with_nothing_yet_has_a_document(regbench: Command) -> None:
    regbench(*OVER, "--out=run")
    for path in [*Path("run/blocks").iterdir(), Path("run/DONE")]:
        path.unlink()
    finished = regbench("report", "run", "--json")
    assert finished.code == 1
    assert "over" not in finished.document


TWO = (rb.Dropout(0.5), rb.L1(0.1))


def small(key: str = "points", values: Sequence[Any] = (3, 6, 9), arms: Any = TWO) -> rb.Over:
    study = rb.Study(
        arms=arms,
        network=rb.Network(hidden=4, depth=1),
        training=rb.Training(epochs=6, log_every=3),
        replicates=8,
    )
    return rb.Over(study=study, key=key, values=values)


MACHINE = rb.Machine(engine="batched", device="cpu")


def test_intervals_of_all_effects_have_one_critical_value_between_t_and_bonferroni() -> None:
    result = rb.run(small(), machine=MACHINE)
    criticals = []
    for one, effects in zip(result.over, result.effects, strict=True):
        risk = one.history.risk[-1].astype(float)
        assert [effect.arm for effect in effects] == one.study.compared
        for index, effect in enumerate(effects, 1):
            differences = risk[index] - risk[0]
            assert effect.mean_difference == pytest.approx(differences.mean())
            error = differences.std(ddof=1) / np.sqrt(8)
            assert effect.ci
            criticals.append((effect.ci[1] - effect.ci[0]) / 2 / error)
            signs = np.sign(effect.ci) if effect.ci[0] * effect.ci[1] > 0 else [0]
            assert effect.verdict == {0: "inconclusive", -1: "better", 1: "worse"}[signs[0]]
    np.testing.assert_allclose(criticals, criticals[0])
    assert stats.t.ppf(0.975, 7) < criticals[0] < 1.02 * stats.t.ppf(1 - 0.025 / 6, 7)


def test_change_is_the_t_interval_of_the_difference_of_differences() -> None:
    result = rb.run(small(arms=rb.Dropout(0.5)), machine=MACHINE)
    first, last = (one.history.risk[-1].astype(float) for one in (result.over[0], result.over[-1]))
    expected = stats.ttest_rel(last[1] - last[0], first[1] - first[0])
    (change,) = result.changes
    assert change.ci == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert change.p_value == pytest.approx(expected.pvalue)


def test_python_and_command_have_one_run(regbench: Command, tmp_path: Path) -> None:
    result = rb.run(small(key="noise", values=[0, 1]), machine=MACHINE, folder="python")
    config = tmp_path / "python" / "config.toml"
    assert 'over = "noise=0.0,1.0"' in config.read_text()
    for folder in ("python", "command"):
        if folder == "command":
            assert regbench("compare", f"--config={config}", "--out=command").code == 0
        loaded: Any = rb.load(folder)
        assert loaded.study.by_key() == result.study.by_key()
        assert loaded.effects == result.effects
    manifests = [json.loads(Path(f, "environment.json").read_text()) for f in ("python", "command")]
    assert manifests[0]["configuration"] == manifests[1]["configuration"]


def test_what_was_not_given_follows_the_value_from_python_too() -> None:
    studies = small().by_value
    assert {points: study.task.test_points for points, study in studies.items()} == {
        3: 3,
        6: 6,
        9: 9,
    }


@pytest.mark.parametrize(
    ("over", "codes"), [("slope=0,1", {0}), ("slope=0,900", {3, 4}), ("lr=0.01,1e6", {1})]
)
def test_gravest_value_decides_the_exit_code(regbench: Command, over: str, codes: set[int]) -> None:
    options = ["--points=4", "--json", "--require=not-worse", "--margin=100", "--p=0.9"]
    finished = regbench("dropout", *BATCHED, *options, f"--over={over}")
    outcomes = [part["document"]["gate"]["outcome"] for part in finished.document["over"]]
    assert outcomes[0] == "met"
    code = {"diverged": 1, "not met": 3, "inconclusive": 4, "met": 0}[outcomes[1]]
    assert finished.code == code
    assert code in codes


def test_one_engine_trains_all_values(regbench: Command) -> None:
    options = [o for o in [*TINY, *NO_FILES] if not o.startswith("--depth")]
    finished = regbench("dropout", *options, "--over=depth=1,0", "--out=run")
    assert "batched engine" in finished.out
    assert "fused cannot train dropout" in finished.out
    for part in numbers_of("run")["over"]:
        assert part["document"]["environment"]["engine"] == "batched"
    wider = regbench("dropout", *options, "--over=depth=1,2", "--out=fused")
    assert "fused engine" in wider.out


def test_memory_is_that_of_all_results_and_of_the_largest_batch() -> None:
    few, many = small(values=[3, 3000]).by_value.values()
    together = memory_estimate(few, many)
    assert max(map(memory_estimate, (few, many))) < together
    assert together < memory_estimate(few) + memory_estimate(many)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--over=pionts=3,4"], "--over: got 'pionts'; allowed: truth, points, test_points"),
        (["--over=lambda=0.1,0.2"], "--over: got 'lambda'; allowed: truth"),
        (["--over=points"], "--over points: got ''; allowed: a whole number"),
        (["--over="], "--over: got ''; allowed: KEY=V,V"),
        (["--over=points=3"], "--over: got 'points=3'; allowed: 2 to 30 different values"),
        (["--over=points=3,4,3"], "--over: got 'points=3,4,3'; allowed: 2 to 30 different"),
        (["--over=lr=1,1.0"], "--over: got 'lr=1.0,1.0'; allowed: 2 to 30 different"),
        (["--over=points=3,0"], "--over points: got '0'; allowed: a whole number from 1"),
        (["--over=points=0,3"], "--over points: got '0'; allowed: a whole number from 1"),
        (["--over=truth=sine,sin"], "--over truth: got 'sin'; allowed: linear, quadratic"),
        (["--over=x_min=0,1"], "--over x_min: got '1.0', which must be below --x-max (1.0)"),
        (["--over=lr=0.1,1000"], "--lambda: got '0.01', at lr=1000.0; allowed: numbers from 0"),
        (["--over=lr=linspace:1:2:31"], "allowed: 2 to 30 different values"),
        (["--over=points=3,4", "--points=3"], "--points: given together with --over points"),
        (["--over=points=3,4", "--over=lr=1,2"], "--over: given 2 times; give it once"),
        (["--over=points=3,4", "--confirm=9"], "--confirm: got '9', not together with --over"),
        (["--over=points=3,4", "--target-width=1"], "--target-width: got '1.0', not together"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    regbench: Command, options: list[str], named: str
) -> None:
    assert_one_line(regbench("wdecay", *options), 2, named)
    assert not Path("runs").exists()


def test_stronger_source_of_values_wins_over_a_weaker_one_of_the_setting(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file.toml").write_text("points = 7\n")
    options = [*OVER[:-1], "--config=file.toml", "--json"]
    document = regbench(*options, "--over=points=3,4").document
    assert [part["value"] for part in document["over"]] == [3, 4]
    monkeypatch.setenv("REGBENCH_OVER", "points=3,4")
    assert_one_line(regbench(*options), 2, "points: given together with REGBENCH_OVER points")
    Path("file.toml").write_text("seed = 7\n")
    assert regbench(*options).document["config"]["over"] == "points=3,4"


def test_range_of_a_whole_number_is_rounded(regbench: Command) -> None:
    document = regbench(*OVER[:-1], "--over=points=logspace:3:30:4", "--json").document
    assert document["config"]["over"] == "points=3,6,14,30"
