"""What a result derives from its history."""

from __future__ import annotations

import dataclasses

import numpy as np
from training import make_settings, train

from regbench.analysis.result import Result
from regbench.analysis.statistics import sign_flip_probability


def test_tests_before_the_last_epoch_draw_a_tenth_of_the_flips() -> None:
    settings = make_settings(strengths=(0.1, 0.2), replicates=20)  # 2^20 flips: more than drawn
    generator = np.random.default_rng(4)
    losses = generator.normal(5, 1, (3, 3, 20))
    history = train(settings.model_copy(update={"replicates": 1}), "batched")
    result = Result(settings, {}, dataclasses.replace(history, test_loss=losses))
    for epoch, resamples in enumerate((999, 999, 9999)):
        for arm, comparison in enumerate(result.comparisons_by_epoch[epoch], start=1):
            differences = losses[epoch, arm] - losses[epoch, 0]
            assert comparison.p_value == sign_flip_probability(differences, resamples)
