"""Intervals and p values of several arms that hold together: one law for both.

Works on arrays and knows nothing about how they came about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from regbench.analysis.history import Array

DRAWS = 9999
"""Random draws of the largest |t| of several arms."""
MOST_NUMBERS = 20_000_000
"""Most random numbers for one law; with very many arms this lowers the number of draws."""
MANY_REPLICATES = 200
"""Above this number of replicates, a mean is treated as normal."""


@dataclass(frozen=True)
class Law:
    """The law of the largest |t| over arms, where no arm differs from the baseline.

    Attributes:
        largest: Draws of it, ascending; empty for one arm, whose law is known.
        freedom: Degrees of freedom of one arm's t.
    """

    largest: Array
    freedom: int

    def critical(self, confidence: float) -> float:
        """Return what |t| exceeds where, and only where, its p is at most 1 − `confidence`."""
        if not len(self.largest):
            from scipy import special

            return float(special.stdtrit(self.freedom, (1 + confidence) / 2))
        tail = max(1, int((1 - confidence) * (len(self.largest) + 1) + 1e-9))
        return float(self.largest[-tail])

    def probability(self, t: float) -> float:
        """Return the two-sided p of one arm's t, corrected for the number of arms."""
        if not len(self.largest):
            from scipy import special

            return float(2 * special.stdtr(self.freedom, -abs(t)))
        beyond = len(self.largest) - np.searchsorted(self.largest, abs(t))
        return float((1 + beyond) / (1 + len(self.largest)))


def draws_for(confidence: float, least: int) -> int:
    """Return how many draws a critical value takes: ten beyond it, or `least`."""
    return max(least, round(10 / (1 - confidence)) - 1)


def law_of(differences: Array, draws: int = DRAWS, replicates: int | None = None) -> Law:
    """Return the law for paired differences `(A, R)` that vary, R ≥ 2, or as many `replicates`.

    By parametric bootstrap of the max-t of Hothorn, Bretz & Westfall (2008, Biometrical Journal
    50): t of normal draws that have the correlations of the differences, each arm with its own
    standard deviation. Of `MANY_REPLICATES` and more, of the normal limit. Draws are always the
    same ones.
    """
    arms, count = len(differences), replicates or differences.shape[1]
    if arms == 1:
        return Law(np.empty(0), count - 1)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.corrcoef(differences)))
    root = vectors * np.sqrt(values.clip(0))
    # The sum of squares around the mean is L W Lᵀ with W = G Gᵀ a Wishart matrix: of Bartlett's
    # (1933) triangular G, or of a column for each degree of freedom where these are fewer.
    freedom = count - 1
    columns = 0 if count > MANY_REPLICATES else min(freedom, arms)
    draws = min(draws, max(999, MOST_NUMBERS // (arms * (columns + 1))))
    generator = np.random.default_rng(0)
    largest = np.empty(draws)
    step = max(1, 1_000_000 // (arms * (columns + 1)))
    for start in range(0, draws, step):
        size = min(step, draws - start)
        means = generator.standard_normal((size, arms)) @ root.T
        if columns:
            mixed = generator.standard_normal((size, arms, columns))
            if columns == arms:
                mixed = np.tril(mixed, -1)
                diagonal = generator.chisquare(freedom - np.arange(arms), (size, arms))
                mixed[:, range(arms), range(arms)] = np.sqrt(diagonal)
            means /= np.sqrt(np.square(root @ mixed).sum(axis=2) / freedom)
        largest[start : start + size] = np.abs(means).max(axis=1)
    return Law(np.sort(largest), freedom)
