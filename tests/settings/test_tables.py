"""Tables by their facts: from arrays, from stored facts, and what is refused of both."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import cloudpickle
import numpy as np
import pandas
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regbench.errors import UsageError
from regbench.settings.rows import Rows
from regbench.settings.table import Source, Table

X = np.random.default_rng(1).normal(size=(40, 3))
Y = np.arange(40.0)
NAMES = ["a", "b", "c"]
LABELS = [f"p{row % 13}" for row in range(40)]


def refusal(*unnamed: Any, **values: Any) -> str:
    with pytest.raises(UsageError) as refused:
        Table(*unnamed, **values)
    return str(refused.value)


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (X.tolist(), Y.astype(int).tolist()),
        (np.asfortranarray(X), Y),
        (pandas.DataFrame(X, columns=NAMES), pandas.Series(Y, index=np.arange(40)[::-1])),
        (pandas.DataFrame(X).convert_dtypes(), pandas.Series(Y.astype(int), dtype="Int64")),
        (torch.tensor(X, requires_grad=True), torch.arange(40)),
        (np.ma.MaskedArray(X), Y.astype(np.float32)),
    ],
)
def test_arrays_tables_and_tensors_are_the_same_table(x: Any, y: Any) -> None:
    table = Table(x, y)
    assert (table.rows, table.inputs, table.groups, table.largest_group) == (40, 3, None, 1)
    assert table == Table(X, Y)
    assert table.values is not None
    np.testing.assert_array_equal(table.values.x, X)
    expected = tuple(map(str, x.columns)) if hasattr(x, "columns") else ("x0", "x1", "x2")
    assert table.values.names == expected


@pytest.mark.parametrize(
    "labels", [LABELS, np.array(LABELS), pandas.Series(LABELS, dtype="category")]
)
def test_groups_are_counted_in_the_order_of_appearance(labels: Any) -> None:
    table = Table(X, Y, labels)
    assert (table.groups, table.largest_group) == (13, 4)
    assert table.values is not None
    assert table.values.groups is not None
    assert table.values.groups.tolist() == [row % 13 for row in range(40)]
    assert table.values.groups.dtype == np.int64
    assert table == Table(X, Y, torch.arange(40) % 13)
    assert table != Table(X, Y)


def test_stored_facts_make_an_equal_table_without_values() -> None:
    table = Table(X, Y, LABELS, folds=5, points=20)
    stored = json.loads(json.dumps(table.model_dump(mode="json")))
    assert list(stored) == [
        *("rows", "inputs", "digest", "groups", "largest_group", "folds", "points")
    ]
    again = Table(**stored)
    assert again.values is None
    assert again == table
    assert hash(again) == hash(table)
    assert Table(**stored, values=table.values) == table
    for other in (Table(X, Y, LABELS, folds=4, points=20), Table(X + 1, Y, LABELS, 5, 20), "x"):
        assert table != other


def test_settings_are_replaced_and_the_values_stay() -> None:
    table = Table(X, Y, LABELS).replaced(folds=4, points=np.int64(9))
    assert (table.folds, table.points, table.groups) == (4, 9, 13)
    assert table.values is not None


@pytest.mark.parametrize("send", [pickle, cloudpickle])
def test_table_is_sent_with_its_values_which_stay_read_only(send: Any) -> None:
    table = Table(X, Y, LABELS)
    sent: Any
    for sent in (send.loads(send.dumps(table)), copy.deepcopy(table)):
        assert sent == table
        assert sent.values.digest == table.digest
        assert sent.values.names == ("x0", "x1", "x2")
        for array in (sent.values.x, sent.values.y, sent.values.groups):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def test_values_are_a_copy() -> None:
    x, y = X.copy(), Y.copy()
    table = Table(x, y)
    x[0], y[0] = 9, 9
    assert table == Table(X, Y)
    assert table.values is not None
    assert Rows(table.values.x, table.values.y, None, ()).digest == table.digest


def test_digest_knows_one_nan_and_one_zero() -> None:
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000, 1 << 63], np.uint64).view(np.float64)
    x, y = odd.reshape(3, 1), np.arange(3.0)
    plain = Rows(np.array([[np.nan], [np.nan], [0.0]]), y, None, ("a",))
    assert Rows(x, y, None, ("b",)).digest == plain.digest
    assert len(plain.digest) == 32
    assert Rows(x, y, np.zeros(3, np.int64), ()).digest != plain.digest
    ones = np.ones(4)  # of which each has as many bytes
    assert (
        Rows(ones[None, :3], ones[:1], None, ()).digest
        != Rows(ones[:2, None], ones[:2], None, ()).digest
    )


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=25),
    folds=st.integers(2, 10),
    order=st.randoms(),
)
def test_no_fold_is_larger_or_smaller_than_its_bound(
    sizes: list[int], folds: int, order: Any
) -> None:
    """Any order in which each group joins the fold that has the fewest rows so far."""
    if len(sizes) < folds or sum(sizes) < 2 * folds:
        return
    facts: dict[str, Any] = {"rows": sum(sizes), "groups": len(sizes), "largest_group": max(sizes)}
    table = Table(**facts, inputs=1, digest="0" * 32, folds=folds)
    order.shuffle(sizes)
    held_out = [0] * folds
    for size in sizes:
        held_out[held_out.index(min(held_out))] += size
    assert 1 <= table.smallest_fold <= min(held_out)
    assert max(held_out) <= table.largest_fold < table.rows
    single = Table(rows=table.rows, inputs=1, digest="0" * 32, folds=folds)
    assert single.largest_fold == -(-table.rows // folds)
    assert single.smallest_fold == table.rows // folds


HOLED, MASKED = X.copy(), np.ma.MaskedArray(X, np.zeros_like(X, dtype=bool))
HOLED[3, 1], MASKED[4, 0] = np.nan, np.ma.masked
NO_NUMBERS = "; pandas.get_dummies makes numbers of categories"
HINT = "leave such rows out, or put numbers there"
FINITE = f"; allowed: finite numbers; {HINT}"


@pytest.mark.parametrize(
    ("unnamed", "values", "line"),
    [
        ((), {}, "X: is missing; Table(X, y): inputs and targets"),
        ((X,), {}, "y: is missing; Table(X, y): inputs and targets"),
        ((HOLED, Y), {}, f"X: got 'nan', at X[3, 1]{FINITE}"),
        ((pandas.DataFrame(HOLED), Y), {}, f"X: got 'nan', at X[3, 1]{FINITE}"),
        ((MASKED, Y), {}, f"X: got 'nan', at X[4, 0]{FINITE}"),
        ((X, np.where(Y == 7, np.inf, Y)), {}, f"y: got 'inf', at y[7]{FINITE}"),
        (
            (X[:, 0], Y),
            {},
            "X: got 'shape (40,)'; allowed: shape (n, D), a row for each target; "
            "X[:, None] is one input",
        ),
        ((X[:, :0], Y), {}, "X: got 'shape (40, 0)'; allowed: shape (n, D), a row for each target"),
        ((X, Y[1:]), {}, "y: got 'shape (39,)'; allowed: shape (40,), a target for each row of X"),
        (
            (X, Y[:, None]),
            {},
            "y: got 'shape (40, 1)'; allowed: shape (40,), a target for each row of X",
        ),
        ((X, Y * 0 + 2), {}, "y: got '2.0', in every row; allowed: targets that vary"),
        (
            (X, list("ab" * 20)),
            {},
            "y: no numbers: 'it has text, dates or nothing in it'" + NO_NUMBERS,
        ),
        (
            (pandas.DataFrame({"a": Y, "b": LABELS}), Y),
            {},
            "X: no numbers: 'it has text, dates or nothing in it'" + NO_NUMBERS,
        ),
        (
            (X, Y, LABELS[1:]),
            {},
            "groups: got 'shape (39,)'; allowed: shape (40,), a label of each row",
        ),
        ((X, Y, [None, *LABELS[1:]]), {}, "groups: a label is missing; give each row one"),
        (
            (X[:19], Y[:19]),
            {},
            "folds: got '10', but the table has 19 rows; allowed: from 2 to 9",
        ),
        (
            (X[:3], Y[:3]),
            {},
            "folds: got '10', but the table has 3 rows; allowed: a table of 4 rows",
        ),
        (
            (X, Y, Y % 7),
            {},
            "folds: got '10', but the table has 7 groups; allowed: from 2 to 7",
        ),
        (
            (X, Y, Y * 0),
            {},
            "folds: got '10', but the table has 1 groups; allowed: a table of 2 groups",
        ),
        ((X, Y), {"folds": 1}, "folds: got '1'; allowed: a whole number from 2"),
        ((X, Y), {"points": 0}, "points: got '0'; allowed: a whole number from 1"),
        (
            (X, Y),
            {"points": 37},
            "points: got '37'; allowed: from 1 to 36, the smallest training part",
        ),
        ((X, Y), {"fold": 5}, "Table: unknown key 'fold'; did you mean 'folds'?"),
        (
            (),
            {"rows": 40, "inputs": 3, "digest": "x"},
            "digest: got 'x'; allowed: what is known of a table's rows",
        ),
        (
            (),
            {"rows": 40, "digest": "0" * 32},
            "inputs: is missing; allowed: what is known of a table's rows",
        ),
        (
            (),
            {"values": Rows(X, Y, None, ()), "rows": 41},
            "data: which is another table: rows 41 there and 40 here",
        ),
    ],
)
def test_bad_table_is_refused_in_one_line(
    unnamed: tuple[Any, ...], values: dict[str, Any], line: str
) -> None:
    assert refusal(*unnamed, **values) == line


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"target": "y"}, "--target: got 'y', but no table; add --data=FILE"),
        ({"drop": ("a", "b")}, "--drop: got 'a,b', but no table; add --data=FILE"),
        ({"group": "g"}, "--group: got 'g', but no table; add --data=FILE"),
        ({"missing": "drop"}, "--missing: got 'drop', but no table; add --data=FILE"),
        (
            {"data": "t.csv"},
            "--data: got 't.csv', but no target; name the column to predict: --target=COLUMN",
        ),
        (
            {"data": "t", "target": "y", "missing": "x"},
            "--missing: got 'x'; allowed: error, median, drop",
        ),
    ],
)
def test_options_that_do_not_fit_together_are_refused(values: dict[str, Any], line: str) -> None:
    with pytest.raises(UsageError) as refused:
        Source(**values)
    assert str(refused.value.named({})) == line


def test_no_table_needs_no_options() -> None:
    assert Source().data is None
    assert Source(data="t.csv", target="y").missing == "error"
