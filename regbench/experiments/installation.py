"""What a report of a fault needs to say: versions, machine, devices, engines, cache folder."""

from __future__ import annotations

import platform
from importlib import metadata

from regbench import __version__
from regbench.limits import available_cores, memory_limits
from regbench.regularizers.penalties import WeightDecay
from regbench.settings.study import Study

COMPUTING = ("torch", "numpy", "scipy", "numba", "llvmlite", "matplotlib", "tensorboard")
"""Libraries whose versions affect numbers, pictures and logs."""


def describe_installation() -> dict[str, str]:
    """Return the facts by name, as texts, regbench's version first."""
    import torch

    from regbench.engines import ENGINES, fused_misfit

    problem = fused_misfit(Study(arms=(WeightDecay(0.01),)))
    usable = [name for name in ENGINES if not (problem and name == "fused")]
    folder: object = "none: what is compiled is kept in memory"
    if not problem:
        from regbench.engines.fused.compilation import cache_folder

        folder = cache_folder() or folder
    has_cuda = torch.cuda.is_available()
    least = min(memory_limits())
    return {
        "regbench": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}, "
        f"{available_cores()} cores to use",
        "memory": f"{least.words} {least.size / 1e9:.1f} GB",
        "cuda": torch.cuda.get_device_name() if has_cuda else "none",
        "engines": ", ".join(usable) + (f"; not fused {problem}" if problem else ""),
        "compiled kernels": str(folder),
        **{name: version_of(name) for name in COMPUTING},
    }


def version_of(name: str) -> str:
    """Return the version of a distribution that is installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
