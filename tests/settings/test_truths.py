"""Every truth is the function that its name promises, wherever the name is given."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from commands import NO_FILES, TINY
from training import make_study, train

from regbench.errors import UsageError
from regbench.experiments import COMMANDS, resolve
from regbench.settings.truths import TRUTHS
from regbench.tasks.synthetic import Synthetic

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Command
    from numpy.typing import NDArray

TRAINING = [name for name in COMMANDS if "truth" in COMMANDS[name].settings]


def expected(name: str, x: NDArray[Any]) -> NDArray[Any]:
    """Return what NumPy makes of the truth of a name."""
    values: dict[str, NDArray[Any]] = {
        "linear": x,
        "quadratic": x**2,
        "sine": np.sin(np.pi * x),
        "step": np.where(x > 0, 1.0, np.where(x < 0, -1.0, 0.0)),
        "abs": np.maximum(x, -x),
        "cosine": np.cos(np.pi * x),
        "sawtooth": 2 * (x - np.floor(x + 0.5)),
    }
    return values[name]


FORMULAS = {
    "linear": "y = 2x on",
    "quadratic": "y = 2x^2 on",
    "sine": "y = 2 sin(pi x) on",
    "step": "y = 2 sign(x) on",
    "abs": "y = 2|x| on",
    "cosine": "y = 2 cos(pi x) on",
    "sawtooth": "y = 2 saw(x) on",
}
"""What the header says at a slope of 2."""


@pytest.mark.parametrize("slope", [1.0, -0.5, 1.5])
@pytest.mark.parametrize("name", TRUTHS)
def test_truth_is_the_slope_times_numpys_function(name: str, slope: float) -> None:
    task = make_study(truth=name, slope=slope, noise=0.0, test_noise=0.0, test_points=9).task
    x = np.concatenate([np.linspace(-3, 3, 25), [0.0, -0.0, 1e-30, -1e-30]])
    found = Synthetic(task).target(torch.from_numpy(x)[:, None])
    assert found.shape == (29, 1)
    np.testing.assert_allclose(found[:, 0], slope * expected(name, x), rtol=1e-14, atol=1e-14)
    data = Synthetic(task).draw(torch.Generator().manual_seed(1), 1)
    for inputs, targets in ((data.x, data.y), (data.asked_x[:9], data.asked_y)):
        values = slope * expected(name, inputs[:, 0].double().numpy())
        np.testing.assert_allclose(targets, values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", TRUTHS)
def test_truth_is_chosen_by_its_name_from_anywhere(name: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"truth = {name!r}\n")
    asked = [
        resolve("wdecay", {"truth": [name]}),
        resolve("wdecay", {}, {"REGBENCH_TRUTH": name}),
        resolve("wdecay", {}, {}, str(path)),
        resolve("compare", {"truth": [name], "arms": ["l1=0.1"]}),
    ]
    assert {request.study.task.truth for request in asked} == {name}
    assert tomllib.loads(path.read_text())["truth"] == asked[0].to_file()["truth"]


@pytest.mark.parametrize("command", TRAINING)
def test_help_names_every_truth(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = regbench(command, "--help").out.partition("╭")[2]  # without the examples
    line = next(line for line in shown.splitlines() if "--truth " in line)
    assert not [name for name in TRUTHS if f"{name} {TRUTHS[name].formula.strip()}" not in line]
    assert "[linear]" in line


@pytest.mark.parametrize("name", TRUTHS)
def test_header_shows_the_truth(regbench: Command, name: str) -> None:
    finished = regbench("wdecay", *TINY, *NO_FILES, f"--truth={name}", "--slope=2", "--noise=0")
    assert finished.code == 0, finished.err
    assert f"Task: {FORMULAS[name]} [-1, 1]" in " ".join(finished.out.split())


@pytest.mark.parametrize("text", ["tangent", "", "Linear", "linear ", "linear\n", "line.r", "|"])
def test_what_is_no_truth_is_refused_with_all_that_are(text: str, tmp_path: Path) -> None:
    allowed = f"; allowed: {', '.join(TRUTHS)}"
    path = tmp_path / "settings.toml"
    path.write_bytes(f"truth = {text!r}\n".encode())
    for flags, environment, file, source in (
        ({"truth": [text]}, {}, None, "--truth: got "),
        ({}, {"REGBENCH_TRUTH": text}, None, "REGBENCH_TRUTH: got "),
        ({}, {}, str(path), "--config "),
    ):
        if environment == {"REGBENCH_TRUTH": ""}:
            continue  # a variable that is empty counts as not set
        with pytest.raises(UsageError) as refused:
            resolve("wdecay", flags, environment, file)
        assert str(refused.value).startswith(source)
        assert str(refused.value).endswith(allowed)


def test_jumps_of_the_sawtooth_fall_between_the_points_of_the_grid() -> None:
    history = train(make_study(truth="sawtooth", slope=1.0, dtype="float64", epochs=1), "batched")
    assert np.abs(history.grid_truth).max() == pytest.approx(
        0.99, rel=1e-5
    )  # half a cell from the jump
    steps = np.diff(history.grid_truth)
    assert (steps < 0).sum() == 2  # at -1/2 and 1/2
    assert steps.max() == pytest.approx(0.02, rel=1e-5)  # inputs are float32
