"""Short ways to say what a test trains. Knows nothing about what a test expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from regbench.analysis.batch import Batch
from regbench.analysis.history import AXES
from regbench.analysis.result import Result
from regbench.engines import ENGINES, Listener
from regbench.experiments import COMMANDS
from regbench.settings.machine import Environment, available_cores
from regbench.settings.parse import build_request

if TYPE_CHECKING:
    from regbench.analysis.history import Array, History
    from regbench.settings.command import Request
    from regbench.settings.study import Study

SMALL = {"points": 6, "hidden": 12, "depth": 2, "epochs": 30, "log_every": 10, "replicates": 3}
"""A network and a run that take milliseconds."""
CPU = torch.device("cpu")
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


def make_batch(study: Study, arm_indices: tuple[int, ...] | None = None) -> Batch:
    """Return all replicates of a study, and all arms or some."""
    return Batch(study, study.seeds, arm_indices=arm_indices)


def train(study: Study | Batch, engine: str, threads: int | None = None) -> History:
    """Train all replicates of a study as one batch, or a batch, on the CPU."""
    batch = study if isinstance(study, Batch) else make_batch(study)
    return ENGINES[engine](batch, CPU, threads or available_cores(), Listener())


def by_arm(history: History) -> dict[str, Array]:
    """Return the arrays of a history that have an axis of arms, the second one, by name."""
    return {n: array for n, array in history.arrays.items() if "A" in AXES[n.partition("/")[0]]}


def make_result(
    command: str = "wdecay", strengths: tuple[float, ...] = (0.01,), **values: Any
) -> Result:
    """Return the result of a small request, trained by `batched`."""
    request = make_request(command, strengths, **values)
    history = train(request.study, "batched")
    return Result(request.study, request.question, ENVIRONMENT, history)
