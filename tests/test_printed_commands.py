"""Every command that a view prints asks what was asked; every command takes every run."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY

import regbench as rb
from regbench import commands
from regbench.experiments import stored_command
from regbench.regularizers import REGULARIZERS
from regbench.storage.run_folder import open_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Command

    from regbench.settings.command import Request

PLUGIN = """
from regbench import Regularizer

class Ridge(Regularizer):
    command, option, symbol, default = "ridge", "lambda", "λ", 0.01
    summary = "A penalty by [/smith] and [sons] :smile:"

    def add_penalty_gradient_(self, gradient, parameter, *others):
        gradient.add_(parameter, alpha=2 * self.strength)
"""
ODD = "a\n```\n b"
"""A folder whose name would end a fence."""
FEW = [*TINY, "--no-plots", "--no-tensorboard", "--engine=batched", "--quiet"]
SCALE = ["dropout-scale", "--units=9", "--trials=9", "--no-plots", "--no-tensorboard", "--quiet"]
ASKED = {
    "one strength": ["wdecay", *FEW],
    "numbers below 0": ["wdecay", "--lambda=0,0.1", "--slope=-2", "--x-min=-1e-7", *FEW],
    "a question": ["dropout", "--by=test-loss", "--require=not-worse", "--margin=0.5", *FEW],
    "a confirmation": ["l1", "--lambda=0.1,0.2", "--confirm=2", "--confidence=0.9", *FEW],
    "words": ["max-norm", "--bound=0.5,1", "--features=polynomial:2", *FEW],
    "whole numbers": ["early-stopping", "--stop-epoch=2", "--optimizer=adam", *FEW],
    "sums": ["compare", "dropout=0.5+l1=0.1,0.2", "wdecay=1e-07", *FEW],
    "values": ["compare", "dropout=0.5", "wdecay=0.1", "--over=lr=0.01,0.02", *FEW],
    "values below 0": ["wdecay", "--over=slope=-1.5,2", *FEW],
    "one probability": SCALE,
    "probabilities": [*SCALE, "--p=0.1,0.5", "--seed=7"],
    "a plug-in's": ["ridge", f"--plugin={ODD}/it's.py", *FEW],
}


@pytest.fixture(autouse=True)
def _own_registry() -> Iterator[None]:
    """Leave the registry as it was."""
    before = dict(REGULARIZERS)
    yield
    REGULARIZERS.clear()
    REGULARIZERS.update(before)


def words_of(line: str) -> list[str]:
    """Return the words that a real shell makes of a line."""
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    return said.stdout.decode().split("\0")[:-1]


def printed_commands(regbench: Command, asked: list[str]) -> dict[str, str]:
    """Return the commands that views of the folder `run` print, by the view."""
    markdown = regbench(*asked, "--format=markdown").out.split("Repeat it")[1]
    fence, command = re.findall(r"(?m)^(`{3,})sh\n(.*)\n\1$", markdown)[0]
    assert fence not in command
    page = html.unescape(Path("run/report.html").read_text("utf-8"))
    lines = regbench("show", "run").out.splitlines()
    (shown,) = (line.split(None, 1)[1] for line in lines if line.startswith("command "))
    return {
        "markdown": command,
        "page": re.findall(r"<pre tabindex=\"0\">(regbench .*)</pre>", page)[0],
        "show": shown,
    }


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_command_that_a_view_prints_asks_what_was_asked(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    folder = Path(ODD)
    folder.mkdir()
    (folder / "it's.py").write_text(PLUGIN, "utf-8")
    monkeypatch.setattr("sys.argv", ["regbench", *asked, "--out=run"])
    assert regbench(*asked, "--out=run").code in (0, 3, 4)
    first = open_run("run", stored_command).request
    requests: list[Request] = []

    def note(request: Request) -> int:
        requests.append(request)
        return 0

    shown = ["report", "run"] if first.study.has_blocks else [*asked, "--out=again"]
    printed = printed_commands(regbench, shown)
    monkeypatch.setattr(commands, "run_experiment", note)
    for view, line in printed.items():
        program, *words = words_of(line)
        assert (program, regbench(*words).code) == ("regbench", 0), (view, line)
        again = requests.pop()
        assert again.study.by_key() == first.study.by_key(), (view, line)
        assert (again.question, again.digest) == (first.question, first.digest)
    page = html.unescape(Path("run/report.html").read_text("utf-8"))
    Path("again.toml").write_text(page.split("</pre>")[1].rpartition('<pre tabindex="0">')[2])
    plugin = [word for word in asked if word.startswith("--plugin")]
    assert regbench(first.command.name, *plugin, "--config=again.toml").code == 0
    assert requests.pop().digest == first.digest


@pytest.mark.parametrize(
    "asked",
    [ASKED["one strength"], ASKED["values"]],
    ids=["training", "over"],
)
def test_every_command_takes_a_run_of_every_experiment(regbench: Command, asked: list[str]) -> None:
    assert regbench(*asked, *NO_FILES, "--out=run", "--no-cache").code == 0
    numbers = Path("run/summary.json").read_bytes()
    for command in ("show", "report", "resume"):
        for form in ("table", "markdown", "csv", "json"):
            finished = regbench(command, "run", f"--format={form}")
            assert (finished.code, "error" in finished.err) == (0, False), finished.err
            assert finished.out
    assert regbench("report", "run", "--json").out.encode() == numbers
    assert regbench("show", "run", "--json").document["state"] == "done"
    (listed,) = regbench("runs", "--root=.", "--json").document["runs"]
    assert (listed["run_dir"], listed["state"]) == ("run", "done")
    assert listed["verdicts"].keys() == set(listed["arms"])
    assert rb.load("run").study == open_run("run", stored_command).request.study
    Path("run/DONE").unlink()
    assert regbench("report", "run", "--quiet").err.endswith(
        "finish it with: regbench resume run\n"
    )
    assert regbench("resume", "run", "--quiet").code == 0
    assert regbench("report", "run", "--files", "--quiet").code == 0
