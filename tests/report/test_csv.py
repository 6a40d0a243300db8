"""The table of all losses: a row for each number, under the seed that replays it."""

from __future__ import annotations

import csv
import dataclasses
import itertools

import pytest
from scipy import stats
from training import make_result

from regbench.report.csv import csv_pieces


def test_every_number_stands_beside_its_arm_seed_epoch_and_measure() -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=3, seed=40)
    text = b"".join(csv_pieces({None: result})).decode("ascii")
    found = {}
    for row in csv.DictReader(text.splitlines()):
        assert (row["stage"], int(row["seed"])) == ("training", 40 + int(row["replicate"]))
        indices = (int(row["epoch"]), row["arm"], int(row["replicate"]), row["measure"])
        assert indices not in found
        found[indices] = float(row["value"])
    epochs, arms = (0, 1, 2, 3, 4, 6, 7, 10, 20, 30), ("baseline", "wdecay=0.1", "wdecay=0.2")
    metrics = list(result.history.named("measures"))
    assert metrics[:3] == ["train_loss", "train_loss_eval", "test_loss"]
    assert found == {
        (epoch, arm, replicate, metric): getattr(result.history, metric)[
            epoch_index, arm_index, replicate
        ]
        for (epoch_index, epoch), (arm_index, arm) in itertools.product(
            enumerate(epochs), enumerate(arms)
        )
        for replicate, metric in itertools.product(range(3), metrics)
    }


def test_answer_of_a_confirmation_can_be_computed_from_the_file_alone() -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=4, seed=1)
    fresh = make_result(strengths=(0.2,), replicates=5, seed=5)
    text = b"".join(csv_pieces({None: dataclasses.replace(result, confirmation=fresh)})).decode()
    risk: dict[tuple[str, str], list[float]] = {}
    for row in csv.DictReader(text.splitlines()):
        if (row["measure"], row["epoch"]) == ("risk", "30"):
            risk.setdefault((row["stage"], row["arm"]), []).append(float(row["value"]))
    for stage, whole in (("training", result), ("confirming", fresh)):
        for found in whole.comparisons:
            pairs = risk[stage, found.arm], risk[stage, "baseline"]
            expected = stats.ttest_rel(*pairs).confidence_interval(0.95)
            assert found.ci_alone == pytest.approx((expected.low, expected.high), rel=1e-6)
