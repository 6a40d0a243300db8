"""A finished training experiment as a value: what was asked, where it ran, and what came out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.decomposition import Decomposition, decompose
from regbench.analysis.measures import LOSSES
from regbench.analysis.statistics import Comparison, compare_arms, judge
from regbench.errors import RunError, UsageError

if TYPE_CHECKING:
    from regbench.analysis.history import History
    from regbench.analysis.statistics import Judgement, Verdict
    from regbench.regularizers import Arm
    from regbench.settings.machine import Environment
    from regbench.settings.question import Question
    from regbench.settings.study import Study

LARGEST_RESIDUAL = 1e-12
"""Of bias² + variance = error, relative to the error: only rounding is between the two sides."""
EARLIER_RESAMPLES = 999
"""Of permutation tests at the epochs before the last."""


@dataclass(frozen=True, repr=False)
class Result:
    """What was asked, where it was computed, and what was measured.

    Attributes:
        study: What was trained.
        question: What was asked of it.
        environment: Where.
        history: What was measured.
        confirmation: The best arm again on fresh replicates, where that was asked for.
    """

    study: Study
    question: Question
    environment: Environment
    history: History
    confirmation: Result | None = None

    def __repr__(self) -> str:
        """Return a short table: each arm's test loss at the last epoch beside the baseline's."""
        means = self.history.test_loss[-1].mean(axis=1)
        rows = [("arm", "test loss", "difference", "interval", "verdict")]
        rows.append((self.study.arm_names[0], f"{means[0]:.5f}", "", "", ""))
        for c, mean in zip(self.comparisons, means[1:], strict=True):
            interval = f"{c.ci[0]:.5f} to {c.ci[1]:.5f}" if c.ci else "n/a"
            rows.append((c.arm, f"{mean:.5f}", f"{c.mean_difference:.5f}", interval, c.verdict))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        head = f"Result of {self.study.replicates} replicates at epoch {self.history.epochs[-1]}"
        return "\n".join([head, *lines])

    def to_pandas(self) -> Any:
        """Return every measure as a tidy pandas table: a row for each number.

        Columns are `arm`, `replicate`, `seed`, `epoch`, `measure`, `value`.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise UsageError("to_pandas", problem="needs pandas, which is not installed") from None
        measures, epochs = self.history.named("measures"), self.history.epochs
        order = (list(measures), epochs, self.study.arm_names, range(self.study.replicates))
        names = ("measure", "epoch", "arm", "replicate")
        index = pandas.MultiIndex.from_product(order, names=names)
        values = np.stack(list(measures.values())).ravel()
        table = pandas.DataFrame({"value": values}, index).reset_index()
        table["seed"] = table["replicate"] + self.study.seed
        return table[["arm", "replicate", "seed", "epoch", "measure", "value"]]

    @property
    def best_arm(self) -> Arm | None:
        """The arm of the lowest mean test loss at the last epoch, the baseline left out.

        None where every arm has a loss that is not finite.
        """
        losses = self.history.test_loss[-1, 1:].mean(axis=1, dtype=np.float64)
        finite = np.where(np.isfinite(losses), losses, np.inf)
        return self.study.arms[1:][int(finite.argmin())] if np.isfinite(losses).any() else None

    @property
    def comparisons(self) -> list[Comparison]:
        """Each arm against the baseline, by the test loss at the last epoch."""
        return self.comparisons_by_epoch[-1]

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each arm by its name; a confirmed one has that of the confirmation."""
        own = {c.arm: c.verdict for c in self.comparisons}
        return own | (self.confirmation.verdicts if self.confirmation else {})

    @property
    def has_diverged(self) -> bool:
        """Whether a loss is not finite, those of the confirmation included."""
        return bool(self.divergences or (self.confirmation and self.confirmation.has_diverged))

    @cached_property
    def comparisons_by_epoch(self) -> list[list[Comparison]]:
        """Each arm against the baseline, by the test loss at each logged epoch.

        Permutation tests draw fewer resamples before the last one.
        """
        names, confidence = self.study.compared, self.question.confidence
        logged = [self.history.at(epoch) for epoch in self.study.training.logged_epochs]
        *earlier, last = self.history.test_loss[logged]
        return [
            *(compare_arms(names, losses, confidence, EARLIER_RESAMPLES) for losses in earlier),
            compare_arms(names, last, confidence),
        ]

    @cached_property
    def decompositions(self) -> list[list[Decomposition | None]]:
        """Each arm's expected test error in its parts, at each kept epoch; None for R = 1.

        Raises:
            RunError: The parts do not add up to the error.
        """
        noise, confidence = self.study.task.test_noise**2, self.question.confidence
        truth = self.history.grid_truth
        found = [
            [decompose(predictions, truth, noise, confidence) for predictions in arms]
            for arms in self.history.predictions
        ]
        for parts in itertools.chain(*found):
            if parts is not None and parts.residual > LARGEST_RESIDUAL:
                raise RunError(
                    f"bias² + variance differs from the error by {parts.residual:.1e} of it, which "
                    f"is more than rounding: this is a mistake in regbench"
                )
        return found

    @property
    def divergences(self) -> list[tuple[int, int, int]]:
        """The arms that have a loss that is not finite, each with three numbers.

        Its index, the first such measured epoch, and the number of such replicates.
        """
        history = self.history
        is_bad = ~np.all([np.isfinite(history.arrays[f"measures/{n}"]) for n in LOSSES], axis=0)
        return [
            (arm_index, int(history.epochs[is_bad[:, arm_index].any(axis=1)][0]), int(count))
            for arm_index, count in enumerate(is_bad.any(axis=0).sum(axis=1))
            if count
        ]

    @property
    def judgements(self) -> list[tuple[str, Comparison, Judgement]]:
        """What `--require` says of each arm, or nothing where it was not asked.

        Where an arm was confirmed, that one alone counts.
        """
        subject, question = self.confirmation or self, self.question
        if question.require is None or self.has_diverged:
            return []
        return [
            (self.study.labels[c.arm], c, judge(c.ci, question.require, question.margin))
            for c in subject.comparisons
        ]

    @property
    def exit_code(self) -> int:
        """1 where an arm diverged, 3 where one does not meet `--require`, 4 where one may not."""
        found = {judgement for _, _, judgement in self.judgements}
        if self.has_diverged:
            return 1
        return 3 if "not met" in found else 4 if "inconclusive" in found else 0
