"""The table of all losses: a row for each number, under the seed that replays it."""

from __future__ import annotations

import csv
import itertools

from training import make_result

from regbench.report.csv import csv_pieces


def test_every_number_stands_beside_its_arm_seed_epoch_and_metric() -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=3, seed=40)
    text = b"".join(csv_pieces(result)).decode("ascii")
    found = {}
    for row in csv.DictReader(text.splitlines()):
        assert int(row["seed"]) == 40 + int(row["replicate"])
        indices = (int(row["epoch"]), row["arm"], int(row["replicate"]), row["metric"])
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
