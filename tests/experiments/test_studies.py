"""Sweeps, confirmation, the planner and the gate, from the command line to the exit code."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import NO_FILES
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from regbench.errors import UsageError
from regbench.experiments import resolve
from regbench.regularizers import REGULARIZERS

if TYPE_CHECKING:
    from commands import Command

    from regbench.analysis.history import Batch, History

SMALL = ["--points=6", "--hidden=8", "--depth=1", "--epochs=40", "--log-every=20", *NO_FILES]
LINEAR = ["--depth=0", "--momentum=0", "--lr=0.3", "--epochs=60", "--log-every=60", *NO_FILES]
"""Ridge regression, where too much decay is certain to hurt."""


def strengths_of(command: str, text: str) -> list[float]:
    """Return the strengths of the arms that a text asks for."""
    study = resolve(command, {REGULARIZERS[command].option: [text]}).study
    return [part.strength for arm in study.arms[1:] for part in arm.parts]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("logspace:1e-4:1:5", np.geomspace(1e-4, 1, 5)),
        ("logspace:1:1e-4:9", np.geomspace(1, 1e-4, 9)),
        ("linspace:0.1:0.5:5", np.linspace(0.1, 0.5, 5)),
        ("linspace:0:0.9:2", [0, 0.9]),
        ("0.5,linspace", None),
        ("logspace:0:1:3", None),
        ("logspace:1e-4:1", None),
        ("logspace:1e-4:1:1", None),
        ("logspace:1e-4:1:1001", None),
        ("logspace:1e-4:nan:3", None),
        ("geomspace:1e-4:1:3", None),
    ],
)
def test_spaced_strengths_are_numpys_to_four_digits(
    text: str, expected: list[float] | None
) -> None:
    if expected is None:
        with pytest.raises(UsageError, match="--lambda"):
            strengths_of("wdecay", text)
        return
    strengths = strengths_of("wdecay", text)
    np.testing.assert_allclose(strengths, expected, rtol=5e-4)
    assert (strengths[0], strengths[-1]) == (expected[0], expected[-1])


@pytest.mark.parametrize(
    ("experiment", "text", "expected"),
    [
        ("dropout", "linspace:0.50001:0.50003:3", [0.50001, 0.50002, 0.50003]),
        ("dropout", "linspace:0.99991:0.99999:3", [0.99991, 0.99995, 0.99999]),
        ("wdecay", "linspace:0.10004:0.10008:3", [0.10004, 0.10006, 0.10008]),
        ("wdecay", "linspace:0.10008:0.10004:3", [0.10008, 0.10006, 0.10004]),
        ("wdecay", "linspace:0.1:0.1001:4", [0.1, 0.10003, 0.10007, 0.1001]),
        ("wdecay", "logspace:1.00001:1.00003:3", [1.00001, 1.00002, 1.00003]),
        ("wdecay", "logspace:1e-4:1:5", [1e-4, 1e-3, 1e-2, 1e-1, 1]),
        ("wdecay", "logspace:1e-4:1:7", [1e-4, 4.642e-4, 2.154e-3, 0.01, 0.04642, 0.2154, 1]),
    ],
)
def test_spaced_strengths_are_short_different_and_between_the_ends(
    experiment: str, text: str, expected: list[float]
) -> None:
    assert strengths_of(experiment, text) == expected


@given(
    st.sampled_from(["linspace", "logspace"]),
    st.floats(1e-3, 1),
    st.integers(0, 12),
    st.integers(2, 9),
)
def test_spaced_strengths_never_leave_the_range(
    spacing: str, first: float, narrowness: int, count: int
) -> None:
    last = first * (1 + 10.0**-narrowness)
    strengths = strengths_of("wdecay", f"{spacing}:{first!r}:{last!r}:{count}")
    steps = np.diff(strengths)
    assert (strengths[0], strengths[-1]) == (first, last)
    assert len(steps) == count - 1
    assert (steps > 0).all()


def test_range_without_room_is_refused() -> None:
    for text in ("linspace:0.1:0.1:2", "linspace:0.1:0.10000000000000002:3"):
        with pytest.raises(UsageError, match=r"--lambda: got .*no [23] different numbers"):
            strengths_of("wdecay", text)


def test_sweep_finds_the_best_strength_and_confirms_it_on_fresh_seeds(regbench: Command) -> None:
    arguments = ["wdecay", "--lambda=0.01,1,5", "--replicates=6", "--confirm=4", *LINEAR]
    document = regbench(*arguments, "--json").document
    losses = {name: np.mean(history["risk"][-1]) for name, history in document["history"].items()}
    assert document["best_arm"] == min(set(losses) - {"baseline"}, key=losses.__getitem__)
    confirmation = document["confirmation"]
    assert confirmation["seeds"] == [7, 8, 9, 10]
    (confirmed,) = confirmation["comparisons"]
    assert confirmed["arm"] == document["best_arm"]
    # The same numbers as an experiment of its own on these seeds.
    strength = confirmed["arm"].partition("=")[2]
    alone = regbench(
        "wdecay", f"--lambda={strength}", "--seed=7", "--replicates=4", *LINEAR, "--json"
    ).document["comparisons"][0]
    assert confirmed == alone
    shown = regbench(*arguments, "--quiet").out.splitlines()
    line_index = next(i for i, line in enumerate(shown) if line.startswith("Best of 3 "))
    assert f" arms on seeds 1 to 6: λ={strength}, measured again on 4 fresh" in shown[line_index]
    # What the fresh ones say is all that is said of it.
    assert shown[line_index + 1].startswith(f"λ={strength}")
    assert sum(line.startswith(f"λ={strength}") and " the risk " in line for line in shown) == 1


def test_verdict_that_is_recorded_is_the_confirmed_one(regbench: Command) -> None:
    # Three replicates of noise alone cannot confirm what 40 have found.
    options = ["--lambda=0.3", "--noise=2", "--replicates=40", "--confirm=2", "--require=better"]
    finished = regbench("wdecay", *options, *LINEAR, "--out=run", "--json")
    assert finished.document["comparisons"][0]["verdict"] == "better"
    assert finished.document["confirmation"]["comparisons"][0]["verdict"] == "inconclusive"
    assert finished.code == 4
    assert json.loads(Path("run/DONE").read_text())["verdicts"] == {"wdecay=0.3": "inconclusive"}


def test_arm_that_diverges_in_the_confirmation_is_exit_1(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regbench.engines import ENGINES

    train = ENGINES["batched"]

    def fail_on_fresh_seeds(batch: Batch, *others: Any) -> History:
        history = train(batch, *others)
        if batch.seeds[0] > 6:
            history.test_loss[-1, -1] = math.nan
        return history

    monkeypatch.setitem(ENGINES, "batched", fail_on_fresh_seeds)
    options = ["--lambda=1", "--replicates=6", "--confirm=4", "--engine=batched"]
    finished = regbench(
        "wdecay", *options, *LINEAR, "--require=not-worse", "--margin=9", "--quiet", "--out=run"
    )
    assert finished.code == 1
    assert "wdecay=1.0 diverged in 4 of 4 replicates (seeds 7 to 10)" in finished.err
    report = regbench("report", "run", "--json")
    assert report.code == 1
    assert report.document["diverged"] == []
    assert report.document["confirmation"]["diverged"] == [
        {"arm": "wdecay=1.0", "epoch": 60, "replicates": 4}
    ]


def test_pilot_says_how_many_replicates_a_width_needs_and_they_are_run(regbench: Command) -> None:
    options = ["wdecay", "--lambda=1", *SMALL]
    pilot = regbench(*options, "--replicates=10", "--json").document
    differences = np.subtract(
        *(pilot["history"][name]["risk"][-1] for name in ("wdecay=1.0", "baseline"))
    )
    spread = differences.std(ddof=1) * math.sqrt(9 / stats.chi2.ppf(0.1, 9))
    width = spread  # of 18 replicates, or so
    needed = next(
        count
        for count in range(2, 1000)
        if 2 * stats.t.ppf(0.975, count - 1) * spread / math.sqrt(count) <= width
    )
    target = f"--target-width={float(width)!r}"
    assert len(regbench(*options, target, "--json").document["seeds"]) == needed
    shown = regbench(*options, target).out
    assert f"needs about {needed} replicates: {needed - 10} more" in shown
    assert f"mean of {needed} replicates" in shown
    assert "; a pilot of 10 replicates (seeds 1 to 10) for an interval " in shown


def test_pilot_that_asks_for_too_much_is_a_run_that_failed(regbench: Command) -> None:
    finished = regbench("wdecay", "--target-width=1e-160", *SMALL, "--quiet")
    assert finished.code == 1, "not 2: there is a folder"
    assert finished.err.startswith(
        "regbench: error: --target-width: got '1e-160', which by the pilot"
    )
    assert finished.err.count("\n") == 1
    assert "resume" not in finished.err


GATES = [
    # too much decay makes ridge worse, by about 1.5²/3 of test loss
    (["--lambda=100", "--lr=0.01", "--require=better"], 3, "not met"),
    (["--lambda=100", "--lr=0.01", "--require=not-worse"], 3, "not met"),
    (["--lambda=100", "--lr=0.01", "--require=not-worse", "--margin=10"], 0, "met"),
    (["--lambda=1e-9", "--require=better", "--margin=0.1"], 3, "not met"),
    (["--lambda=1e-9", "--require=not-worse", "--margin=0.1"], 0, "met"),
    (["--lambda=0", "--require=better"], 3, "not met"),
    (["--lambda=1e-9", "--require=equal", "--margin=0.1"], 0, "met"),
    (["--lambda=100", "--lr=0.01", "--require=equal", "--margin=0.1"], 3, "not met"),
    (["--lambda=0.3", "--require=better", "--noise=5", "--test-noise=0"], 0, "met"),
    (["--lambda=0.3", "--require=better", "--replicates=1"], 4, "inconclusive"),
    (["--lambda=0.0,100", "--lr=0.01", "--require=not-worse", "--margin=0.1"], 3, "not met"),
]


@pytest.mark.parametrize(("options", "code", "judgement"), GATES)
def test_gate_sets_the_exit_code_and_says_why_on_stderr(
    regbench: Command, options: list[str], code: int, judgement: str
) -> None:
    # Given options come last and win: Typer refuses an option that is given twice.
    fixed = [o for o in LINEAR if o.partition("=")[0] not in {x.partition("=")[0] for x in options}]
    if not any(option.startswith("--replicates") for option in options):
        fixed.append("--replicates=12")
    finished = regbench("wdecay", *fixed, *options, "--json")
    assert finished.code == code, finished.err
    said = finished.err.splitlines()[-1]
    assert said.startswith("--require ")
    assert f": {judgement.replace('inconclusive', 'cannot tell')}, because " in said
    gate = finished.document["gate"]
    assert f"--require={gate['require']}" in options
    assert (f"--margin={gate['margin']:g}" in options) == (gate["margin"] > 0)
    assert (gate["outcome"], gate["reason"].rpartition("; ")[2]) == (judgement, said)


def test_gate_counts_the_confirmed_arm_alone(regbench: Command) -> None:
    options = ["--lambda=0.001,100", "--lr=0.01", "--epochs=200", "--replicates=6"]
    base = ["wdecay", "--depth=0", "--momentum=0", "--log-every=200", *NO_FILES, *options]
    gate = ["--require=not-worse", "--margin=0.1"]
    assert regbench(*base, *gate).code == 3
    finished = regbench(*base, *gate, "--confirm=6")
    assert finished.code == 0, finished.err
    assert finished.err.count("--require") == 1
