"""`regbench show`: where every setting came from, and what is there of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from commands import NO_FILES, TINY

from regbench.experiments import COMMANDS

if TYPE_CHECKING:
    import pytest
    from commands import Command


def test_show_says_where_every_setting_came_from(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("settings.toml").write_text("slope = 2.5\nnoise = 0.5\n")
    monkeypatch.setenv("REGBENCH_SEED", "7")
    given = [*TINY, *NO_FILES, "--config=settings.toml", "--out=run", "--threads=1"]
    regbench("wdecay", "--lambda=0.1,0.2", *given, "--quiet")
    document = regbench("show", "run", "--json").document
    settings = document["settings"]
    own = {k for k, setting in COMMANDS["wdecay"].settings.items() if setting.panel != "Table"}
    assert settings.keys() == own, "of a table where there is one"
    told = {key: (s["value"], s["default"], s["origin"]) for key, s in settings.items()}
    assert told["lambda"] == ([0.1, 0.2], [0.01], "--lambda")
    assert told["slope"] == (2.5, 1.5, "--config 'settings.toml': slope")
    assert told["noise"] == (0.5, 0.5, "--config 'settings.toml': noise")
    assert told["seed"] == (7, 1, "REGBENCH_SEED")
    assert told["plots"] == (False, True, "--no-plots")
    assert told["test_points"] == (4, 4, "default"), "as many as --points"
    assert (told["quiet"][0], told["out"][0], told["threads"][0]) == (True, "run", 1)
    assert (document["state"], document["blocks"]) == ("done", {"done": 3, "total": 3})
    sizes = {str(path.relative_to("run")): path.stat().st_size for path in Path("run").rglob("*")}
    assert document["files"] == {n: s for n, s in sizes.items() if n != "blocks"}
    lines = [line.split() for line in regbench("show", "run").out.splitlines()]
    assert ["Task", "slope", "2.5", "1.5", "--config", "'settings.toml'"] in lines
    assert ["Task", "noise", "0.5", "--config", "'settings.toml'"] in lines, "no mark"


def test_show_counts_the_blocks_of_a_run_that_was_cut_off(regbench: Command) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run", "--quiet")
    Path("run", "DONE").unlink()
    next(Path("run", "blocks").iterdir()).unlink()
    document = regbench("show", "run", "--json").document
    assert (document["state"], document["blocks"]) == ("not done", {"done": 1, "total": 2})
    assert document["verdicts"] == {}
    assert "not done, 1 of 2 blocks" in regbench("show", "run").out
