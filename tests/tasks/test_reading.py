"""Files of tables: the numbers that pandas reads, or one line that says what is wrong."""

from __future__ import annotations

import io
import os
import signal
import stat
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regbench.errors import UsageError, visible
from regbench.settings.table import Source
from regbench.tasks import reading
from regbench.tasks.reading import read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from regbench.settings.rows import Rows

PLAIN = "size,city,price\n1.5,Bern,3\n-2e1,Ulm,4.25\n.5,Bern,7\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Interrupt what waits for longer, which would hang the suite."""

    def stop(*_: object) -> None:
        raise AssertionError(f"waited for {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def write(content: str | bytes, name: str = "t.csv") -> str:
    with open(name, "wb") as file:  # noqa: PTH123
        file.write(content.encode() if isinstance(content, str) else content)
    return name


def rows_of(content: str | bytes, name: str = "t.csv", target: str = "y", **values: Any) -> Rows:
    return read(Source(data=write(content, name), target=target, **values))


def refusal(content: str | bytes | None, name: str = "t.csv", **values: Any) -> str:
    """Return what is said of a file on the command line."""
    if content is not None:
        write(content, name)
    with pytest.raises(UsageError) as refused:
        read(Source(**{"data": name, "target": "y", **values}))
    return str(refused.value.named({}))


def by_pandas(frame: pandas.DataFrame, target: str) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Return names and values of the inputs, categories one-hot in the order of appearance."""
    names, inputs = list[str](), list[Any]()
    for name in frame.columns.drop(target):
        if frame[name].dtype.kind in "iuf":
            names.append(name)
            inputs.append(frame[name].to_numpy(float))
            continue
        ordered = pandas.Categorical(frame[name], frame[name].dropna().unique())
        dummies = pandas.get_dummies(ordered, prefix=name, prefix_sep="=")
        names += list(dummies.columns)
        inputs += dummies.to_numpy(float).T.tolist()
    return names, np.array(inputs).T


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (PLAIN, "t.csv"),
        (PLAIN, "t.data"),
        ("\ufeff" + PLAIN, "t.CSV"),
        (PLAIN.replace("\n", "\r\n"), "t.csv"),
        (PLAIN.replace("\n", "\r"), "t.csv"),
        (PLAIN.replace(",", "\t"), "t.tsv"),
        (PLAIN.replace(",", "\t"), "t.txt"),
        (PLAIN.replace(",", ";"), "t.csv"),
        (PLAIN.replace(",", ", "), "t.csv"),
        (PLAIN.replace(",Bern", ', "Bern"'), "t.csv"),
        (PLAIN.replace("Bern", '"Bern"').replace("size", '"size"'), "t.csv"),
        (PLAIN.replace("\n", "\n\n") + "\n", "t.csv"),
        (PLAIN.rstrip("\n"), "t.csv"),
    ],
)
def test_files_of_every_form_say_the_same(text: str, name: str) -> None:
    rows = rows_of(text, name, target="price")
    assert rows.names == ("size", "city=Bern", "city=Ulm")
    np.testing.assert_array_equal(rows.x, [[1.5, 1, 0], [-20, 0, 1], [0.5, 1, 0]])
    np.testing.assert_array_equal(rows.y, [3, 4.25, 7])
    assert rows.groups is None
    assert rows.notes == ("column 'city' is one-hot: 2 levels",)


def test_quoted_fields_keep_delimiters_quotes_and_line_breaks() -> None:
    text = 'a,"b, ""c""\nd",y\n1,"x, y",1\n2,"say ""z""\nto",2\n'
    rows = rows_of(text)
    assert rows.names == ("a", 'b, "c"\nd=x, y', 'b, "c"\nd=say "z"\nto')
    assert rows.notes == ("column 'b, \"c\"\\nd' is one-hot: 2 levels",)


WORDS = st.text("abcXYZ äß_.-'\"\n;,", min_size=1, max_size=6).map(lambda text: f"w{text}w")
NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**12), 10**12).map(float)
)


@given(
    columns=st.integers(2, 9).flatmap(
        lambda n: st.lists(
            st.one_of(
                st.lists(NUMBERS, min_size=n, max_size=n), st.lists(WORDS, min_size=n, max_size=n)
            ),
            min_size=1,
            max_size=4,
        )
    ),
    delimiter=st.sampled_from([",", "\t"]),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_numbers_and_categories_are_those_of_pandas(
    columns: list[list[Any]], delimiter: str, end: str
) -> None:
    names = [f"{name}, of\n{place}" for place, name in enumerate("abcd"[: len(columns)])]
    frame = pandas.DataFrame(dict(zip(names, columns, strict=True)))
    frame["y"] = np.arange(len(frame))
    suffix = "csv" if delimiter == "," else "tsv"
    text = frame.to_csv(index=False, sep=delimiter, lineterminator=end)
    rows = rows_of(text, f"t.{suffix}")
    read_back = pandas.read_csv(io.BytesIO(text.encode()), sep=delimiter, keep_default_na=False)
    expected, inputs = by_pandas(read_back, "y")
    assert list(rows.names) == expected
    np.testing.assert_allclose(rows.x, inputs, rtol=1e-12, atol=1e-300)  # as exact as pandas is
    for name, column in zip(names, columns, strict=True):
        if isinstance(column[0], float):
            np.testing.assert_array_equal(rows.x[:, rows.names.index(name)], column)
    np.testing.assert_array_equal(rows.y, frame["y"])


HOLES = "a,b,g,y\n1,u,1,1\n?,v,x,2\n3,,x,3\nNA,u,1.0,4\n5,null,1,5\n"


def test_missing_values_keep_their_rows_and_get_a_column_that_says_where() -> None:
    rows = rows_of(HOLES, missing="median", drop=("g",))
    frame = pandas.read_csv(io.StringIO(HOLES), na_values=["?"])
    assert rows.names == ("a", "a is missing", "b=u", "b=v", "b is missing")
    dummies = pandas.get_dummies(frame["b"], dummy_na=True)
    expected = np.column_stack([frame["a"], frame["a"].isna(), dummies])
    np.testing.assert_array_equal(rows.x, expected)
    assert "column 'a' lacks a value in 2 of 5 rows" in rows.notes


def test_dropped_rows_are_those_of_pandas_and_are_counted() -> None:
    text = "a,b,g,y\n1,u,1,\n?,v,x,2\n3,v,x,3\n4,u,,1\n5,u,x,8\n6,null,1,5\n7,v,1,9\n"
    rows = rows_of(text, missing="drop", group="g")
    frame = pandas.read_csv(io.StringIO(text), na_values=["?"]).dropna()
    names, inputs = by_pandas(frame.drop(columns="g"), "y")
    assert list(rows.names) == names == ["a", "b=v", "b=u"]  # as they appear in rows that are left
    np.testing.assert_array_equal(rows.x, inputs)
    np.testing.assert_array_equal(rows.y, frame["y"])
    assert rows.groups is not None
    np.testing.assert_array_equal(rows.groups, pandas.factorize(frame["g"])[0])
    assert rows.notes[0] == "4 of 7 rows are left out: they lack a value"


@pytest.mark.parametrize("cell", ["", " ", "NA", "NaN", "nan", "null", "?", '""'])
def test_cells_without_a_value(cell: str) -> None:
    assert refusal(f"a,b,y\n1,1,1\n2,{cell},2\n") == (
        "--data: no value in row 2 of column 'b'; use --missing=median or --missing=drop"
    )


def test_group_is_no_input_and_its_labels_are_texts() -> None:
    rows = rows_of("g,a,y\n7,1,1\nx,2,2\n7.0,3,3\n7,4,4\n", group="g")
    assert rows.names == ("a",)
    assert rows.groups is not None
    assert rows.groups.tolist() == [0, 1, 2, 0]
    many = "".join(f"p{place},{place},{place}\n" for place in range(60))
    codes = rows_of(f"g,a,y\n{many}", group="g").groups
    assert codes is not None
    assert codes.tolist() == list(range(60))


@pytest.mark.parametrize(
    "drop", [("a", "b, c"), ("a,d", "b, c"), ("a , d", "b, c"), ("b, c", "a", "d")]
)
def test_dropped_columns_are_not_looked_at(drop: tuple[str, ...]) -> None:
    text = 'a,"b, c",x,d,y\n1,,5,2,1\nu,inf,6,2,2\n'
    assert rows_of(text, drop=drop).names[:1] == ("x",)


def test_levels_that_look_like_numbers_at_first_are_texts() -> None:
    rows = rows_of("a,y\n1-2,1\n-,2\nE,3\n+1+,4\n")
    assert rows.names == ("a=1-2", "a=-", "a=E", "a=+1+")


def test_archive_has_a_column_for_each_array_and_numbers_those_of_a_matrix() -> None:
    x, y = np.array([[1, 2], [3, 4], [5, 6]], np.int8), np.array([1, 0.5, 2], np.float32)
    kinds, flags = np.array(["u", "v", "u"]), np.array([True, False, True])
    np.savez_compressed("t.npz", x=x, y=y, kind=kinds, flag=flags, id=np.array([4, 9, 4]))
    rows = read(Source(data="t.npz", target="y", group="id"))
    assert rows.names == ("x0", "x1", "kind=u", "kind=v", "flag")
    expected = np.column_stack([x, kinds == "u", kinds == "v", flags])
    np.testing.assert_array_equal(rows.x, expected)
    np.testing.assert_array_equal(rows.y, y)
    assert rows.groups is not None
    assert rows.groups.tolist() == [0, 1, 0]


def test_archive_and_text_of_the_same_values_have_the_same_digest() -> None:
    x, y = np.random.default_rng(1).normal(size=(20, 3)), np.arange(20.0)
    x[3, 1] = np.nan
    np.savez("t.npz", x=x, y=y)
    frame = pandas.DataFrame(x, columns=["x0", "x1", "x2"]).assign(y=y)
    from_text = rows_of(frame.to_csv(index=False), missing="median")
    from_arrays = read(Source(data="t.npz", target="y", missing="median"))
    assert from_text.names == from_arrays.names
    assert from_text.digest == from_arrays.digest


def test_digest_follows_the_values_and_not_the_file() -> None:
    text = "a,b,y\n1,2,1\n3,4,2\n0,6,3\n"
    digest = rows_of(text).digest
    for same in (text.replace(",", ";"), text.replace("3,4", "3.0,4e0"), text.replace("0,", "-0,")):
        assert rows_of(same, "other.csv").digest == digest
    assert rows_of(text.replace("a,b", "c,d")).digest == digest
    edited = [text.replace("3,4", "3,5"), text.replace("6,3", "6,4"), text + "1,1,1\n"]
    others = [rows_of(other).digest for other in edited]
    others += [rows_of(text, drop=("b",)).digest, rows_of(text, group="b").digest]
    others += [rows_of("a,b,y\n2,1,1\n4,3,2\n6,0,3\n").digest]  # the columns' order
    assert len({digest, *others}) == 1 + len(others)


MANY = "a,y\n" + "".join(f"w{place},{place}\n" for place in range(51))
ALLOWED = "allowed: a CSV or TSV file in UTF-8, or a .npz file"
BAD: list[tuple[str | bytes, dict[str, Any], str]] = [
    ("a,a,y\n1,2,3\n", {}, "--data: 2 columns 'a'; each needs a name of its own"),
    ("a,,y\n1,2,3\n", {}, "--data: a column without a name; each needs a name of its own"),
    (
        "a,y\n1,2\n1\n",
        {},
        f"--data: got 't.csv', which is no table: '1 cells in row 2 and 2 names'; {ALLOWED}",
    ),
    (
        'a,y\n1,"2\n',
        {},
        f"--data: got 't.csv', which is no table: 'line 2: unexpected end of data'; {ALLOWED}",
    ),
    (
        'a,y\n1,"2"\x1b\n',
        {},
        f"--data: got 't.csv', which is no table: 'line 2: ',' expected after '\"''; {ALLOWED}",
    ),
    (
        "prize,y\n1,2\n",
        {"target": "price"},
        "--target: got 'price', which is no column; allowed: prize, y; did you mean 'prize'?",
    ),
    (
        "a\x1b[31m,y\n1,2\n",
        {"drop": ("loss",)},
        "--drop: got 'loss', which is no column; allowed: a\\x1b[31m, y",
    ),
    (
        "a\x1b[31m,y\n1,2\n",
        {"drop": ("a[31m",)},
        "--drop: got 'a[31m', which is no column; allowed: a\\x1b[31m, y; did you mean "
        "'a\\x1b[31m'?",
    ),
    ("a,y\n1,2\n", {"group": "g"}, "--group: got 'g', which is no column; allowed: a, y"),
    ("a,y\n1,2\n", {"drop": ("y",)}, "--target: got 'y', which --drop names too"),
    ("a,y\n1,2\n", {"group": "y"}, "--target: got 'y', which --group names too"),
    ("y\n1\n2\n", {}, "--data: got 't.csv', where no column is left as an input"),
    ("g,y\n1,2\n", {"group": "g"}, "--data: got 't.csv', where no column is left as an input"),
    ("a,y\n1,2\n2,x\n", {}, "--data: got 'x', in row 2 of column 'y', which is no number"),
    (
        "a,y\n1,1\n2,1\n3,x\n4,b\n",
        {},
        "--data: got 'x', in row 3 of column 'y', which is no number",
    ),
    ("a,y\n1,2\n2,2.0\n", {}, "--target: got 'y', which is 2 in every row"),
    (
        "a,y\n1,2\n2,3\n3\x1b[2J\u202e,4\n",
        {},
        "--data: got '3\\x1b[2J\\u202e', in row 3 of column 'a', which is text, while row 1 has "
        "the number '1'; leave a missing value empty, or leave the column out with --drop",
    ),
    (
        "a,y\nu,2\n,3\n7,4\n",
        {"missing": "median"},
        "--data: got 'u', in row 1 of column 'a', which is text, while row 3 has the number '7'; "
        "leave a missing value empty, or leave the column out with --drop",
    ),
    (
        MANY,
        {},
        "--data: got 'w0', in row 1 of column 'a', which is one of 51 texts; at most 50; leave the "
        "column out with --drop",
    ),
    ("a,y\n1,2\n1e999,3\n", {}, "--data: got '1e999', in row 2 of column 'a', which is infinite"),
    ("a,y\n1,2\n-Inf,3\n", {}, "--data: got '-Inf', in row 2 of column 'a', which is infinite"),
    (
        "a;y\n1;2\n1,5;3\n",
        {},
        "--data: got '1,5', in row 2 of column 'a', which has a comma; numbers take a decimal "
        "point and no other mark",
    ),
    (
        'a,y\n1,2\n"1,234.5",3\n',
        {},
        "--data: got '1,234.5', in row 2 of column 'a', which has a comma; numbers take a decimal "
        "point and no other mark",
    ),
    (
        "a,y\n1,2\n2,\n",
        {"missing": "median"},
        "--data: no value in row 2 of column 'y'; use --missing=drop",
    ),
    (
        "a,y\n,2\n,3\n",
        {"missing": "median"},
        "--data: column 'a' is empty; leave it out with --drop",
    ),
    (
        "a,b,y\n1,,2\n,2,3\n",
        {"missing": "drop"},
        "--data: got 't.csv', where each row lacks a value",
    ),
    (
        "é,y\n1,2\n".encode("latin-1"),
        {},
        "--data: got 't.csv', which is not UTF-8 text; save it as CSV in UTF-8",
    ),
    (
        "a,y\n1,2\n".encode("utf-16"),
        {},
        "--data: got 't.csv', which is not UTF-8 text; save it as CSV in UTF-8",
    ),
    (
        "a,y\n1,\0\n",
        {},
        f"--data: got 't.csv', which is no table: 'line 1: a NUL byte'; {ALLOWED}",
    ),
    ("", {}, "--data: got 't.csv', which is empty"),
    ("\ufeff\n\n", {}, "--data: got 't.csv', which is empty"),
    ("a,y\n\n", {}, "--data: got 't.csv', which has names and no rows"),
]


@pytest.mark.parametrize(("content", "values", "line"), BAD)
def test_bad_table_is_refused_in_one_line(
    content: str | bytes, values: dict[str, Any], line: str
) -> None:
    assert refusal(content, **values) == line
    assert os.listdir() == ["t.csv"]  # noqa: PTH208


def test_what_is_no_file_is_refused_and_never_waited_for() -> None:
    os.mkdir("folder.csv")  # noqa: PTH102
    os.mkfifo("pipe.csv")
    expected = {
        "folder.csv": f"--data: got 'folder.csv', which is a folder; {ALLOWED}",
        "pipe.csv": f"--data: got 'pipe.csv', which is a pipe or device; {ALLOWED}",
        "/dev/zero": f"--data: got '/dev/zero', which is a pipe or device; {ALLOWED}",
        "gone.csv": "--data: cannot read 'gone.csv': No such file or directory",
        "https://a.b/t.csv": "--data: got 'https://a.b/t.csv', an address; "
        f"{ALLOWED}; download it first",
        "a\0.csv": f"--data: got 'a\\x00.csv', which is no table: 'embedded null byte'; {ALLOWED}",
    }
    with at_most(20):
        for name, line in expected.items():
            assert refusal(None, name) == line


def test_pipe_that_takes_a_file_s_place_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo("t.csv")
    monkeypatch.setattr(stat, "S_ISREG", lambda mode: True)
    with at_most(20):
        assert refusal(None) == "--data: got 't.csv', which is empty"


def test_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("t.csv", "wb") as file:  # noqa: PTH123
        file.truncate(2_000_000_001)
    with at_most(20):
        assert refusal(None) == "--data: got 't.csv', which is larger; allowed: files up to 2 GB"
    monkeypatch.setattr(reading, "LONGEST_LINE", 1000)
    assert "which is no table: 'a line of 10 MB'" in refusal("a" * 2000)


def test_archives_that_are_no_table_are_refused() -> None:
    x, y = np.ones((3, 2)), np.arange(3.0)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"x": np.array([{}, 1, 2], dtype=object)}, "Object arrays cannot be loaded"),
        ({"x": np.ones((3, 2, 1))}, "'x is float64 of shape (3, 2, 1)'"),
        ({"x": np.array(["2020-01-01"] * 3, "M8[D]")}, "'x is datetime64[D] of shape (3,)'"),
        ({"x": np.ones(4)}, "'y has 3 rows, x has 4'"),
        ({"x": x, "x1": y}, "2 columns 'x1'"),
        ({"x": np.array([1.0, np.inf, 2])}, "got 'inf', in row 2 of column 'x', which is infinite"),
        ({"x": np.array([1.0, 2, np.nan])}, "no value in row 3 of column 'x'"),
        ({"x": x[:0], "y": y[:0]}, "which has names and no rows"),
    ]
    for arrays, line in cases:
        np.savez("t.npz", **({"x": x, "y": y} | arrays), allow_pickle=True)
        with zipfile.ZipFile("t.npz") as archive:
            assert "y.npy" in archive.namelist()
        assert line in refusal(None, "t.npz"), line
    assert "no table: 'File is not a zip file'" in refusal("a,y\n1,2\n", "t.npz")
    with zipfile.ZipFile("t.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00broken")
    assert "which is no table" in refusal(None, "t.npz")
    with zipfile.ZipFile("t.npz", "w"):
        pass
    assert refusal(None, "t.npz") == "--data: got 't.npz', which is empty"


def test_archive_that_unpacks_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed("t.npz", x=np.zeros((1000, 9)), y=np.arange(1000.0))
    monkeypatch.setattr(reading, "MOST_BYTES", 50_000)
    assert "its arrays are larger than 2 GB" in refusal(None, "t.npz")


@given(content=st.one_of(st.binary(max_size=60), st.text('ay,;\t"\n\r 1.?-\0é', max_size=40)))
def test_no_file_makes_anything_but_rows_or_one_line(content: str | bytes) -> None:
    for name in ("t.csv", "t.npz", "t.txt"):
        try:
            rows = rows_of(content, name, missing="median")
        except UsageError as error:
            line = str(error.named({}))
            assert line.isprintable()
            assert len(line) < 600
        else:
            assert np.isfinite(rows.y).all()
            assert not np.isinf(rows.x).any()
            assert rows.x.shape == (len(rows.y), len(rows.names))


TRAINED = "x,colour,y\n1,red,2\n2,blue,3\n3,red,5\n"
TESTED = {
    "x,colour,y\n4,blue,\n": "test_data: no value in row 1 of column 'y'; use missing=\"drop\"",
    "x,colour,y\n4,blue,1\n5,oops,2\n": "test_data: got 'oops', which no row of data has in column "
    "'colour'",
    "x,y\n4,1\n": "test_data: got '{}', which differs from data in column 'colour'",
    "x,colour,y\n4,red,1\n,red,2\n": "test_data: no value in row 2 of column 'x'; use "
    'missing="median" or missing="drop"',
    "x,colour,y\n": "test_data: got '{}', which has names and no rows",
}


def test_test_rows_stand_behind_the_others_in_the_columns_of_these(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(TRAINED)
    (tmp_path / "test.csv").write_text("y,x,colour\n9,4,blue\n8,5,red\n")
    files = {key: str(tmp_path / f"{key}.csv") for key in ("train", "test")}
    rows = read(Source(data=files["train"], test_data=files["test"], target="y"))
    assert rows.names == ("x", "colour=red", "colour=blue")
    assert rows.x.tolist()[3:] == [[4, 0, 1], [5, 1, 0]]
    assert (rows.y.tolist(), rows.tested) == ([2, 3, 5, 9, 8], 2)
    alone = read(Source(data=files["train"], target="y"))
    assert alone.digest != rows.digest


@pytest.mark.parametrize("text", TESTED)
def test_test_rows_that_do_not_fit_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.csv").write_text(TRAINED)
    other = tmp_path / "t.csv"
    other.write_text(text)
    source = Source(data=str(tmp_path / "train.csv"), test_data=str(other), target="y")
    with pytest.raises(UsageError) as found:
        read(source)
    shown = TESTED[text].replace("'{}'", visible(str(other)))
    assert str(found.value).replace("  ", " ") == shown
