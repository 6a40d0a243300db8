"""Which claims hold, and what sums do beyond their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import stats
from training import ENVIRONMENT, make_request, train

from regbench.analysis.claims import CLAIMS, interactions_of
from regbench.analysis.result import Result
from regbench.regularizers import Arm
from regbench.regularizers.noise import Dropout
from regbench.regularizers.penalties import WeightDecay

if TYPE_CHECKING:
    from regbench.analysis.claims import Interaction

DECAY, DROPOUT = WeightDecay(0.1), Dropout(0.5)
ARMS = (Arm(), Arm((DECAY,)), Arm((DROPOUT,)), DECAY + DROPOUT)


def trained(command: str, **values: object) -> Result:
    request = make_request(command, **values)  # type: ignore[arg-type]
    history = train(request.study, "batched")
    return Result(request.study, request.question, ENVIRONMENT, history)


def test_claims_are_the_signs_of_paired_differences_at_the_last_epoch() -> None:
    result = trained("wdecay", strengths=(3.0,), epochs=150, replicates=8, depth=1, confidence=0.9)
    names = {"generalizes_better": "risk"}
    names |= {claim: name for claim, (name, _) in CLAIMS.items() if name}
    assert [found.claim for found in result.claims] == list(CLAIMS)
    for found in result.claims:
        values = getattr(result.history, names[found.claim])[-1].astype(float)
        expected = stats.ttest_rel(values[1], values[0]).confidence_interval(0.9)
        assert found.measure == names[found.claim]
        assert found.ci == pytest.approx((expected.low, expected.high), rel=1e-6)
        sign = 1 if found.claim == "train_loss_higher" else -1
        low, high = sorted(sign * end for end in expected)
        assert found.holds == (True if low > 0 else False if high < 0 else None), found
    holds = {found.claim: found.holds for found in result.claims}
    assert holds["weights_nearer_zero"] is holds["train_loss_higher"] is True


def test_noise_of_training_alone_does_not_make_the_train_loss_higher() -> None:
    # Steps this small leave every network where it began. Dropout adds its variance to the loss in
    # training, and nothing to that of the network which comes out.
    still = {"lr": 1e-9, "epochs": 10, "depth": 1, "replicates": 30}
    result = trained("dropout", strengths=(0.8,), **still)
    baseline, arm = result.history.train_loss[-1].astype(float)
    assert stats.ttest_rel(arm, baseline, alternative="greater").pvalue < 0.01
    claim = next(found for found in result.claims if found.claim == "train_loss_higher")
    assert claim.holds is None
    assert claim.mean_difference == pytest.approx(0, abs=1e-6)


def test_the_claim_about_generalization_is_by_the_measure_that_was_asked_for() -> None:
    result = trained("wdecay", by="test-loss")
    claim = next(found for found in result.claims if found.claim == "generalizes_better")
    assert claim.measure == result.comparisons[0].measure == "test_loss"
    assert (claim.ci, claim.mean_difference) == (
        result.comparisons[0].ci,
        result.comparisons[0].mean_difference,
    )


def test_a_linear_model_is_neither_smoother_nor_rougher() -> None:
    result = trained("wdecay", depth=0)
    claim = next(found for found in result.claims if found.claim == "fit_smoother")
    assert (claim.holds, claim.ci) == (None, None)
    assert np.isnan(claim.mean_difference)


def interaction(extra: float, spread: float = 1e-3) -> Interaction:
    generator = np.random.default_rng(1)
    baseline = generator.normal(5, 1, 12)
    decay = baseline - 1 + generator.normal(0, 0.1, 12)
    dropout = baseline - 1 + generator.normal(0, 0.1, 12)
    together = decay + dropout - baseline + generator.normal(extra, spread, 12)
    (found,) = interactions_of(ARMS, "risk", np.array([baseline, decay, dropout, together]), 0.95)
    d = together - baseline - (decay - baseline) - (dropout - baseline)
    assert found.arms == ["wdecay=0.1+dropout=0.5", "wdecay=0.1", "dropout=0.5"]
    assert found.mean_difference == pytest.approx(d.mean())
    expected = stats.ttest_1samp(d, 0).confidence_interval(0.95)
    assert found.ci == pytest.approx((expected.low, expected.high), abs=1e-12)
    return found


def test_interaction_is_what_the_sum_does_beyond_its_parts() -> None:
    assert interaction(0.1).verdict == "additive"
    assert interaction(-0.1).verdict == "additive"
    assert interaction(-0.5).verdict == "help each other"
    assert interaction(0.5).verdict == "get in each other's way"
    assert interaction(1.0, spread=3.0).verdict == "cannot tell"


def test_interaction_needs_every_part_as_an_arm() -> None:
    values = np.random.default_rng(2).normal(size=(3, 5))
    assert interactions_of(ARMS[:3], "risk", values, 0.95) == []
    assert interactions_of((ARMS[0], ARMS[1], ARMS[3]), "risk", values, 0.95) == []
