"""How often the intervals of a table's answers hold the truth, over tables that are simulated.

    python benchmarks/table_coverage.py [--tables 400] [--networks 300]

Every table is drawn anew, cut by the splits of `Tabular` and judged by its law. Ridge is compared
with least squares in closed form. Its truth, what the arms differ by when trained on nine tenths of
such a table, is the mean over many tables more. Small networks are trained; the mean of all of
their tables stands for the truth. An interval of 95 % should hold it in .95 of the tables.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

import regbench as rb
from regbench.analysis.best import best_at
from regbench.analysis.history import History
from regbench.analysis.statistics import mean_interval, paired_differences
from regbench.settings.parse import arms_of
from regbench.settings.table import Table
from regbench.tasks.table import Tabular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from regbench.tasks.sample import Sample

    Floats = NDArray[np.float64]

CONFIDENCE, FOLDS = 0.95, 10
COUNTS = (10, 30, 100)
"""Replicates: whole partitions of a table."""
FEWER_DRAWS = 999
"""Of the law of several arms."""
FRESH = 10
"""Tables more, for each one that is judged, of which the truth is the mean."""
TOGETHER = (0.05, 0.1, 0.2, 0.5, 1.0)
EVEN = (4,)
UNEVEN = (1, 1, 2, 2, 3, 5, 8, 18)
"""Rows of groups, over and over."""


@dataclass(frozen=True)
class Linear:
    """Tables of n rows whose target is a sum of D normal inputs, of variance 1, and noise.

    Attributes:
        ridge: Strengths of weight decay; the baseline is least squares.
        degrees: Of freedom of Student's law of the noise, which is normal where there are none.
        sizes: Rows of groups. Half of the variance of inputs and noise is a group's own.
        is_told: Whether the table names its groups.
    """

    rows: int
    inputs: int
    noise: float
    ridge: tuple[float, ...]
    degrees: int | None = None
    sizes: tuple[int, ...] = ()
    is_told: bool = True

    @property
    def name(self) -> str:
        """What is drawn, as the table's first column has it."""
        several = "one of five strengths" if len(self.ridge) > 1 else f"{self.ridge[0]:g}"
        law = f" (t, {self.degrees} df)" if self.degrees else ""
        of = "even" if self.sizes == EVEN else "uneven"
        grouped = f"; {of} groups{'' if self.is_told else ', not named'}" if self.sizes else ""
        return f"{self.rows}, {self.inputs}, {self.noise:g}{law}, {several}{grouped}"

    @property
    def groups(self) -> NDArray[np.int64]:
        """Each row's group; a row is one of its own where there are no others."""
        sizes = np.resize(self.sizes or (1,), self.rows)
        return np.repeat(np.arange(self.rows), sizes)[: self.rows]

    @property
    def slopes(self) -> Floats:
        """The true slopes, of norm 1."""
        return np.full(self.inputs, self.inputs**-0.5, np.float64)

    def draw(self, generator: Generator) -> Table:
        """Draw a table."""
        noise = self.shared(generator, 1)[:, 0]
        if self.degrees:
            noise = generator.standard_t(self.degrees, self.rows)
            noise *= np.sqrt((self.degrees - 2) / self.degrees)
        x = self.shared(generator, self.inputs)
        groups = self.groups if self.sizes and self.is_told else None
        return Table(x, x @ self.slopes + self.noise * noise, groups, folds=FOLDS)

    def shared(self, generator: Generator, columns: int) -> Floats:
        """Draw normal numbers of variance 1, half of it a group's own, `(n, columns)`."""
        own, of_group = generator.normal(size=(2, self.rows, columns))
        found: Floats = np.sqrt(0.5) * (own + of_group[self.groups]) if self.sizes else own
        return found


LINEAR = [
    Linear(50, 20, 1, (0.2,)),
    Linear(100, 20, 1, (0.2,)),
    Linear(100, 20, 1, (1.45,)),
    Linear(400, 20, 1, (0.2,)),
    Linear(1000, 20, 1, (0.2,)),
    Linear(400, 10, 2, (0.1,)),
    Linear(100, 5, 1, (0.3,), degrees=3),
    Linear(50, 40, 1, (0.2,)),
    Linear(100, 20, 1, TOGETHER),
    Linear(100, 10, 1, (0.2,), sizes=EVEN),
    Linear(100, 10, 1, (0.2,), sizes=EVEN, is_told=False),
    Linear(100, 10, 1, (0.2,), sizes=UNEVEN),
    Linear(400, 10, 1, (0.2,), sizes=EVEN),
    Linear(400, 10, 1, (0.2,), sizes=UNEVEN),
]


class Fits(NamedTuple):
    """Least squares and ridge in R replicates of a table.

    Attributes:
        history: What a run of them would leave behind.
        weights: Intercepts and slopes `(A, R, 1 + D)`, in the table's units.
    """

    history: History
    weights: Floats


def fit(case: Linear, table: Table, replicates: int) -> Fits:
    """Fit every arm in every replicate: the minimum of mean (y − Xw)² + (λ/2)‖w‖²."""
    task = Tabular(table)
    x, y = task.rows.x, task.rows.y
    decays = np.array([0.0, *case.ridge])[:, None]
    shape = len(decays), replicates
    predictions, weights = np.zeros((*shape, task.held)), np.empty((*shape, 1 + case.inputs))
    held_out, standard = np.full((replicates, task.held), -1), np.empty((2, replicates, 1))
    for index in range(replicates):
        train, held = task.split(index + 1)
        middle, spread = x[train].mean(axis=0), x[train].std(axis=0)
        center, scale = y[train].mean(), y[train].std()
        design, target = (x[train] - middle) / spread, (y[train] - center) / scale
        values, axes = np.linalg.eigh(design.T @ design)
        along = axes.T @ (design.T @ target) / (values + len(train) * decays / 2)
        own = along @ axes.T
        predictions[:, index, : len(held)] = own @ ((x[held] - middle) / spread).T
        slopes = scale * own / spread
        weights[:, index] = np.column_stack([center - slopes @ middle, slopes])
        held_out[index, : len(held)] = held
        standard[:, index, 0] = center, scale
    groups, held_y = task.rows.groups, np.where(held_out < 0, 0, y[held_out])
    grouped = held_out if groups is None else np.where(held_out < 0, -1, groups[held_out])
    arrays = {"held_out": held_out, "held_out_group": grouped, "held_out_y": held_y}
    arrays |= {"center": standard[0], "scale": standard[1], "predictions": predictions[None]}
    arrays |= {"epochs": np.array([1]), "kept_epochs": np.array([1])}
    loss = np.square(predictions * standard[1] + standard[0] - held_y)
    losses = np.where(held_out < 0, 0, loss).sum(axis=2) / (held_out >= 0).sum(axis=1)
    return Fits(History(arrays | {"measures/risk": losses[None]}), weights)


def risk_of(case: Linear, weights: Floats) -> Floats:
    """Return the expected squared error at a fresh row, `(A, R)`, of weights `(A, R, 1 + D)`."""
    away = weights - np.append(0, case.slopes)
    found: Floats = np.square(away).sum(axis=-1) + case.noise**2
    return found


class Told(NamedTuple):
    """What is said of the differences of A arms: their means, and half the widths of intervals."""

    means: Floats
    halves: Floats


def told(sample: Sample) -> Told:
    """Return what regbench says of a sample."""
    names = [""] * len(sample.means)
    found = paired_differences(names, "risk", sample, CONFIDENCE, FEWER_DRAWS)
    return Told(sample.means, np.array([(one.ci[1] - one.ci[0]) / 2 for one in found if one.ci]))


def by_splits(sample: Sample, overlap: float) -> Told:
    """Return Student's t intervals over splits; with an overlap, Nadeau and Bengio's."""
    own = sample.differences
    intervals = [mean_interval(arm, CONFIDENCE, overlap) or (0, 0) for arm in own]
    return Told(own.mean(axis=1), np.array([(high - low) / 2 for low, high in intervals]))


def answers(task: Tabular, history: History, counts: Sequence[int]) -> dict[str, Told]:
    """Return every interval of a table, by its name and number of replicates."""
    found = {}
    for count in counts:
        few, at = history.part(R=slice(count)), f"R = {count}"
        sample = task.sample(few, "risk")
        found[at] = told(sample)
        found[f"t, {at}"] = by_splits(sample, 0.0)
        found[f"Nadeau & Bengio, {at}"] = by_splits(sample, 1 / (FOLDS - 1))
        if parts := task.parts(few, -1):
            for name, part in zip(("Δbias²", "Δvariance"), parts, strict=True):
                found[f"{name}, {at}"] = told(part)
        choosers = task.choosers(range(1, 1 + count))
        if len(few.epochs) > 1 and choosers is not None:
            best = task.sample(few, "risk", best_at(few, choosers))
            found[f"best epochs, {at}"] = told(best)
            found[f"best epochs, t, {at}"] = by_splits(best, 0.0)
    return found


@dataclass(frozen=True)
class Simulated:
    """What many tables of a kind have said, and the truth.

    Attributes:
        name: What was drawn.
        tables: By name, what each table says.
        truth: The differences of A arms by the same names, `(A,)`.
        counted: Which part of the variance over fresh tables that over splits is, where known.
    """

    name: str
    tables: Sequence[Mapping[str, Told]]
    truth: Mapping[str, Floats]
    counted: float | None = None

    def cell(self, name: str) -> str:
        """Return in which share of tables the intervals of all arms hold the truth."""
        if name not in self.truth:
            return ""
        columns = (table[name] for table in self.tables)
        means, halves = (np.array(column) for column in zip(*columns, strict=True))
        share = (np.abs(means - self.truth[name]) <= halves).all(axis=1).mean()
        return f"{share:.3f}".removeprefix("0")

    def width(self, count: int) -> str:
        """Return how wide intervals are, relative to Nadeau and Bengio's: a ratio of means."""
        own, other = (
            np.mean([table[name].halves for table in self.tables])
            for name in (f"R = {count}", f"Nadeau & Bengio, R = {count}")
        )
        return f"{own / other:.2f}"

    def difference(self, count: int) -> str:
        """Return the true difference of the risk, of one arm."""
        truth = self.truth[f"R = {count}"]
        return f"{truth[0]:.3f}" if len(truth) == 1 else ""


def middle_of(tables: Sequence[Mapping[str, Told]]) -> dict[str, Floats]:
    """Return means over tables by name, `(A,)` each."""
    return {name: np.mean([table[name].means for table in tables], axis=0) for name in tables[0]}


def simulate(case: Linear, number: int, counts: Sequence[int]) -> Simulated:
    """Compare ridge with least squares on many tables."""
    generator, tables = np.random.default_rng(case.rows), []
    for _ in range(number):
        table = case.draw(generator)
        fits = fit(case, table, max(counts))
        found = answers(Tabular(table), fits.history, counts)
        risk = risk_of(case, fits.weights).mean(axis=1)
        own = {f"these rows, {at}": found[at] for at in found if at.startswith("R")}
        found |= {n: Told(t.means - (risk[1:] - risk[0]), t.halves) for n, t in own.items()}
        tables.append(found)
    fresh = [fit(case, case.draw(generator), 1).weights for _ in range(FRESH * number)]
    weights = np.concatenate(fresh, axis=1)
    risk, variance = risk_of(case, weights).mean(axis=1), weights.var(axis=1).sum(axis=1)
    truth, counted = middle_of(tables), None
    if (last := f"Δvariance, R = {max(counts)}") in truth:
        counted = float(np.mean(truth[last] / (variance[1:] - variance[0])))
    for name in truth:
        if name.startswith("these rows"):
            truth[name] = np.zeros(len(risk) - 1)
        elif not name.startswith("Δ"):
            truth[name] = risk[1:] - risk[0]
    return Simulated(case.name, tables, truth, counted)


@dataclass(frozen=True)
class Trained:
    """Tables of n rows on which small networks are trained.

    `truth` is "linear", for a sum of normal inputs of variance 1, or "Friedman", for his function
    of five uniform inputs (1991, Annals of Statistics 19), of variance 24.
    """

    truth: str
    rows: int
    inputs: int
    noise: float

    @property
    def name(self) -> str:
        """What is drawn, as the table's first column has it."""
        return f"{self.truth}, {self.rows}, {self.inputs}, {self.noise:g}"

    def draw(self, generator: Generator) -> Table:
        """Draw a table."""
        if self.truth == "linear":
            return Linear(self.rows, self.inputs, self.noise, ()).draw(generator)
        x = generator.uniform(size=(self.rows, self.inputs))
        y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
        y += 10 * x[:, 3] + 5 * x[:, 4] + generator.normal(0, self.noise, self.rows)
        return Table(x, y, folds=FOLDS)


TRAINED = [
    Trained("Friedman", 60, 5, 3.0),
    Trained("Friedman", 200, 5, 3.0),
    Trained("linear", 100, 20, 1.0),
]


def train(
    case: Trained, number: int, counts: Sequence[int], arms: Sequence[str], training: rb.Training
) -> Iterator[Simulated]:
    """Train networks on many tables; yield each arm, and then all arms together."""
    generator, risks = np.random.default_rng(case.rows), []
    regularized = [arm for text in arms for arm in arms_of("arms", text)]
    groups = [[0, index] for index in range(1, 1 + len(regularized))]
    groups += [[*range(1 + len(regularized))]]
    tables: list[list[dict[str, Told]]] = [[] for _ in groups]
    for _ in range(number):
        study = rb.Study(
            arms=regularized,
            task=case.draw(generator),
            network=rb.Network(hidden=16, depth=1),
            training=training,
            replicates=max(counts),
        )
        result = rb.run(study, machine=rb.Machine(engine="batched", device="cpu", threads=1))
        task, history = Tabular(study.task), result.history
        risks.append(history.risk[1:].mean(axis=2))
        for chosen, found in zip(groups, tables, strict=True):
            found.append(answers(task, history.part(A=chosen), counts))
    lowest = np.mean(risks, axis=0).min(axis=0)
    labels = [*list(study.labels.values())[1:], "all arms"]
    for label, chosen, found in zip(labels, groups, tables, strict=True):
        truth = middle_of(found)
        for name in truth:
            if name.startswith("best"):
                truth[name] = (lowest[chosen] - lowest[0])[1:]
        yield Simulated(f"{case.name}: {label}", found, truth)


def print_row(*cells: object) -> None:
    """Print a row of a Markdown table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def print_title(*titles: str) -> None:
    """Print the head of a Markdown table."""
    print()
    print_row(*titles)
    print_row(*["---"] * len(titles))


def print_differences(simulated: Iterator[Simulated], counts: Sequence[int]) -> list[Simulated]:
    """Print a row for each kind of tables, and return them."""
    usual, found = counts[min(1, len(counts) - 1)], []
    names = [f"R = {count}" for count in counts] + [f"these rows, R = {usual}"]
    names += [f"t, R = {count}" for count in counts] + [f"Nadeau & Bengio, R = {usual}"]
    print_title("the risk", "Δ", *names, "width")
    for one in simulated:
        found.append(one)
        print_row(one.name, one.difference(usual), *map(one.cell, names), one.width(usual))
    return found


def print_shares(title: str, found: Sequence[Simulated], names: Sequence[str]) -> None:
    """Print what else tables say, where they say it."""
    is_counted = any(one.counted is not None for one in found)
    print_title(title, *names, *["counted"] * is_counted)
    for one in found:
        counted = [] if one.counted is None else [f"{one.counted:.2f}"]
        print_row(one.name, *map(one.cell, names), *counted)


def main() -> None:
    """Print tables for ridge, and for networks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("arms", nargs="*", default=["wdecay=0.1", "dropout=0.2"])
    parser.add_argument("--tables", type=int, default=400, help="for ridge")
    parser.add_argument("--networks", type=int, default=300, help="tables for networks")
    parser.add_argument("--replicates", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--log-every", type=int, default=10)
    parser.add_argument("--kinds", type=int, help="only the first kinds of tables")
    given = parser.parse_args()
    counts, kinds = given.replicates, slice(given.kinds)
    training = rb.Training(epochs=given.epochs, lr=given.lr, log_every=given.log_every)

    parts = [f"{name}, R = {count}" for name in ("Δbias²", "Δvariance") for count in counts[1:]]
    best = [f"best epochs{law}, R = {count}" for law in ("", ", t") for count in counts]
    ridge = print_differences(
        (simulate(case, given.tables, counts) for case in LINEAR[kinds]), counts
    )
    print_shares("its parts", ridge, parts)
    several = (train(case, given.networks, counts, given.arms, training) for case in TRAINED[kinds])
    networks = print_differences((one for case in several for one in case), counts)
    print_shares("its parts", networks, parts)
    print_shares("at best epochs", networks, best)


if __name__ == "__main__":
    main()
