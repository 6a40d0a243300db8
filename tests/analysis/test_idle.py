"""An arm whose numbers are the baseline's is said to have done nothing, and no other is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import NO_FILES, TINY
from training import make_result

from regbench.analysis.history import History
from regbench.analysis.result import Result

if TYPE_CHECKING:
    from commands import Command


def result_of(*strengths: float, **values: Any) -> Result:
    return make_result("wdecay", strengths, **values)


def changed(result: Result, name: str, index: tuple[int, ...], value: float) -> Result:
    """Return a result one number of which is another one."""
    arrays = {key: array.copy() for key, array in result.history.arrays.items()}
    arrays[f"measures/{name}"][index] = value
    return Result(result.study, result.question, result.environment, History(arrays))


@pytest.mark.parametrize("replicates", [1, 3])
def test_neutral_arm_did_nothing_and_another_one_did_something(replicates: int) -> None:
    result = result_of(0.0, 0.1, replicates=replicates)
    assert result.idle == {"wdecay=0.0"}
    assert result.verdicts["wdecay=0.0"] == "did nothing"
    assert result.verdicts["wdecay=0.1"] != "did nothing"
    early = [c for epoch in result.comparisons_by_epoch for c in epoch if c.arm in result.idle]
    assert {c.verdict for c in early} == {"did nothing"}
    told = {found.verdict for found in result.measures if found.arm == "wdecay=0.0"}
    assert told == {"did nothing"}
    assert [c.holds for c in result.claims if c.arm == "wdecay=0.0"] == [False] * 4


def test_one_number_that_differs_in_one_replicate_at_one_epoch_is_something() -> None:
    result = result_of(0.0)
    for index in ((0, 1, 0), (1, 1, 2), (-1, 1, 1)):
        value = np.nextafter(result.history.risk[index], np.float32(9))
        assert changed(result, "risk", index, value).idle == set()
    bad = changed(result, "weight_norm", (1, 1, 0), np.nan)
    assert bad.idle == set()
    assert changed(bad, "weight_norm", (1, 0, 0), np.nan).idle == {"wdecay=0.0"}, "NaN is NaN"


def test_arm_that_diverged_is_called_that() -> None:
    result = result_of(0.0, lr=1000.0, epochs=200)
    assert result.has_diverged
    assert result.verdicts == {"wdecay=0.0": "diverged"}


@pytest.mark.parametrize(
    ("arguments", "label"),
    [
        (["wdecay", "--lambda=0"], "λ=0"),
        (["early-stopping", "--stop-epoch=1000"], "epoch=1000"),
        (["max-norm", "--bound=100"], "c=100"),
    ],
)
def test_screen_document_and_gate_say_so(
    regbench: Command, arguments: list[str], label: str
) -> None:
    gate = ["--require=better", "--json", "--out=run"]
    finished = regbench(*arguments, *TINY, *NO_FILES, *gate)
    assert finished.code == 3, finished.err
    assert [c["verdict"] for c in finished.document["comparisons"]] == ["did nothing"]
    reason = finished.document["gate"]["reason"]
    assert reason == f"--require better: {label}: not met, because it did nothing"
    shown = regbench("report", "run")
    assert f"{label} did nothing" in " ".join(shown.out.split())
    assert "cannot tell" not in shown.out
    assert regbench("runs", "--root=.", "--json").document["runs"][0]["verdicts"] == {
        finished.document["comparisons"][0]["arm"]: "did nothing"
    }
    met = regbench(*arguments, *TINY, *NO_FILES, "--require=not-worse", "--json")
    assert (met.code, met.document["gate"]["outcome"]) == (0, "met")
    assert "it did nothing" in met.document["gate"]["reason"]


def test_many_arms_and_values_of_a_setting_say_so_and_pictures_are_drawn(
    regbench: Command,
) -> None:
    many = regbench("wdecay", "--lambda=0,0.01,0.1,0.2", *TINY, "--out=many")
    assert many.code == 0, many.err
    assert "did nothing" in many.out
    assert "note: no" not in many.err
    assert {path.stem for path in Path("many", "figures").iterdir()} >= {"claims", "weights"}
    over = regbench("wdecay", "--lambda=0", "--over=lr=0.01,0.02", *TINY, *NO_FILES)
    assert "λ=0 does nothing at lr=0.01, 0.02" in " ".join(over.out.split())
