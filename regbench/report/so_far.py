"""TensorBoard's curves of the replicates that are done, while a long run goes on.

They are runs of their own below `tensorboard/so-far`, until the logs of the whole run are written.
"""

from __future__ import annotations

import itertools
import threading
import time
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from regbench.errors import RunError
from regbench.experiments import Observer
from regbench.storage.files import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from regbench.analysis.history import Array, History
    from regbench.regularizers import Arm

CURVES = {"risk": "error", "test_loss": "error", "train_loss": "loss", "train_loss_eval": "loss"}
"""Measures of which there are curves, with TensorBoard's group of each."""
LEAST_SECONDS, LEAST_GROWTH = 60, 1.1
"""Least time from one writing to the next, and how many times as many replicates there are then."""


def folder_of(run: Path) -> Path:
    """Return where the curves are in a run's folder."""
    return run / "tensorboard" / "so-far"


class SoFar(Observer):
    """Hears of a run on behalf of another observer, and writes curves below the run's folder.

    They are means without intervals, of the replicates that are done in all arms: who looks again
    and again finds differences that are not there.
    """

    def __init__(self, observer: Observer, folder: Path) -> None:
        self.observer, self.folder = observer, folder_of(folder)
        self.lock, self.files = threading.Lock(), 0
        remove(self.folder)  # of a session that was cut off
        self.begin(())

    def begin(self, arms: Sequence[str]) -> None:
        """Forget the stage before; there are no curves where there are no arms."""
        self.arms, self.begun, self.done, self.written = arms, time.monotonic(), 0, 0
        self.waiting: dict[int, dict[str, Array]] = {}  # curves by seed and arm
        self.sums: Array = np.zeros(())

    def stage(
        self, what: str, total: int, labels: Mapping[str, str] = MappingProxyType({})
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Follow a stage; see `Observer`."""
        with self.lock:
            self.begin([*labels])
        return self.observer.stage(what, total, labels)

    def estimate(self, work: str, seconds: float) -> None:
        """Pass it on."""
        self.observer.estimate(work, seconds)

    def say(self, line: str) -> None:
        """Pass it on."""
        self.observer.say(line)

    def warn(self, line: str) -> None:
        """Pass it on."""
        self.observer.warn(line)

    def finish(self, arms: Sequence[Arm], seeds: Sequence[int], history: History) -> None:
        """Take replicates that are done in some arms, from any thread; write now and then."""
        self.observer.finish(arms, seeds, history)
        if not self.arms:
            return
        known = history.named("measures")
        names = [name for name in CURVES if name in known]  # those that the task has
        measured = np.stack([known[name] for name in names]).astype(float)
        with self.lock:
            for (index, arm), (row, seed) in itertools.product(enumerate(arms), enumerate(seeds)):
                own = self.waiting.setdefault(seed, {})
                own[arm.name] = measured[:, :, index, row]
                if len(own) == len(self.arms):
                    curves = self.waiting.pop(seed)
                    self.sums = self.sums + np.stack([curves[name] for name in self.arms])
                    self.done += 1
            is_time = time.monotonic() - self.begun >= LEAST_SECONDS
            if is_time and self.done > LEAST_GROWTH * self.written:
                with suppress(OSError, RunError):  # if blocks cannot be saved either, the run ends
                    self.write(names, history.epochs.tolist())
                self.begun, self.written = time.monotonic(), self.done

    def write(self, names: list[str], epochs: list[int]) -> None:
        """Write a file for each arm, which takes the place of those before it."""
        from regbench.report.tensorboard import Log, folder_name

        self.files += 1
        for arm, curves in zip(self.arms, self.sums / self.done, strict=True):
            log = Log(None)
            for name, values in zip(names, curves, strict=True):
                log.add_curve(f"{CURVES[name]}/{name}", zip(epochs, values, itertools.repeat(None)))
            log.add_curve("so_far/replicates", [(epochs[-1], self.done, None)])
            log.write(self.folder / folder_name(arm), f"{self.files:06}")
