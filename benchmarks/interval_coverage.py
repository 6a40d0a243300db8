"""How often every interval of regbench holds the truth.

    python benchmarks/interval_coverage.py [--experiments 4000]

Experiments are simulated: nothing is trained. An interval of 95 % should hold the truth in .95 of
them; with 4000 experiments the measured share has a standard error of .003.
"""

from __future__ import annotations

import argparse
import functools
import math
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from regbench.analysis.decomposition import describe, part_differences, split
from regbench.analysis.statistics import (
    law_of,
    mean_interval,
    median_interval,
    probability_interval,
    required_replicates,
    sign_flip_probability,
    skewness,
)
from regbench.report.verdicts import is_too_skewed
from regbench.settings.study import MOST_REPLICATES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.random import Generator

    from regbench.analysis.history import Array
    from regbench.analysis.statistics import Interval

CONFIDENCE = 0.95
LAWS: dict[str, tuple[Callable[[Generator, int], Array], float, float]] = {
    "normal": (lambda generator, count: generator.normal(0, 1, count), 0.0, 0.0),
    "Student t, 3 df": (lambda generator, count: generator.standard_t(3, count), 0.0, 0.0),
    "lognormal": (lambda generator, count: generator.lognormal(0, 1, count), math.exp(0.5), 1.0),
}
"""How to draw differences, and their law's mean and median."""
SEVERAL = [
    (1, 0.0, "normal"),
    (9, 0.9, "normal"),
    (9, 0.0, "normal"),
    (30, 0.0, "normal"),
    (9, 0.0, "lognormal"),
]
"""Arms, the correlation of their differences, and the law of these."""
FEWER_DRAWS = 999
"""Of the law of several arms, so that thousands of experiments take minutes."""


def share(held: Iterable[bool]) -> str:
    """Return the share of the experiments in which something held."""
    return f"{np.mean(list(held)):.3f}".removeprefix("0")


def holds(interval: Interval | None, truth: float) -> bool:
    """Whether an interval that exists holds the truth."""
    return interval is not None and interval[0] <= truth <= interval[1]


def bootstrap_interval(values: Array, confidence: float) -> Interval:
    """Return the BCa interval of the mean (Efron 1987), to compare with."""
    interval = stats.bootstrap(
        (values,), np.mean, confidence_level=confidence, n_resamples=999, rng=1
    ).confidence_interval
    return float(interval.low), float(interval.high)


def draw_arms(generator: Generator, arms: int, count: int, correlation: float, law: str) -> Array:
    """Draw differences `(A, R)` with mean 0."""
    draw, mean, _ = LAWS[law]
    own = np.array([draw(generator, count) - mean for _ in range(arms)])
    common = generator.normal(size=(1, count))
    drawn: Array = np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common
    return drawn


def is_covered(differences: Array) -> bool:
    """Whether the intervals of all arms hold 0; where they do not, a p is at most .05."""
    law = law_of(differences, FEWER_DRAWS)
    t = differences.mean(axis=1) / differences.std(axis=1, ddof=1) * math.sqrt(len(differences.T))
    return bool(np.abs(t).max() <= law.critical(CONFIDENCE))


def parts_hold(generator: Generator, count: int, bias: float) -> dict[str, bool]:
    """Whether each interval of a baseline's parts, and of an arm's differences, holds the truth.

    Predictions at twenty inputs are a random line, as those of one network go together; the arm's
    is .7 of it with something of its own, and has half as much bias again.
    """
    line = np.stack([np.ones(20), np.linspace(-1, 1, 20)])
    size = float(np.square(line).sum(axis=0).mean())
    own, other = generator.normal(size=(2, count, 2)) / math.sqrt(size)
    baseline = split(own @ line + bias, np.zeros(20))
    arm = split(0.7 * (own + 0.3 * other) @ line + 1.5 * bias, np.zeros(20))
    parts = describe(baseline, 0.09, CONFIDENCE)
    assert parts is not None
    (differences,) = part_differences(["arm"], [baseline, arm], CONFIDENCE)
    return {
        "bias²": holds(parts.bias_squared.ci, bias**2),
        "variance": holds(parts.variance.ci, 1.0),
        "expected test error": holds(parts.expected_test_error.ci, bias**2 + 1.09),
        "difference of bias²": holds(differences.bias_squared.ci, 1.25 * bias**2),
        "difference of variance": holds(differences.variance.ci, 0.49 * 1.09 - 1),
    }


def print_row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print("|", " | ".join(map(str, cells)), "|")


def print_title(*titles: str) -> None:
    """Print the head of a Markdown table."""
    print()
    print_row(*titles)
    print_row(*["---"] * len(titles))


def main() -> None:
    """Print one table for each statistic."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--experiments", type=int, default=4000)
    every = range(parser.parse_args().experiments)
    generator = np.random.default_rng(1)
    counts: tuple[int, ...] = (5, 10, 30, 100)

    for name, interval, truth_index, experiments in (
        ("mean (t)", mean_interval, 1, every),
        (
            "mean (BCa bootstrap, not used)",
            bootstrap_interval,
            1,
            every[: max(1, len(every) // 10)],
        ),
        ("median (order statistics)", median_interval, 2, every),
    ):
        print_title(f"interval of the {name}", *(f"R = {count}" for count in counts))
        for law, of_law in LAWS.items():
            draw, truth = of_law[0], float(of_law[truth_index])  # type: ignore[arg-type]
            cells = []
            for count in counts:
                found = [interval(draw(generator, count), CONFIDENCE) for _ in experiments]
                exist = found[0] is not None
                cells.append(share(holds(f, truth) for f in found) if exist else "none")
            print_row(law, *cells)

    experiments = every
    print_title("probability of a win (Clopper-Pearson)", *(f"R = {count}" for count in counts))
    exact = functools.cache(partial(probability_interval, confidence=CONFIDENCE))
    for probability in (0.5, 0.75, 0.95):
        print_row(
            probability,
            *(
                share(
                    holds(exact(int(wins), count), probability)
                    for wins in generator.binomial(count, probability, len(experiments))
                )
                for count in counts
            ),
        )

    few = experiments[: max(1, len(experiments) // 4)]
    print_title("sign flips: p below .05 where nothing differs", *(f"R = {c}" for c in counts))
    for law in ("normal", "Student t, 3 df"):
        draw = LAWS[law][0]
        print_row(
            law,
            *(
                share((sign_flip_probability(draw(generator, c), 999) or 0) < 0.05 for _ in few)
                for c in counts
            ),
        )

    counts = (3, 6, 10, 30)
    print_title("intervals of all arms hold together", *(f"R = {count}" for count in counts))
    for arms, correlation, law in SEVERAL:
        cells = []
        for count in counts:
            drawn = (draw_arms(generator, arms, count, correlation, law) for _ in few)
            cells.append(share(map(is_covered, drawn)))
        print_row(f"{arms} arms, {law}, correlation {correlation}", *cells)

    counts = (10, 30, 200, 1000)
    for bias in (0.0, 0.5):
        print_title(f"parts where the bias is {bias}", *(f"R = {count}" for count in counts))
        parts = {count: [parts_hold(generator, count, bias) for _ in few] for count in counts}
        for name in parts[counts[0]][0]:
            print_row(name, *(share(held[name] for held in parts[count]) for count in counts))

    generator = np.random.default_rng(2)  # what follows does not depend on what came before
    print_title("--target-width W", "replicates", "width / W", "wider than W", "coverage")
    for width in (1.0, 0.5, 0.25):
        sizes, widths, held = [], [], []
        for _ in experiments:
            pilot = generator.normal(0, 1, 10)
            count = max(10, required_replicates(pilot[None], width, CONFIDENCE, MOST_REPLICATES))
            values = np.concatenate([pilot, generator.normal(0, 1, count - 10)])
            ci = mean_interval(values, CONFIDENCE)
            assert ci is not None
            sizes.append(count)
            widths.append((ci[1] - ci[0]) / width)
            held.append(holds(ci, 0.0))
        low, high = np.percentile(sizes, [10, 90])
        print_row(
            f"{width} standard deviations",
            f"{np.median(sizes):.0f} ({low:.0f} to {high:.0f})",
            f"{np.median(widths):.2f}",
            share(relative > 1 for relative in widths),
            share(held),
        )

    counts = (10, 30, 100, 300, 1000)
    print_title("caution about skewness", *(f"R = {count}" for count in counts))
    for law, (draw, _, _) in LAWS.items():
        print_row(
            law,
            *(
                share(is_too_skewed(skewness(draw(generator, c)), c) for _ in experiments)
                for c in counts
            ),
        )
    print_title("interval of the mean (t), many replicates", "R = 300", "R = 1000")
    for law, (draw, mean, _) in LAWS.items():
        print_row(
            law,
            *(
                share(
                    holds(mean_interval(draw(generator, count), CONFIDENCE), mean)
                    for _ in experiments
                )
                for count in (300, 1000)
            ),
        )


if __name__ == "__main__":
    main()
