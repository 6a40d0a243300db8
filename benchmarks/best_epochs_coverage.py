"""How often the intervals at best epochs hold the truth, by resampling networks that were trained.

    python benchmarks/best_epochs_coverage.py [ARM...] [--epochs 400 --log-every 2] [--points 30]

The baseline and the arms are trained once on many replicates. These are taken for the population,
whose best epochs are known, and every experiment draws R of them with replacement. An interval of
95 % should hold the population's difference in .95 of the experiments.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

import regbench as rb
from regbench.analysis.best import best_at, differences_at_best
from regbench.analysis.history import History
from regbench.analysis.statistics import mean_interval
from regbench.settings.parse import arms_of
from regbench.tasks.sample import Sample
from regbench.tasks.synthetic import Synthetic

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from regbench.analysis.history import Array
    from regbench.analysis.statistics import Interval

CONFIDENCE = 0.95
COUNTS = (10, 30, 180)


def by_halves(risk: Array) -> tuple[NDArray[np.int64], Array]:
    """Return the best epochs that halves choose, of a risk `(E, A, R)`, and the risk there."""
    halves = Synthetic(rb.Task()).choosers(range(risk.shape[-1]))
    at = best_at(History({"measures/risk": risk}), halves)
    return at, np.take_along_axis(risk, at[None], axis=0)[0]


def left_out(risk: Array) -> Array:
    """Return the risk `(A, R)` at the epoch that all *other* replicates choose."""
    later = risk[1:]
    chosen = (later.sum(axis=-1, keepdims=True) - later).argmin(axis=0)
    found: Array = np.take_along_axis(later, chosen[None], axis=0)[0]
    return found


def alone(values: Array) -> Interval | None:
    """Return the t interval of an arm's difference from the baseline; `values` are `(2, R)`."""
    return mean_interval(values[1] - values[0], CONFIDENCE)


def intervals(risk: Array, known: list[int]) -> dict[str, Interval | None]:
    """Return the intervals of a risk `(E, 2, R)`, whose best epochs in the population are known."""
    at, values = by_halves(risk)
    sample = Sample(values.astype(float), is_halved=True)
    (used,) = differences_at_best(["arm"], sample, at, CONFIDENCE)
    return {
        "two halves": used.ci,
        "two halves, t (not used)": alone(values),
        "leave one out, t (not used)": alone(left_out(risk)),
        "epochs known, t": alone(risk[known, range(2)]),
    }


def coverage(generator: Generator, risk: Array, count: int, experiments: int) -> dict[str, float]:
    """Return in which share of experiments of `count` replicates each interval holds the truth."""
    means = risk[1:].mean(axis=-1)
    known, lowest = (1 + means.argmin(axis=0)).tolist(), means.min(axis=0)
    truth, held = lowest[1] - lowest[0], dict[str, int]()
    for _ in range(experiments):
        drawn = risk[..., generator.integers(0, risk.shape[-1], count)]
        for name, interval in intervals(drawn, known).items():
            holds = interval is not None and interval[0] <= truth <= interval[1]
            held[name] = held.get(name, 0) + holds
    return {name: number / experiments for name, number in held.items()}


def main() -> None:
    """Train the population, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("arms", nargs="*", default=["wdecay=0.01", "dropout=0.5"])
    parser.add_argument("--replicates", type=int, default=180, help="of the population")
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--log-every", type=int, default=200)
    parser.add_argument("--points", type=int, default=10)
    parser.add_argument("--experiments", type=int, default=4000)
    given = parser.parse_args()
    study = rb.Study(
        arms=[arm for text in given.arms for arm in arms_of("arms", text)],
        task=rb.Task(points=given.points),
        training=rb.Training(epochs=given.epochs, log_every=given.log_every),
        replicates=given.replicates,
    )
    risk = rb.run(study, progress=True).history.risk.astype(np.float64)
    generator = np.random.default_rng(1)
    print("| at best epochs |", " | ".join(f"R = {count}" for count in COUNTS), "|")
    print("|", " | ".join(["---"] * (1 + len(COUNTS))), "|")
    for index, label in enumerate([*study.labels.values()][1:], 1):
        pair = risk[:, [0, index]]
        columns = [coverage(generator, pair, count, given.experiments) for count in COUNTS]
        for name in columns[0]:
            shares = (f"{column[name]:.3f}".removeprefix("0") for column in columns)
            print(f"| {label}: {name} |", " | ".join(shares), "|")


if __name__ == "__main__":
    main()
