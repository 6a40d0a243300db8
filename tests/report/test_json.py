"""The JSON document: one, strict, and complete."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from commands import NO_FILES, TINY
from training import make_result

from regbench.report.json import to_text, training_content

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Command

KEYS = {"schema", "experiment", "version", "is_complete", "config", "environment", "run_dir"}


@pytest.mark.parametrize("engine", ["reference", "batched"])
def test_training_document_is_complete_and_says_what_was_asked(
    regbench: Command, tmp_path: Path, engine: str
) -> None:
    options = [*TINY, *NO_FILES, "--lambda=0.1,0.2", f"--engine={engine}", "--seed=4", "--quiet"]
    finished = regbench("wdecay", "--json", *options)
    assert (finished.code, finished.err) == (0, "")
    document = finished.document
    names = ["baseline", "wdecay=0.1", "wdecay=0.2"]
    assert set(document) == KEYS | {
        "arms", "seeds", "epochs", "history", "comparisons", "comparisons_by_epoch",
        "decomposition", "best_arm", "confirmation", "diverged", "claims", "measures", "optimum",
        "gate",
        "decomposition_differences", "interactions", "at_best_epochs", "slope_ratios", "failures",
    }  # fmt: skip
    assert document["schema"] == "regbench.result/3"
    parts = [[], *([{"command": "wdecay", "strength": strength}] for strength in (0.1, 0.2))]
    assert document["arms"] == [
        {"name": name, "regularizers": regularizers}
        for name, regularizers in zip(names, parts, strict=True)
    ]
    assert (document["seeds"], document["epochs"]) == ([4, 5], [0, 1, 2, 4])
    assert document["config"]["lambda"] == [0.1, 0.2]
    assert document["config"]["hidden"] == 4
    assert document["environment"]["engine"] == engine
    assert list(document["history"]) == names
    for losses in document["history"].values():
        assert {np.shape(values) for values in losses.values()} == {(4, 2)}
    for comparison, name in zip(document["comparisons"], names[1:], strict=True):
        arm = np.array(document["history"][name]["risk"][-1])
        baseline = np.array(document["history"]["baseline"]["risk"][-1])
        assert comparison["arm"] == name
        assert comparison["mean_difference"] == pytest.approx((arm - baseline).mean(), rel=1e-9)
        assert comparison["wins"] == (arm < baseline).sum()
        assert comparison["replicates"] == 2
        earlier, last = document["comparisons_by_epoch"][name]
        assert (earlier["epoch"], last["epoch"]) == (2, 4)
        assert set(earlier) == set(last)
        assert {key: value for key, value in last.items() if key != "epoch"} == comparison
    assert document["diverged"] == []
    assert (tmp_path / document["run_dir"] / "summary.json").read_text() == finished.out


def test_each_part_of_the_document_has_the_epochs_that_it_says() -> None:
    result = make_result(epochs=36, log_every=2)
    history, training, content = result.history, result.study.training, training_content(result)
    logged, kept = [*range(2, 37, 2)], [0, 1, *range(4, 37, 4)]
    measured = [0, 1, *logged]
    assert content["epochs"] == training.measured_epochs == measured
    for arm_index, arm in enumerate(result.study.arm_names):
        assert list(content["history"][arm]) == list(history.named("measures"))
        for name, values in content["history"][arm].items():
            assert values == getattr(history, name)[:, arm_index].tolist()
            assert len(values) == len(measured)
        parts = content["decomposition"][arm]
        assert [entry["epoch"] for entry in parts] == kept
        for entry, found in zip(parts, result.decompositions, strict=True):
            own = found[arm_index]
            assert own is not None
            assert entry == {"epoch": entry["epoch"], **dataclasses.asdict(own)}
    for arm_index, arm in enumerate(result.study.compared):
        parts = content["decomposition_differences"][arm]
        assert [entry["epoch"] for entry in parts] == kept
        for entry, differences in zip(parts, result.decomposition_differences, strict=True):
            change = dataclasses.asdict(differences[arm_index])
            assert {"arm": arm, **entry} == {"epoch": entry["epoch"], **change}
    for arm_index, arm in enumerate(result.study.compared):
        compared = content["comparisons_by_epoch"][arm]
        assert [entry["epoch"] for entry in compared] == logged
        for entry in compared:
            losses = history.risk[history.at(entry["epoch"])].astype(float)
            gap = (losses[arm_index + 1] - losses[0]).mean()
            assert entry["mean_difference"] == pytest.approx(gap, rel=1e-9)


def test_decomposition_of_one_replicate_names_its_epochs_only() -> None:
    content = training_content(make_result(replicates=1))
    epochs = [{"epoch": epoch} for epoch in (0, 1, 10, 20, 30)]
    assert content["decomposition"] == {"baseline": epochs, "wdecay=0.01": epochs}
    assert content["decomposition_differences"] == {"wdecay=0.01": epochs}


@pytest.mark.parametrize("engine", ["reference", "batched", "auto"])
def test_divergence_is_a_result_and_exit_1(regbench: Command, tmp_path: Path, engine: str) -> None:
    arguments = ["--lr=10", "--epochs=200", "--log-every=50", "--hidden=20", "--replicates=2"]
    finished = regbench("wdecay", "--json", f"--engine={engine}", "--device=cpu", *arguments)
    assert finished.code == 1
    document = finished.document
    assert [entry["arm"] for entry in document["diverged"]] == ["baseline", "wdecay=0.01"]
    assert document["gate"] is None
    assert document["diverged"][0]["epoch"] in document["epochs"]
    assert document["history"]["baseline"]["risk"][-1] == [None, None]
    assert document["comparisons"][0]["mean_difference"] is None
    assert document["comparisons"][0]["wins"] is None
    lines = finished.err.splitlines()
    assert [line for line in lines if "histograms left out" in line]
    assert [line for line in lines if line.startswith("baseline diverged") and "--lr" in line]
    figures = list((tmp_path / document["run_dir"] / "figures").iterdir())
    assert len(figures) == 6


def test_arm_that_diverges_changes_no_other_and_is_left_out_of_the_histograms(
    regbench: Command,
) -> None:
    # Just below 2(1 + momentum)/lr = 380: stable without a loss, and not with one.
    options = ["--epochs=300", "--log-every=100", "--hidden=20", "--replicates=3", "--no-plots"]
    both = regbench("wdecay", "--json", "--lambda=0.1,379.9", "--no-cache", *options)
    alone = regbench("wdecay", "--json", "--lambda=0.1", "--no-cache", *options)
    assert (both.code, alone.code) == (1, 0)
    assert "histograms left out: their values are not finite" in both.err
    assert "wdecay=379.9 diverged in 3 of 3 replicates" in both.err
    for name in ("baseline", "wdecay=0.1"):
        assert both.document["history"][name] == alone.document["history"][name]
        assert both.document["decomposition"][name] == alone.document["decomposition"][name]
    assert both.document["best_arm"] == "wdecay=0.1"
    shown = regbench("report", both.document["run_dir"])
    assert "times as rough as the baseline's" in shown.out
    assert not re.search(r"\bnan\b", shown.out)
    (first, second), (expected,) = both.document["comparisons"], alone.document["comparisons"]
    assert first == expected, "p values of one arm that can be compared need no correction"
    assert (second["verdict"], second["mean_difference"]) == ("diverged", None)


def test_scale_document_is_complete(regbench: Command) -> None:
    finished = regbench("dropout-scale", "--json", "--p=0,0.5", "--quiet", *NO_FILES)
    assert (finished.code, finished.err) == (0, "")
    document = finished.document
    assert set(document) == KEYS | {"scales"}
    none, half = document["scales"]
    assert (none["p"], half["p"]) == (0.0, 0.5)
    assert none["inverted"]["sd"] == none["inverted"]["theory_sd"] == 0
    inverted, classic = half["inverted"], half["classic"]
    assert (inverted["theory_mean"], inverted["theory_sd"]) == (10_000, 100)
    assert (inverted["eval_output"], classic["eval_output"]) == (10_000, 5000)
    assert classic["mean"] == pytest.approx(inverted["mean"] / 2)
    assert classic["theory_sd"] == 50
    assert inverted["first_output"] == half["outputs"][0]
    assert half["article_z"] == pytest.approx(-1.32)


def test_numbers_that_are_not_finite_become_null() -> None:
    values = [math.nan, math.inf, -math.inf, np.float64("nan"), 1.5, None, True, "nan"]
    text = to_text({"a": values, "b": {"c": (math.nan, 2)}})
    assert not re.search(r"NaN|Infinity", text)
    assert json.loads(text) == {
        "a": [None, None, None, None, 1.5, None, True, "nan"],
        "b": {"c": [None, 2]},
    }


def test_numbers_keep_all_their_digits() -> None:
    value = float(np.float32(0.1))
    assert json.loads(to_text({"a": value, "b": 5e-324}))["a"] == value
