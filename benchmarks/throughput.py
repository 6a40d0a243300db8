"""Microseconds per network and epoch of regbench's engines and of what else one could use.

    python benchmarks/throughput.py [--replicates 30] [--epochs 2000] [--rounds 3] [--hidden 200]

Every contestant trains a baseline and one arm on the same number of replicates. The contestants
take turns, round after round; the table shows medians, the range, and the ratio to the loop.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from regbench import run
from regbench.experiments import resolve
from regbench.limits import available_cores

if TYPE_CHECKING:
    from collections.abc import Callable

POINTS, DEPTH, LR, MOMENTUM, DECAY = 10, 3, 0.01, 0.9, 0.01
SIZES = (("hidden", 20, 1.0), ("hidden", 800, 0.05), ("points", 100, 0.1), ("points", 1000, 0.02))
"""Other sizes, to see which engine is the faster one there, and what share of the epochs."""
LOOP_NETWORKS = 2
"""The loop trains this many networks, as every network costs it the same."""


def layer_sizes(hidden: int) -> list[int]:
    """Return the widths of all layers."""
    return [1, *[hidden] * DEPTH, 1]


def plain_loop(epochs: int, hidden: int, p: float) -> Callable[[], int]:
    """`nn.Module` and `torch.optim.SGD`, one network after the other in every epoch."""
    x = torch.linspace(-1, 1, POINTS).unsqueeze(1)
    y = 1.5 * x + torch.normal(0, 0.5, x.shape)
    sizes = layer_sizes(hidden)
    loss_function = nn.MSELoss()

    def build() -> nn.Sequential:
        layers: list[nn.Module] = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            layers += [nn.ReLU(), nn.Dropout(p)] if layers else []
            layers.append(nn.Linear(fan_in, fan_out))
        return nn.Sequential(*layers)

    def train() -> int:
        networks = [build() for _ in range(LOOP_NETWORKS)]
        optimizers = [
            torch.optim.SGD(network.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=DECAY * i)
            for i, network in enumerate(networks)
        ]
        for _ in range(epochs):
            losses = [loss_function(network(x), y) for network in networks]
            for optimizer in optimizers:
                optimizer.zero_grad()
            for loss in losses:
                loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        return LOOP_NETWORKS * epochs

    return train


def train_loop(epochs: int, hidden: int) -> int:
    """Do the loop once, in a process of its own with one thread."""
    torch.set_num_threads(1)
    return plain_loop(epochs, hidden, 0.0)()


def loop_per_core(pool: ProcessPoolExecutor, cores: int, epochs: int, hidden: int) -> int:
    """Do the loop in one single-threaded process per core, the fair way to run it."""
    return sum(pool.map(train_loop, [epochs] * cores, [hidden] * cores))


def vmap(networks: int, epochs: int, hidden: int) -> Callable[[], int]:
    """`torch.func.grad` under `vmap` over stacked parameters, with the update by hand."""
    x = torch.linspace(-1, 1, POINTS).unsqueeze(1)
    ys = 1.5 * x + torch.normal(0, 0.5, (networks, POINTS, 1))
    decay = DECAY * (torch.arange(networks) % 2)
    sizes = layer_sizes(hidden)

    def loss(parameters: list[torch.Tensor], y: torch.Tensor) -> torch.Tensor:
        h = x
        for i in range(0, len(parameters), 2):
            h = h @ parameters[i] + parameters[i + 1]
            h = h.relu() if i + 2 < len(parameters) else h
        return ((h - y) ** 2).mean()

    gradient = torch.func.vmap(torch.func.grad(loss))

    def train() -> int:
        parameters = [
            (torch.rand(networks, *shape) * 2 - 1) / fan_in**0.5
            for fan_in, fan_out in itertools.pairwise(sizes)
            for shape in ((fan_in, fan_out), (fan_out,))
        ]
        momenta = [torch.zeros_like(p) for p in parameters]
        for _ in range(epochs):
            gradients = gradient(parameters, ys)
            for p, m, g in zip(parameters, momenta, gradients, strict=True):
                m.mul_(MOMENTUM).add_(g).add_(p * decay.view(-1, *[1] * (p.dim() - 1)))
                p.sub_(m, alpha=LR)
        return networks * epochs

    return train


def jax_scan(networks: int, epochs: int, hidden: int) -> Callable[[], int] | None:
    """`jit(scan(vmap(step)))`, or None where JAX is not installed."""
    try:
        import jax
        import jax.numpy as jnp
    except ImportError:
        return None
    x = jnp.linspace(-1, 1, POINTS)[:, None]
    key = jax.random.key(1)
    ys = 1.5 * x + 0.5 * jax.random.normal(key, (networks, POINTS, 1))
    decay = DECAY * (jnp.arange(networks) % 2)
    sizes = layer_sizes(hidden)
    shapes = [
        (fan_in, shape)
        for fan_in, fan_out in itertools.pairwise(sizes)
        for shape in ((fan_in, fan_out), (fan_out,))
    ]

    def loss(parameters: Any, y: Any) -> Any:
        h = x
        for i in range(0, len(parameters), 2):
            h = h @ parameters[i] + parameters[i + 1]
            h = jax.nn.relu(h) if i + 2 < len(parameters) else h
        return ((h - y) ** 2).mean()

    def step(parameters: Any, momenta: Any, y: Any, decay: Any) -> Any:
        gradients = jax.grad(loss)(parameters, y)
        momenta = [
            MOMENTUM * m + g + decay * p
            for p, m, g in zip(parameters, momenta, gradients, strict=True)
        ]
        return [p - LR * m for p, m in zip(parameters, momenta, strict=True)], momenta

    def many(parameters: Any, momenta: Any) -> Any:
        def body(carry: Any, _: Any) -> Any:
            return jax.vmap(step)(*carry, ys, decay), None

        return jax.lax.scan(body, (parameters, momenta), None, length=epochs)[0]

    parameters = [
        jax.random.uniform(key, (networks, *shape), minval=-1, maxval=1) / fan_in**0.5
        for fan_in, shape in shapes
    ]
    compiled = jax.jit(many)
    momenta = [jnp.zeros_like(p) for p in parameters]

    def train() -> int:
        jax.block_until_ready(compiled(parameters, momenta))
        return networks * epochs

    return train


def engine(name: str, command: str, options: dict[str, Any], threads: int) -> Callable[[], int]:
    """An engine of regbench, with all that it does around training."""
    flags = {key: [str(value)] for key, value in options.items()}
    flags |= {"engine": [name], "threads": [str(threads)], "log_every": [str(options["epochs"])]}
    asked = resolve(command, flags)
    steps: int = asked.study.replicates * len(asked.study.arms) * asked.study.training.epochs

    def train() -> int:
        run(asked.study, asked.question, asked.machine)
        return steps

    return train


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=200)
    parser.add_argument("--device", default="cpu", help="of the engines; the loop has the CPU")
    given = parser.parse_args()
    cores, networks = available_cores(), 2 * given.replicates
    options = {
        "replicates": given.replicates,
        "epochs": given.epochs,
        "hidden": given.hidden,
        "device": given.device,
    }
    pool = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"))
    contestants: dict[str, Callable[[], int] | None] = {
        "plain loop": plain_loop(given.epochs, given.hidden, 0.0),
    }
    names = ["batched"]
    if given.device == "cpu":  # which takes hours for as many networks as fill a GPU
        names.append("fused")
        contestants |= {
            "plain loop, a process per core": partial(
                loop_per_core, pool, cores, given.epochs, given.hidden
            ),
            "plain loop, dropout": plain_loop(given.epochs, given.hidden, 0.5),
            "torch.func vmap": vmap(networks, given.epochs, given.hidden),
            "JAX jit(scan(vmap))": jax_scan(networks, given.epochs, given.hidden),
        }
    for name in names:
        for command in ("wdecay", "dropout"):
            for threads in sorted({1, cores}):
                contestants[f"regbench {name}, {command}, {threads} threads"] = engine(
                    name, command, options, threads
                )
        contestants[f"regbench {name}, Adam, {cores} threads"] = engine(
            name, "decoupled", {**options, "optimizer": "adam"}, cores
        )
        for key, value, share in SIZES:
            size = {**options, key: value, "epochs": max(1, round(share * given.epochs))}
            contestants[f"regbench {name}, {key} {value}, {cores} threads"] = engine(
                name, "wdecay", size, cores
            )
    times: dict[str, list[float]] = {name: [] for name, train in contestants.items() if train}
    for train in contestants.values():
        if train:
            train()  # compile, and fill caches
    for _ in range(given.rounds):
        for name, train in contestants.items():
            if train:
                start = time.perf_counter()
                epochs = train()
                times[name].append((time.perf_counter() - start) / epochs * 1e6)

    print(
        f"{platform.machine()}, {cores} cores, torch {torch.__version__}, {networks} networks "
        f"1-{'-'.join([str(given.hidden)] * DEPTH)}-1, {POINTS} points, {given.epochs} epochs, "
        f"{given.rounds} rounds, float32"
    )
    loop = statistics.median(times["plain loop"])
    print(f"\n{'us per network and epoch':40}  median      min      max  loop / this")
    for name, values in times.items():
        median = statistics.median(values)
        print(
            f"{name:40}  {median:6.1f}  {min(values):7.1f}  {max(values):7.1f}  "
            f"{loop / median:11.1f}"
        )


if __name__ == "__main__":
    main()
