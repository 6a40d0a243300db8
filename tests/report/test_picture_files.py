"""Pictures as files, and drawn from Python into axes of the caller's."""

from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from commands import TINY
from matplotlib.figure import Figure
from PIL import Image
from training import make_result

from regbench.report import figures

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Command


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_files_are_the_same_whenever_they_are_drawn_again(suffix: str) -> None:
    result = make_result(strengths=(0.1,), epochs=10)
    first = figures.draw("fan", result, {suffix})
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "lines.linewidth": 9}):
        assert figures.draw("fan", result, {suffix}).files == first.files
    if suffix == "png":
        image = Image.open(io.BytesIO(first.files["png"]))
        assert image.size == (first.width, first.height)
        assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)


@pytest.mark.parametrize("name", ["fan", "course", "weights", "claims"])
def test_png_of_few_colors_keeps_white_and_what_is_drawn_in_one_color(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, few_colors = list[np.ndarray](), figures.few_colors

    def note(image: Image.Image) -> Image.Image:
        seen.append(np.asarray(image)[..., :3].astype(int))
        return few_colors(image)

    monkeypatch.setattr(figures, "few_colors", note)
    picture = figures.draw(name, make_result(strengths=(0.1, 1.0), epochs=10), {"png"})
    image = Image.open(io.BytesIO(picture.files["png"]))
    assert image.mode == "P"
    drawn, written = seen[0], np.asarray(image.convert("RGB")).astype(int)
    is_white = (drawn == 255).all(axis=2)
    assert (written[is_white] == 255).all()
    off = np.abs(written - drawn).max(axis=2)[~is_white]
    assert np.percentile(off, 98) <= 10
    colors, counts = np.unique(drawn[~is_white], axis=0, return_counts=True)
    for color in colors[counts > 0.004 * len(off)]:  # areas and lines, and no edges of letters
        assert np.abs(written[(drawn == color).all(axis=2)] - color).max() <= 6, color


def test_result_draws_into_axes_that_are_given_and_without_any_changes_nothing_global() -> None:
    result = make_result(strengths=(0.1,), epochs=10)
    figure = Figure(figsize=(12, 8))
    left, right = figure.subplots(1, 2)
    assert result.figures.fan(left) is figure
    assert result.figures.course(right) is figure
    middle = figure.bbox.width / 2
    assert all(axes.get_window_extent().x1 <= middle for axes in figure.axes[2:6])
    with pytest.raises(AttributeError, match="no picture is called 'fam'"):
        result.figures.fam()


def test_drawing_imports_no_pyplot_and_a_result_no_matplotlib() -> None:
    program = (
        "import sys, regbench.analysis.result\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import regbench.report.figures.fan\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_format_of_pictures_is_a_setting_and_can_be_asked_for_again(
    regbench: Command, tmp_path: Path
) -> None:
    assert regbench("wdecay", *TINY, "--figure-format=svg", "--out=run", "--quiet").code == 0
    folder = tmp_path / "run" / "figures"
    assert {path.suffix for path in folder.iterdir()} == {".svg"}
    kept = (folder / "pairs.svg").read_bytes()
    again = regbench("report", "run", "--files", "--figure-format=pdf", "--quiet")
    assert again.code == 0, again.err
    assert {path.suffix for path in folder.iterdir()} == {".svg", ".pdf"}
    assert regbench("report", "run", "--files", "--quiet").code == 0
    assert (folder / "pairs.svg").read_bytes() == kept
    assert regbench("report", "run", "--files", "--figure-format=gif").code == 2
