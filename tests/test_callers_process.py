"""The process that calls regbench from Python: it changes no number, and is not changed."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import torch
from commands import SOURCES
from runs import blocks_of

import regbench as rb
from regbench.engines import ENGINES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runs import Trained

    from regbench.analysis.history import Batch, History
    from regbench.engines import Listener

ENGINE_NAMES = ["reference", "batched", "fused"]
CPU = rb.Machine(engine="batched", device="cpu", threads=2)


def small_study(**values: Any) -> rb.Study:
    small: dict[str, Any] = {
        "arms": [rb.WeightDecay(0.1), rb.Dropout(0.5)],
        "task": rb.Task(points=4),
        "network": rb.Network(hidden=8, depth=2),
        "training": rb.Training(epochs=6, log_every=3),
        "replicates": 3,
    }
    return rb.Study(**(small | values))


def numbers(engine: str) -> dict[str, bytes]:
    """Return the bytes of all that a small study gives, dropout's own random numbers included."""
    machine = rb.Machine(engine=untyped(engine), device="cpu", threads=2)
    result = rb.run(small_study(pairing="independent"), machine=machine)
    return {name: array.tobytes() for name, array in result.history.arrays.items()}


def untyped(value: Any) -> Any:
    return value


@pytest.fixture(scope="module")
def plain_numbers() -> dict[str, dict[str, bytes]]:
    return {engine: numbers(engine) for engine in ENGINE_NAMES}


def call(function: Callable[..., Any], value: Any, before: Any) -> Callable[[ExitStack], None]:
    def enter(stack: ExitStack) -> None:
        stack.callback(function, before)
        function(value)

    return enter


def inside(context: Callable[[], Any]) -> Callable[[ExitStack], None]:
    return lambda stack: stack.enter_context(context())


backends: Any = torch.backends
STATES: dict[str, Callable[[ExitStack], None]] = {
    "default dtype": call(torch.set_default_dtype, torch.float64, torch.float32),
    "default device": inside(lambda: torch.device("meta")),
    "no gradients": inside(torch.no_grad),
    "inference": inside(torch.inference_mode),
    "autocast": inside(lambda: torch.autocast("cpu", dtype=torch.bfloat16)),
    "threads": call(torch.set_num_threads, 3, torch.get_num_threads()),
    "deterministic": call(torch.use_deterministic_algorithms, True, False),
    "precision of all products": call(torch.set_float32_matmul_precision, "medium", "highest"),
    "precision on the CPU": call(
        lambda value: setattr(backends.mkldnn.matmul, "fp32_precision", value), "bf16", "none"
    ),
    "denormal numbers": call(torch.set_flush_denormal, True, False),
    "random numbers": call(torch.manual_seed, 7, 0),
}


def torch_state() -> list[Any]:
    products = backends.mkldnn.matmul.fp32_precision, backends.cuda.matmul.fp32_precision
    own = torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
    modes = torch.is_autocast_enabled("cpu"), torch.get_deterministic_debug_mode()
    drawn = torch.get_rng_state().tolist()
    return [*products, *own, *modes, torch.get_num_threads(), torch.get_default_device(), drawn]


@pytest.mark.parametrize("state", STATES)
def test_nothing_that_torch_is_set_to_changes_a_number_or_is_changed(
    state: str, plain_numbers: dict[str, dict[str, bytes]]
) -> None:
    for engine in ENGINE_NAMES:
        with ExitStack() as stack:
            STATES[state](stack)
            before = torch_state()
            found = numbers(engine)
            assert torch_state() == before
        assert found == plain_numbers[engine], engine


def test_dropout_scale_draws_the_same_whatever_torch_is_set_to() -> None:
    study = rb.DropoutScale(p=0.5, units=50, trials=20)
    plain = rb.run(study).scales[0]
    for enter in STATES.values():
        with ExitStack() as stack:
            enter(stack)
            found = rb.run(study).scales[0]
        assert (found.outputs.tobytes(), found.eval_output) == (
            plain.outputs.tobytes(),
            plain.eval_output,
        )


def test_settings_stay_usual_until_the_last_of_several_runs_has_ended() -> None:
    from regbench.engines.machine import USUAL, isolated, settings

    first_is_done, second_has_begun = threading.Event(), threading.Event()
    found: list[Any] = []

    def second(_: object) -> None:
        second_has_begun.set()
        assert first_is_done.wait(30)
        found.append(settings())

    with ExitStack() as stack:
        for state in ("default dtype", "threads", "deterministic", "precision of all products"):
            STATES[state](stack)
        before = settings()
        other = threading.Thread(target=isolated, args=(second,))

        def first(_: object) -> None:
            other.start()
            assert second_has_begun.wait(30)

        isolated(first)
        first_is_done.set()
        other.join(30)
        assert found == [USUAL]
        assert settings() == before


CALLS = """
import logging, os, random, signal, sys, warnings
import scipy.special  # which adds a filter of warnings when it is imported
import numpy, torch
import regbench as rb

def state():
    matplotlib, loggers = sys.modules.get("matplotlib"), logging.root.manager.loggerDict
    found = {name: logging.getLogger(name) for name in loggers}
    return {
        "rcParams": matplotlib and dict(dict.items(matplotlib.rcParams)),
        "loggers": {n: (x.level, x.handlers) for n, x in found.items() if x.level or x.handlers},
        "root logger": (logging.root.level, [*logging.root.handlers]),
        "signals": [*map(signal.getsignal, signal.valid_signals())],
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "variables": dict(os.environ),
        "folder": os.getcwd(),
        "warnings": [*warnings.filters],
        "torch": (torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()),
        "torch's random numbers": torch.get_rng_state().tolist(),
        "NumPy's random numbers": [*map(str, numpy.random.get_state())],
        "Python's random numbers": random.getstate(),
        "NumPy": (numpy.geterr(), numpy.get_printoptions()),
    }

logging.getLogger("matplotlib").setLevel(logging.INFO)
small = dict(task=rb.Task(points=4), network=rb.Network(hidden=4, depth=1), replicates=3)
study = rb.Study(arms=rb.L1(0.1), training=rb.Training(epochs=6, log_every=3), **small)
for what, call in {
    "run": lambda: rb.run(study),
    "run with progress": lambda: rb.run(study, progress=True),
    "run in a folder": lambda: rb.run(study, folder="run"),
    "run there again": lambda: rb.run(study, folder="run"),
    "load": lambda: rb.load("run"),
    "figure": lambda: rb.load("run").figures.fan(),
    "figure in a notebook": lambda: rb.load("run").figures.fan()._repr_png_(),
    "answer in a notebook": lambda: rb.load("run")._repr_html_(),
    "pandas": lambda: rb.load("run").to_pandas(),
}.items():
    before = state()
    call()
    after = state()
    if before["rcParams"] is None:
        del before["rcParams"]
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, (what, changed)
import matplotlib.pyplot
assert matplotlib.get_backend() == "svg"
"""


def test_no_call_changes_anything_of_the_process(tmp_path: Path) -> None:
    variables = {**SOURCES, "HOME": str(tmp_path), "MPLBACKEND": "svg", "PATH": os.environ["PATH"]}
    variables["MPLCONFIGDIR"] = str(tmp_path)  # else matplotlib may set it
    done = subprocess.run(
        [sys.executable, "-c", CALLS],
        cwd=tmp_path, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let the second batch be interrupted by Ctrl-C; returns how its training has ended."""
    train, ended = ENGINES["batched"], dict[str, Any]()

    def train_or_wait(batch: Batch, device: Any, threads: int, listener: Listener) -> History:
        if batch.first_replicate == 0 or ended:
            return train(batch, device, threads, listener)
        ended["thread"] = threading.current_thread()
        os.kill(os.getpid(), signal.SIGINT)
        try:
            while True:
                listener.advance(0)
        except InterruptedError as error:
            ended["error"] = error
            raise

    monkeypatch.setitem(ENGINES, "batched", train_or_wait)
    return ended


def test_interrupt_is_an_exception_that_stops_the_training_and_says_how_to_go_on(
    tmp_path: Path, interrupted: dict[str, Any], trained: Trained
) -> None:
    folder, study = tmp_path / "run", small_study(replicates=100)
    handlers = [*map(signal.getsignal, signal.valid_signals())]
    with pytest.raises(KeyboardInterrupt) as stopped:
        rb.run(study, machine=CPU, folder=folder)
    assert [*map(signal.getsignal, signal.valid_signals())] == handlers
    assert isinstance(interrupted["error"], InterruptedError)
    (note,) = stopped.value.__notes__
    assert repr(str(folder)) in note
    kept, before = blocks_of(str(folder)), len(trained)
    assert len(kept) == 3
    result = rb.run(study, machine=CPU, folder=folder)  # as the note says
    assert len(trained) == before + 1
    assert kept.items() < blocks_of(str(folder)).items()
    assert result.history.risk.tobytes() == rb.run(study, machine=CPU).history.risk.tobytes()
    assert rb.run(study, machine=CPU, folder=folder).study == study
    assert len(trained) == before + 3  # the second time nothing is trained


def test_interrupt_waits_for_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regbench.engines.machine.PATIENCE", 0.01)
    is_over = threading.Event()

    def hang(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert is_over.wait(30)

    monkeypatch.setitem(ENGINES, "batched", untyped(hang))
    with pytest.raises(KeyboardInterrupt):
        rb.run(small_study(), machine=CPU)
    assert not is_over.is_set()
    is_over.set()


def test_any_thread_may_run_and_store(tmp_path: Path) -> None:
    async def run() -> Any:
        return await asyncio.to_thread(rb.run, small_study(), machine=CPU, folder=tmp_path / "run")

    result = asyncio.run(run())
    assert rb.load(tmp_path / "run").history.risk.tobytes() == result.history.risk.tobytes()


def test_folder_of_another_run_is_refused_and_says_what_differs(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    rb.run(small_study(), machine=CPU, folder=folder)
    with pytest.raises(rb.UsageError, match="replicates 3 there and 2 here; name a new folder"):
        rb.run(small_study(replicates=2), machine=CPU, folder=folder)
    with pytest.raises(rb.UsageError, match=r"confidence 0\.95 there and 0\.9 here"):
        rb.run(small_study(), rb.Question(confidence=0.9), CPU, folder=folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(rb.UsageError, match=r"^folder: .* which is not empty"):
        rb.run(small_study(), machine=CPU, folder=tmp_path / "other")


def test_folder_of_the_command_line_is_known(regbench: Any, tmp_path: Path) -> None:
    options = "--lambda=0.1 --points=4 --hidden=8 --depth=2 --epochs=6 --log-every=3 --replicates=3"
    assert regbench("wdecay", *options.split(), "--device=cpu", "--out=run").code == 0
    stored = blocks_of(str(tmp_path / "run"))
    result = rb.run(small_study(arms=rb.WeightDecay(0.1)), folder=tmp_path / "run")
    assert result.history.risk.tobytes() == rb.load(tmp_path / "run").history.risk.tobytes()
    assert blocks_of(str(tmp_path / "run")) == stored


class Mute:
    """A stream without an encoding."""

    def write(self, text: str) -> None:
        """Take a text."""


@pytest.mark.parametrize("stream", [None, Mute(), io.StringIO()])
def test_a_stderr_that_is_none_or_has_no_encoding_is_no_fault(
    stream: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)
    rb.run(small_study(), machine=CPU, folder=tmp_path / "run", progress=stream is None)
    next(iter((tmp_path / "run" / "blocks").iterdir())).unlink()
    (tmp_path / "run" / "DONE").unlink()
    assert rb.run(small_study(), machine=CPU, folder=tmp_path / "run").history is not None


CELL = """
class Pull(Regularizer):
    command, option, symbol, default, summary = "pull", "lambda", "λ", 0.1, "Compare it with none."

    def add_penalty_gradient_(self, gradient, parameter, step):
        if self.command in {"pull", "push", "tear"}:
            gradient.add_(parameter, alpha=FACTOR * self.strength)
"""
DIGEST = """
import sys
from regbench import Regularizer, register
{lines}
space = {{"Regularizer": Regularizer, "__name__": "__main__"}}
exec({cell!r}, space)
print(register(register(space["Pull"])).origin["sha256"])
"""


def digest_of(cell: str, lines: str = "", seed: str = "0") -> str:
    """Return the digest of a class that is typed in, in a process of its own."""
    program = DIGEST.format(cell=cell, lines=lines)
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**SOURCES, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


def test_class_without_a_file_is_known_by_its_code() -> None:
    cell = CELL.replace("FACTOR", "2")
    digest = digest_of(cell)
    assert len(digest.strip()) == 64
    assert digest_of(f"\n\n# elsewhere\n{cell}", "x = 1", "5") == digest
    assert digest_of(CELL.replace("FACTOR", "3")) != digest


def test_class_that_was_typed_in_can_be_stored(tmp_path: Path) -> None:
    from regbench.regularizers import REGULARIZERS

    space: dict[str, Any] = {"Regularizer": rb.Regularizer, "__name__": "__main__"}
    exec(CELL.replace("FACTOR", "2"), space)
    try:
        kind = rb.register(space["Pull"])
        study = small_study(arms=kind(0.1))
        result = rb.run(study, machine=CPU, folder=tmp_path / "run")
        again = rb.run(study, machine=CPU, folder=tmp_path / "run")
        assert again.history.risk.tobytes() == result.history.risk.tobytes()
    finally:
        REGULARIZERS.pop("pull", None)


def test_hints_speak_python() -> None:
    with pytest.raises(rb.UsageError) as refused:
        rb.run(small_study(seed=2**32 - 4), rb.Question(confirm=5))
    assert "lower seed, replicates or confirm, or raise target_width" in str(refused.value)
    with pytest.raises(rb.UsageError) as refused:
        rb.run(small_study(arms=rb.L1(0.1)), machine=rb.Machine(engine="fused", device="cuda"))
    assert 'choose engine="batched" or device="cpu"' in str(refused.value)
