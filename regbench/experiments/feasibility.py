"""What a study takes, operations, memory and time, and what this machine has.

Estimates are rough: they refuse the absurd, say how long to wait, and cut batches. What a report of
a fault needs to say is exact: versions, machine, devices, engines, cache folder.
"""

from __future__ import annotations

import math
import platform
from importlib import metadata
from typing import TYPE_CHECKING

from regbench import __version__
from regbench.analysis.history import WEIGHT_BINS
from regbench.errors import UsageError
from regbench.limits import available_cores, memory_limits
from regbench.regularizers.penalties import WeightDecay
from regbench.settings.study import MOST_KEPT, Study
from regbench.tasks import task_of

if TYPE_CHECKING:
    import torch

    from regbench.settings.groups import Question

BATCH_REPLICATES = 64
"""Most replicates in a CPU's batch: enough to fill its cores, few enough to stay small."""
BATCH_SECONDS = 25.0
"""Save at least this often, in seconds of one CPU thread, but not less than one arm of eight
replicates at a time, which keeps several cores busy."""
CUDA_REPLICATES, CUDA_OPERATIONS = 1024, 4e13
"""The same for a GPU, which does more in a second. The size of a batch changes rounding; it is a
power of two, so that other users of the GPU do not change it."""
OPERATIONS_PER_SECOND = 1e12
"""A rough speed between that of a CPU and that of a large GPU."""
THREAD_SPEED = {"fused": (8e10, 2e-6), "batched": (2e10, 2e-5), "reference": (1e10, 3e-4)}
"""For one CPU thread: operations per second, and extra seconds per epoch of a network."""
TEMPORARY_CUDA = 3.25
"""Temporary GPU memory in multiples of the parameters: a gradient, and the optimizer's own."""
BYTES = {"float32": 4, "float64": 8}
COMPUTING = ("torch", "numpy", "scipy", "numba", "llvmlite", "matplotlib", "tensorboard")
"""Libraries whose versions affect numbers, pictures and logs."""


def check_feasible(question: Question, *studies: Study) -> None:
    """Raise `UsageError` where the work of studies does not fit the machine or a lifetime."""
    wider = ", or raise --target-width" if question.target_width is not None else ""
    hint = "lower --hidden, --depth, --points, --replicates or the number of arms, or raise "
    check_memory(memory_estimate(*studies), f"{hint}--log-every{wider}")
    networks = [operations_of_one(study) * len(study.arms) * study.replicates for study in studies]
    operations = sum(networks)
    if operations / OPERATIONS_PER_SECOND > 365 * 24 * 3600:
        problem = f"this run needs about {operations:.0e} operations, which is years of work"
        hint = "lower --epochs, --replicates, --hidden, --depth, --points or the number of arms"
        raise UsageError(problem=problem, hint=f"{hint}{wider}")


def check_memory(estimate: float, hint: str) -> None:
    """Raise `UsageError` where a process may not have so many bytes besides its libraries'."""
    for size, taken, words in memory_limits():
        if (needed := estimate + taken) > size:
            problem = f"this run needs about {needed / 1e9:,.1f} GB of memory and {words}"
            if taken > size:
                hint = f"raise that limit: the libraries alone take {taken / 1e9:,.1f} GB"
            raise UsageError(problem=f"{problem} {size / 1e9:,.1f} GB", hint=hint)


def seconds_estimate(
    study: Study, question: Question, engine: str, device: torch.device, threads: int
) -> float:
    """Return about how many seconds a run takes, without what a pilot may ask for and pictures."""
    networks = study.replicates * len(study.arms) + 2 * (question.confirm or 0)
    seconds = thread_seconds(study, engine)
    seconds /= 1 if engine == "reference" else min(threads, networks)
    if device.type == "cuda":
        seconds = operations_of_one(study) / OPERATIONS_PER_SECOND
    return networks * (seconds + 1.5e-4 * study.training.logged_count)  # to measure and write


def thread_seconds(study: Study, engine: str) -> float:
    """Return about how many seconds a thread of a CPU takes to train one network."""
    speed, overhead = THREAD_SPEED[engine]
    return operations_of_one(study) / speed + overhead * study.training.epochs


def operations_of_one(study: Study) -> float:
    """Return about how many multiplications and additions one network's training takes."""
    return 6.0 * study.network.parameter_count * task_of(study).points * study.training.epochs


def memory_estimate(*studies: Study) -> float:
    """Return about how many bytes a run needs: a batch, and of all studies what is kept."""
    training = [min(s.replicates, BATCH_REPLICATES) * replicate_bytes(s) for s in studies]
    return max(training) + sum(map(kept_bytes, studies))


def kept_bytes(study: Study) -> float:
    """Return about how many bytes are kept of a study: its arrays, twice, and the document."""
    task = task_of(study)
    bins = WEIGHT_BINS * (study.network.depth + 1) * (1 + study.replicates / BATCH_REPLICATES)
    predictions = study.replicates * len(range(task.asked)[task.kept])
    kept = MOST_KEPT * (predictions + bins) + study.network.parameter_count
    measured = 900 * study.replicates * (study.training.logged_count + 20)
    return float(len(study.arms) * (2 * BYTES[study.dtype] * kept + measured))


def replicate_bytes(study: Study, temporary: float = 0.0) -> float:
    """Return about how many bytes it takes to train all arms of one replicate.

    Besides parameters and momenta that is so many times the parameters.
    """
    task = task_of(study)
    points = task.points + task.asked
    kept = 3 if study.training.optimizer == "adam" else 2
    networks = len(study.arms) * (kept + temporary) * study.network.parameter_count
    activations = 6 * points * study.network.hidden * max(study.network.depth, 1)
    return float(BYTES[study.dtype] * (networks + activations))


def batch_size(study: Study, engine: str, device: torch.device) -> int:
    """Return how many replicates a batch has.

    They take seconds rather than minutes, since an interrupted batch is lost; on a GPU, half of its
    memory holds them, and `batched` on the CPU has whole chunks for four cores, or for two.
    """
    if device.type == "cuda":
        import torch

        half = torch.cuda.get_device_properties(device).total_memory / 2
        most = max(8.0, CUDA_OPERATIONS / operations_of_one(study))
        most = min(CUDA_REPLICATES, most, half / replicate_bytes(study, TEMPORARY_CUDA))
        return 1 << int(math.log2(max(1.0, most)))
    fitting = BATCH_SECONDS / thread_seconds(study, engine)
    if engine == "batched":
        return BATCH_REPLICATES if 4 * fitting >= BATCH_REPLICATES else BATCH_REPLICATES // 2
    return max(8, min(BATCH_REPLICATES, int(fitting)))


def arms_at_once(study: Study, replicates: int, engine: str, device: str) -> int:
    """Return how many arms of a batch to train together before they are saved; see `batch_size`."""
    if device == "cpu":
        return max(1, int(BATCH_SECONDS / (thread_seconds(study, engine) * replicates)))
    return max(1, int(CUDA_OPERATIONS / (operations_of_one(study) * replicates)))


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
