"""What is said in words: the sentence that a reader will quote, and what to mind about it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from training import make_result

from regbench.analysis.statistics import Comparison, compare_arms, skewness
from regbench.report.verdicts import cautions, choice, gate_line, is_too_skewed, sentence, sentences

if TYPE_CHECKING:
    from regbench.analysis.result import Result


def compare(losses: np.ndarray) -> Comparison:
    return compare_arms(["a"], "risk", np.stack([np.zeros(len(losses)), losses]), 0.95)[0]


def invented(mean: float, spread: float, count: int = 30) -> Comparison:
    """Return the comparison of differences that have exactly this mean and standard deviation."""
    shape = np.random.default_rng(1).normal(size=count)
    if count > 1:
        shape = (shape - shape.mean()) / shape.std(ddof=1)
    return compare(mean + spread * shape)


def with_losses(losses: Any, **values: Any) -> Result:
    """Return a result whose last risks `(A, R)` are these."""
    losses = np.asarray(losses)
    strengths = tuple(0.1 * arm_index for arm_index in range(1, len(losses)))
    result = make_result(strengths=strengths, replicates=losses.shape[1], **values)
    result.history.risk[-1] = losses
    return result


def test_sentence_gives_direction_amount_interval_and_wins() -> None:
    # 0.0375 / sqrt(30) * t(29, .975) = 0.0140
    better = invented(-0.054, 0.0375)
    assert sentence("λ=0.01", better) == (
        f"λ=0.01 lowers the risk by 0.054 (95 % interval 0.040 to 0.068), better in "
        f"{better.wins} of 30 replicates."
    )
    worse = invented(0.054, 0.0375)
    assert sentence("λ=0.01", worse).startswith(
        "λ=0.01 raises the risk by 0.054 (95 % interval 0.040 to 0.068), better in "
    )


def test_sentence_of_an_interval_around_zero_promises_nothing() -> None:
    text = sentence("p=0.5", invented(-0.003, 0.0375))
    assert text.startswith(
        "p=0.5: cannot tell; the risk differs by −0.003 (95 % interval −0.017 to 0.011)"
    )
    assert "lowers" not in text


def test_sentence_of_one_pair_says_that_it_cannot_tell() -> None:
    text = sentence("λ=0.01", invented(-0.5, 0.0, count=1))
    assert "in this one replicate the risk is 0.5000 lower than the baseline's. One pair" in text
    assert "--replicates 30" in text


def test_sentence_of_a_diverged_arm_has_no_number() -> None:
    diverged = compare(np.array([1.0, np.nan, 2.0]))
    assert sentence("λ=379.0", diverged) == (
        "λ=379.0 cannot be compared, because a risk is not finite."
    )


@pytest.mark.parametrize(
    ("replicates", "words"),
    [(1, []), (2, ["2", "--replicates 6"]), (5, ["5", "--replicates 6"]), (6, []), (30, [])],
)
def test_few_replicates_are_cautioned_with_what_to_do(replicates: int, words: list[str]) -> None:
    losses = np.random.default_rng(replicates).normal(size=(2, replicates))
    lines = [line for line in cautions(with_losses(losses)) if "assumes normal" in line]
    assert all(word in line for line in lines for word in words)
    assert len(lines) == bool(words)


def test_skewed_differences_are_cautioned_and_normal_ones_hardly_ever() -> None:
    generator = np.random.default_rng(3)
    skewed = with_losses([np.zeros(60), generator.lognormal(0, 1, 60)])
    assert any("the differences of λ=0.1 are skewed" in line for line in cautions(skewed))
    normal = generator.normal(size=(2000, 30))
    assert np.mean([is_too_skewed(skewness(values), 30) for values in normal]) < 0.02


def test_caution_about_skewness_goes_where_replicates_make_up_for_it() -> None:
    # The t interval of 3000 exponential differences covers .95; that of 10 covers .90.
    values = np.random.default_rng(3).exponential(size=3000)
    assert skewness(values) > 1.7
    assert not is_too_skewed(skewness(values), 3000)
    assert is_too_skewed(skewness(values), 10)


def test_sentence_says_on_what_it_is_conditional() -> None:
    for vary, words in (
        ("init", "first replicate's data."),
        ("data", "first replicate's initial weights."),
    ):
        losses = np.random.default_rng(5).normal(size=(2, 12))
        assert sentences(with_losses(losses, vary=vary))[0].endswith(words)


def test_sums_and_sweeps_have_their_sentences() -> None:
    arms = ("wdecay=0.1", "dropout=0.5", "wdecay=0.1+dropout=0.5")
    result = make_result("compare", arms=arms, replicates=12)
    effects = np.array([0.0, -1.0, -2.0, -3.05])[:, None]
    result.history.risk[-1] = 5 + np.linspace(0, 1, 12) + effects
    assert sentences(result)[-1] == (
        "λ=0.1 and p=0.5 add up. The sum changes the risk by −0.05000 (−0.05000 to −0.05000) "
        "beyond its parts."
    )
    strengths = (0.001, 0.01, 0.1, 1.0, 10.0)
    sweep = make_result(strengths=strengths, replicates=12)
    sweep.history.risk[-1, 1:] = np.log(np.array(strengths) / 0.1)[:, None] ** 2
    assert sentences(sweep)[-1] == (
        "A curve through all arms is lowest at λ=0.1 (95 % interval 0.1 to 0.1)."
    )


def test_confirmation_is_cautioned_for_itself() -> None:
    generator = np.random.default_rng(3)
    result = with_losses(generator.normal(size=(2, 60)))
    own = cautions(result)
    few = dataclasses.replace(
        result, confirmation=with_losses(-(generator.normal(size=(2, 3)) ** 2))
    )
    assert [line for line in cautions(few) if line not in own and "median" not in line] == [
        "with 3 fresh replicates the interval assumes normal differences; use --confirm 6 or more"
    ]
    skewed = with_losses([np.zeros(60), generator.lognormal(0, 1, 60)])
    line = cautions(dataclasses.replace(result, confirmation=skewed))[-1]
    assert line.startswith("the confirming differences of λ=0.1 are skewed")
    assert line.endswith("raise --confirm")


def test_best_of_several_is_said_to_be_flattered_unless_it_was_confirmed() -> None:
    losses = np.ones((3, 4)) * [[2], [1], [3]]
    result = with_losses(losses)
    assert result.best_arm is not None
    assert choice("λ=0.1", result) == (
        "Best of 2 arms: λ=0.1. These replicates chose it, which flatters it; --confirm 4 "
        "measures it again on fresh ones."
    )
    fresh = with_losses(losses[:2], seed=5)
    text = choice("λ=0.1", dataclasses.replace(result, confirmation=fresh))
    assert text == (
        "Best of 2 arms on seeds 1 to 4: λ=0.1, measured again on 4 fresh replicates (seeds 5 to "
        "8):"
    )
    single = dataclasses.replace(with_losses(losses[:2]), confirmation=fresh)
    assert choice("λ=0.1", single).startswith("λ=0.1, measured again on 4 fresh")


@pytest.mark.parametrize(
    ("judgement", "words"),
    [("met", "lies below −0.01"), ("not met", "lies above −0.01"),
     ("inconclusive", "straddles −0.01")],
)  # fmt: skip
def test_gate_line_gives_the_reason(judgement: Any, words: str) -> None:
    result = with_losses(np.ones((2, 3)), require="better", margin=0.01)
    line = gate_line("λ=0.1", result.question, invented(-0.054, 0.0375), judgement)
    said = judgement.replace("inconclusive", "cannot tell")
    assert line.startswith(f"--require better: λ=0.1: {said}, because the interval ")
    assert line.endswith(words)
