"""A finished training experiment as a value: what was asked, where it ran, and what came out.

It is the result of a study, or of a study at several values of a setting. Only looking at a result
imports what draws it, and `regbench.api`, from which users have their results, says how that is
done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np

from regbench.analysis.best import best_at, differences_at_best, judged_sample, optimum_of
from regbench.analysis.claims import claims_of, interactions_of
from regbench.analysis.decomposition import (
    describe,
    part_differences,
    part_differences_of,
    split,
)
from regbench.analysis.statistics import (
    DRAWS,
    Difference,
    compare_arms,
    exit_code_of,
    judge,
    paired_differences,
    ratio_of_means,
)
from regbench.errors import RunError, UsageError
from regbench.tasks import task_of
from regbench.tasks.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from regbench.analysis.best import AtBest, Optimum
    from regbench.analysis.claims import Claim, Interaction
    from regbench.analysis.decomposition import Decomposition, PartDifferences, Split
    from regbench.analysis.history import Array, History
    from regbench.analysis.statistics import Comparison, Interval, Judgement, Verdict
    from regbench.regularizers import Arm
    from regbench.settings.groups import Environment, Question
    from regbench.settings.over import Over
    from regbench.settings.study import Study
    from regbench.tasks.base import Task

Told = TypeVar("Told", bound=Difference)
LARGEST_RESIDUAL = 1e-12
"""Largest relative gap allowed between bias² + variance and the error: rounding alone."""
EARLIER_DRAWS = 999
"""Random draws for each epoch before the last."""


class Shown:
    """A result that can be looked at; only looking imports what draws or trains."""

    make_figures: ClassVar[Callable[[Any], Any]]
    make_html: ClassVar[Callable[[Any], str]]
    make_network: ClassVar[Callable[[Any, int | None, str | None], Any]]

    @cached_property  # which a notebook's completion looks into, as it does into no property
    def figures(self) -> Any:
        """Its pictures, each drawn into axes by a method; see `regbench.report.figures`."""
        return type(self).make_figures(self)

    def _repr_html_(self) -> str:
        """Return the answer as HTML, for a notebook."""
        return type(self).make_html(self)


@dataclass(frozen=True, repr=False)
class Result(Shown):
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
        """Return a short table: each arm's headline measure at the last epoch, and its verdict."""
        means = self.sample.levels
        rows = [("arm", self.question.words, "difference", "interval", "verdict")]
        rows.append((self.study.arm_names[0], f"{means[0]:.5f}", "", "", ""))
        for c, mean in zip(self.comparisons, means[1:], strict=True):
            interval = f"{c.ci[0]:.5f} to {c.ci[1]:.5f}" if c.ci else "n/a"
            verdict = c.verdict.replace("inconclusive", "cannot tell")
            rows.append((c.arm, f"{mean:.5f}", f"{c.mean_difference:.5f}", interval, verdict))
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

    def network(self, seed: int | None = None, arm: str | None = None) -> Any:
        """Return a network of the run, trained again: a `torch.nn.Sequential` in evaluation mode.

        Its parameters are the run's at the last epoch, to the bit on the same kind of machine with
        the same versions. The first seed and the best arm are taken where none is given.

        Raises:
            UsageError: There is no such replicate or arm, the arm's plug-in is not loaded, or the
                machine lacks the run's engine or device.
        """
        return type(self).make_network(self, seed, arm)

    @property
    def task(self) -> Task:
        """What was learned, and how it is judged."""
        return task_of(self.study)

    @property
    def headline(self) -> Array:
        """The measure by which arms are judged, `(E, A, R)`."""
        found: Array = getattr(self.history, self.question.headline)
        return found

    @property
    def levels(self) -> Array:
        """The mean of that measure at each measured epoch, as the answer takes it, `(E, A)`."""
        epochs, headline = range(len(self.history.epochs)), self.question.headline
        with np.errstate(invalid="ignore"):
            return np.stack([self.task.sample(self.history, headline, at).levels for at in epochs])

    @cached_property
    def sample(self) -> Sample:
        """The headline measure at the last epoch or, if asked for, at the best one."""
        return judged_sample(self.study, self.history, self.question)

    @property
    def judged(self) -> Array:
        """The same for each arm and replicate, `(A, R)`."""
        return self.sample.values

    @cached_property
    def at_best_epochs(self) -> list[AtBest]:
        """Each arm against the baseline by the risk, each at its own best epoch; none for R = 1."""
        study, history, confidence = self.study, self.history, self.question.confidence
        choosers = self.task.choosers(study.seeds)
        if study.replicates == 1 or choosers is None:
            return []
        at = best_at(history, choosers)
        sample, epochs = self.task.sample(history, "risk", at), history.epochs[at]
        return differences_at_best(study.compared, sample, epochs, confidence)

    @property
    def failures(self) -> list[int] | None:
        """In how many replicates each arm has failed to train, the baseline first; see `Task`."""
        failed = self.task.failed(self.history)
        if failed is None:
            return None
        counts: list[int] = failed.sum(axis=1).tolist()
        return counts

    @cached_property
    def slope_ratios(self) -> dict[str, tuple[float, Interval | None]]:
        """By arm, how many times as steep as the baseline's its fit is; see `ratio_of_means`."""
        slopes, confidence = self.history.rms_slope[-1], self.question.confidence
        found = ratio_of_means(slopes, confidence, self.task.overlap)
        return dict(zip(self.study.compared, found, strict=True))

    @property
    def best_arm(self) -> Arm | None:
        """The arm of the lowest mean of what arms are judged by, the baseline left out.

        None where every arm has a loss that is not finite.
        """
        losses = self.sample.levels[1:]
        finite = np.where(np.isfinite(losses), losses, np.inf)
        return self.study.arms[1:][int(finite.argmin())] if np.isfinite(losses).any() else None

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Each arm against the baseline, by what arms are judged by."""
        names, question = self.study.compared, self.question
        asked = question.confidence, DRAWS, question.margin
        return self.with_idle(compare_arms(names, question.judged_by, self.sample, *asked))

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
        """Each arm against the baseline, by the headline measure at each logged epoch."""
        return list(map(self.compared_at, self.study.training.logged_epochs))

    def compared_at(self, epoch: int) -> list[Comparison]:
        """Return each arm against the baseline, by the headline measure at a measured epoch.

        There are fewer random draws before the last one.
        """
        question, at = self.question, self.history.at(epoch)
        losses = self.task.sample(self.history, question.headline, at)
        draws = DRAWS if epoch == self.history.epochs[-1] else EARLIER_DRAWS
        asked = question.headline, losses, question.confidence, draws
        return self.with_idle(compare_arms(self.study.compared, *asked))

    @cached_property
    def measures(self) -> list[Difference]:
        """Each arm against the baseline at the last epoch, by every measure.

        The last one is the risk at best epochs, where there is that.
        """
        names, history = self.study.compared, self.history
        confidence = self.question.confidence
        found: list[Sequence[Difference]] = [
            paired_differences(names, measure, self.task.sample(history, measure), confidence)
            for measure in history.named("measures")
        ]
        found += [[best.difference for best in self.at_best_epochs]] if self.at_best_epochs else []
        return self.with_idle([one for arm in zip(*found, strict=True) for one in arm])

    @cached_property
    def idle(self) -> set[str]:
        """The arms that did nothing: all numbers are the baseline's, at every epoch."""
        measures = self.history.named("measures").values()
        return {
            name
            for index, name in enumerate(self.study.compared, 1)
            if all(np.array_equal(v[:, 0], v[:, index], equal_nan=True) for v in measures)
        }

    def with_idle(self, found: list[Told]) -> list[Told]:
        """Return differences, with the verdict `did nothing` on those of idle arms."""
        idle = {one.arm for one in found if one.arm in self.idle and one.verdict != "diverged"}
        return [replace(o, verdict="did nothing") if o.arm in idle else o for o in found]

    @property
    def claims(self) -> list[Claim]:
        """Which claims hold, arm by arm; of a confirmed arm, by its fresh replicates."""
        fresh = self.confirmation.claims if self.confirmation else []
        again = {(claim.arm, claim.claim): claim for claim in fresh}
        claims = claims_of(self.measures, self.question.judged_by)
        return [again.get((claim.arm, claim.claim), claim) for claim in claims]

    @property
    def interactions(self) -> list[Interaction]:
        """What sums do beyond their parts, where those are arms too."""
        question = self.question
        return interactions_of(
            self.study.arms, question.judged_by, self.sample, question.confidence
        )

    @cached_property
    def optimum(self) -> Optimum | None:
        """The best strength, where the arms are a sweep and replicates are independent."""
        if not self.sample.is_independent:
            return None
        return optimum_of(self.study.arms[1:], self.judged[1:], self.question.confidence)

    @cached_property
    def splits(self) -> list[list[Split | None]]:
        """The squared error over the range in its parts, of each arm at each kept epoch.

        None for R = 1, and where the noise is unknown.

        Raises:
            RunError: The parts do not add up to the mean risk.
        """
        history, found = self.history, []
        noise, rounding = self.task.noise_variance, 4 * np.finfo(history.risk.dtype).eps
        truth = self.task.truth(history.arrays)
        if noise is None or truth is None:
            return [[None for _ in arms] for arms in history.predictions]
        for epoch, predictions in zip(history.kept_epochs, history.predictions, strict=True):
            found.append([split(arm, truth) for arm in predictions])
            risks = history.risk[history.at(epoch)].mean(axis=1, dtype=np.float64)
            for parts, risk in zip(found[-1], risks, strict=True):
                if parts is None or not np.isfinite(risk):
                    continue
                apart = abs(parts.values[:2].sum() + noise - risk) / risk
                if parts.residual > LARGEST_RESIDUAL or apart > rounding:
                    raise RunError(
                        f"bias² + variance differs from the error by {parts.residual:.1e} of it, "
                        f"and with the noise from the mean risk by {apart:.1e}, which is more than "
                        f"rounding: this is a mistake in regbench"
                    )
        return found

    @cached_property
    def decompositions(self) -> list[list[Decomposition | None]]:
        """Each arm's expected test error in its parts, at each kept epoch; None for R = 1.

        Raises:
            RunError: See `splits`.
        """
        noise, confidence = self.task.noise_variance or 0.0, self.question.confidence
        return [[describe(parts, noise, confidence) for parts in arms] for arms in self.splits]

    @cached_property
    def decomposition_differences(self) -> list[list[PartDifferences]]:
        """Each arm's parts against the baseline's, at each kept epoch; nothing for R = 1.

        There are fewer random draws before the last one.

        Raises:
            RunError: See `splits`.
        """
        names, confidence = self.study.compared, self.question.confidence
        draws = [EARLIER_DRAWS] * (len(self.splits) - 1) + [DRAWS]
        if self.task.noise_variance is not None:
            return [
                part_differences(names, arms, confidence, count)
                for arms, count in zip(self.splits, draws, strict=True)
            ]
        parts = [self.task.parts(self.history, index) for index in range(len(draws))]
        return [
            part_differences_of(names, own, confidence, count) if own else []
            for own, count in zip(parts, draws, strict=True)
        ]

    @property
    def divergences(self) -> list[tuple[int, int, int]]:
        """The arms that have a loss that is not finite, each with three numbers.

        Its index, the first such measured epoch, and the number of such replicates.
        """
        history = self.history
        losses = [name for name, measure in self.task.measures.items() if measure.is_loss]
        is_bad = ~np.all([np.isfinite(history.arrays[f"measures/{n}"]) for n in losses], axis=0)
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

        def judgement(c: Comparison) -> Judgement:
            if c.arm in subject.idle:
                return "not met" if question.require == "better" else "met"
            return judge(c.ci, question.require or "better", question.margin)

        return [(self.study.labels[c.arm], c, judgement(c)) for c in subject.comparisons]

    @property
    def exit_code(self) -> int:
        """1 where an arm diverged, 3 where one does not meet `--require`, 4 where one may not."""
        return exit_code_of((said for _, _, said in self.judgements), self.has_diverged)


@dataclass(frozen=True)
class OverResult(Shown):
    """What was asked, where it ran, and the result at each value that is there."""

    study: Over
    question: Question
    environment: Environment
    by_value: Mapping[Any, Result]

    @property
    def over(self) -> list[Result]:
        """The results, in the order of the values."""
        return list(self.by_value.values())

    @cached_property
    def effects(self) -> list[list[Comparison]]:
        """By value, the paired differences of all arms by the headline measure, against 0.

        All intervals hold together.
        """

        def effects(*all_values: Array) -> Array:
            own = (values[1:] - values[0] for values in all_values)
            return np.concatenate([np.zeros_like(all_values[0][:1]), *own])

        together = Sample.of(effects, *(one.sample for one in self.over))
        found = self._compare(together, self.question.margin)
        arms = len(self.study.arms) - 1
        starts = zip(self.over, range(0, len(found), arms), strict=True)
        return [one.with_idle(found[start : start + arms]) for one, start in starts]

    @cached_property
    def changes(self) -> list[Comparison]:
        """Of each arm, the paired difference at the last value minus that at the first one."""

        def change(first: Array, last: Array) -> Array:
            rise: Array = (last - last[0]) - (first - first[0])
            return rise

        return self._compare(Sample.of(change, self.over[0].sample, self.over[-1].sample))

    @np.errstate(invalid="ignore", over="ignore")
    def _compare(self, sample: Sample, margin: float = 0.0) -> list[Comparison]:
        names = (self.study.study.compared * len(self.over))[: len(sample.values) - 1]
        measure, confidence = self.question.judged_by, self.question.confidence
        return compare_arms(names, measure, sample, confidence, margin=margin)
