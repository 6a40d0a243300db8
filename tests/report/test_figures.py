"""Pictures: what is read back from the axes is the result's, titles say it, and all is seen."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.text import Text
from training import ENVIRONMENT, final_weights, make_result

from regbench.engines.base import draw_start
from regbench.engines.machine import nothing
from regbench.errors import UsageError
from regbench.regularizers import REGULARIZERS
from regbench.regularizers.penalties import WeightDecay
from regbench.report import figures
from regbench.report.figures import (
    claims,
    course,
    fan,
    marks,
    pairs,
    risk_over_strength,
    scale,
    weights,
)  # fmt: skip
from regbench.report.figures.findings import power, short
from regbench.report.figures.weights import Shares
from regbench.report.plain import plain
from regbench.report.training import pictures_of
from regbench.report.verdicts import sentences
from regbench.settings.study import DropoutScale, Network, Task, Training
from regbench.verify.dropout_scale import ScaleResult, measure_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from regbench.analysis.result import Result

MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (claims, fan, risk_over_strength, pairs, course, weights, scale)
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
    names = ("predictions", "train_loss", "train_loss_eval", "test_loss", "risk")
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
    own = "risk_over_strength" if arms > 2 else "pairs"
    claims_too = ["claims"] * (replicates > 1)
    assert {*pictures_of(result)} == {own, *claims_too, "fan", "course", "weights"}
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
@pytest.mark.parametrize("replicates", [1, 3])
def test_an_arm_that_is_not_finite_is_said_to_be_and_moves_no_axis(
    bad: float, replicates: int
) -> None:
    healthy = make_result(strengths=(0.1, 0.2), replicates=replicates, epochs=20)
    result = spoil(healthy, [2], bad, replicates)
    result.history.risk[1:, 2] = np.inf
    without = healthy.history.part(A=slice(2))
    alone = dataclasses.replace(
        healthy, history=without, study=healthy.study.replaced(arms=healthy.study.arms[:2])
    )
    for name in pictures_of(result):
        figure = drawn(name, result)
        assert_texts_are_seen(figure)
        assert any("diverged" in text for text in texts_of(figure)) or bad == 1e30
        if name in ("fan", "course"):
            assert figure.axes[1].get_ylim() == drawn(name, alone).axes[1].get_ylim()
    assert "nan" not in " ".join(texts_of(drawn("pairs", result)))


@pytest.mark.parametrize("lost", [[0], [1, 2], [0, 1, 2]])
def test_where_nothing_can_be_compared_there_are_no_pictures(lost: list[int]) -> None:
    result = spoil(make_result(strengths=(0.1, 0.2), epochs=20), lost, np.nan, 3)
    result.history.risk[1:, lost] = np.inf
    assert pictures_of(result) == []
    with pytest.raises(UsageError, match="the baseline or every other arm diverged"):
        result.figures.fan()


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
        assert (
            scale.title(result)
            == "The article's 9868 is ordinary luck: z = −1.32, probability 0.19"
        )
        wrong = dataclasses.replace(result.scales[0], eval_output=1.0)
        result = dataclasses.replace(result, scales=[wrong])
        assert scale.title(result) == "torch's dropout does not fit the binomial law at p=0.5"


def test_fan_shows_every_fit_the_mean_and_where_the_error_stands() -> None:
    result = make_result(strengths=(0.1,), replicates=5)
    figure, history = drawn("fan", result), result.history
    for index, (upper, lower) in enumerate(zip(figure.axes[1::2], figure.axes[2::2], strict=True)):
        fits = history.predictions[-1, index].astype(float)
        collection, points = upper.collections
        assert np.asarray(points.get_offsets())[:, 1] == pytest.approx(history.train_y[0])
        segments = np.array(collection.get_segments())  # type: ignore[attr-defined]
        np.testing.assert_allclose(segments[..., 1], fits)
        truth, _, mean, first = curves_of(upper, 200)
        np.testing.assert_allclose(truth, history.grid_truth)
        np.testing.assert_allclose(mean, fits.mean(axis=0))
        np.testing.assert_allclose(first, fits[0])
        bias, *baseline, variance = curves_of(lower, 200)
        assert len(baseline) == index
        found = result.decompositions[-1][index]
        assert found
        assert variance.mean() == pytest.approx(found.variance.value)
        assert bias.mean() == pytest.approx(found.bias_squared.value, abs=1e-9)
    variances = history.predictions[-1].astype(float).var(axis=1, ddof=1).mean(axis=1)
    ends = "from {:.3f} to {:.3f}".format(*variances)
    assert ends in fan.title(result)


def test_fan_of_one_replicate_is_its_fit_and_squared_error() -> None:
    result = make_result(strengths=(0.1,), replicates=1)
    history, figure = result.history, drawn("fan", result)
    for index, (upper, lower) in enumerate(zip(figure.axes[1::2], figure.axes[2::2], strict=True)):
        fit = history.predictions[-1, index, 0].astype(float)
        np.testing.assert_allclose(curves_of(upper, 200)[-1], fit)
        error = (fit - history.grid_truth) ** 2
        np.testing.assert_allclose(curves_of(lower, 200)[-1], error, atol=1e-12)
    base, arm = history.risk[-1, :, 0]
    expected = f"Weight decay 0.1 has the risk {arm:.3f}, the baseline {base:.3f} (one replicate)"
    assert fan.title(result) == expected


def test_pairs_has_a_dot_for_each_replicate_and_differences_that_add_up() -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=5)
    figure, history = drawn("pairs", result), result.history
    panel = figure.axes[1]
    dots = [c for c in panel.collections if np.shape(c.get_offsets()) == (5, 2)]
    (bars,) = [c for c in panel.collections if np.allclose(c.get_linewidth(), 4.5)]
    segments = np.array(bars.get_segments())[..., 0].reshape(2, 3, 2)  # type: ignore[attr-defined]
    risks = history.risk[-1].astype(float)
    variances = history.predictions[-1].astype(float).var(axis=1, ddof=1).mean(axis=-1)
    for index, (dot, own, c) in enumerate(zip(dots, segments, result.comparisons, strict=True), 1):
        differences = risks[index] - risks[0]
        shown = np.asarray(dot.get_offsets())[:, 0]
        np.testing.assert_allclose(shown, np.sort(differences), atol=1e-12)
        risk, variance, bias = own.mean(axis=1)
        assert risk == pytest.approx(differences.mean())
        assert variance == pytest.approx(variances[index] - variances[0])
        assert risk == pytest.approx(variance + bias)
        assert own[0].tolist() == pytest.approx(c.ci)
        assert f"{(differences < 0).sum()} of 5" in texts_of(figure)
    titles = pairs.title(result)
    for sentence in sentences(result)[:2]:
        if "lowers" in sentence and f"decay {sentence[2:5]}" in titles:
            assert sentence.split(" (")[0].replace("-", "−").split(" by ")[1] in titles


def test_claims_show_each_replicates_difference_and_mark_the_first_pair() -> None:
    result = make_result(strengths=(0.1, 0.2), replicates=5)
    figure, history = drawn("claims", result), result.history
    measured = "train_loss_eval", "risk", "rms_slope", "weight_norm"
    for panel, measure in zip(figure.axes[1:], measured, strict=True):
        values = history.arrays[f"measures/{measure}"][-1].astype(float)
        dots = [c for c in panel.collections if np.shape(c.get_offsets()) == (5, 2)]
        marks_ = [line for line in panel.lines if line.get_marker() == "D"]
        for index, (dot, mark) in enumerate(zip(dots, marks_, strict=True), 1):
            differences = values[index] - values[0]
            shown = np.asarray(dot.get_offsets())[:, 0]
            np.testing.assert_allclose(shown, np.sort(differences), rtol=1e-6)
            assert np.asarray(mark.get_xdata()) == pytest.approx(differences[0])
    signs = {"train_loss_eval": 1, "risk": -1, "rms_slope": -1, "weight_norm": -1}
    for arm, name in zip(result.study.compared, ("0.1", "0.2"), strict=True):
        found = {d.measure: d.ci for d in result.measures if d.arm == arm}
        holds = sum(min(s * e for e in found[m] or ()) > 0 for m, s in signs.items())
        word = "all 4 claims hold" if holds == 4 else f"{holds} of 4 hold"
        assert f"eight decay {name}: {word}" in claims.title(result)


def test_only_the_tutorials_own_pair_is_called_that() -> None:
    small = " ".join(texts_of(drawn("claims", make_result(strengths=(0.1,)))))
    assert "The first pair, seed 1, is the" in " ".join(small.split())
    study = make_result(strengths=(0.01,)).study
    default = study.replaced(task=Task(), network=Network(), training=Training())
    assert claims.is_articles(default)
    assert not claims.is_articles(default.replaced(seed=2))
    assert not claims.is_articles(default.replaced(arms=[WeightDecay(0.02)]))
    assert not claims.is_articles(default.replaced(task=Task(points=11)))


def test_no_dot_of_a_swarm_covers_another_and_it_is_always_the_same() -> None:
    places = np.sort(np.random.default_rng(1).normal(0, 3, 200))
    offsets = marks.swarm(places)
    points = np.stack([places, offsets], axis=1)
    apart = np.linalg.norm(points[:, None] - points, axis=2)[~np.eye(200, dtype=bool)]
    assert apart.min() >= 1 - 1e-6
    assert (offsets == marks.swarm(places)).all()
    assert marks.swarm(np.arange(5.0)).tolist() == [0] * 5


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
            places = np.asarray(line.get_xdata())
            logs = np.log10([1, 2, 3, 4, 6, 7, 10])
            np.testing.assert_allclose((places - places[0]) / np.ptp(places), logs)
            assert np.asarray(start.get_xdata())[0] < places[0]
    assert loss.get_yscale() == "log"


def test_course_says_when_the_baseline_was_best_only_where_it_got_worse() -> None:
    result = make_result(strengths=(0.1,), replicates=5, epochs=60, log_every=60)
    risk = result.history.risk
    risk[:] = np.linspace(1, 0.5, len(risk))[:, None, None]
    arm = "weight decay 0.1 ends at 0.50"
    assert course.title(result) == f"The baseline's risk ends at 0.50; {arm}"
    at = result.history.at(13)
    assert result.history.epochs[at] == 13
    risk[at] = 0.25 + np.arange(5) / 100
    best = "best near epoch 10 (risk 0.27)"  # 13, to one digit: its neighbours are about as good
    assert course.title(result) == f"The baseline is {best} and ends at 0.50; {arm}"


def test_bands_are_drawn_of_three_replicates_or_more_and_never_below_the_noise() -> None:
    result = make_result(strengths=(0.1,), epochs=10, replicates=3)
    result.history.risk[-1, 0] = 0.1, 0.1, 0.9  # whose interval reaches far below
    (lower, *_) = drawn("course", result).axes[1].collections
    heights = np.asarray(lower.get_paths()[0].vertices)[:, 1]
    assert heights.min() >= result.study.task.test_noise**2 - 1e-12
    two = make_result(strengths=(0.1,), epochs=10, replicates=2)
    assert not [panel for panel in drawn("course", two).axes[1:] if panel.collections]


@pytest.mark.parametrize("name", ["pairs", "fan", "course"])
def test_no_picture_of_one_replicate_speaks_of_a_mean(name: str) -> None:
    said = texts_of(drawn(name, make_result(strengths=(0.1, 0.2), replicates=1, epochs=10)))
    assert "mean" not in " ".join(said)
    assert "interval" not in " ".join(said).replace("no interval", "")


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
        shares = Shares(result, layer, [0, 1]).values.sum(axis=2)
        assert shares == pytest.approx(np.ones(shares.shape)), "those beyond the axis are counted"


def test_a_spike_of_weights_is_cut_off_at_its_share() -> None:
    result = make_result("l1", strengths=(3.0,), epochs=300, replicates=2)
    assert (result.history.rms_hidden1[-1, 1] == 0).all()
    assert "▲ 100 %" in texts_of(drawn("weights", result))


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
    assert pairs.title(result) == "Weight decay 0.1 lowers the risk by 0.1025, in 6 of 6 replicates"
    fresh = make_result(strengths=(0.1,), replicates=6)
    fresh.headline[-1, 1] = fresh.headline[-1, 0] - 0.25 - np.arange(6) / 1000
    confirmed = dataclasses.replace(result, confirmation=fresh)
    of = "in 6 of 6 fresh replicates"
    assert pairs.title(confirmed) == f"Weight decay 0.1 lowers the risk by 0.2525, {of}"
    one = make_result(strengths=(0.1,), replicates=1)
    assert pairs.title(one).endswith("than the baseline's (one replicate, no interval)")


def test_title_of_many_arms_names_the_one_that_lowers_the_risk_most_and_counts_the_others() -> None:
    strengths = tuple(0.01 * (1 + index) for index in range(6))
    result = make_result(strengths=strengths, replicates=6, by="test-loss")
    last, own = result.headline[-1], np.arange(6) / 1000
    last[:] = 0.3
    for index, shift in enumerate((-0.1, -0.2, 0.1, 0.1), 1):
        last[index] += shift + own
    last[5] += np.array([-0.9, -0.9, 0.1, -0.2, 0.3, 0.1])  # the lowest mean, but cannot tell
    last[6] += np.array([1, -1, 1, -1, 1, -1]) / 50
    assert pairs.title(result) == (
        "Weight decay 0.02 lowers the test loss most, by 0.1975, in 6 of 6 replicates; "
        "lower too with weight decay 0.01; higher with 2 others; cannot tell for 2 others"
    )
    figure = drawn("pairs", result)
    verdicts = [text for text in texts_of(figure) if text.startswith(("▼", "▲", "?"))]
    assert verdicts == ["▼ lower"] * 2 + ["▲ higher"] * 2 + ["? cannot tell"] * 2


def test_weights_title_is_of_the_mean_rms_that_is_written() -> None:
    result = make_result(strengths=(0.1,), replicates=5)
    measures = result.history.named("measures")
    for layer in ("hidden1", "hidden2"):
        measures[f"rms_{layer}"][-1] = [[0.9 + r / 9 for r in range(5)], [r / 9 for r in range(5)]]
    measures["rms_output"][-1] = [[0.1 + r / 9 for r in range(5)], [0.2 + r / 9 for r in range(5)]]
    assert weights.title(result) == (
        "Weight decay 0.1 draws the weights of 2 of 3 layers nearer to 0; those of the output "
        "layer are further from 0 on average"
    )
    said = texts_of(drawn("weights", result))
    assert {"rms 0.322", "rms 0.422"} <= {*said}
    assert "the weights of all 5 replicates" in " ".join(said).replace("\n", " ")


def test_what_is_cut_off_has_an_arrowhead_and_its_value() -> None:
    strengths = (0.001, 0.002, 0.003, 0.004, 0.005)
    result = make_result(strengths=strengths, replicates=4, by="test-loss")
    far = result.headline[-1]
    far[5] += 90
    figure = drawn("risk_over_strength", result)
    for panel in figure.axes[1:]:
        assert panel.get_ylim()[1] < 90
    (arrow,) = [line for line in figure.axes[2].lines if line.get_marker() == "^"]
    assert np.asarray(arrow.get_xdata())[0] > np.log10(0.0045)
    said = texts_of(figure)
    assert f"▲ test loss {far[5].mean():.2f}" in said
    assert f"▲ up to {(far[5] - far[0]).max():.2f}" in said


@pytest.mark.parametrize(
    ("value", "told", "rough"),
    [
        (0.0402, "0.040", "0.04"),
        (9.8764, "9.876", "9.9"),
        (14.385, "14.38", "14"),
        (-151.745, "−151.7", ""),
        (523.4, "523.4", "520"),
        (2962.51, "2963", "2963"),
        (1e4, "10000", "10⁴"),
        (123_456, "1.2·10⁵", "1.2·10⁵"),
    ],
)
def test_numbers_of_pictures_have_the_digits_that_say_something(
    value: float, told: str, rough: str
) -> None:
    assert short(value) == told
    assert not rough or power(value) == rough
