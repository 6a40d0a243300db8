"""Where a result was made: versions, machine, device, time. Ready for JSON."""

from __future__ import annotations

import datetime
import os
import platform
import time
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch


@dataclass(frozen=True)
class Clock:
    """A started stopwatch."""

    started: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    tick: float = field(default_factory=time.perf_counter)


def describe_environment(clock: Clock, device: torch.device, **more: str | int) -> dict[str, Any]:
    """Return what a reader needs to judge or repeat a result; times are in seconds."""
    is_cuda = device.type == "cuda"
    return {
        **more,
        "device": str(device),
        "device_name": torch.cuda.get_device_name(device) if is_cuda else platform.machine(),
        "cpu_count": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "started": clock.started.isoformat(timespec="seconds"),
        "duration_seconds": round(time.perf_counter() - clock.tick, 3),
    }
