"""Pictures: legends beside the axes, one per kept epoch, and nothing global."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from training import make_result

from regbench.analysis.measures import LOSSES
from regbench.engines.base import nothing
from regbench.experiments.dropout_scale import DropoutScale, measure_scale
from regbench.regularizers import REGULARIZERS
from regbench.report import figures as plots
from regbench.report.dropout_scale import scale_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return the list to which every figure is added that is made from here on."""
    made: list[Figure] = []
    make_figure = plots.make_figure

    def remember(*arguments: Any, **named: Any) -> Figure:
        made.append(make_figure(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(plots, "make_figure", remember)
    return made


def assert_nothing_covered_or_cut(figure: Figure) -> None:
    """Compare extents in pixels: legends against axes with their labels, all against the page."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    page = figure.bbox
    assert figure.legends
    for axes in figure.axes:
        panel = axes.get_tightbbox(renderer)
        assert panel is not None
        assert not axes.get_legend()
        assert panel.x0 >= page.x0
        assert panel.y0 >= page.y0
        assert panel.x1 <= page.x1
        assert panel.y1 <= page.y1
        for legend in figure.legends:
            box = legend.get_window_extent(renderer)
            assert box.y1 <= panel.y0
            assert box.x0 >= page.x0
            assert box.x1 <= page.x1
            assert box.y0 >= page.y0


def pixels_of(picture: plots.Picture) -> Any:
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)))
    assert pixels.shape == (picture.height, picture.width, 3)
    return pixels


@pytest.mark.parametrize("arms", [1, 2, 7, 30, 100])
def test_legends_cover_nothing_and_nothing_is_cut(figures: list[Figure], arms: int) -> None:
    strengths = tuple(0.123456789 / (index + 1) for index in range(arms))
    result = make_result(strengths=strengths, epochs=10)
    list(plots.fit_pictures(result))
    plots.loss_picture(result)
    plots.comparison_picture(result)
    assert len(figures) == 3
    for figure in figures:
        assert_nothing_covered_or_cut(figure)


SUMS = {
    "short": ("wdecay=0.01", "dropout=0.5", "wdecay=0.01+dropout=0.5"),
    "mixed": ("wdecay=0.01", "l1=0.001", "dropout=0.5+decoupled=0.01+l1=0.001", "l1=1", "l1=2"),
    "long": tuple(
        "+".join(
            f"{name}={'' if kind.is_whole else '0.'}{digit}2345678901234568"
            for name, kind in REGULARIZERS.items()
        )
        for digit in (1, 2, 3, 4, 5)
    ),
}


@pytest.mark.parametrize("length", SUMS)
def test_legends_of_sums_cover_nothing_and_no_name_is_cut(
    figures: list[Figure], length: str
) -> None:
    result = make_result("compare", arms=SUMS[length], epochs=10)
    fresh = make_result("compare", arms=SUMS[length][-1:], epochs=10, seed=4)
    list(plots.fit_pictures(result))
    plots.loss_picture(result)
    plots.comparison_picture(dataclasses.replace(result, confirmation=fresh))
    assert len(figures) == 3
    for figure in figures:
        assert_nothing_covered_or_cut(figure)
    names = [text.get_text() for text in figures[1].legends[0].get_texts()]
    assert names == list(result.study.labels.values())
    assert [t.get_text() for t in figures[2].axes[0].get_yticklabels()] == names


@pytest.mark.parametrize(("p", "units"), [(0.5, 10_000), (0.0, 5), (0.1, 1), (0.99, 1000)])
def test_scale_picture_covers_nothing(figures: list[Figure], p: float, units: int) -> None:
    scale_picture(measure_scale(p, DropoutScale(units=units, trials=50), nothing))
    assert_nothing_covered_or_cut(figures[0])


def test_there_is_a_fit_picture_of_every_kept_epoch_and_they_differ() -> None:
    result = make_result(strengths=(0.1,))
    pictures = list(plots.fit_pictures(result))
    assert [picture.epoch for picture in pictures] == [0, 1, 10, 20, 30]
    names = [f"fit-epoch-0000{epoch}" for epoch in ("00", "01", "10", "20", "30")]
    assert [picture.name for picture in pictures] == names
    assert len({picture.png for picture in pictures}) == 5


# What is the same in all pictures is drawn once: the last one must still be drawn like the first.
def test_a_fit_picture_does_not_depend_on_those_before_it() -> None:
    result = make_result(strengths=(0.1,))
    history = result.history
    by_epoch = ("epochs", "kept_epochs", "predictions", *LOSSES)
    last = history.replaced(**{name: getattr(history, name)[-1:] for name in by_epoch})
    (alone,) = plots.fit_pictures(dataclasses.replace(result, history=last))
    *_, expected = plots.fit_pictures(result)
    assert alone.epoch == expected.epoch == 30
    assert (pixels_of(alone) == pixels_of(expected)).all()


def test_fit_picture_shows_a_solid_red_baseline_a_dashed_blue_arm_and_both_losses(
    figures: list[Figure],
) -> None:
    result = make_result(strengths=(0.1,), epochs=10)
    list(plots.fit_pictures(result))
    truth, baseline, arm = figures[0].axes[0].lines
    assert (truth.get_color(), baseline.get_color(), arm.get_color()) == ("grey", "red", "blue")
    assert (baseline.get_linestyle(), arm.get_linestyle()) == ("-", "--")
    np.testing.assert_allclose(np.asarray(arm.get_ydata()), result.history.predictions[-1, 1, 0])
    texts = [text.get_text() for text in figures[0].legends[0].get_texts()]
    for arm_index in (0, 1):
        for losses in (result.history.train_loss, result.history.test_loss):
            assert any(f"{losses[-1, arm_index, 0]:.5g}" in text for text in texts)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("replicates", [1, 3])
def test_values_that_cannot_be_drawn_leave_a_gap(
    figures: list[Figure], bad: float, replicates: int
) -> None:
    result = make_result(strengths=(0.1,), replicates=replicates)
    changed = {name: getattr(result.history, name).copy() for name in ("predictions", *LOSSES)}
    for name, values in changed.items():
        values[1:, 1] = np.inf if name == "risk" else bad
    broken = dataclasses.replace(result, history=result.history.replaced(**changed))
    assert len(list(plots.fit_pictures(broken))) == 5
    plots.loss_picture(broken)
    if replicates > 1:
        plots.comparison_picture(broken)
    for figure in figures:
        assert_nothing_covered_or_cut(figure)
    if not np.isfinite(bad):
        curve = figures[1].axes[1].lines[1].get_ydata()
        assert np.isfinite(curve).tolist() == [True, *[False] * 9]


def test_mean_curve_does_not_average_over_lost_replicates(figures: list[Figure]) -> None:
    result = make_result(strengths=(0.1,))
    risk = result.history.risk.copy()
    risk[-1, 1, 0] = np.nan
    history = result.history.replaced(risk=risk)
    plots.loss_picture(dataclasses.replace(result, history=history))
    curve = figures[0].axes[1].lines[1].get_ydata()
    assert np.isfinite(curve).tolist() == [*[True] * 9, False]


def test_comparison_shows_every_difference_and_every_part_of_the_error(
    figures: list[Figure],
) -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=5)
    plots.comparison_picture(result)
    differences, errors = figures[0].axes
    dots = [line for line in differences.lines if line.get_marker() == "o"]
    whiskers = [bars.get_segments()[0][:, 0] for bars in differences.collections]  # type: ignore[attr-defined]
    for dot, ends, c in zip(dots, whiskers, result.comparisons, strict=True):
        assert np.asarray(dot.get_xdata()).item() == pytest.approx(c.mean_difference)
        assert ends == pytest.approx(c.ci)
    widths = [patch.get_width() for patch in errors.patches]  # type: ignore[attr-defined]
    expected = [[0.09, p.variance.value, p.bias_squared.value]
                for p in result.decompositions[-1] if p]  # fmt: skip
    assert widths == pytest.approx(np.transpose(expected).ravel().tolist())
    assert [t.get_text() for t in differences.get_yticklabels()] == ["baseline", "λ=0.1", "λ=0.2"]


def test_drawing_imports_no_pyplot() -> None:
    program = (
        "import sys, regbench.report.figures as plots\n"
        "plots.make_figure(3, 3, 1).add_subplot()\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_arms_have_styles_of_their_own() -> None:
    styles = [tuple(plots.arm_style(index).items()) for index in range(25)]
    assert len(set(styles)) == 25


def test_comparison_marks_a_diverged_arm_and_draws_no_error_of_it(figures: list[Figure]) -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=5)
    result.history.risk[-1, 2, 0] = np.nan
    result.history.predictions[-1, 2, 0] = np.nan
    plots.comparison_picture(result)
    differences, errors = figures[0].axes
    (mark,) = differences.texts
    assert (mark.get_text(), mark.get_position()) == (" diverged", (0, 2))
    assert errors.get_ylim()[0] > 2, "its row is there"
    drawn = [patch.get_width() for patch in errors.patches]  # type: ignore[attr-defined]
    assert [bar for bar, width in enumerate(drawn) if np.isnan(width)] == [2, 5, 8]


def test_comparison_shows_the_confirmation_below_what_it_confirms(figures: list[Figure]) -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=5)
    fresh = make_result(strengths=(0.2,), replicates=7, seed=6)
    plots.comparison_picture(dataclasses.replace(result, confirmation=fresh))
    (square,) = [line for line in figures[0].axes[0].lines if line.get_marker() == "s"]
    expected = fresh.comparisons[0].mean_difference
    assert np.asarray(square.get_xdata()).item() == pytest.approx(expected)
    assert 2 < np.asarray(square.get_ydata()).item() < 2.5
    assert (
        figures[0].legends[0].get_title().get_text().endswith("square: λ=0.2 on 7 fresh replicates")
    )


def test_losses_begin_at_epoch_0_and_show_the_spread_of_every_arm(figures: list[Figure]) -> None:
    result = make_result(strengths=(0.1, 0.2), epochs=10, replicates=5)
    history = result.history
    plots.loss_picture(result)
    losses = (history.train_loss_eval, history.risk)
    for axes, measured in zip(figures[0].axes, losses, strict=True):
        assert axes.get_xlim() == (0, 10)
        assert axes.get_xlabel() == "epoch"
        bands = [area.get_paths()[0].vertices for area in axes.collections]
        assert len(axes.lines) == len(bands) == 3
        for arm_index, (line, band) in enumerate(zip(axes.lines, bands, strict=True)):
            values = measured[:, arm_index]
            assert np.asarray(line.get_xdata()).tolist() == [0, 1, 2, 3, 4, 6, 7, 10]
            np.testing.assert_allclose(np.asarray(line.get_ydata()), values.mean(axis=1))
            points = np.asarray(band)
            for epoch_index, epoch in enumerate(history.epochs):
                at_epoch = points[points[:, 0] == epoch, 1]
                expected = np.percentile(values[epoch_index], (10, 90))
                np.testing.assert_allclose((at_epoch.min(), at_epoch.max()), expected)


def test_long_numbers_at_the_axes_are_not_cut(figures: list[Figure]) -> None:
    result = make_result(strengths=(0.1,))
    result.history.train_loss_eval[:] = np.geomspace(0.02, 0.6, 10)[:, None, None]  # 6 × 10⁻¹
    plots.loss_picture(result)
    assert_nothing_covered_or_cut(figures[0])
