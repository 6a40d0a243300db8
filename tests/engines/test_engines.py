"""`reference` and `batched`: against each other, NumPy, and themselves in other batches."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from oracles import Steps, Strengths, forward, train_by_numpy
from training import CPU, assert_close, by_arm, make_batch, make_request, make_study, train

from regbench.engines import ENGINES, Listener, batched, choose_device, choose_engine
from regbench.engines.base import draw_start
from regbench.engines.batched import train_stacks
from regbench.engines.machine import in_threads
from regbench.errors import UsageError
from regbench.tasks.synthetic import GRID_POINTS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from regbench.analysis.history import Array, Batch, History
    from regbench.regularizers import Arm
    from regbench.settings.command import Request

TORCH_ENGINES = ("reference", "batched")


def float64(values: Array) -> NDArray[np.float64]:
    return values.astype(np.float64)


def final_parameters(history: History, arm_index: int) -> list[NDArray[np.float64]]:
    return [float64(values[arm_index]) for values in history.named("parameters").values()]


# Strong weight decay damps rounding instead of amplifying it, so that only a real difference shows.
@pytest.mark.parametrize("pairing", ["shared", "independent"])
def test_engines_agree_in_float64_through_500_epochs(pairing: str) -> None:
    study = make_study(
        strengths=(0.1,), dtype="float64", epochs=500, log_every=250, hidden=50, depth=3,
        points=10, replicates=2, pairing=pairing,
    )  # fmt: skip
    reference, batched = train(study, "reference"), train(study, "batched")
    assert_close(batched, reference, 1e-10, slice(1, 2))


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_engines_agree_in_float32_through_100_epochs(depth: int) -> None:
    study = make_study(
        strengths=(0.001, 0.1), epochs=100, log_every=50, hidden=40, depth=depth, test_points=4
    )
    assert_close(train(study, "batched"), train(study, "reference"), 1e-5)


def test_engines_draw_the_same_dropout_masks_with_shared_pairing() -> None:
    study = make_study("dropout", (0.1, 0.5, 0.9), dtype="float64", epochs=60, log_every=1, depth=3)
    assert_close(train(study, "batched"), train(study, "reference"), 1e-10)


@pytest.mark.parametrize("engine", TORCH_ENGINES)
@pytest.mark.parametrize(("command", "strength"), [("wdecay", 0.3), ("dropout", 0.4)])
def test_update_rule_is_the_numpy_one(engine: str, command: str, strength: float) -> None:
    study = make_study(
        command, (strength,), dtype="float64", hidden=5, depth=2, points=4, replicates=1,
        epochs=8, log_every=1, seed=11, lr=0.07, momentum=0.6,
    )  # fmt: skip
    history = train(study, engine)
    assert history.epochs.tolist() == history.kept_epochs.tolist() == list(range(9))
    start = draw_start(study, study.seed)
    x = history.train_x.astype(np.float64)[:, None]
    y = history.train_y[0].astype(np.float64)[:, None]
    for arm_index, strengths in enumerate((Strengths(), Strengths(**{command: strength}))):
        parameters = [values.double().numpy() for values in start.parameters[arm_index]]
        course = train_by_numpy(parameters, x, y, 11, Steps("sgd", 0.07, 0.6), strengths)
        losses, expected = zip(*itertools.islice(course, 8), strict=True)
        np.testing.assert_allclose(history.train_loss[1:, arm_index, 0], losses, rtol=1e-12)
        for actual, values in zip(final_parameters(history, arm_index), expected[-1], strict=True):
            np.testing.assert_allclose(actual, values, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("engine", TORCH_ENGINES)
@pytest.mark.parametrize("epochs", [1, 4, 5])
def test_measurements_are_those_of_the_stored_parameters(engine: str, epochs: int) -> None:
    values: dict[str, Any] = {"dtype": "float64", "epochs": epochs, "log_every": 2}
    history = train(make_study("dropout", (0.5,), test_points=4, **values), engine)
    for arm_index in range(2):
        parameters = final_parameters(history, arm_index)
        fit = forward(parameters, float64(history.grid_x)[:, None])[-1][:, 0]
        train_fit = forward(parameters, float64(history.train_x)[:, None])[-1][:, 0]
        test_fit = forward(parameters, float64(history.test_x)[:, None])[-1][:, 0]
        norm = np.sqrt(sum(np.square(values).sum() for values in parameters[::2]))
        for actual, expected in (
            (history.predictions, fit),
            (history.train_loss_eval, np.square(train_fit - history.train_y[0]).mean()),
            (history.test_loss, np.square(test_fit - history.test_y[0]).mean()),
            (history.weight_norm, norm),
        ):
            np.testing.assert_allclose(actual[-1, arm_index, 0], expected, rtol=1e-12, atol=1e-14)


# The chunks of the batched engine are fixed, so that the machine's cores decide nothing: in odd
# shapes the bits depend on a replicate's place in its chunk, though not by every distance.
def test_threads_change_neither_chunks_nor_bytes_of_the_batched_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained: list[range] = []

    def record(batch: Batch, *others: Any) -> list[History]:
        trained.append(batch.seeds)
        return train_stacks(batch, *others)

    monkeypatch.setattr(batched, "train_stacks", record)
    histories, chunks = [], []
    for threads in (1, 2, 3):
        study = make_study("dropout", (0.5,), replicates=40, points=33, hidden=33)
        histories.append(train(study, "batched", threads))
        chunks.append(sorted(trained, key=lambda seeds: seeds.start))
        trained.clear()
    assert chunks[0] == chunks[1] == chunks[2]
    one, *others = histories
    for other in others:
        assert one.arrays.keys() == other.arrays.keys()
        for name, values in one.arrays.items():
            assert values.tobytes() == other.arrays[name].tobytes(), name


@pytest.mark.parametrize("engine", TORCH_ENGINES)
def test_history_has_the_documented_shapes_and_dtype(engine: str) -> None:
    study = make_study(replicates=2, test_points=5, dtype="float64")
    history = train(study, engine)
    assert history.epochs.tolist() == [0, 1, 2, 3, 4, 6, 7, 10, 20, 30]
    assert history.kept_epochs.tolist() == [0, 1, 2, 3, 4, 6, 7, 10, 20, 30]
    assert {"train_loss", "test_loss"} <= history.named("measures").keys()
    assert {values.shape for values in history.named("measures").values()} == {(10, 2, 2)}
    assert history.predictions.shape == (10, 2, 2, GRID_POINTS)
    parameters, counts = history.named("parameters"), history.named("weight_counts")
    assert list(parameters) == study.network.parameter_names
    assert parameters["hidden1.weight"].shape == (2, 12, 1)
    assert list(counts) == study.network.layer_names
    assert {(v.shape, v.dtype.name) for v in counts.values()} == {((10, 2, 256), "int64")}
    floats = by_arm(history).keys() - {f"weight_counts/{layer}" for layer in counts}
    assert {history.arrays[name].dtype for name in floats} == {np.dtype("float64")}


def test_predictions_are_kept_of_every_replicate() -> None:
    study = make_study(replicates=101, epochs=1, hidden=2, depth=1)
    history = train(study, "batched")
    assert history.predictions.shape[2] == history.test_loss.shape[2] == 101


# The weights are drawn in float32 whatever the type to train in, so that it is one experiment.
@pytest.mark.parametrize("engine", TORCH_ENGINES)
def test_float64_starts_from_the_float32_draws(engine: str) -> None:
    single = train(make_study(epochs=1, log_every=1), engine)
    double = train(make_study(epochs=1, log_every=1, dtype="float64"), engine)
    np.testing.assert_array_equal(single.train_y, double.train_y.astype(np.float32))
    np.testing.assert_allclose(single.train_loss, double.train_loss, rtol=1e-6)
    assert np.abs(single.train_loss - double.train_loss).max() > 0


@pytest.mark.parametrize("engine", TORCH_ENGINES)
def test_advance_counts_every_epoch_of_every_network(engine: str) -> None:
    study = make_study(replicates=17, epochs=53)
    done: list[int] = []
    ENGINES[engine](make_batch(study), CPU, 2, Listener(advance=done.append))
    assert sum(done) == 17 * 2 * 53
    assert len(done) > 2


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_every_network_is_told_of_once_with_what_it_came_to(engine: str) -> None:
    told: dict[str, list[tuple[int, float]]] = {}

    def finish(arms: Sequence[Arm], seeds: Sequence[int], history: History) -> None:
        for index, arm in enumerate(arms):
            found = zip(seeds, history.risk[-1, index].tolist(), strict=True)
            told.setdefault(arm.name, []).extend(found)

    study = make_study("l1", (0.01, 0.1), replicates=20, epochs=4)
    history = ENGINES[engine](make_batch(study), CPU, 2, Listener(finish=finish))
    for arm_index, name in enumerate(study.arm_names):
        expected = zip(study.seeds, history.risk[-1, arm_index].tolist(), strict=True)
        assert sorted(told[name]) == [*expected]


@pytest.mark.parametrize("engine", TORCH_ENGINES)
def test_training_leaves_torchs_global_random_numbers_alone(engine: str) -> None:
    state = torch.get_rng_state()
    train(make_study("dropout", (0.5,), pairing="independent"), engine)
    assert torch.equal(torch.get_rng_state(), state)


def test_denormal_numbers_are_0_in_threads_and_stay_in_the_main_one() -> None:
    denormals = torch.full((4,), 1e-310, dtype=torch.float64)

    def halve(_: int, advance: Callable[[int], None]) -> float:
        return (denormals * 0.5).max().item()

    assert in_threads(halve, [1, 2], 2, lambda _: None) == [0, 0]
    assert halve(1, lambda _: None) > 0


def test_an_error_in_one_thread_stops_the_others() -> None:
    study = make_study(replicates=40, epochs=100_000, log_every=100_000)

    def fail(epochs: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ENGINES["batched"](make_batch(study), CPU, 2, Listener(advance=fail))


def chosen_device(request: Request) -> torch.device:
    """Return the device for the engine that is chosen."""
    return choose_device(request.machine, choose_engine(request.study, request.machine))


def test_reference_engine_stays_on_the_cpu() -> None:
    request = make_request(engine="reference")
    assert choose_engine(request.study, request.machine) == "reference"
    assert chosen_device(request).type == "cpu"
    with pytest.raises(UsageError, match=r"^device: .*reference"):
        chosen_device(make_request(engine="reference", device="cuda"))


def test_a_missing_cuda_device_is_never_replaced_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device(make_request()).type == "cpu"
    with pytest.raises(UsageError, match=r"^device: got 'cuda:0'.*no CUDA"):
        chosen_device(make_request(device="cuda:0"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert chosen_device(make_request()).type == "cuda"
    with pytest.raises(UsageError, match=r"^device: got 'cuda:99'.*cuda:0 to cuda:1"):
        chosen_device(make_request(device="cuda:99"))


def test_history_cannot_be_changed_by_assignment() -> None:
    history = train(make_study(epochs=1), "batched")
    with pytest.raises(dataclasses.FrozenInstanceError):
        history.epochs = history.epochs  # type: ignore[attr-defined]
