"""A whole run: its blocks, its files, and that its own configuration repeats it."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from commands import NO_FILES, TINY
from training import make_request, make_result, make_study, train

from regbench.engines import ENGINES
from regbench.errors import UsageError
from regbench.executors import is_out_of_memory
from regbench.experiments import Observer
from regbench.experiments.feasibility import memory_estimate
from regbench.experiments.training import complete
from regbench.program import plan
from regbench.tasks.synthetic import GRID_POINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from commands import Command

ROOT = Path(__file__).parents[2]


class Counter(Observer):
    """Adds up what it hears of each stage."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.total: dict[str, int] = {}

    @contextmanager
    def stage(
        self, what: str, total: int, labels: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[Callable[[int], None]]:
        """Follow a stage of the work."""
        self.done[what], self.total[what] = 0, total

        def advance(amount: int) -> None:
            self.done[what] += amount

        yield advance


@pytest.mark.parametrize("engine", ["reference", "batched"])
def test_batches_are_the_replicates_in_turn(engine: str) -> None:
    values: dict[str, Any] = {"epochs": 5, "hidden": 3, "depth": 1}
    request = make_request(replicates=150, engine=engine, seed=6, **values)
    counter = Counter()
    result = complete(plan(request, request.machine), observer=counter).result
    assert result
    history = result.history
    assert counter.done == counter.total == {"training": 150 * 2 * 5}
    assert history.epochs.tolist() == [0, 1, 2, 3, 4, 5]
    assert history.test_loss.shape == (6, 2, 150)
    assert history.predictions.shape == (len(history.kept_epochs), 2, 150, GRID_POINTS)
    assert history.train_y.shape == (150, 6)
    # The last replicate is in another batch than the first.
    alone = train(make_study(replicates=1, seed=155, **values), engine)
    np.testing.assert_allclose(history.test_loss[:, :, -1], alone.test_loss[:, :, 0], rtol=1e-5)
    np.testing.assert_array_equal(history.train_y[-1], alone.train_y[0])
    # Parameters are those of the run's first replicate, not of each batch's.
    first = train(make_study(replicates=1, seed=6, **values), engine)
    assert len(first.named("parameters")) == 4
    for name, parameter in first.named("parameters").items():
        np.testing.assert_allclose(
            history.named("parameters")[name], parameter, rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize("engine", ["reference", "batched", "fused"])
def test_estimate_counts_the_confirmation(engine: str) -> None:
    asked: dict[str, Any] = {
        "strengths": (0.1, 0.2, 0.3), "replicates": 4, "engine": engine, "threads": 2,
    }  # fmt: skip
    requests = [make_request(**asked, confirm=confirm) for confirm in (None, 8)]
    alone, confirmed = (plan(request, request.machine).seconds for request in requests)
    assert confirmed == pytest.approx(2 * alone)  # 2 arms of 8 after 4 of 4


def test_estimates_count_what_is_logged() -> None:
    # This took 284 seconds and 2.3 GB, of which 0.3 GB libraries, with two threads.
    request = make_request(
        strengths=(0.01,), replicates=1000, epochs=1000, log_every=1, points=1, hidden=1, depth=1,
        engine="fused", threads=2,
    )  # fmt: skip
    assert 284 / 3 < plan(request, request.machine).seconds < 284 * 3
    assert 1.4e9 < memory_estimate(request.study) < 4e9


@pytest.mark.parametrize("experiment", ["wdecay", "dropout", "compare", "dropout-scale"])
def test_configuration_of_a_run_repeats_it(
    regbench: Command, tmp_path: Path, experiment: str
) -> None:
    given = (
        ["--units=20", "--trials=30", "--p=0.1,0.3", "--seed=5"]
        if experiment == "dropout-scale"
        else [*TINY, "--seed=5", "--pairing=independent", "--noise=0.25"]
    )
    if experiment == "compare":
        given += ["l1=0.1+dropout=0.2,0.5", "wdecay=0.1"]
    first = regbench(experiment, "--json", *given, *NO_FILES).document
    config = str(tmp_path / first["run_dir"] / "config.toml")
    second = regbench(experiment, "--json", "--config", config).document
    assert first["run_dir"] != second["run_dir"]
    for document in (first, second):
        del document["run_dir"], document["environment"]
        for shown in ("json", "out", "quiet"):
            document["config"].pop(shown, None)
    assert first == second


def test_run_leaves_the_documented_files(regbench: Command, tmp_path: Path) -> None:
    finished = regbench("wdecay", *TINY, "--lambda=0.1,0.2", "--out=run")
    assert finished.code == 0
    folder = tmp_path / "run"
    assert sorted(path.name for path in folder.iterdir()) == [
        "DONE", "blocks", "config.toml", "environment.json", "figures", "history.csv",
        "report.html", "summary.json", "tensorboard",
    ]  # fmt: skip
    assert sorted(path.name for path in (folder / "figures").iterdir()) == [
        f"{name}.png" for name in ("claims", "course", "fan", "pairs", "weights")
    ]  # fmt: skip
    assert {path.name for path in (folder / "tensorboard").iterdir()} == {
        "answer", "baseline", "wdecay=0.1", "wdecay=0.2",
    }  # fmt: skip
    assert "Look at: run/report.html\n" in finished.out
    assert "tensorboard --logdir run/tensorboard" in finished.out
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("option", "left_out"),
    [
        ("--no-plots", "figures"),
        ("--no-tensorboard", "tensorboard"),
        ("--no-report", "report.html"),
    ],
)
def test_views_can_be_left_out(
    regbench: Command, tmp_path: Path, option: str, left_out: str
) -> None:
    regbench("wdecay", *TINY, "--out=run", option)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "DONE", "blocks", "config.toml", "environment.json", "history.csv", "summary.json",
        *({"figures", "tensorboard", "report.html"} - {left_out}),
    }  # fmt: skip


def test_small_configuration_runs(regbench: Command) -> None:
    config = str(ROOT / "configs" / "small.toml")
    document = regbench("wdecay", "--json", "--config", config, *NO_FILES).document
    assert len(document["comparisons"]) == 3


def test_same_seed_gives_the_same_document_and_another_does_not(regbench: Command) -> None:
    histories = [
        regbench("dropout", "--json", *TINY, *NO_FILES, f"--seed={seed}").document["history"]
        for seed in (1, 1, 2)
    ]
    assert histories[0] == histories[1] != histories[2]


def test_replicate_of_a_run_is_replayed_by_its_seed(regbench: Command) -> None:
    # TINY has two replicates: the second of seed 8 is the first of seed 9.
    first = regbench("dropout", "--json", *TINY, *NO_FILES, "--seed=8").document["history"]
    second = regbench("dropout", "--json", *TINY, *NO_FILES, "--seed=9").document["history"]
    for arm, losses in first.items():
        for name, values in losses.items():
            assert [row[1] for row in values] == pytest.approx(
                [row[0] for row in second[arm][name]], rel=1e-5
            )


def test_other_error_that_speaks_of_memory_is_not_out_of_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setitem(ENGINES, "batched", fail)
    request = make_request(engine="batched", device="cpu")
    planned = plan(request, request.machine)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        complete(planned)


def test_torch_says_that_memory_is_out_as_is_known() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(2**60)
    assert is_out_of_memory(failed.value)


@pytest.mark.parametrize("vary", ["both", "init"])
@pytest.mark.parametrize("engine", ENGINES)
def test_a_network_of_a_run_is_trained_again_to_the_bit(engine: str, vary: str) -> None:
    last = 26 if engine == "batched" else 9  # which is in another chunk there
    request = make_request(
        "compare", arms=("wdecay=0.001+dropout=0.3",), engine=engine, replicates=last - 6,
        hidden=33, points=33, features="polynomial:2", seed=7, vary=vary, epochs=200, device="cpu",
    )  # fmt: skip
    result = complete(plan(request, request.machine)).result
    history, name = result.history, result.study.arm_names[1]
    x = torch.from_numpy(np.stack([history.grid_x, history.grid_x**2], axis=1))
    for index, arm in enumerate(result.study.arm_names):
        for seed in (7, 8, last):
            network = result.network(seed, arm)
            fit = network(x)[:, 0].detach().numpy()
            np.testing.assert_allclose(fit, history.predictions[-1, index, seed - 7], atol=1e-6)
            for layer, module in zip(("hidden1", "hidden2", "output"), network[::2], strict=True):
                square = np.square(module.weight.detach().numpy(), dtype=float).mean()
                rms = history.arrays[f"measures/rms_{layer}"][-1, index, seed - 7]
                assert np.float32(np.sqrt(square)) == rms
    first = [p.detach().numpy() for p in result.network().parameters()]
    assert (result.best_arm.name, network.training) == (name, False)
    for values, kept in zip(first, history.named("parameters").values(), strict=True):
        np.testing.assert_array_equal(values, kept[1])


def test_a_network_that_the_run_does_not_have_is_refused() -> None:
    result = make_result(replicates=2)
    for asked, said in (
        ({"seed": 3}, "seed: got '3'; allowed: 1 to 2"),
        ({"arm": "l1=1"}, "arm: got 'l1=1'; allowed: baseline, wdecay=0.01"),
    ):
        with pytest.raises(UsageError) as raised:
            result.network(**asked)
        assert str(raised.value) == said
