"""Batches trained by the workers of a Dask scheduler, each arm of them alone.

A worker trains as many at once as it declares threads, on one thread each. Knows nothing about how
scheduler and workers are started, and nothing about what becomes of what they send.
"""

from __future__ import annotations

import logging
import pickle
import warnings
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from regbench.analysis.history import History
from regbench.engines import Listener
from regbench.engines.machine import describe_provenance
from regbench.errors import RunError, UsageError, differences, visible
from regbench.executors import train_batch
from regbench.storage.blocks import BLOCK_SCHEMA, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from regbench.analysis.history import Batch
    from regbench.executors import Trained
    from regbench.regularizers import Arm

RETRIES = 2
"""How often a failed batch is tried again; if a worker dies, the scheduler sends it to others."""
TIMEOUT = 10
"""Seconds for a scheduler to answer."""


def provenance_there(engine: str, device: str, schema: str, arms: bytes = b"") -> Provenance:
    """Return what a worker computes by; its source too, where that gives blocks another schema.

    Raises what unpickling the arms raises, where it lacks the package of a plug-in.
    """
    if arms:
        pickle.loads(arms)
    found = describe_provenance(engine, torch.device(device))
    return found if schema == BLOCK_SCHEMA else {**found, "source": BLOCK_SCHEMA}


def train_there(
    content: bytes, engine: str, device: str, schema: str, only: Provenance | None
) -> tuple[Provenance, dict[str, Any] | None]:
    """Return a worker's provenance and what a batch gives, or None where `only` another may.

    A batch is pickled with the classes of plug-ins that are files, which workers do not have.
    """
    provenance = provenance_there(engine, device, schema)
    if only not in (None, provenance):
        return provenance, None
    batch = pickle.loads(content)
    return provenance, dict(train_batch(batch, engine, device, 1, Listener()).arrays)


@dataclass(frozen=True)
class Dask:
    """The workers of the scheduler at an address, who must have a run's provenance or need not."""

    address: str
    engine: str
    device: str
    provenance: Provenance
    is_mixed_allowed: bool

    def prepare(self, arms: Sequence[Arm]) -> int:
        """Check scheduler and workers, and return the workers' threads; see `Executor`."""
        with connected(self.address) as client:
            import cloudpickle  # comes with Dask

            where = self.engine, self.device, BLOCK_SCHEMA, cloudpickle.dumps(arms)
            for worker, found in client.run(provenance_there, *where, on_error="return").items():
                if problem := self.misfit(f"worker {worker}", found):
                    raise UsageError("scheduler", self.address, problem=problem)
            return sum(client.nthreads().values())

    def misfit(self, worker: str, found: Provenance | Exception) -> str:
        """Return why a worker cannot be used by what it has sent, or nothing."""
        if isinstance(found, Exception):
            return f"where {worker} lacks what it takes: {visible(found, 200)[1:-1]}"
        if self.is_mixed_allowed or found == self.provenance:
            return ""
        own = {"source": BLOCK_SCHEMA}
        apart = differences(own | self.provenance, own | found, "here", "there")
        return f"where {worker} computes otherwise: {apart}; --allow-mixed records that"

    def train(self, batches: Iterable[Batch], listener: Listener) -> Iterator[Trained]:
        """Send all batches, and yield what comes back; see `Executor`."""
        import cloudpickle
        from distributed import as_completed

        only = None if self.is_mixed_allowed else self.provenance
        again = {"pure": False, "retries": RETRIES}
        where, failed = (self.engine, self.device, BLOCK_SCHEMA, only), list[str]()
        with connected(self.address) as client:
            sent = {
                client.submit(train_there, cloudpickle.dumps(one), *where, **again): one
                for batch in batches
                for one in batch.by_arm()
            }
            if sent and not client.nthreads():
                listener.say(f"waiting for a worker to join {self.address} ...")
            for future in as_completed(list(sent), loop=client.loop):
                batch = sent.pop(future)
                try:
                    provenance, arrays = future.result()
                except CancelledError:
                    raise RunError(f"the scheduler at {self.address} went away") from None
                except Exception as error:
                    what = f"{batch.arms[0].name} with seeds {batch.seeds[0]} to {batch.seeds[-1]}"
                    failed.append(f"{what} ({type(error).__name__}: {visible(error, 200)[1:-1]})")
                    continue
                if arrays is None:
                    problem = self.misfit("a worker that joined since", provenance)
                    raise RunError(f"{self.address}, {problem}")
                history = History(arrays)
                listener.finish(batch.arms, batch.seeds, history)
                yield batch, history, provenance
                listener.advance(len(batch.seeds) * batch.study.training.epochs)
        if failed:
            raise RunError(f"on workers failed again and again: {'; '.join(failed)}")


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Yield a client of a scheduler; raises `UsageError` where there is none."""
    problem, hint = "where no Dask scheduler answers", "start one with: dask scheduler"
    try:
        from distributed import Client

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            client = Client(address, timeout=TIMEOUT, set_as_default=False)
    except (ImportError, OSError, ValueError) as error:
        if isinstance(error, ImportError):
            problem, hint = "which needs Dask", "install it with: pip install 'regbench[dask]'"
        raise UsageError("scheduler", address, problem=problem, hint=hint) from error
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # one line will say it
    try:
        with client:
            yield client
    finally:
        logger.setLevel(level)
