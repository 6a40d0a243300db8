"""The engines by name, and the choice among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from regbench.engines.base import Engine, Listener
from regbench.engines.batched import train_batched
from regbench.engines.fused.engine import fused_misfit, train_fused
from regbench.engines.reference import train_reference
from regbench.errors import UsageError

if TYPE_CHECKING:
    from regbench.settings.groups import Machine
    from regbench.settings.study import Study

__all__ = ["ENGINES", "Engine", "Listener", "choose_device", "choose_engine"]
__all__ += ["fused_misfit", "misfit"]

ENGINES: dict[str, Engine] = {
    "reference": train_reference,
    "batched": train_batched,
    "fused": train_fused,
}


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
