"""Histories as arrays by name: joined and selected along their axes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from training import join, make_batch, make_study, train

from regbench.analysis.history import AXES, WEIGHT_BINS, Gathering, History, weight_edges
from regbench.engines import ENGINES
from regbench.engines.base import draw_start
from regbench.tasks.synthetic import GRID_POINTS


def assert_same(one: History, other: History) -> None:
    """Check that all arrays of two histories are equal, bit for bit."""
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)


def test_arms_and_replicates_that_are_taken_apart_are_joined_again() -> None:
    history = train(make_study("wdecay", (0.1, 0.2), replicates=5), "batched")
    arms = [history.part(A=slice(index, index + 1)) for index in range(3)]
    assert_same(join(arms, "A"), history)
    study = make_study("wdecay", (0.1, 0.2), replicates=5)
    parts = [train(batch, "fused") for batch in make_batch(study).cut(2)]
    assert_same(join(parts, "R"), train(study, "fused"))


def test_every_array_has_the_axes_of_the_table() -> None:
    study = make_study("wdecay", (0.1, 0.2), replicates=4, points=6, test_points=5, depth=2)
    history = train(study, "batched")
    training = study.training
    sizes = {
        "E": len(training.measured_epochs),
        "K": len(training.kept_epochs),
        "A": 3,
        "R": 4,
        "N": 6,
        "T": 5,
        "G": GRID_POINTS,
        "Q": GRID_POINTS,
        "B": WEIGHT_BINS,
    }
    for name, array in history.arrays.items():
        axes = AXES[name.partition("/")[0]]
        assert array.shape[: len(axes)] == tuple(sizes[letter] for letter in axes), name
    of_tables = {"held_out", "held_out_group", "held_out_y", "center", "scale"}
    assert {name.partition("/")[0] for name in history.arrays} == set(AXES) - of_tables


def test_grid_lies_in_the_middles_of_equal_cells() -> None:
    history = train(make_study(x_min=-3.0, x_max=5.0, dtype="float64", epochs=1), "batched")
    width = 8 / GRID_POINTS
    expected = -3 + width / 2 + width * np.arange(GRID_POINTS)
    np.testing.assert_allclose(history.grid_x, expected, rtol=1e-6, atol=1e-6)


def test_array_that_is_not_there_is_an_attribute_error() -> None:
    history = train(make_study(epochs=1), "batched")
    with pytest.raises(AttributeError, match="no array is called 'risky'"):
        _ = history.risky
    assert not hasattr(History({}), "epochs")


def test_replaced_arrays_are_measures_or_others_by_their_names() -> None:
    history = train(make_study(epochs=1), "batched")
    changed = history.replaced(test_loss=history.test_loss * 2, grid_x=history.grid_x + 1)
    np.testing.assert_array_equal(changed.test_loss, 2 * history.test_loss)
    np.testing.assert_array_equal(changed.grid_x, history.grid_x + 1)
    assert changed.arrays.keys() == history.arrays.keys()


def test_pieces_that_are_gathered_in_any_order_are_what_is_joined() -> None:
    study = make_study("dropout", (0.1, 0.2), replicates=5)
    batches = make_batch(study).cut(2)
    pieces = [train(batch, "batched") for batch in batches]
    gathering = Gathering(3, 5)
    for batch in reversed(batches):
        first = batch.first_replicate
        for arm_indices in ((2,), (0, 1)):
            piece = train(dataclasses.replace(batch, arm_indices=arm_indices), "batched")
            gathering.add(piece, arm_indices[0], first, first)
    for replicates, count in ((5, 3), (4, 2), (2, 1)):
        assert_same(gathering.history(replicates), join(pieces[:count], "R"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", ENGINES)
def test_weights_of_all_replicates_are_counted_in_every_engine(engine: str, dtype: str) -> None:
    # One epoch in which nothing moves, so that the initial weights are known.
    study = make_study(replicates=20, epochs=1, lr=1e-30, dtype=dtype, features="polynomial:3")
    history = train(study, engine)
    starts = [draw_start(study, seed).parameters[0][::2] for seed in study.seeds]
    edges = weight_edges(study.network)
    for layer, weights in zip(study.network.layer_names, zip(*starts, strict=True), strict=True):
        values = np.concatenate([weight.numpy().ravel() for weight in weights])
        assert (edges[layer][128], edges[layer][144]) == (
            0,
            pytest.approx(weights[0].shape[1] ** -0.5),
        )
        expected, _ = np.histogram(values, edges[layer])
        for counts in history.named("weight_counts")[layer].reshape(-1, 256):
            assert counts.sum() == values.size
            assert np.abs(counts - expected).sum() <= 2  # one value at an edge


def test_engines_count_the_same_trained_weights() -> None:
    study = make_study("l1", (0.05,), dtype="float64", replicates=5, hidden=40)
    one, *others = (train(study, engine).named("weight_counts") for engine in ENGINES)
    for other in others:
        for layer, counts in one.items():
            assert np.abs(counts - other[layer]).sum() <= 4
            assert (counts[0] != counts[-1]).any()


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_beyond_the_bins_are_in_the_outermost(engine: str) -> None:
    study = make_study(depth=0, slope=1e4, noise=0, lr=0.3, epochs=100, replicates=3)
    counts = train(study, engine).named("weight_counts")["output"][-1, 0]
    assert counts.tolist() == [0] * 255 + [3]
