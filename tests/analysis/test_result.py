"""What a result derives from its history."""

from __future__ import annotations

import numpy as np
from training import ENVIRONMENT, make_request, train

from regbench.analysis.result import Result
from regbench.analysis.statistics import sign_flip_probability


def test_tests_before_the_last_epoch_draw_a_tenth_of_the_flips() -> None:
    request = make_request(strengths=(0.1, 0.2), replicates=20)  # 2^20 flips: more than drawn
    generator = np.random.default_rng(4)
    history = train(request.study.replaced(replicates=1), "batched")
    losses = generator.normal(5, 1, (len(history.epochs), 3, 20))
    history = history.replaced(risk=losses)
    result = Result(request.study, request.question, ENVIRONMENT, history)
    assert len(result.comparisons_by_epoch) == 3 < len(losses)
    for logged_index, resamples in enumerate((999, 999, 9999)):
        compared = result.comparisons_by_epoch[logged_index]
        epoch_index = history.at((10, 20, 30)[logged_index])
        for arm_index, comparison in enumerate(compared, start=1):
            differences = losses[epoch_index, arm_index] - losses[epoch_index, 0]
            assert comparison.p_value_sign_flip == sign_flip_probability(differences, resamples)
