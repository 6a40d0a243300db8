"""The path of the batched engine on a GPU: what shows without one, and what needs one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from training import CPU, assert_close, join, make_batch, make_study, train

from regbench.engines import ENGINES, Listener, batched
from regbench.engines.base import Record, draw_batch
from regbench.engines.machine import usual_settings
from regbench.executors import is_out_of_memory
from regbench.experiments.feasibility import arms_at_once, batch_size, replicate_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regbench.settings.study import Study

GPU = torch.device("cuda:0")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
KINDS = ["wdecay", "decoupled", "l1", "dropout", "gaussian-dropout", "max-norm", "early-stopping"]


class IndexByOperators(TorchFunctionMode):
    """Let integers and slices index a fake tensor of a build without CUDA."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.__getitem__:
            tensor, index = args
            index, dim = index if isinstance(index, tuple) else (index,), 0
            for at in index:
                if at is ...:
                    dim = tensor.dim() - sum(a is not None for a in index[index.index(...) + 1 :])
                elif isinstance(at, int):
                    tensor = tensor.select(dim, at)
                elif at is None:
                    tensor, dim = tensor.unsqueeze(dim), dim + 1
                else:
                    start, stop, _ = at.indices(tensor.shape[dim])
                    tensor, dim = tensor.narrow(dim, start, stop - start), dim + 1
            return tensor
        return func(*args, **(kwargs or {}))


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keep what runs on the GPU, and complain of all that waits for it or mixes devices."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []
        self.faults: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        out = [x for x in tree_leaves(made) if isinstance(x, torch.Tensor)]
        kinds = {x.device.type for x in given if x.dim() or x.device.type == "cuda"}
        kinds |= {x.device.type for x in out}
        if "cuda" in kinds:
            self.names.append(str(func))
            if kinds != {"cuda"} or func is torch.ops.aten._local_scalar_dense.default:
                self.faults.append(str(func))
        return made


def operations_of(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, Operations]]:
    """Yield what an epoch of a study does on a GPU that is not there, for one epoch and for two."""
    monkeypatch.setattr(batched, "measure", lambda *_: None)
    monkeypatch.setattr(Record, "history", lambda _: None)
    for epochs in (1, 2):
        batch = make_batch(study.replaced(training=study.training.replaced(epochs=epochs)))
        drawn, operations = draw_batch(batch), Operations()
        monkeypatch.setattr(batched, "draw_batch", lambda *_, drawn=drawn: drawn)
        with FakeTensorMode(allow_non_fake_inputs=True), operations, IndexByOperators():
            batched.train_stacks(batch, lambda _: None, GPU)
        yield epochs, operations


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13),
    reason="a fake tensor of an older torch asks for a driver",
)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_epoch_on_a_gpu_never_waits_for_the_host(
    kind: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strengths = {"max-norm": 1.5, "early-stopping": 5.0}
    study = make_study(kind, (strengths.get(kind, 0.3),), optimizer=optimizer, log_every=1)
    (_, one), (_, two) = operations_of(study, monkeypatch)
    assert set(one.faults) == {"aten._to_copy.default"}  # data and weights are sent
    assert two.faults == one.faults
    assert 0 < len(two.names) - len(one.names) < 400


class OnCPU(TorchFunctionMode):
    """Let the CPU do what a GPU is asked for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        args, kwargs = tree_map(lambda x: CPU if x == GPU else x, (args, kwargs or {}))
        return func(*args, **kwargs)


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Stands in for a CUDA graph: what is recorded is undone, and done again at each replay.

    As there, a replay writes to the tensors of the recording and reads nothing from Python.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, Any, Any, list[torch.Tensor]]] = []
        self.before: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.replays = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if func._schema.is_mutable:
            self.before += [(x, x.clone()) for x in given]
        made = func(*args, **(kwargs or {}))
        if not func.is_view:
            out = [x for x in tree_leaves(made) if isinstance(x, torch.Tensor)]
            new = [x for x in out if all(x is not known for known in given)]
            self.calls.append((func, args, kwargs or {}, new))
        return made

    def __exit__(self, *failed: object) -> None:
        super().__exit__(*failed)  # type: ignore[no-untyped-call]
        for tensor, value in reversed(self.before):
            if not tensor.equal(value):  # what is expanded cannot be written to
                tensor.copy_(value)

    def replay(self) -> None:
        """Do again what was recorded."""
        self.replays += 1
        for func, args, kwargs, new in self.calls:
            made = func(*args, **kwargs)
            for tensor, value in zip(new, tree_leaves(made) if new else (), strict=True):
                tensor.copy_(value)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", [*KINDS, "input-noise", "group-lasso"])
def test_epochs_that_are_recorded_are_those_that_run_kernel_by_kernel(
    kind: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    strengths = {"max-norm": 1.5, "early-stopping": 25.0}
    study = make_study(kind, (strengths.get(kind, 0.3),), optimizer=optimizer, dtype="float64")
    recorders: list[Recorder] = []

    def recorder() -> Recorder:
        recorders.append(Recorder())
        return recorders[-1]

    event = SimpleNamespace(synchronize=lambda: None)
    own: dict[str, Any] = {
        "CUDAGraph": recorder,
        "graph": lambda graph, **_: graph,
        "Stream": lambda _: None,
        "current_stream": lambda: SimpleNamespace(record_event=lambda: event),
    }
    for name, value in own.items():
        monkeypatch.setattr(torch.cuda, name, value)
    batch = make_batch(study)
    with OnCPU():
        recorded = batched.train_stacks(batch, lambda _: None, GPU, drawing=2)
    assert len(recorders) == (2 if kind == "early-stopping" else 1)
    eager = {1, 2, 3, *study.training.measured_epochs, *(arm.stops_at(30) for arm in study.arms)}
    assert sum(graph.replays for graph in recorders) == len({*range(1, 31)} - eager)
    assert_close(join(recorded, "A"), train(study, "batched"), 1e-13)


def gpu_of(gigabytes: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that there is a GPU with so much memory."""
    found = SimpleNamespace(total_memory=gigabytes * 1e9)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: found)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_batches_on_a_gpu_are_powers_of_two_that_fit(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for gigabytes in (0.1, 1, 8, 80):
        gpu_of(gigabytes, monkeypatch)
        for hidden in (10, 200, 2000):
            study = make_study(hidden=hidden, replicates=4096, optimizer=optimizer)
            size = batch_size(study, "batched", GPU)
            assert size & (size - 1) == 0
            assert 1 <= size <= 1024
            assert size == 1 or size * replicate_bytes(study, 3.25) <= gigabytes * 1e9 / 2
    gpu_of(80, monkeypatch)
    default = make_study(hidden=200, depth=3, epochs=2000, replicates=4096)
    assert batch_size(default, "batched", GPU) == 1024


def test_long_trainings_are_saved_now_and_then_on_a_gpu_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gpu_of(80, monkeypatch)
    long = make_study(strengths=(0.1, 0.2, 0.3), hidden=1000, depth=3, epochs=10**5)
    size = batch_size(long, "batched", GPU)
    assert size < 1024
    assert arms_at_once(long, size, "batched", str(GPU)) == 1
    short = long.replaced(training=long.training.replaced(epochs=1))
    assert arms_at_once(short, 8, "batched", str(GPU)) > 3


def test_memory_that_runs_out_while_an_epoch_is_recorded_is_told_as_such() -> None:
    failed = RuntimeError("operation failed during capture")
    assert not is_out_of_memory(failed)
    failed.__context__ = torch.OutOfMemoryError("CUDA out of memory")
    assert is_out_of_memory(failed)


def test_float32_is_never_less_in_training_and_left_as_it_was() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        with usual_settings():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("kind", KINDS)
def test_cuda_agrees_with_the_cpu_in_float64(kind: str, optimizer: str) -> None:
    strengths = {"max-norm": 1.5, "early-stopping": 20.0}
    study = make_study(
        kind, (strengths.get(kind, 0.3),), dtype="float64", epochs=60, depth=3, optimizer=optimizer
    )
    on_gpu = ENGINES["batched"](make_batch(study), GPU, 1, Listener())
    assert_close(on_gpu, train(study, "batched"), 1e-10)


@pytest.mark.cuda
@needs_gpu
@pytest.mark.parametrize("log_every", [1, 30])  # 1: no epoch is recorded
def test_a_recorded_epoch_is_the_same_to_the_bit(log_every: int) -> None:
    study = make_study("dropout", (0.5,), epochs=60, depth=3)
    study = study.replaced(training=study.training.replaced(log_every=log_every))
    again = study.replaced(training=study.training.replaced(log_every=60))
    one, other = (ENGINES["batched"](make_batch(s), GPU, 1, Listener()) for s in (study, again))
    assert (one.risk[-1] == other.risk[-1]).all()


@pytest.mark.cuda
@needs_gpu
def test_progress_on_a_gpu_counts_every_epoch_once() -> None:
    done: list[int] = []
    study = make_study("wdecay", (0.1,), epochs=110)
    ENGINES["batched"](make_batch(study), GPU, 1, Listener(advance=done.append))
    assert sum(done) == study.replicates * len(study.arms) * 110
