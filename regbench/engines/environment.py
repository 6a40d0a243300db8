"""Where a result is made: versions, machine, device, time."""

from __future__ import annotations

import datetime
import os
import platform
import re
from importlib import metadata
from typing import Any

import numpy
import torch

from regbench import __version__
from regbench.settings.groups import Environment

ROUNDING = re.compile(
    "MKL_(CBWR|DEBUG_CPU_TYPE|ENABLE_INSTRUCTIONS)|(ONEDNN|DNNL)_(MAX_CPU_ISA|DEFAULT_FPMATH_MODE)"
    "|NUMBA_(CPU_.*|OPT|.*_VECTORIZE|ENABLE_AVX|DISABLE_INTEL_SVML)|GLIBC_TUNABLES|.*_CORETYPE"
    "|NPY_.*_CPU_FEATURES|CUBLAS.*_WORKSPACE_.*|NVIDIA_TF32_OVERRIDE|TORCH_(ALLOW_TF32|BLAS_PREF).*"
)
"""Environment variables that change how the same libraries round on the same processor."""


def describe_environment(device: torch.device, **more: Any) -> Environment:
    """Return where a result is made that begins now; `more` are fields for engines."""
    is_cuda = device.type == "cuda"
    return Environment(
        device=str(device),
        device_name=torch.cuda.get_device_name(device) if is_cuda else platform.machine(),
        cpu_count=os.cpu_count(),
        platform=platform.platform(),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=numpy.__version__,
        started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **more,
    )


def describe_provenance(engine: str, device: torch.device) -> dict[str, str]:
    """Return what numbers depend on besides the settings: two runs where it is equal may share."""
    is_cuda = device.type == "cuda"
    cpu = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"  # orders the sums
    found = {
        "engine": engine,
        "device": device.type,
        "processor": torch.cuda.get_device_name(device) if is_cuda else cpu,
        "regbench": __version__,
        "torch": torch.__version__,
        "numpy": numpy.__version__,
    }
    if is_cuda:
        found["cuda"] = str(torch.version.cuda)  # its libraries come with torch
    found |= {name: value for name, value in os.environ.items() if ROUNDING.fullmatch(name)}
    return found | ({"numba": metadata.version("numba")} if engine == "fused" else {})
