"""Histories as arrays by name: joined and selected along their axes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from training import make_batch, make_study, train

from regbench.analysis.history import AXES, Gathering, History, join, select_arms
from regbench.tasks.synthetic import GRID_POINTS


def assert_same(one: History, other: History) -> None:
    """Check that all arrays of two histories are equal, bit for bit."""
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)


def test_arms_and_replicates_that_are_taken_apart_are_joined_again() -> None:
    history = train(make_study("wdecay", (0.1, 0.2), replicates=5), "batched")
    assert_same(join([select_arms(history, [index]) for index in range(3)], "A"), history)
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
    }
    for name, array in history.arrays.items():
        axes = AXES[name.partition("/")[0]]
        assert array.shape[: len(axes)] == tuple(sizes[letter] for letter in axes), name
    assert {name.partition("/")[0] for name in history.arrays} == set(AXES)


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
    whole = join([train(batch, "batched") for batch in batches], "R")
    gathering = Gathering(3, 5)
    for batch in reversed(batches):
        for arm_indices in ((2,), (0, 1)):
            piece = train(dataclasses.replace(batch, arm_indices=arm_indices), "batched")
            gathering.add(piece, arm_indices, batch.first_replicate)
    assert_same(gathering.history(5), whole)
    assert_same(gathering.history(4), join([train(batch, "batched") for batch in batches[:2]], "R"))
