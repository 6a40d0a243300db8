"""Pictures: what is read back from the axes is the result's, titles say it, and all is seen."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.text import Text
from training import ENVIRONMENT, final_weights, make_result

from regbench.analysis.measures import LOSSES
from regbench.engines.base import draw_start
from regbench.engines.threads import nothing
from regbench.regularizers import REGULARIZERS, Arm
from regbench.regularizers.weight_decay import WeightDecay
from regbench.report import figures
from regbench.report.figures import (
    course,
    fan,
    fit,
    pairs,
    palette,
    parts,
    risk_over_strength,
    scale,
    sheet,
    weights,
)  # fmt: skip
from regbench.report.plain import plain
from regbench.report.training import pictures_of
from regbench.report.verdicts import sentences
from regbench.settings.dropout_scale import DropoutScale
from regbench.verify.dropout_scale import ScaleResult, measure_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from regbench.analysis.result import Result

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (fan, risk_over_strength, pairs, course, weights, parts, fit, scale)
}
SUMS = {
    "three": tuple(f"wdecay=0.0{digit}234567+dropout=0.2345678+l1=0.001234567" for digit in (1, 2)),
    "nine": tuple(
        f"{kind}=0.{digit}" for kind in ("wdecay", "l1", "dropout") for digit in (1, 2, 3)
    ),
    "all": tuple(
        "+".join(
            f"{name}={'' if kind.is_whole else '0.'}{digit}2345678901234568"
            for name, kind in REGULARIZERS.items()
        )
        for digit in (1, 2, 3)
    ),
}


def drawn(name: str, result: Any) -> Figure:
    """Return the figure of a picture, drawn as for a file."""
    with plain():
        figure: Figure = getattr(figures.Figures(result), name)()
        figure.canvas.draw()
    return figure


def texts_of(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def curves_of(panel: Axes, points: int) -> list[Any]:
    """Return y of the lines of so many points."""
    curves = [np.asarray(line.get_ydata()) for line in panel.lines]
    return [curve for curve in curves if len(curve) == points]


def assert_texts_are_seen(figure: Figure) -> None:
    """Compare extents in pixels: of every text with the page, and with all other texts."""
    texts = [text for axes in figure.axes for text in axes.texts if text.get_text()]
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts]  # no leaders
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (one, box), (other, near) in itertools.combinations(boxes, 2):
        across = min(box.x1, near.x1) - max(box.x0, near.x0)
        along = min(box.y1, near.y1) - max(box.y0, near.y0)
        assert min(across, along) <= 6, f"{one!r} covers {other!r}"  # an em has about 25


def spoil(result: Result, arms: list[int], bad: float, replicates: int = 1) -> Result:
    """Return a result in which arms are not finite from the second kept epoch on."""
    names = ("predictions", *LOSSES)
    changed = {name: getattr(result.history, name).copy() for name in names}
    for values in changed.values():
        values[1:, arms, :replicates] = bad
    history = result.history.replaced(**changed)
    for name, values in history.named("measures").items():
        if name.startswith("rms_"):
            values[1:, arms, :replicates] = bad
    return dataclasses.replace(result, history=history)


@pytest.mark.parametrize("replicates", [1, 2, 5])
@pytest.mark.parametrize("arms", [1, 2, 3, 9, 30])
def test_every_text_is_seen_with_any_number_of_arms(arms: int, replicates: int) -> None:
    strengths = tuple(0.123456789 / (index + 1) for index in range(arms))
    result = make_result(strengths=strengths, epochs=10, replicates=replicates)
    assert {"risk_over_strength", "parts"} & {*pictures_of(result)} or replicates == 1
    for name in pictures_of(result):
        assert_texts_are_seen(drawn(name, result))


@pytest.mark.parametrize("length", SUMS)
def test_every_text_is_seen_with_long_labels(length: str) -> None:
    result = make_result("compare", arms=SUMS[length], epochs=10)
    fresh = make_result("compare", arms=SUMS[length][-1:], epochs=10, seed=4)
    confirmed = dataclasses.replace(result, confirmation=fresh)
    for name in pictures_of(result):
        assert_texts_are_seen(drawn(name, confirmed))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
@pytest.mark.parametrize("lost", [[1], [0], [0, 1, 2], [2]])
@pytest.mark.parametrize("replicates", [1, 3])
def test_what_is_not_finite_is_said_and_draws_nothing(
    bad: float, lost: list[int], replicates: int
) -> None:
    healthy = make_result(strengths=(0.1, 0.2), replicates=replicates, epochs=20)
    result = spoil(healthy, lost, bad, replicates)
    result.history.risk[1:, lost] = np.inf
    for name in pictures_of(result):
        figure = drawn(name, result)
        assert_texts_are_seen(figure)
        assert any("diverged" in text for text in texts_of(figure)) or bad == 1e30
    assert "nan" not in " ".join(texts_of(drawn("pairs", result)))


@pytest.mark.parametrize(("p", "units"), [((0.5,), 10_000), ((0.0, 0.9), 5), ((0.1,), 1)])
def test_scale_shows_outputs_law_and_the_articles_draw(p: tuple[float, ...], units: int) -> None:
    study = DropoutScale(p=p, units=units, trials=50)
    result: Any = ScaleResult(study, ENVIRONMENT, [measure_scale(q, study, nothing) for q in p])
    figure = drawn("scale", result)
    assert_texts_are_seen(figure)
    counts, edges, _ = figure.axes[1].patches[0].get_data()  # type: ignore[attr-defined]
    assert counts.sum() == 50
    kept = result.scales[0].kept
    assert counts.tolist() == np.histogram(kept, edges * (1 - p[0]))[0].tolist()
    expected = np.asarray(figure.axes[1].lines[0].get_ydata())
    assert expected.sum() == pytest.approx(50, rel=0.05)
    assert any("9868" in text for text in texts_of(figure)) == (units == 10_000)
    if units == 10_000:
        assert scale.title(result) == "The article's 9868 is ordinary luck: z = −1.32, p = 0.19"
        wrong = dataclasses.replace(result.scales[0], eval_output=1.0)
        result = dataclasses.replace(result, scales=[wrong])
        assert scale.title(result) == "torch's dropout does not fit the binomial law at p=0.5"


def test_fan_shows_every_fit_the_mean_and_where_the_error_stands() -> None:
    result = make_result(strengths=(0.1,), replicates=5)
    figure, history = drawn("fan", result), result.history
    for index, (upper, lower) in enumerate(zip(figure.axes[1::2], figure.axes[2::2], strict=True)):
        fits = history.predictions[-1, index].astype(float)
        (collection,) = upper.collections
        segments = np.array(collection.get_segments())  # type: ignore[attr-defined]
        np.testing.assert_allclose(segments[..., 1], fits)
        truth, _, mean = curves_of(upper, 200)
        np.testing.assert_allclose(truth, history.grid_truth)
        np.testing.assert_allclose(mean, fits.mean(axis=0))
        *baseline, variance, bias = curves_of(lower, 200)
        assert len(baseline) == index
        found = result.decompositions[-1][index]
        assert found
        assert variance.mean() == pytest.approx(found.variance.value)
        assert bias.mean() == pytest.approx(found.bias_squared.value, abs=1e-9)
    ends = [f"{d.variance.value:.3f}" for d in result.decompositions[-1] if d]
    assert " from {} to {}".format(*ends) in fan.title(result).replace("(", " ").replace(")", "")


def test_pairs_has_a_dot_for_each_replicate_the_interval_and_the_screens_numbers() -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=5)
    figure = drawn("pairs", result)
    panel = figure.axes[1]
    dots = [c for c in panel.collections if np.shape(c.get_offsets()) == (5, 2)]
    bars = [line for line in panel.lines if line.get_linewidth() == 4.5]
    for index, (dot, bar, c) in enumerate(zip(dots, bars, result.comparisons, strict=True), 1):
        values = result.headline[-1].astype(float)
        expected = np.sort(values[index] - values[0])
        np.testing.assert_allclose(np.asarray(dot.get_offsets())[:, 0], expected)
        assert np.asarray(bar.get_xdata()).tolist() == pytest.approx(c.ci)
        assert any(text == f"{c.wins} of 5" for text in texts_of(figure))
    titles = pairs.title(result)
    for sentence in sentences(result)[:2]:
        label, _, rest = sentence.partition(" ")
        if "lowers" in rest and label in titles:
            assert rest.split(" (")[0].replace("-", "−").split(" by ")[1] in titles


def test_pairs_of_one_arm_shows_both_networks_of_each_replicate() -> None:
    result = make_result(strengths=(0.1,), replicates=4)
    slopes = drawn("pairs", result).axes[1].collections[0]
    segments = np.array(slopes.get_segments())  # type: ignore[attr-defined]
    np.testing.assert_allclose(segments[..., 1], result.headline[-1].T)


def test_no_dot_of_a_swarm_covers_another_and_it_is_always_the_same() -> None:
    places = np.sort(np.random.default_rng(1).normal(0, 3, 200))
    offsets = pairs.swarm(places)
    points = np.stack([places, offsets], axis=1)
    apart = np.linalg.norm(points[:, None] - points, axis=2)[~np.eye(200, dtype=bool)]
    assert apart.min() >= 1 - 1e-6
    assert (offsets == pairs.swarm(places)).all()
    assert pairs.swarm(np.arange(5.0)).tolist() == [0] * 5


def test_course_begins_before_training_and_has_means_medians_and_bands() -> None:
    result = make_result(strengths=(0.1, 0.2), epochs=10, replicates=5)
    history = result.history
    risk, loss, change = drawn("course", result).axes[1:]
    expected = (
        (risk, history.risk.mean(axis=2), 0),
        (loss, np.median(history.train_loss_eval, axis=2), 0),
        (change, (history.risk - history.risk[:, :1]).mean(axis=2), 1),
    )
    for panel, curves, first in expected:
        lines = [line for line in panel.lines if len(np.asarray(line.get_xdata())) == 7]
        starts = [line for line in panel.lines if line.get_linestyle() == ":"]
        assert len(panel.collections) == len(lines) == len(starts) == 3 - first
        for index, (line, start) in enumerate(zip(lines, starts, strict=True), first):
            np.testing.assert_allclose(np.asarray(line.get_ydata()), curves[1:, index], atol=1e-6)
            np.testing.assert_allclose(np.asarray(start.get_ydata()), curves[:2, index], atol=1e-6)
            np.testing.assert_allclose(
                np.asarray(line.get_xdata()), np.log10([1, 2, 3, 4, 6, 7, 10])
            )
    assert loss.get_yscale() == "log"


def test_course_says_when_the_baseline_was_best_only_where_it_got_worse() -> None:
    result = make_result(strengths=(0.1,), replicates=5, epochs=20)
    risk = result.history.risk
    risk[:] = np.linspace(1, 0.5, len(risk))[:, None, None]
    assert course.title(result) == "The baseline's risk ends at 0.50; λ=0.1 ends at 0.50"
    risk[3] = 0.25 + np.arange(5) / 100
    at = result.history.epochs[3]
    assert course.title(result) == (
        f"The baseline is best at epoch {at} (risk 0.27) and ends at 0.50; λ=0.1 ends at 0.50"
    )


def test_weights_has_the_shares_of_all_replicates_before_and_after_on_one_axis() -> None:
    result = make_result(strengths=(0.1,), replicates=20)
    figure, weights = drawn("weights", result), final_weights(result.study)
    starts = [draw_start(result.study, seed).parameters[0][::2] for seed in result.study.seeds]
    for index, layer in enumerate(result.study.network.layer_names):
        panel, texts = (
            figure.axes[1:][index],
            [text.get_text() for text in figure.axes[1:][index].texts],
        )
        assert panel.get_ylim() == (2, 0)
        for values in weights[layer]:
            each = np.sqrt(np.square(values.reshape(20, -1)).mean(axis=1))
            assert f"rms {each.mean():.3f}" in texts
        before = np.concatenate([start[index].numpy().ravel() for start in starts])
        patches: Any = panel.patches
        outlines = [patch.get_data() for patch in patches if not patch.get_fill()]
        bars = [patch.get_data() for patch in patches if patch.get_fill()]
        for shown, values, base in ((outlines[0], before, 1), (bars[0], weights[layer][0], 1)):
            inside = np.clip(values, *np.nextafter(shown.edges[[0, -1]], 0))
            counts = np.histogram(inside, shown.edges)[0] / values.size
            heights = base - shown.values
            assert heights / heights.sum() == pytest.approx(counts, abs=3 / values.size)


def test_a_spike_of_weights_is_cut_off_at_its_share() -> None:
    result = make_result("l1", strengths=(3.0,), epochs=300, replicates=2)
    assert (result.history.rms_hidden1[-1, 1] == 0).all()
    assert "↑ 100 %" in texts_of(drawn("weights", result))


def test_parts_are_bars_that_add_up_and_a_negative_bias_reaches_left_of_0() -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=5)
    bars = drawn("parts", result).axes[1].patches
    noise, variances, biases = bars[:3], bars[3:6], bars[6:]
    for found, *own in zip(result.decompositions[-1], noise, variances, biases, strict=True):
        assert found
        widths = [bar.get_width() for bar in own]  # type: ignore[attr-defined]
        assert widths == pytest.approx([0.09, found.variance.value, found.bias_squared.value])
        assert sum(widths) == pytest.approx(found.expected_test_error.value)
        start = own[2].get_x()  # type: ignore[attr-defined]
        assert start == pytest.approx(0 if widths[2] < 0 else sum(widths[:2]))


def test_parts_has_the_paired_differences_of_variance_and_bias() -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=5)
    for panel, name in zip(
        drawn("parts", result).axes[2:], ("variance", "bias_squared"), strict=True
    ):
        bars = [line for line in panel.lines if line.get_linewidth() == 4.5]
        cis = [getattr(change, name).ci for change in result.decomposition_differences[-1]]
        for bar, ci in zip(bars, cis, strict=True):
            assert np.asarray(bar.get_xdata()).tolist() == pytest.approx(ci)


def test_fit_shows_the_first_replicate_at_first_and_last_epoch() -> None:
    result = make_result(strengths=(0.1,))
    panels = drawn("fit", result).axes[1:]
    for panel, kept in ((panels[0], 0), (panels[-1], -1)):
        curves = curves_of(panel, 200)
        np.testing.assert_allclose(curves[0], result.history.grid_truth)
        np.testing.assert_allclose(curves[1:], result.history.predictions[kept, :, 0])
        points = np.asarray(panel.collections[0].get_offsets())
        np.testing.assert_allclose(points[:, 1], result.history.train_y[0])
    assert "epoch 30" in texts_of(panels[0].figure)  # type: ignore[arg-type]


def test_sweep_is_drawn_over_strength_with_its_best() -> None:
    strengths = (0.01, 0.03, 0.1, 0.3, 1.0)
    result = make_result(strengths=strengths, replicates=5)
    panel = drawn("risk_over_strength", result).axes[1]
    risk, variance, bias = [line for line in panel.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(np.asarray(risk.get_xdata()), np.log10(strengths))
    np.testing.assert_allclose(
        np.asarray(risk.get_ydata()), result.history.risk[-1, 1:].mean(axis=1), rtol=1e-6
    )
    found = [d for d in result.decompositions[-1][1:] if d]
    np.testing.assert_allclose(np.asarray(variance.get_ydata()), [d.variance.value for d in found])
    np.testing.assert_allclose(np.asarray(bias.get_ydata()), [d.bias_squared.value for d in found])
    optimum = result.optimum
    assert optimum
    assert f"λ* = {optimum.strength:.2g}" in risk_over_strength.title(result)
    marks = [np.asarray(line.get_xdata()) for line in panel.lines]
    assert any(x[0] == pytest.approx(np.log10(optimum.strength)) for x in marks)


def test_titles_are_sentences_of_the_numbers() -> None:
    result = make_result(strengths=(0.1,), replicates=6)
    last = result.headline[-1]
    last[:] = np.linspace(0.3, 0.4, 6)
    last[1] -= 0.1 + np.arange(6) / 1000
    assert pairs.title(result) == "λ=0.1 lowers the risk by 0.1025, in 6 of 6 replicates"
    fresh = make_result(strengths=(0.1,), replicates=6)
    fresh.headline[-1, 1] = fresh.headline[-1, 0] - 0.25 - np.arange(6) / 1000
    confirmed = dataclasses.replace(result, confirmation=fresh)
    assert pairs.title(confirmed) == "λ=0.1 lowers the risk by 0.2525, in 6 of 6 fresh replicates"
    one = make_result(strengths=(0.1,), replicates=1)
    assert pairs.title(one).endswith("than the baseline's (one replicate, no interval)")


def test_an_arm_has_the_same_colour_everywhere_and_strengths_differ_in_lightness() -> None:
    study = make_result("compare", arms=SUMS["nine"], epochs=1).study
    colors = palette.colors_of(study.arms)
    assert len(set(colors)) == 10
    assert colors[0] == palette.BASELINE
    for first in (1, 4, 7):
        lightness = [np.mean(mpl.colors.to_rgb(color)) for color in colors[first : first + 3]]
        assert lightness == sorted(lightness, reverse=True)
    assert {*palette.RAMPS} == {*REGULARIZERS, "plug-in"}


def test_plug_ins_differ_from_each_other_and_from_all_others() -> None:
    plugins = [type(f"P{n}", (WeightDecay,), {"command": f"own-{n}"}) for n in range(3)]
    kinds = [REGULARIZERS["group-lasso"], *plugins]
    colors = palette.colors_of([Arm(()), *(Arm((kind(0.5),)) for kind in kinds)])
    assert len(set(colors)) == 5


def test_short_labels_stay_apart() -> None:
    study = make_result("compare", arms=("wdecay=0.12345678", "l1=1e-20"), epochs=1).study
    assert list(palette.labels_of(study).values()) == ["baseline", "wdecay=0.1235", "l1=1e-20"]
    close = make_result(strengths=(0.12345678, 0.12345679), epochs=1).study
    assert palette.labels_of(close) == close.labels


def test_labels_are_spread_apart_as_little_as_can_be() -> None:
    assert sheet.spread(np.array([0.5, 0.1]), 0.1, 0, 1).tolist() == [0.5, 0.1]
    assert sheet.spread(np.array([0.5, 0.5]), 0.1, 0, 1) == pytest.approx([0.45, 0.55])
    assert sheet.spread(np.array([1.0, 1.0, 0.0]), 0.1, 0, 1) == pytest.approx([0.9, 1.0, 0.0])
