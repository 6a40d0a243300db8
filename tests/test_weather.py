"""What nobody foresees costs a line: a view that fails, an error of any kind, odd numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from commands import TINY

from regbench import commands
from regbench.engines import ENGINES
from regbench.report import figures, tensorboard

if TYPE_CHECKING:
    from commands import Command


def fail(*_: object) -> NoReturn:
    raise KeyError("a key\nof two lines")


@pytest.mark.parametrize(
    ("module", "name", "missing", "made"),
    [
        (figures, "loss_picture", "figures", "figures/losses.png"),
        (figures, "fit_pictures", "pictures", "figures/fit-epoch-000004.png"),
        (tensorboard, "Log", "tensorboard", "tensorboard/baseline/events.out.tfevents.regbench"),
    ],
)
def test_view_that_fails_costs_one_line_and_can_be_made_again(
    regbench: Command, module: object, name: str, missing: str, made: str
) -> None:
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(module, name, fail)
        finished = regbench("wdecay", *TINY, "--out=run", "--quiet")
    assert finished.code == 0
    assert "Results: run" in finished.out
    (line,) = finished.err.splitlines()
    assert line.startswith(f"note: no {missing}: unexpected KeyError: ")
    assert line.endswith("make them again with: regbench report --files run")
    assert Path("run/DONE").is_file()
    assert Path("run/summary.json").is_file()
    assert Path("run/history.csv").is_file()
    assert not Path("run", made).exists()
    assert regbench("report", "run", "--files", "--quiet").code == 0
    assert Path("run", made).is_file()


def test_unexpected_error_keeps_the_promise_of_the_resume_line(regbench: Command) -> None:
    for debug in ([], ["--debug"]):
        with pytest.MonkeyPatch.context() as broken:
            broken.setitem(ENGINES, "batched", fail)
            finished = regbench("wdecay", *TINY, "--engine=batched", "--quiet", *debug)
        assert finished.code == 1
        last = finished.err.splitlines()[-1]
        assert last.startswith("regbench: error: unexpected KeyError: ")
        assert "regbench resume runs/wdecay/" in last
        assert "--debug shows where" in last
        assert ("Traceback" in finished.err) == bool(debug)
        assert debug or finished.err.count("\n") == 1
    assert regbench("resume", str(next(Path("runs/wdecay").iterdir())), "--quiet").code == 0


def test_unexpected_error_of_any_command_is_one_line(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "find_runs", fail)
    finished = regbench("runs")
    assert (finished.code, finished.out, finished.err.count("\n")) == (1, "", 1)
    assert "unexpected KeyError" in finished.err
    before = regbench("--debug", "runs")
    assert "Traceback" in before.err


def test_error_of_the_user_has_its_traceback_where_it_is_asked_for(regbench: Command) -> None:
    assert "Traceback" not in regbench("wdecay", "--lambda=-1").err
    assert "Traceback" in regbench("wdecay", "--lambda=-1", "--debug").err


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--lr=10", "--epochs=100", "--log-every=10", "--hidden=20"], 1),
        (["--lr=10", "--epochs=100", "--log-every=10", "--hidden=20", "--replicates=1"], 1),
        (["--lr=1", "--epochs=150", "--hidden=50", "--depth=3", "--replicates=6"], 1),
        (["--epochs=1", "--log-every=1"], 0),
        (["--noise=0", "--slope=0", "--test-noise=0"], 0),
        (["--slope=1e6", "--noise=1e6"], 0),
        (["--points=1", "--replicates=1", "--depth=0"], 0),
        (["--lambda=1", "--epochs=2000", "--log-every=1000"], 0),
    ],
)
@pytest.mark.parametrize("command", ["wdecay", "compare"])
def test_every_view_of_odd_numbers_is_made(
    regbench: Command, command: str, options: list[str], code: int
) -> None:
    arms = ["wdecay=0.1", "l1=0.01+early-stopping=1"] if command == "compare" else []
    given = dict(option.split("=") for option in [*TINY, *options])
    if arms:
        given.pop("--lambda", None)
    options = [f"{name}={value}" for name, value in given.items()]
    finished = regbench(command, *arms, *options, "--out=run", "--quiet")
    assert finished.code == code, finished.err
    assert "note: no" not in finished.err
    assert "Traceback" not in finished.err
    for file in ("DONE", "summary.json", "figures/losses.png"):
        assert Path("run", file).is_file()
