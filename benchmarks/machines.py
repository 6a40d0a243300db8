"""What a block of the default study takes, and what many replicates then cost on many cores.

    python benchmarks/machines.py [--replicates 1000000] [--hidden 200] [--batches 32]

Measured is processor time, so that what else the machine does matters little: of a block on one
thread, and what client and scheduler take for each block that Dask's workers send. The rest is
calculated.
"""

from __future__ import annotations

import argparse
import logging
import time

import torch
from distributed import LocalCluster

import regbench as rb
from regbench.analysis.history import Batch, fields_of
from regbench.engines import Listener
from regbench.engines.machine import describe_provenance
from regbench.executors import Here
from regbench.executors.dask import Dask
from regbench.experiments.feasibility import BATCH_REPLICATES, memory_estimate
from regbench.storage.blocks import size_of

WHERE = "fused", "cpu", describe_provenance("fused", torch.device("cpu"))


def study_of(hidden: int, replicates: int) -> rb.Study:
    """Return the default study in another size."""
    network = rb.Network(hidden=hidden)
    return rb.Study(arms=rb.WeightDecay(0.01), network=network, replicates=replicates)


def baselines(study: rb.Study) -> list[Batch]:
    """Return the blocks of a study's baseline but for the first, which has snapshots."""
    return [batch.by_arm()[0] for batch in Batch(study, study.seeds).cut(BATCH_REPLICATES)][1:]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("replicates", 10**6), ("hidden", 200), ("batches", 32)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()

    here, blocks = Here(*WHERE, 1), baselines(study_of(given.hidden, 3 * BATCH_REPLICATES))
    list(here.train(blocks[:1], Listener()))  # compiles
    started = time.process_time()
    list(here.train(blocks[1:], Listener()))
    block, size = time.process_time() - started, size_of(fields_of(blocks[1]))

    sent = baselines(study_of(1, (given.batches + 1) * BATCH_REPLICATES))
    options = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    with LocalCluster(1, threads_per_worker=1, **options) as cluster:
        there = Dask(cluster.scheduler_address, *WHERE, is_mixed_allowed=False)
        there.prepare(())
        started = time.process_time()
        assert len(list(there.train(sent, Listener()))) == given.batches
        overhead = (time.process_time() - started) / given.batches

    count = 2 * -(-given.replicates // BATCH_REPLICATES)
    print(f"a block, an arm of {BATCH_REPLICATES} replicates: {block:.2f} s, {size / 1e6:.2f} MB")
    print(f"for each block, client and scheduler: {1000 * overhead:.0f} ms")
    print(f"so one client keeps {block / overhead:.0f} cores at work\n")
    print(
        f"{given.replicates:,} replicates of two arms: {count:,} blocks, "
        f"{count * size / 1e9:.0f} GB"
    )
    print("cores    hours")
    for cores in (1, 4, 16, 64, 256, 1024):
        print(f"{cores:5}  {count * block / cores / 3600:7.2f}")
    print("\nreplicates  GB that the client, or merge, takes by estimate")
    for replicates in (10**4, 10**5, 10**6):
        print(f"{replicates:10,}  {memory_estimate(study_of(200, replicates)) / 1e9:6.1f}")


if __name__ == "__main__":
    main()
