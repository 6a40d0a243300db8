"""`regbench compare`: arms from the command line, a file or a variable, down to every output."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY
from runs import assert_one_line, blocks_of, numbers_of

if TYPE_CHECKING:
    from commands import Command, Finished
    from runs import Trained

SUMS = ["wdecay=0.1", "dropout=0.5", "dropout=0.5+wdecay=0.1"]
NAMES = ["baseline", "wdecay=0.1", "dropout=0.5", "wdecay=0.1+dropout=0.5"]
LABELS = ["baseline", "λ=0.1", "p=0.5", "λ=0.1+p=0.5"]
MIXED = ["wdecay=0.1", "l1=0.1+dropout=0.5"]
MIXED_NAMES = ["baseline", "wdecay=0.1", "dropout=0.5+l1=0.1"]
BATCHED = [*TINY, *NO_FILES, "--engine=batched", "--quiet"]
LINEAR = [
    *("--depth=0", "--momentum=0", "--lr=0.01", "--epochs=200", "--log-every=200", *NO_FILES),
    *("--points=6", "--replicates=6"),
]
"""Ridge regression, where too much decay is certain to hurt."""


def names_in(finished: Finished) -> list[str]:
    """Return the names of a document's arms."""
    return [arm["name"] for arm in finished.document["arms"]]


def test_arms_come_from_flag_before_variable_before_file(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("settings.toml").write_text('experiment = "compare"\narms = ["l1=0.1", "dropout=0.2"]\n')
    options = ["--config=settings.toml", *BATCHED, "--json", "--out"]
    assert names_in(regbench("compare", *options, "a")) == ["baseline", "l1=0.1", "dropout=0.2"]
    monkeypatch.setenv("REGBENCH_ARMS", " wdecay=0.3+l1=0.2\tdropout=0.4 ")
    assert names_in(regbench("compare", *options, "b")) == [
        "baseline", "wdecay=0.3+l1=0.2", "dropout=0.4",
    ]  # fmt: skip
    assert names_in(regbench("compare", *SUMS, *options, "c")) == NAMES
    origins = [
        json.loads(Path(run, "environment.json").read_text())["origins"]["arms"] for run in "abc"
    ]
    assert origins == ["--config 'settings.toml': arms", "REGBENCH_ARMS", "ARM"]
    monkeypatch.setenv("REGBENCH_ARMS", "ignored by others")
    assert regbench("wdecay", *BATCHED).code == 0


def test_one_arm_of_a_file_needs_no_list(regbench: Command) -> None:
    Path("settings.toml").write_text('arms = "wdecay=0.1,0.2+dropout=0.5"\n')
    names = names_in(regbench("compare", "--config=settings.toml", *BATCHED, "--json"))
    assert names == ["baseline", "wdecay=0.1+dropout=0.5", "wdecay=0.2+dropout=0.5"]


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("arms = 3", "'3'"),
        ("arms = [0.1]", "0.1"),
        ("arms = []", "nothing to compare"),
        ("arms = ''", "got ''"),
        ("arms = ['wdecay=0.1', true]", "True"),
        ("arms = [['wdecay=0.1']]", "allowed: arms such as"),
        ("arms = 'wdcay=0.1'", "did you mean 'wdecay'?"),
        ("arms = ['wdecay=0.1 dropout=0.5']", "got '0.1 dropout=0.5'"),
        ("arms = ['wdecay=380']", "2(1+momentum)/lr"),
        ("arms = ['wdecay=1', 'wdecay=1.0']", "twice"),
        ("arms = 'logspace:1e-4:1:3'", "allowed: arms such as"),
        ("lambda = 0.1", "unknown key 'lambda'"),
        ("experiment = 'wdecay'", "is for 'wdecay', not for 'compare'"),
    ],
)
def test_bad_arms_of_a_file_are_refused_by_its_name(
    regbench: Command, content: str, named: str
) -> None:
    Path("settings.toml").write_text(content)
    finished = regbench("compare", "--config=settings.toml")
    assert_one_line(finished, 2, "settings.toml", named)
    assert [path.name for path in Path().iterdir()] == ["settings.toml"]


def test_bad_arms_of_a_variable_are_refused_by_its_name(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGBENCH_ARMS", "wdecay=0.1 dropuot=0.5")
    assert_one_line(regbench("compare"), 2, "REGBENCH_ARMS: got 'dropuot=0.5'", "'dropout'?")
    monkeypatch.setenv("REGBENCH_ARMS", "dropout=1")
    assert_one_line(regbench("compare"), 2, "REGBENCH_ARMS: got 'dropout=1.0'", "below 1")
    monkeypatch.setenv("REGBENCH_ARMS", "")
    assert_one_line(regbench("compare"), 2, "ARM: nothing to compare")
    assert not list(Path().iterdir())


def test_document_names_every_arm_and_its_regularizers(regbench: Command) -> None:
    finished = regbench("compare", *SUMS, *BATCHED, "--json")
    assert (finished.code, finished.err) == (0, "")
    document = finished.document
    wdecay, dropout = (
        {"command": "wdecay", "strength": 0.1}, {"command": "dropout", "strength": 0.5},
    )  # fmt: skip
    parts = [[], [wdecay], [dropout], [wdecay, dropout]]
    assert document["arms"] == [
        {"name": name, "regularizers": own} for name, own in zip(NAMES, parts, strict=True)
    ]
    assert (document["schema"], document["experiment"]) == ("regbench.result/3", "compare")
    assert document["config"]["arms"] == NAMES[1:]
    assert list(document["history"]) == list(document["decomposition"]) == NAMES
    assert list(document["comparisons_by_epoch"]) == NAMES[1:]
    assert [comparison["arm"] for comparison in document["comparisons"]] == NAMES[1:]
    assert document["best_arm"] in NAMES[1:]
    run = Path(document["run_dir"])
    assert (run / "summary.json").read_text() == finished.out
    rows = list(csv.DictReader((run / "history.csv").read_text().splitlines()))
    assert list(dict.fromkeys(row["arm"] for row in rows)) == NAMES
    assert tomllib.loads((run / "config.toml").read_text())["arms"] == NAMES[1:]
    assert list(json.loads((run / "DONE").read_text())["verdicts"]) == NAMES[1:]
    (listed,) = regbench("runs", "--json").document["runs"]
    assert listed["arms"] == NAMES[1:]


def test_a_sum_is_neither_of_its_parts(regbench: Command) -> None:
    history = regbench("compare", *SUMS, *BATCHED, "--json").document["history"]
    losses = [history[name]["risk"][-1] for name in NAMES]
    assert len({tuple(values) for values in losses}) == len(NAMES)


def test_arms_of_one_regularizer_are_those_of_its_own_command(regbench: Command) -> None:
    options = [*BATCHED, "--no-cache"]
    regbench("wdecay", "--lambda=0.1,0.2", *options, "--out=own")
    regbench("compare", "wdecay=0.1", "wdecay=0.2", *options, "--out=compared")
    assert blocks_of("compared") == blocks_of("own")
    assert len(blocks_of("own")) == 3
    own, compared = numbers_of("own"), numbers_of("compared")
    different = {key for key in own if own[key] != compared[key]}
    assert different == {"experiment", "config"}


def test_each_command_uses_what_the_other_has_trained(regbench: Command, trained: Trained) -> None:
    def arms_of_run(*arguments: str) -> list[str]:
        trained.clear()
        assert regbench(*arguments, *BATCHED).code == 0
        return [name for _, names in trained for name in names]

    assert arms_of_run("wdecay", "--lambda=0.1") == ["baseline", "wdecay=0.1"]
    assert arms_of_run("compare", "wdecay=0.1", "dropout=0.5") == ["dropout=0.5"]
    assert arms_of_run("dropout", "--p=0.5,0.2") == ["dropout=0.2"]
    assert arms_of_run("compare", *SUMS, "dropout=0.2") == ["wdecay=0.1+dropout=0.5"]
    assert arms_of_run("compare", "dropout=0.5+wdecay=0.1", "l1=3") == ["l1=3.0"], "in any order"
    assert arms_of_run("l1", "--lambda=3") == []
    # A part at its neutral strength does nothing, so that the sum is the rest.
    assert arms_of_run("compare", "wdecay=0.1+dropout=0", "l1=0+dropout=0") == []


def test_neutral_part_changes_no_number(regbench: Command) -> None:
    arms = ["wdecay=0.1", "wdecay=0.1+dropout=0+l1=0", "decoupled=0"]
    document = regbench("compare", *arms, *BATCHED, "--no-cache", "--json").document
    baseline, alone, padded, nothing = document["history"].values()
    assert padded == alone != baseline == nothing
    assert document["arms"][2]["name"] == "wdecay=0.1+dropout=0.0+l1=0.0"


def test_run_of_sums_is_repeated_by_its_configuration(regbench: Command) -> None:
    regbench("compare", *SUMS, "l1=linspace:0:1e+1:3", *BATCHED, "--no-cache", "--out=first")
    again = regbench("compare", "--config=first/config.toml", "--out=second", "--quiet")
    assert again.code == 0
    assert blocks_of("second") == blocks_of("first")
    first, second = numbers_of("first"), numbers_of("second")
    assert second == first
    manifests = [
        json.loads(Path(run, "environment.json").read_text()) for run in ("first", "second")
    ]
    assert manifests[0]["configuration"] == manifests[1]["configuration"]


def test_run_of_sums_is_resumed_and_reported(regbench: Command, trained: Trained) -> None:
    options = [*BATCHED, "--no-cache", "--replicates=70"]
    options.remove("--replicates=2")
    shown = regbench("compare", *SUMS, *options, "--out=run")
    whole, numbers = blocks_of("run"), numbers_of("run")
    assert len(whole) == 8
    again = regbench("report", "run", "--quiet")
    assert (again.code, again.out) == (0, shown.out.replace("Results: run\n", ""))
    for path in sorted(Path("run/blocks").iterdir())[:3]:
        path.unlink()
    Path("run/DONE").unlink()
    partial = regbench("report", "run")
    assert partial.code == 1
    assert "it has 5 of 8 blocks" in partial.err
    trained.clear()
    assert regbench("resume", "run", "--quiet").code == 0
    assert sum(len(names) for _, names in trained) == 3
    assert (blocks_of("run"), numbers_of("run")) == (whole, numbers)
    complete = regbench("resume", "run", "--json")
    assert complete.document["arms"] == numbers["arms"]


def test_best_arm_is_confirmed_by_its_name(regbench: Command) -> None:
    arms = ["wdecay=0.001", "wdecay=100", "wdecay=100+l1=0.1"]
    finished = regbench("compare", *arms, *LINEAR, "--confirm=5", "--json", "--out=run")
    document = finished.document
    assert document["best_arm"] == "wdecay=0.001"
    assert document["confirmation"]["seeds"] == [7, 8, 9, 10, 11]
    (confirmed,) = document["confirmation"]["comparisons"]
    assert confirmed["arm"] == "wdecay=0.001"
    shown = regbench("report", "run", "--quiet").out
    assert "Best of 3 arms on seeds 1 to 6: wdecay=0.001, measured again on 5 fresh" in shown


def test_target_width_plans_for_the_widest_arm(regbench: Command) -> None:
    options = [option for option in LINEAR if not option.startswith("--replicates")]
    arms = ["wdecay=0.001", "wdecay=3+l1=0.01"]
    alone = regbench("compare", arms[0], *options, "--target-width=0.05", "--json").document
    both = regbench("compare", *arms, *options, "--target-width=0.05", "--json").document
    assert len(alone["seeds"]) == 10
    assert len(both["seeds"]) > 10
    low, high = both["comparisons"][1]["ci"]
    assert high - low == pytest.approx(0.05, rel=0.5)


@pytest.mark.parametrize(
    ("arms", "options", "code", "said"),
    [
        (["wdecay=0.001"], [], 0, ""),
        (["wdecay=0.001", "l1=0.001"], ["--require=not-worse", "--margin=0.1"], 0, ": met, "),
        (["wdecay=0.001", "l1=9+wdecay=9"], ["--require=not-worse", "--margin=0.1"], 3,
         "wdecay=9.0+l1=9.0: not met, "),
        (["wdecay=0.0", "wdecay=0+l1=0"], ["--require=better"], 3, "wdecay=0.0+l1=0.0: not met, "),
        (["dropout=0", "wdecay=9"], ["--require=better"], 3, "λ=9: not met, "),
    ],
)  # fmt: skip
def test_gate_sets_the_exit_code(
    regbench: Command, arms: list[str], options: list[str], code: int, said: str
) -> None:
    finished = regbench("compare", *arms, *LINEAR, *options, "--quiet")
    assert finished.code == code, finished.err
    assert said in finished.err


def test_diverged_sum_is_named_and_exits_1(regbench: Command) -> None:
    options = ["--epochs=300", "--log-every=100", "--hidden=20", "--replicates=2", *NO_FILES]
    arms = ["dropout=0.1", "wdecay=379.9+dropout=0.1"]
    finished = regbench("compare", *arms, *options, "--json")
    assert finished.code == 1
    assert [entry["arm"] for entry in finished.document["diverged"]] == ["wdecay=379.9+dropout=0.1"]
    assert finished.document["best_arm"] == "dropout=0.1"
    assert "wdecay=379.9+dropout=0.1 diverged in 2 of 2 replicates" in finished.err
    assert finished.err.rstrip().endswith("lower --lr or the strength")


@pytest.mark.parametrize("engine", ["batched", "reference"])
def test_task_beyond_the_floating_point_type_is_not_blamed_on_the_learning_rate(
    regbench: Command, engine: str
) -> None:
    task = "--features=polynomial:9", "--x-max=1e6"  # 1e54 is beyond float32
    finished = regbench("compare", "wdecay=0.1", *task, f"--engine={engine}", *TINY, *NO_FILES)
    assert finished.code == 1
    told = [line for line in finished.err.splitlines() if "diverged" in line]
    assert [line.partition(": ")[0] for line in told] == [
        "baseline diverged in 2 of 2 replicates (seeds 1 to 2)",
        "wdecay=0.1 diverged in 2 of 2 replicates (seeds 1 to 2)",
    ]
    for line in told:
        assert "before the first step a loss is not finite; " in line
        assert "float32 overflows: lower --x-max or --slope" in line
    assert "--lr" not in finished.err + finished.out


def test_wrong_usage_is_one_line_and_leaves_nothing(regbench: Command) -> None:
    for arguments, named in (
        ([], "ARM: nothing to compare"),
        (["wdcay=0.1"], "did you mean 'wdecay'?"),
        (["wdecay=0.1", "--lambda=0.1"], "--lambda"),
        (["wdecay=0.1", "wdecay=1e-1"], "ARM: got 'wdecay=0.1' twice; give each arm once"),
        (["wdecay=0.1+dropout=0.5", "dropout=0.5+wdecay=0.1"], "twice"),
        (["wdecay=0.1", "dropout=1"], "ARM: got 'dropout=1.0'; allowed: numbers from 0 to below 1"),
        (["--", "-x"], "ARM: got '-x'"),
        (["dropout=0.1", "--engine=fused", "--depth=0"], "dropout=0.1 with --depth=0"),
        (["wdecay=0.1", "--confirm=9", "--vary=data"], "--confirm"),
    ):
        assert_one_line(regbench("compare", *arguments), 2, named)
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("arms", "names", "labels"), [(SUMS, NAMES, LABELS), (MIXED, MIXED_NAMES, MIXED_NAMES)]
)
def test_people_read_symbols_where_they_are_clear_and_files_have_names(
    regbench: Command, arms: list[str], names: list[str], labels: list[str]
) -> None:
    finished = regbench("compare", *arms, *TINY, "--out=run")
    assert finished.code == 0
    lines = finished.out.splitlines()
    assert lines[0].startswith(f"compare: {', '.join(labels)}; 2 replicates")
    is_few = len(labels) < 4
    for label in labels:  # few have their losses, claims (the baseline as a title) and two parts
        rows = [line for line in lines if f" {label}  " in f" {line}"]
        few = 1 + (1 if label == "baseline" else 4) + 2
        assert len(rows) == (few if is_few else 2 + (label != "baseline"))
    for label in labels[1:]:
        begin = re.escape(label) + (": cannot tell" if is_few else " +(cannot tell|lower|higher) ")
        assert any(re.match(begin, line) for line in lines)
    logs = {path.name for path in Path("run/tensorboard").iterdir()}
    assert logs == {"answer", *names}
    assert {path.name for path in Path("run/figures").iterdir()} == {
        f"{name}.png" for name in ("claims", "fan", "pairs", "course", "weights")
    }  # fmt: skip
