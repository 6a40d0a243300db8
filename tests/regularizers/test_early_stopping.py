"""An arm that stops is the arm that does not, until then, and from then on as it was."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from training import by_arm, make_request, make_study, train

from regbench.engines import ENGINES, misfit
from regbench.errors import UsageError
from regbench.regularizers.noise import Dropout
from regbench.regularizers.penalties import EarlyStopping, WeightDecay
from regbench.settings.groups import Machine
from regbench.settings.study import Training


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("stop", [1, 13, 20, 30])
def test_arm_stays_what_it_was_at_its_last_epoch(
    engine: str, optimizer: Literal["sgd", "adam"], stop: int
) -> None:
    sums = [
        WeightDecay(0.1) + Dropout(0.25),
        WeightDecay(0.1) + Dropout(0.25) + EarlyStopping(stop),
    ]
    study = make_study(optimizer=optimizer, log_every=5).replaced(arms=sums)
    if reason := misfit(study, Machine.model_validate({"engine": engine})):
        pytest.skip(f"{engine} cannot train {reason}")
    history = train(study, engine)
    short = train(study.replaced(training=Training(optimizer=optimizer, epochs=stop)), engine)
    short_parameters = short.named("parameters")
    for name, values in history.named("parameters").items():
        np.testing.assert_array_equal(values[2], short_parameters[name][2], err_msg=name)
        np.testing.assert_array_equal(values[2], short_parameters[name][1], err_msg=name)
    for name, values in by_arm(history).items():
        if name.startswith("parameters"):
            continue
        epochs = (
            history.kept_epochs if values.shape[0] == len(history.kept_epochs) else history.epochs
        )
        before, last = epochs <= stop, short.arrays[name][-1]
        np.testing.assert_array_equal(values[before, 2], values[before, 1], err_msg=name)
        for after in values[epochs >= stop, 2]:
            np.testing.assert_array_equal(after, last[2], err_msg=name)
            np.testing.assert_array_equal(after, last[1], err_msg=name)


def test_epoch_0_is_the_network_that_was_never_trained() -> None:
    history = train(make_study("early-stopping", (0, 100)), "batched")
    stopped = history.named("measures")
    for name, values in stopped.items():
        np.testing.assert_array_equal(
            values[:, 1], values[:1, 0].repeat(len(values), 0), err_msg=name
        )
        np.testing.assert_array_equal(values[:, 2], values[:, 0], err_msg=name)  # it ends before


def test_an_epoch_is_a_whole_number() -> None:
    assert make_request("early-stopping", (20.0,)).study.arm_names[1] == "early-stopping=20"
    for wrong in (2.5, -1.0):
        with pytest.raises(
            UsageError, match=r"--stop-epoch: got '-?[0-9.]+'; allowed: a whole number"
        ):
            make_request("early-stopping", (wrong,))
