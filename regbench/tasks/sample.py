"""What replicates say of a measure, and how they depend on each other: the law of a task.

Works on arrays, and knows nothing about how they came about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MANY = 30
"""Replicates and rows from which a mean over a table's rows is taken as normal."""


@dataclass(frozen=True)
class Sample:
    """A measure of A arms in R replicates, the baseline first, and how sure their means are.

    Attributes:
        values: The measure, `(A, R)`.
        rows: The same of each of n rows, `(A, n)`, where replicates are judged by rows of one table
            and the measure is a mean over rows.
        apart: How far single values of rows, or of groups of rows, are from the mean, `(A, I)`, so
            scaled that the sum of their squares is what rows add to the variance of the mean.
        row_count: As how many rows the rows count; see `effective_count`.
        overlap: Rows tested on over rows trained on, where replicates are splits; else 0.
        is_halved: Whether each half of the replicates, at even and at odd positions, chose
            something for the other, so that all of a half depend on one choice.
    """

    values: Floats
    rows: Floats | None = None
    apart: Floats | None = None
    row_count: float = math.inf
    overlap: float = 0.0
    is_halved: bool = False

    @property
    def is_independent(self) -> bool:
        """Whether replicates do not depend on each other."""
        return self.rows is None and not self.overlap

    @property
    def differences(self) -> Floats:
        """Each arm but the baseline against it, replicate by replicate, `(A − 1, R)`."""
        found: Floats = self.values[1:] - self.values[0]
        return found

    @classmethod
    def of(cls, combine: Callable[..., Any], *samples: Sample) -> Sample:
        """Return the sample of what arms of samples of the same replicates come to.

        `combine` is linear: it takes arrays `(A, …)`, one for each sample, and returns `(B, …)`.
        """

        def combined(arrays: list[Floats | None]) -> Floats | None:
            return None if any(array is None for array in arrays) else combine(*arrays)

        return cls(
            combine(*(sample.values for sample in samples)),
            combined([sample.rows for sample in samples]),
            combined([sample.apart for sample in samples]),
            min(sample.row_count for sample in samples),
            max(sample.overlap for sample in samples),
            any(sample.is_halved for sample in samples),
        )

    @property
    def levels(self) -> Floats:
        """The mean of each arm, `(A,)`: over rows, where it has these."""
        found: Floats = (self.values if self.rows is None else self.rows).mean(axis=1)
        return found

    @property
    def means(self) -> Floats:
        """The mean differences, `(A − 1,)`: over rows, where it has these."""
        if self.rows is None:
            mean: Floats = self.differences.mean(axis=1)
            return mean
        found: Floats = self.levels[1:] - self.levels[0]
        return found

    @property
    def errors(self) -> Floats:
        """The standard errors of the mean differences, `(A − 1,)`; NaN where R = 1.

        Where replicates are independent, s/√R. Random splits of one table depend on each other:
        s √(1/R + overlap) (Nadeau & Bengio 2003, Machine Learning 52). Of a mean over rows the
        variance is that over replicates by R, and what rows add, the sum of the squares of `apart`.
        Where halves choose, it also has the square of half the distance between the means of the
        two halves.
        """
        own, (errors, over_rows) = self.differences, self.error_parts
        if self.rows is not None:
            errors = np.hypot(errors, over_rows)
        elif self.is_halved:
            apart = own[:, ::2].mean(axis=1) - own[:, 1::2].mean(axis=1)
            errors = np.hypot(errors, apart / 2)
        else:
            errors = errors * math.sqrt(1 + own.shape[1] * self.overlap)
        return errors

    @property
    def error_parts(self) -> tuple[Floats, Floats]:
        """Standard errors over replicates alone and over rows alone, `(A − 1,)` each.

        NaN of one replicate.
        """
        own, count = self.differences, self.values.shape[1]
        errors = np.full(len(own), np.nan)
        if count > 1:
            errors = own.std(axis=1, ddof=1) / math.sqrt(count)
        if self.apart is None:
            return errors, np.zeros_like(errors)
        return errors, np.sqrt(np.square(self.apart[1:] - self.apart[0]).sum(axis=1))

    @property
    def freedom(self) -> float:
        """The degrees of freedom of the errors; infinite where a mean is taken as normal."""
        count = self.values.shape[1]
        if self.rows is None:
            return float(count - 1)
        least = int(min(count, self.row_count))
        return math.inf if least >= MANY else max(1, least - 1)

    def correlations(self, arms: NDArray[np.bool_]) -> Floats:
        """Return the correlations of the mean differences of some arms, which vary."""
        found = np.atleast_2d(np.cov(self.differences[arms]))
        if self.apart is not None:
            apart = (self.apart[1:] - self.apart[0])[arms]
            found = found / self.values.shape[1] + apart @ apart.T
        spread = np.sqrt(np.diag(found))
        correlations: Floats = np.clip(found / spread[:, None] / spread, -1, 1)
        return correlations


def effective_count(sizes: Floats) -> float:
    """Return of how many groups of one size a mean is as sure as of groups of these sizes.

    (Σ n)²/Σ n², where rows of a group say the same (Kish 1965, Survey Sampling; Carter,
    Schnepel & Steigerwald 2017, Review of Economics and Statistics 99).
    """
    return float(sizes.sum() ** 2 / np.square(sizes).sum())
