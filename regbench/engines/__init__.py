"""The engines by name, the choice among them, and what plug-ins must pass before they train one.

That is the short part of the conformance; `regbench verify --plugin` has all rows. Knows nothing
about where plug-ins come from.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from regbench.analysis.history import Batch
from regbench.engines.base import Engine, Listener
from regbench.engines.batched import train_batched
from regbench.engines.fused.engine import fused_misfit, train_fused
from regbench.engines.machine import isolated
from regbench.engines.reference import train_reference
from regbench.errors import UsageError, unexpected
from regbench.regularizers import BY_CLASS
from regbench.regularizers.plugins import check_hooks, place_of
from regbench.settings.study import Task

if TYPE_CHECKING:
    from regbench.regularizers import Regularizer
    from regbench.settings.groups import Machine
    from regbench.settings.study import Study

__all__ = ["ENGINES", "Engine", "Listener", "check_plugins", "choose_device"]
__all__ += ["choose_engine", "fused_misfit", "misfit"]

ENGINES: dict[str, Engine] = {
    "reference": train_reference,
    "batched": train_batched,
    "fused": train_fused,
}
PASSED = {*BY_CLASS.values()}
"""Classes that have passed in this process."""


def misfit(study: Study, machine: Machine) -> str | None:
    """Return what the engine that `--engine` asks for cannot train of a study, or None."""
    return fused_misfit(study) if machine.engine == "fused" else None


def choose_engine(study: Study, machine: Machine) -> str:
    """Return the name of the engine that `--engine` asks for or `auto` picks.

    On the CPU `auto` is `fused` where every arm fits it, and else `batched`. Raises `UsageError`
    where the engine cannot train the study.
    """
    if reason := misfit(study, machine):
        problem, hint = f"which cannot train {reason}", "choose --engine=batched or --engine=auto"
        raise UsageError("engine", machine.engine, problem=problem, hint=hint)
    if machine.engine != "auto":
        return machine.engine
    device = machine.device
    is_on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    return "fused" if is_on_cpu and not fused_misfit(study) else "batched"


def choose_device(machine: Machine, engine: str) -> torch.device:
    """Return the device that `--device` asks for or `auto` picks for an engine.

    Raises `UsageError` where it is not on this machine, or the engine cannot use it.
    """
    name, has_cuda = machine.device, torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if engine == "batched" and has_cuda else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if engine != "batched":
        problem = f"but the {engine} engine runs on the CPU"
        hint = "choose --engine=batched or --device=cpu"
        raise UsageError("device", name, problem=problem, hint=hint)
    if not has_cuda:
        problem = "but torch finds no CUDA device"
        raise UsageError(
            "device", name, problem=problem, hint="choose --device=cpu or --device=auto"
        )
    device, count = torch.device(name), torch.cuda.device_count()
    if (device.index or 0) >= count:
        raise UsageError("device", name, f"on this machine: cuda:0 to cuda:{count - 1}")
    return device


def check_plugins(study: Study) -> None:
    """Raise `UsageError` where a plug-in of a study breaks the contract of a regularizer."""
    for part in (part for arm in study.arms for part in arm.active):
        kind = type(part)
        if kind not in PASSED:
            source = f"plug-in {place_of(kind.origin)}" if kind.origin else kind.__name__
            check_hooks(kind, source)
            if problem := isolated(partial(failure_of, part, study), is_alone=True):
                hint = "correct it; regbench verify --plugin FILE has all rows"
                raise UsageError(source, part.name, problem=problem, hint=hint)
            PASSED.add(kind)


def failure_of(part: Regularizer, study: Study, _: object = None) -> str:
    """Return what fails in three epochs of tiny networks, or nothing."""
    network = study.network.replaced(hidden=4, depth=min(study.network.depth, 2))
    training = study.training.replaced(epochs=3, log_every=1)
    tiny = {"network": network, "training": training, "replicates": 2, "dtype": "float64"}
    tiny |= {"task": Task(points=5, test_points=5), "pairing": "independent"}
    more, cpu = study.replaced(arms=[part, part + BY_CLASS["L1"](0.1)], **tiny), torch.device("cpu")
    batch = Batch(more.replaced(arms=[part]), range(2))
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        try:
            one = train_batched(batch, cpu, 1, Listener())
            again = train_batched(Batch(more, range(2)), cpu, 1, Listener()).part(A=slice(2))
            other = train_reference(batch, cpu, 1, Listener())
        except Exception as error:  # of `Hooks`, or whatever a hook raises
            return f"whose hooks fail: {unexpected(error)}"
        if not torch.equal(before, torch.get_rng_state()):
            return "which draws torch's random numbers: step.noise has its own"
    if any(again.arrays[name].tobytes() != array.tobytes() for name, array in one.arrays.items()):
        return "whose row 'arms' fails: beside another arm it has other numbers"
    if not np.allclose(other.predictions, one.predictions, 1e-8, 1e-10, equal_nan=True):
        return "whose row 'engines' fails: replicates together differ from each alone"
    return ""
