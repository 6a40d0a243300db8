"""The engines by name, and the choice among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from regbench.engines.base import Block, Engine
from regbench.engines.batched import train_batched
from regbench.engines.fused.engine import train_fused
from regbench.engines.reference import train_reference
from regbench.errors import UsageError

if TYPE_CHECKING:
    from regbench.settings.study import TrainingExperiment

__all__ = ["ENGINES", "Block", "Engine", "choose_device", "choose_engine"]

ENGINES: dict[str, Engine] = {
    "reference": train_reference,
    "batched": train_batched,
    "fused": train_fused,
}


def choose_engine(settings: TrainingExperiment) -> str:
    """Return the name of the engine that `--engine` asks for or `auto` picks.

    On a GPU that is `batched`; on the CPU `fused` where every arm fits it.

    Raises:
        UsageError: `--engine fused` with what does not fit it.
    """
    misfit = fused_misfit(settings)
    if settings.engine == "fused" and misfit:
        raise UsageError(
            f"--engine: got 'fused', which cannot train {misfit}; choose --engine batched or auto"
        )
    if settings.engine != "auto":
        return settings.engine
    is_on_cpu = settings.device == "cpu" or (
        settings.device == "auto" and not torch.cuda.is_available()
    )
    return "fused" if is_on_cpu and not misfit else "batched"


def fused_misfit(settings: TrainingExperiment) -> str | None:
    """Return what the fused engine cannot train of these settings, or None."""
    if settings.optimizer != "sgd":
        return f"with --optimizer {settings.optimizer}"
    for arm in settings.arms:
        if arm.fused_coefficients is None:
            return arm.name
        if settings.depth == 0 and arm.acts_on_hidden:
            return f"{arm.name} with --depth 0"
    return None


def choose_device(settings: TrainingExperiment) -> torch.device:
    """Return the device that `--device` asks for or `auto` picks.

    Raises:
        UsageError: The device is not on this machine, or the engine cannot use it.
    """
    name, engine = settings.device, choose_engine(settings)
    if name == "auto":
        name = "cuda" if engine == "batched" and torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    if engine != "batched":
        raise UsageError(
            f"--device: got '{name}', but the {engine} engine runs on the CPU; "
            f"choose --engine batched or --device cpu"
        )
    if not torch.cuda.is_available():
        raise UsageError(f"--device: got '{name}', but torch finds no CUDA device; use cpu or auto")
    device = torch.device(name)
    if (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"--device: got '{name}'; allowed on this machine: cuda:0 to "
            f"cuda:{torch.cuda.device_count() - 1}"
        )
    return device
