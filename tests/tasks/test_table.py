"""A table as a task: its splits, what networks take and are judged by, and the law of its means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

import regbench as rb
from regbench.scores import SAME_ROWS, judge_named
from regbench.settings.rows import Rows
from regbench.settings.table import Table
from regbench.tasks.sample import Sample
from regbench.tasks.table import STEP, Tabular

if TYPE_CHECKING:
    from pathlib import Path

    from regbench.analysis.result import Result

GENERATOR = torch.Generator()
MACHINES = {
    "reference": rb.Machine(engine="reference", device="cpu"),
    "batched": rb.Machine(engine="batched", device="cpu"),
    "fused": rb.Machine(engine="fused", device="cpu"),
}


def table_of(rows: int = 43, inputs: int = 3, groups: Any = None, **values: Any) -> Table:
    """Return a table whose target is a sum of its inputs and noise, in large units."""
    generator = np.random.default_rng(rows)
    x = generator.normal(3, 2, (rows, inputs))
    y = 100 * x[:, 0] - 50 * x[:, 1] + generator.normal(0, 80, rows)
    return Table(x, y, groups, **values)


def run(table: Table, engine: str = "batched", arms: Any = None, **values: Any) -> Result:
    """Return the result of a small study of a table."""
    asked = {"network": rb.Network(hidden=8, depth=2), "replicates": 20, **values}
    asked |= {"training": rb.Training(epochs=30, log_every=10)}
    study = rb.Study(arms=arms or [rb.WeightDecay(0.1), rb.Dropout(0.3)], task=table, **asked)
    return rb.run(study, machine=MACHINES[engine])


@pytest.fixture(scope="module")
def result() -> Result:
    """The result of a table of 43 rows, each held out twice."""
    return run(table_of())


@settings(deadline=None, max_examples=40)
@given(rows=st.integers(4, 90), folds=st.integers(2, 12), data=st.data())
def test_folds_part_the_rows_and_never_a_group(rows: int, folds: int, data: st.DataObject) -> None:
    labels = data.draw(st.none() | st.lists(st.integers(0, 14), min_size=rows, max_size=rows))
    number = rows if labels is None else len(set(labels))
    folds = min(folds, number, rows // 2)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, rows))
    task = Tabular(Table(x[:, None], y, labels, folds=folds))
    for first in (1, 1 + 2 * folds):
        parts = [task.split(seed) for seed in range(first, first + folds)]
        held = np.concatenate([held for _, held in parts])
        assert sorted(held) == list(range(rows)), "each row is held out once"
        for train, own in parts:
            assert sorted([*train, *own]) == list(range(rows))
            assert task.settings.smallest_fold <= len(own) <= task.held
            assert len(train) <= task.points
            if labels is not None:
                assert not {labels[row] for row in train} & {labels[row] for row in own}
    other = task.split(1 + 5 * folds)[1]
    assert rows < 20 or labels or other.tolist() != task.split(1)[1].tolist()


def test_split_is_that_of_its_seed_whatever_run_asks_and_more_points_keep_the_fewer() -> None:
    few, many = (Tabular(table_of(points=count)) for count in (10, 25))
    for seed in (1, 7, 25):
        assert few.split(seed)[1].tolist() == Tabular(table_of()).split(seed)[1].tolist()
        assert (
            {*few.split(seed)[0]} < {*many.split(seed)[0]} < {*Tabular(table_of()).split(seed)[0]}
        )
    assert run(table_of(), replicates=12).history.risk[-1, 0, 10] == pytest.approx(
        run(table_of(), replicates=2, seed=11).history.risk[-1, 0, 0], rel=1e-6
    )


def test_inputs_and_target_are_standardized_by_the_training_rows_as_in_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    x, y = generator.normal(5, 3, (50, 4)), generator.normal(-9, 40, 50)
    x[:, 2] = 7
    holes = x.copy()
    holes[generator.random(50) < 0.2, 0] = np.nan
    indicators = np.isnan(holes[:, :1])
    task = Tabular(Table(values=Rows(np.hstack([holes, indicators]), y, None, tuple("abcde"))))
    for seed in (1, 4):
        train, held = task.split(seed)
        data = task.draw(GENERATOR, seed)
        filled = SimpleImputer(strategy="median", add_indicator=True).fit(holes[train])
        scaler = StandardScaler().fit(filled.transform(holes[train]))
        expected = [scaler.transform(filled.transform(holes[rows])) for rows in (train, held)]
        np.testing.assert_allclose(data.x, expected[0], atol=1e-5)
        np.testing.assert_allclose(data.asked_x[: len(held)], expected[1], atol=1e-5)
        assert not data.x[:, 2].any(), "a constant input is 0"
        of_y = StandardScaler().fit(y[train, None])
        np.testing.assert_allclose(data.y, of_y.transform(y[train, None])[:, 0], atol=1e-5)
        facts = data.facts["center"].item(), data.facts["scale"].item()
        assert facts == pytest.approx((of_y.mean_[0], of_y.scale_[0]))


def test_risk_is_the_loss_of_the_network_at_the_held_out_rows_in_units_of_the_target() -> None:
    table = table_of()
    found, (train, held) = run(table), Tabular(table).split(3)
    network, rows = found.network(seed=3, arm="wdecay=0.1"), table.values
    assert rows
    scaler, of_y = StandardScaler().fit(rows.x[train]), StandardScaler().fit(rows.y[train, None])

    def ask(x: Any) -> Any:
        inputs = torch.tensor(scaler.transform(x), dtype=torch.float32, requires_grad=True)
        answers = network(inputs)
        (slopes,) = torch.autograd.grad(answers.sum(), inputs)
        told = of_y.inverse_transform(answers.detach().numpy())[:, 0]
        return told, slopes.norm(dim=1).numpy() * of_y.scale_[0]

    measures, at = found.history, (-1, 1, 2)
    loss = np.square(ask(rows.x[held])[0] - rows.y[held]).mean()
    assert measures.risk[at] == pytest.approx(loss, rel=1e-5)
    assert measures.r_squared[at] == pytest.approx(1 - loss / of_y.scale_[0] ** 2, abs=1e-5)
    trained = np.square(ask(rows.x[train])[0] - rows.y[train]).mean()
    assert measures.train_loss_eval[at] == pytest.approx(trained, rel=1e-5)
    slope = np.sqrt(np.square(ask(rows.x[held])[1]).mean())
    assert measures.rms_slope[at] == pytest.approx(slope, rel=20 * STEP)


@pytest.mark.parametrize("engine", ["reference", "fused"])
def test_engines_agree_on_a_table_of_ragged_folds(engine: str) -> None:
    table = table_of(groups=np.arange(43) // 3)
    one, other = (run(table, name, dtype="float64").history for name in (engine, "batched"))
    assert len({*(one.held_out >= 0).sum(axis=1)}) > 1, "folds differ in size"
    for name, array in one.arrays.items():
        limit = 1e-6 if name.endswith("rms_slope") else 1e-9
        np.testing.assert_allclose(array, other.arrays[name], limit, limit, err_msg=name)


def test_interval_has_the_variance_over_splits_and_that_over_rows(result: Result) -> None:
    history, arm = result.history, result.comparisons[0]
    away = history.predictions[-1].astype(float) * history.scale + history.center
    losses = np.where(history.held_out >= 0, np.square(away - history.held_out_y), np.nan)
    differences = losses[1] - losses[0]
    rows = [np.nanmean(differences[history.held_out == row]) for row in range(43)]
    folds = np.nanmean(differences, axis=1)
    assert arm.mean_difference == pytest.approx(np.mean(rows), rel=1e-9)
    apart = np.square(differences - np.mean(rows))
    of_rows = sum(np.nanmean(apart[history.held_out == row]) for row in range(43)) / 42
    error = math.sqrt(np.var(folds, ddof=1) / 20 + of_rows / 43)
    told = result.task.document(history, result.study.compared)["table"]
    parts = told["standard_errors"][arm.arm]
    assert math.hypot(parts["folds"], parts["rows"]) == pytest.approx(error, rel=1e-9)
    assert told["rows"][arm.arm] == pytest.approx(rows, rel=1e-9)
    assert sorted(row for fold in told["folds"][:10] for row in fold) == list(range(43))
    (alone,) = run(table_of(), arms=[rb.WeightDecay(0.1)]).comparisons
    half = stats.t.ppf(0.975, 19) * error
    assert alone.ci == pytest.approx((np.mean(rows) - half, np.mean(rows) + half), rel=1e-5)
    assert arm.ci
    assert alone.ci
    assert arm.ci[0] < alone.ci[0], "two arms hold together"
    assert (arm.p_value_sign_flip, arm.median_ci, arm.win_probability_ci) == (None, None, None)


def test_rows_of_a_group_count_as_one() -> None:
    labels = np.arange(60) // 4
    found = run(table_of(60, groups=labels), arms=[rb.WeightDecay(0.1)])
    own = found.task.row_losses(found.history)  # type: ignore[attr-defined]
    rows = own[1] - own[0]
    history, squares = found.history, np.zeros(15)
    told = history.predictions[-1].astype(float) * history.scale + history.center
    losses = np.square(told - history.held_out_y)
    for held, away in zip(history.held_out, losses[1] - losses[0] - rows.mean(), strict=True):
        for group in {*labels[held[held >= 0]]}:  # each is held out twice
            squares[group] += away[np.isin(held, np.flatnonzero(labels == group))].sum() ** 2 / 2
    over_rows = math.sqrt(squares.sum() * 15 / 14) / 60
    assert found.sample.error_parts[1][0] == pytest.approx(over_rows, rel=1e-9)
    assert found.sample.means[0] == pytest.approx(rows.mean(), rel=1e-9)
    assert found.sample.freedom == 14, "of 15 groups"


def test_a_group_of_half_the_rows_leaves_few_degrees_of_freedom() -> None:
    labels = [0] * 30 + [*range(1, 31)]
    found = run(table_of(60, groups=labels), arms=[rb.WeightDecay(0.1)], replicates=30)
    assert found.sample.freedom == 2, "60²/(30² + 30) is 3.87"
    half = stats.t.ppf(0.975, 2) * found.sample.errors[0]
    (arm,) = found.comparisons
    assert arm.ci
    assert arm.ci[1] - arm.mean_difference == pytest.approx(half, rel=1e-9)
    alone = run(table_of(60), arms=[rb.WeightDecay(0.1)], replicates=30)
    assert math.isinf(alone.sample.freedom)


def test_measures_without_rows_have_the_law_of_overlapping_splits(result: Result) -> None:
    norms = result.history.weight_norm[-1].astype(float)
    (found,) = (m for m in result.measures if (m.arm, m.measure) == ("wdecay=0.1", "weight_norm"))
    differences = norms[1] - norms[0]
    error = differences.std(ddof=1) * math.sqrt(1 / 20 + 1 / 9)
    assert found.ci
    width = stats.t.ppf([0.975, 1 - 0.025 / 2], 19) * error
    assert width[0] < found.mean_difference - found.ci[0] < 1.05 * width[1]


def test_difference_of_the_risk_is_one_of_bias_squared_and_one_of_variance(result: Result) -> None:
    history, parts = result.history, result.decomposition_differences[-1]
    away = history.predictions[-1].astype(float) * history.scale + history.center
    variance = [
        np.mean([arm[history.held_out == row].var(ddof=1) for row in range(43)]) for arm in away
    ]
    for index, found in enumerate(parts, 1):
        assert found.variance.value == pytest.approx(variance[index] - variance[0], rel=1e-6)
        total = result.comparisons[index - 1].mean_difference
        assert found.bias_squared.value + found.variance.value == pytest.approx(total, rel=1e-6)
        assert found.variance.ci
        assert found.variance.ci[0] < found.variance.value
    once = run(table_of(), replicates=10)
    assert once.decomposition_differences[-1] == [], "no row is held out twice"


def test_difference_of_variance_has_the_law_of_overlapping_splits() -> None:
    found = run(table_of(), arms=[rb.WeightDecay(0.1)])
    history = found.history
    told = history.predictions[-1].astype(float) * history.scale + history.center
    told = np.where(history.held_out >= 0, told, np.nan)
    apart = np.full_like(told, np.nan)
    for row in range(43):
        at = history.held_out == row
        apart[:, at] = 2 * np.square(told[:, at] - told[:, at].mean(axis=1, keepdims=True))
    own = np.nanmean(apart[1] - apart[0], axis=1)
    half = stats.t.ppf(0.975, 19) * own.std(ddof=1) * math.sqrt(1 / 20 + 1 / 9)
    variance = found.decomposition_differences[-1][0].variance
    assert variance.ci == pytest.approx((variance.value - half, variance.value + half), rel=1e-6)


def test_best_epoch_is_chosen_by_the_other_folds_of_the_same_partition() -> None:
    choosers = Tabular(table_of()).choosers(range(1, 22))
    assert choosers is not None
    assert np.flatnonzero(choosers[3]).tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert np.flatnonzero(choosers[20]).tolist() == list(range(20)), "alone in its partition"


def test_what_takes_independent_replicates_is_not_said_of_a_table() -> None:
    swept = run(table_of(), arms=[rb.WeightDecay(10.0**power) for power in range(-5, 0)])
    assert swept.optimum is None
    assert swept.failures is not None
    refused: list[tuple[str, Any]] = [("confirm", 5), ("target_width", 3.0), ("by", "test-loss")]
    for asked, value in refused:
        with pytest.raises(rb.UsageError, match=f"^{asked}: got '{value}', but "):
            rb.run(swept.study, rb.Question(**{asked: value}))
    for asked, value in (("vary", "init"), ("pairing", "independent")):
        with pytest.raises(rb.UsageError, match=f"^{asked}: got '{value}', but "):
            swept.study.replaced(**{asked: value})


def test_learning_curve_holds_out_the_same_rows_at_every_number_of_points() -> None:
    study = rb.Study(
        arms=[rb.WeightDecay(0.1)],
        task=table_of(),
        network=rb.Network(hidden=8, depth=1),
        training=rb.Training(epochs=20),
        replicates=10,
    )
    over = rb.run(rb.Over(study=study, key="points", values=(10, 30)))
    first, last = over.over
    np.testing.assert_array_equal(first.history.held_out, last.history.held_out)
    change = last.comparisons[0].mean_difference - first.comparisons[0].mean_difference
    assert over.changes[0].mean_difference == pytest.approx(change, rel=1e-9)
    assert over.effects[0][0].ci is not None
    wide = over.effects[0][0].ci[1] - over.effects[0][0].ci[0]
    alone = first.comparisons[0].ci
    assert alone
    assert wide > alone[1] - alone[0]


def test_picture_has_each_row_at_its_mean_prediction_by_networks_that_had_not_seen_it(
    result: Result,
) -> None:
    targets, predicted = result.task.predictions_of(result.history)  # type: ignore[attr-defined]
    table = table_of().values
    np.testing.assert_allclose(targets, table.y, rtol=1e-6)
    for row in (0, 42):
        seeds = [seed for seed in result.study.seeds if row in Tabular(table_of()).split(seed)[1]]
        train, _ = zip(*(Tabular(table_of()).split(seed) for seed in seeds), strict=True)
        answers = []
        for own, seed in zip(train, seeds, strict=True):
            x, y = StandardScaler().fit(table.x[own]), StandardScaler().fit(table.y[own, None])
            inputs = torch.tensor(x.transform(table.x[[row]]), dtype=torch.float32)
            with torch.no_grad():
                answer = result.network(seed=seed, arm="dropout=0.3")(inputs).numpy()
            answers.append(y.inverse_transform(answer).item())
        assert predicted[2, row] == pytest.approx(np.mean(answers), rel=1e-5)
    figure = result.figures.predictions()
    told = " ".join(" ".join(text.get_text() for text in figure.axes[0].texts).split())
    assert "of the variance of held-out targets, the baseline" in told
    shown = [line for axes in figure.axes for line in axes.lines if len(line.get_xdata()) == 43]
    np.testing.assert_allclose(shown[0].get_xdata(), predicted[0])
    np.testing.assert_allclose(shown[0].get_ydata(), targets)


def test_test_rows_judge_every_replicate_and_only_weights_differ() -> None:
    whole = table_of(60).values
    table = Table(whole.x[:40], whole.y[:40], test=(whole.x[40:], whole.y[40:]))
    found = run(table, arms=[rb.WeightDecay(0.1)], replicates=12)
    for seed in (1, 9):
        train, held = Tabular(table).split(seed)
        assert (train.tolist(), held.tolist()) == ([*range(40)], [*range(40, 60)])
    history = found.history
    away = history.predictions[-1].astype(float) * history.scale + history.center
    differences = np.square(away[1] - whole.y[40:]) - np.square(away[0] - whole.y[40:])
    error = math.sqrt(
        differences.mean(axis=1).var(ddof=1) / 12 + differences.mean(axis=0).var(ddof=1) / 20
    )
    (told,) = found.comparisons
    half = stats.t.ppf(0.975, 11) * error
    mean = differences.mean()
    assert told.ci == pytest.approx((mean - half, mean + half), rel=1e-4)
    norms = history.weight_norm[-1].astype(float)
    (norm,) = (found for found in found.measures if found.measure == "weight_norm")
    assert norm.ci == pytest.approx(
        stats.ttest_rel(norms[1], norms[0]).confidence_interval(0.95), rel=1e-5
    )
    assert found.at_best_epochs == [], "the rows that choose would be those that judge"
    with pytest.raises(rb.UsageError, match=r"^by: got 'risk-at-best', but the test rows"):
        rb.run(found.study, rb.Question(by="risk-at-best"))
    few = Tabular(Table(whole.x[:40], whole.y[:40], points=9, test=(whole.x[40:], whole.y[40:])))
    assert few.split(1)[0].tolist() == few.split(7)[0].tolist()
    assert len(few.split(1)[0]) == 9


def test_a_column_that_is_constant_in_a_training_part_is_0_at_all_rows() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(43, 3)), generator.normal(size=43)
    x[:, 1], x[7, 1] = 0.1, 9.0  # the mean of many 0.1 is not 0.1
    task, seen = Tabular(Table(x, y)), set[bool]()
    for seed in range(1, 11):
        train, held = task.split(seed)
        data = task.draw(GENERATOR, seed)
        is_constant = 7 in held
        assert bool(data.x[:, 1].any()) != is_constant
        assert bool(data.asked_x[: len(held), 1].any()) != is_constant
        seen.add(is_constant)
        assert data.x.shape == (len(train), 3)
    assert seen == {True, False}


def test_partitions_of_groups_of_different_sizes_differ() -> None:
    labels = np.repeat(np.arange(12), np.arange(1, 13))
    task = Tabular(table_of(len(labels), groups=labels, folds=4))
    parts = [{tuple(task.split(seed)[1]) for seed in range(t, t + 4)} for t in (1, 5, 9)]
    assert not parts[0] & parts[1]
    assert not parts[1] & parts[2]


def test_a_network_has_failed_where_a_constant_fits_its_training_rows_as_well() -> None:
    generator = np.random.default_rng(5)
    noise = Table(generator.normal(size=(60, 8)), generator.normal(size=60))
    found = run(noise, arms=[rb.WeightDecay(0.001)], network=rb.Network(hidden=32, depth=1))
    assert (found.history.r_squared[-1] < 0).mean() > 0.5, "all that they learn is noise"
    assert found.failures == [0, 0]
    lost = found.history.train_loss_eval.copy()
    lost[-1, 1, :3] = np.square(found.history.scale[:3, 0]) * [1.01, np.inf, np.nan]
    failed = Tabular(noise).failed(found.history.replaced(train_loss_eval=lost))
    assert failed.sum(axis=1).tolist() == [0, 3]


def test_one_replicate_has_no_interval_and_two_have_a_wide_one() -> None:
    alone = run(table_of(), replicates=1)
    for arm in alone.comparisons:
        assert (arm.ci, arm.p_value, arm.verdict) == (None, None, "inconclusive")
    told = alone.task.document(alone.history, alone.study.compared)["table"]
    assert math.isnan(told["standard_errors"]["wdecay=0.1"]["folds"])
    assert not alone.decomposition_differences[-1]
    assert not alone.at_best_epochs
    two = run(table_of(), arms=[rb.WeightDecay(0.1)], replicates=2)
    (arm,) = two.comparisons
    assert arm.ci
    half = stats.t.ppf(0.975, 1) * two.sample.errors[0]
    assert arm.ci[1] - arm.mean_difference == pytest.approx(half, rel=1e-9)


def test_rows_weigh_the_same_however_often_they_are_held_out() -> None:
    found = run(table_of(), replicates=13)
    history = found.history
    counts = np.bincount(history.held_out[history.held_out >= 0], minlength=43)
    assert {*counts} == {1, 2}
    told = history.predictions[-1].astype(float) * history.scale + history.center
    losses = np.where(history.held_out >= 0, np.square(told - history.held_out_y), np.nan)
    rows = [np.nanmean((losses[1] - losses[0])[history.held_out == row]) for row in range(43)]
    assert found.comparisons[0].mean_difference == pytest.approx(np.mean(rows), rel=1e-9)
    assert found.best_arm in found.study.arms[1:]
    few = run(table_of(), replicates=4)
    told = few.task.document(few.history, few.study.compared)["table"]
    missing = [row for row, value in enumerate(told["rows"]["wdecay=0.1"]) if math.isnan(value)]
    assert sorted([*missing, *np.concatenate(told["folds"])]) == list(range(43))
    assert few.sample.rows is not None
    assert few.sample.rows.shape[1] == 43 - len(missing)


def test_an_arm_that_diverges_takes_nothing_from_the_others() -> None:
    training = rb.Training(epochs=400, log_every=100, lr=0.02)
    fine, bad = rb.WeightDecay(0.1), rb.WeightDecay(189.0)
    both, alone = (
        rb.run(
            rb.Study(
                arms=arms,
                task=table_of(),
                network=rb.Network(hidden=8, depth=2),
                training=training,
                replicates=20,
            ),
            machine=MACHINES["batched"],
        )
        for arms in ([fine, bad], [fine])
    )
    assert [arm.verdict for arm in both.comparisons] == [alone.comparisons[0].verdict, "diverged"]
    assert both.comparisons[0].ci == pytest.approx(alone.comparisons[0].ci, rel=1e-6)
    first, lost = both.decomposition_differences[-1]
    assert first.variance.ci == pytest.approx(alone.decomposition_differences[-1][0].variance.ci)
    assert math.isnan(lost.variance.value)
    assert both.failures
    assert both.failures[2] > 0
    for compared in (both.measures, both.at_best_epochs, both.comparisons_by_epoch):
        assert compared


def test_samples_of_different_overlaps_are_as_dependent_as_the_most_dependent_one() -> None:
    few, many = (Sample(np.arange(6.0).reshape(2, 3), overlap=size) for size in (0.4, 0.1))
    for pair in ((few, many), (many, few)):
        assert Sample.of(lambda one, other: one - other, *pair).overlap == 0.4


def test_rows_that_are_trained_on_are_told_as_a_mean_over_folds() -> None:
    labels = np.repeat([0, *range(1, 41)], [40, *[1] * 40])
    task = Tabular(table_of(80, groups=labels, folds=4))
    assert task.overlap == pytest.approx(1 / 3)
    assert "trained on 60 rows" in task.words.scope
    assert Tabular(table_of(points=10)).overlap == pytest.approx(0.43)


def test_runs_of_a_table_are_judged_as_splits_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    study = rb.Study(
        arms=[rb.WeightDecay(0.1)],
        task=table_of(50),
        network=rb.Network(hidden=4, depth=1),
        training=rb.Training(epochs=9),
        replicates=10,
    )
    rb.run(study, folder="a")
    (found,) = judge_named(["a"], rb.Judging()).comparisons
    values = rb.load("a").judged
    error = (values[1] - values[0]).std(ddof=1) * math.sqrt(1 / 10 + 5 / 45)
    half = stats.t.ppf(0.975, 9) * error
    mean = np.mean(values[1] - values[0])
    assert found.ci == pytest.approx((mean - half, mean + half))


def test_runs_with_the_same_test_rows_say_that_their_intervals_are_about_these(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    whole = table_of(40).values
    table = Table(whole.x[:30], whole.y[:30], test=(whole.x[30:], whole.y[30:]))
    network, training = rb.Network(hidden=4, depth=1), rb.Training(epochs=9)
    study = rb.Study(
        arms=[rb.WeightDecay(0.1)], task=table, network=network, training=training, replicates=5
    )
    rb.run(study, folder="a")
    judged = judge_named(["a"], rb.Judging())
    assert judged.notes == [SAME_ROWS]
    assert judged.question.splits is None
