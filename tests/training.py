"""Short ways to say what a test trains. Knows nothing about what a test expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from regbench.analysis.history import AXES, Batch, History
from regbench.analysis.result import Result
from regbench.engines import Listener
from regbench.executors import train_batch
from regbench.experiments import COMMANDS
from regbench.limits import available_cores
from regbench.regularizers.base import ParameterInfo, Step
from regbench.settings.groups import Environment
from regbench.settings.parse import build_request
from regbench.settings.study import Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.analysis.history import Array
    from regbench.settings.command import Request
    from regbench.settings.study import Study

SMALL = {"points": 6, "hidden": 12, "depth": 2, "epochs": 30, "log_every": 10, "replicates": 3}
"""A network and a run that take milliseconds."""
CPU = torch.device("cpu")
AMPLIFIED = {"measures/rms_slope": 1e2}
"""By how much a measure's array amplifies the rounding of predictions, where it does."""
ENVIRONMENT = Environment(
    device="cpu",
    device_name="x86_64",
    cpu_count=2,
    platform="Linux",
    python="3.11",
    torch="2.13",
    numpy="2.4",
    started="2026-01-01T00:00:00+00:00",
    engine="batched",
    threads=2,
    batch_replicates=64,
)


def make_request(
    command: str = "wdecay", strengths: tuple[float, ...] = (0.01,), **values: Any
) -> Request:
    """Return a small request with some settings changed, by key; `compare` takes `arms`."""
    taken = COMMANDS[command]
    asked = {taken.regularizer.option: strengths} if taken.regularizer else {}
    assert values.keys() <= taken.settings.keys()
    return build_request(taken, SMALL | asked | values, {})


def make_study(
    command: str = "wdecay", strengths: tuple[float, ...] = (0.01,), **values: Any
) -> Study:
    """Return the study of a small request with some settings changed, by key."""
    study: Study = make_request(command, strengths, **values).study
    return study


def make_step(noise: Any = None, is_bias: bool = False, epoch: int = 1, **training: Any) -> Step:
    """Return what a hook is told, with some settings of the training."""
    info = ParameterInfo("hidden1.bias" if is_bias else "hidden1.weight", 0, is_bias)
    at = torch.tensor(float(epoch)), torch.tensor(0.0)
    return Step(*at, Training(**training), noise, info)


def make_batch(study: Study, arm_indices: tuple[int, ...] | None = None) -> Batch:
    """Return all replicates of a study, and all arms or some."""
    return Batch(study, study.seeds, arm_indices=arm_indices)


def train(study: Study | Batch, engine: str, threads: int | None = None) -> History:
    """Train all replicates of a study as one batch, or a batch, on the CPU."""
    batch = study if isinstance(study, Batch) else make_batch(study)
    return train_batch(batch, engine, "cpu", threads or available_cores(), Listener())


def by_arm(history: History) -> dict[str, Array]:
    """Return the arrays of a history that have an axis of arms, as the second one, by name."""
    axes = {name: AXES[name.partition("/")[0]] for name in history.arrays}
    known = {name: array for name, array in history.arrays.items() if "A" in axes[name]}
    return {name: array[None] if axes[name] == "A" else array for name, array in known.items()}


def by_replicate(history: History) -> dict[str, Array]:
    """Return what is measured of each replicate, `(epochs, A, R, ...)`, by name."""
    return {n: array for n, array in by_arm(history).items() if "R" in AXES[n.partition("/")[0]]}


def join(histories: Sequence[History], letter: str) -> History:
    """Return one history of several along their axis of replicates, `R`, or of arms, `A`."""
    joined: dict[str, Array] = {}
    for name, first in histories[0].arrays.items():
        axis = AXES[name.partition("/")[0]].find(letter)
        arrays = [history.arrays[name] for history in histories if name in history.arrays]
        is_sum = name.startswith("weight_counts/") and letter == "R"
        joined[name] = np.concatenate(arrays, axis) if axis >= 0 else first
        joined[name] = np.sum(arrays, axis=0) if is_sum else joined[name]
    return History(joined)


def final_weights(study: Study) -> dict[str, Array]:
    """Return by layer `(A, n)` weights of all replicates after training, each trained alone."""
    alone = [
        train(study.replaced(seed=seed, replicates=1), "reference").named("parameters")
        for seed in study.seeds
    ]
    return {
        layer: np.concatenate(
            [found[f"{layer}.weight"].reshape(len(study.arms), -1) for found in alone], axis=1
        )
        for layer in study.network.layer_names
    }


def assert_close(
    actual: History, expected: History, tolerance: float, arms: slice = slice(None)
) -> None:
    """Compare all that two histories say of arms, which must not have diverged."""
    assert actual.arrays.keys() == expected.arrays.keys()
    assert np.isfinite(expected.weight_norm[:, arms]).all()
    for name, values in by_arm(expected).items():
        assert_array_close(by_arm(actual)[name][:, arms], values[:, arms], tolerance, name)


def assert_array_close(actual: Array, expected: Array, tolerance: float, name: str) -> None:
    """Compare arrays of one name; the tolerance is of each value, or of the largest if above 1."""
    assert actual.dtype == expected.dtype, name
    if name.startswith("weight_counts"):  # a few weights lie at the edges of bins
        assert np.abs(actual - expected).sum() <= 4 + 1e-3 * expected.sum(), name
        return
    near = tolerance * AMPLIFIED.get(name, 1)
    largest = max(1.0, float(np.abs(np.nan_to_num(expected)).max()))
    np.testing.assert_allclose(actual, expected, rtol=near, atol=near * largest, err_msg=name)


def make_result(
    command: str = "wdecay", strengths: tuple[float, ...] = (0.01,), **values: Any
) -> Result:
    """Return the result of a small request, trained by `batched`."""
    request = make_request(command, strengths, **values)
    history = train(request.study, "batched")
    return Result(request.study, request.question, ENVIRONMENT, history)
