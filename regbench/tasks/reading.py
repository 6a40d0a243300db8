"""The file of a table becomes numbers, or one line that says where it cannot.

CSV is read by the standard library: it starts in milliseconds, where pandas and pyarrow need up to
a second, and leaves each cell as it stands, so that every error names its row and column. Row 1 is
the first below the names. Blank lines and white space around a cell do not count. Knows nothing
about folds or networks.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from regbench.errors import MEANT, UsageError, cannot_read, printable, suggestion, visible
from regbench.settings.parse import DECIMAL
from regbench.settings.rows import Rows
from regbench.settings.table import FILES, Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

MISSING = frozenset({"", "NA", "NaN", "nan", "null", "?"})
"""Cells that have no value."""
NUMERIC = re.compile(r"[-+.0-9eE]*")
INFINITE = re.compile(r"[-+]?inf(inity)?", re.IGNORECASE)
WITH_COMMA = re.compile(r"[-+]?[0-9]*(,[0-9]+)+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
MOST_LEVELS, MOST_BYTES, LONGEST_LINE = 50, 2_000_000_000, 10_000_000
BROKEN = (csv.Error, ValueError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What the standard library and NumPy raise for a file that is no table."""


@dataclass
class Column:
    """A column: numbers, or the places of its texts among `levels`; NaN where a value is missing.

    The group has levels alone.
    """

    name: str
    role: str
    values: NDArray[np.float64]
    levels: list[str]

    def __str__(self) -> str:
        return f"column {visible(self.name)}"


def read(source: Source) -> Rows:
    """Return the rows of a table's file, and behind them those of a file of test rows.

    Raises `UsageError`, which says what is wrong with a file, or with which cell or option.
    """
    named, tested = columns_of("data", source.data or ""), 0
    if source.test_data:
        others = dict(columns_of("test_data", source.test_data))
        if apart := {name for name, _ in named} ^ others.keys():
            problem = f"which differs from --data in column {visible(min(apart))}"
            raise UsageError("test_data", source.test_data, problem=problem)
        tested = len(next(iter(others.values())))
        named = [(name, np.concatenate([cells, others[name]])) for name, cells in named]
    roles = roles_of([name for name, _ in named], source)
    used = [column_of(name, cells, roles[name], tested) for name, cells in named if name in roles]
    return rows_of(used, source, tested)


def columns_of(key: str, name: str) -> list[tuple[str, Sequence[str] | NDArray[Any]]]:
    """Return names and cells of a file; `key` is the option that names it."""
    path = os.path.expanduser(name)  # noqa: PTH111 - which knows no error
    suffix = PurePath(path).suffix.lower()
    if re.match("[A-Za-z][A-Za-z0-9+.-]+://", path):
        raise UsageError(key, path, FILES, problem="an address", hint="download it first")
    try:
        facts = os.stat(path)  # noqa: PTH116
        if not stat.S_ISREG(facts.st_mode):
            kind = "a folder" if stat.S_ISDIR(facts.st_mode) else "a pipe or device"
            raise UsageError(key, path, FILES, problem=f"which is {kind}")
        if facts.st_size > MOST_BYTES:
            raise UsageError(key, path, "files up to 2 GB", problem="which is larger")
        # A pipe that has taken the file's place since must not be waited for.
        with open(path, "rb", opener=lambda x, flags: os.open(x, flags | os.O_NONBLOCK)) as file:
            named = arrays_of(file) if suffix == ".npz" else texts_of(file, DELIMITERS.get(suffix))
    except OSError as error:
        raise UsageError(key, problem=cannot_read(error, path)) from None
    except UnicodeDecodeError:
        hint = "save it as CSV in UTF-8"
        raise UsageError(key, path, problem="which is not UTF-8 text", hint=hint) from None
    except BROKEN as error:
        problem = f"which is no table: {visible(error, 200)}"
        raise UsageError(key, path, FILES, problem=problem) from None
    if not named:
        raise UsageError(key, path, problem="which is empty")
    if not len(named[0][1]):
        raise UsageError(key, path, problem="which has names and no rows")
    return [*named]


def texts_of(file: BinaryIO, usual: str | None) -> list[tuple[str, Sequence[str]]]:
    """Return names and cells of CSV or TSV, with the usual delimiter or that of the first line."""
    with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        lines = lines_of(text)
        first = next((line for line in lines if line.strip()), "")
        bare = re.sub('"[^"]*("|$)', "", first)  # a name may go on in the next line
        most = max(",;\t", key=bare.count)
        delimiter = usual if usual and (usual in bare or most not in bare) else most
        every = itertools.chain([first], lines)
        reader = csv.reader(every, delimiter=delimiter, strict=True, skipinitialspace=True)
        try:
            names, *rows = [row for row in reader if row] or [[]]
        except csv.Error as error:
            raise csv.Error(f"line {reader.line_num}: {error}") from None
    for row, cells in enumerate(rows, 1):
        if len(cells) != len(names):
            raise csv.Error(f"{len(cells)} cells in row {row} and {len(names)} names")
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return [(name.strip(), cells) for name, cells in zip(names, columns, strict=True)]


def lines_of(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a text; raises `csv.Error` where they cannot be a table's."""
    while line := text.readline(LONGEST_LINE):
        if "\0" in line or len(line) == LONGEST_LINE:
            raise csv.Error("a NUL byte" if "\0" in line else "a line of 10 MB")
        yield line


def arrays_of(file: BinaryIO) -> list[tuple[str, NDArray[Any]]]:
    """Return names and values of the arrays in a .npz file; columns of a matrix are numbered."""
    named: list[tuple[str, NDArray[Any]]] = []
    with zipfile.ZipFile(file) as archive:
        if sum(member.file_size for member in archive.infolist()) > MOST_BYTES:
            raise ValueError("its arrays are larger than 2 GB")
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        for name in arrays.files:
            array = np.asarray(arrays[name])
            if array.ndim not in (1, 2) or array.dtype.kind not in "biufUS":
                raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
            is_single = array.ndim == 1
            parts = enumerate([array] if is_single else array.T)
            named += [(name if is_single else f"{name}{place}", part) for place, part in parts]
    for name, array in named:
        if len(array) != len(named[0][1]):
            raise ValueError(f"{name} has {len(array)} rows, {named[0][0]} has {len(named[0][1])}")
    return named


def roles_of(names: Sequence[str], source: Source) -> dict[str, str]:
    """Return which columns are used, and for what; raises `UsageError` where options do not fit."""
    for name, count in Counter(names).items():
        if count > 1 or not name:
            what = f"{count} columns {visible(name)}" if name else "a column without a name"
            raise UsageError("data", problem=what, hint="each needs a name of its own")
    listed = ([name] if name in names else name.split(",") for name in source.drop)
    dropped = [name.strip() for several in listed for name in several]
    asked = [("target", source.target), ("group", source.group), *(("drop", x) for x in dropped)]
    for key, asked_name in asked:
        if asked_name is not None and asked_name not in names:
            hint = "" if asked_name in MEANT else suggestion(asked_name, map(printable, names))
            allowed = visible(", ".join(names), 200)[1:-1]
            raise UsageError(key, asked_name, allowed, problem="which is no column", hint=hint)
    if source.target in (source.group, *dropped):
        key = "group" if source.target == source.group else "drop"
        raise UsageError("target", source.target, problem=f"which --{key} names too")
    roles = {name: "input" for name in names if name not in dropped}
    roles |= {name: key for key, name in asked[:2] if name is not None}
    if "input" not in roles.values():
        raise UsageError("data", source.data, problem="where no column is left as an input")
    return roles


def column_of(name: str, cells: Sequence[str] | NDArray[Any], role: str, tested: int = 0) -> Column:
    """Return a column of texts or an array; raises `UsageError` for a cell that does not fit.

    The last cells, so many, are those of test rows.
    """
    column, trained = Column(name, role, np.full(len(cells), np.nan), []), len(cells) - tested
    if isinstance(cells, np.ndarray) and role != "group" and cells.dtype.kind in "biuf":
        column.values[:] = cells
    else:
        cells = list(map(str.strip, map(str, cells)))
        is_known = [cell not in MISSING for cell in cells]
        known = list(itertools.compress(cells, is_known))
        try:
            if role == "group" or not NUMERIC.fullmatch("".join(known)):
                raise ValueError
            column.values[is_known] = list(map(float, known))
        except ValueError:  # a cell such as 1-2 looks like a number only at first
            column.levels += dict.fromkeys(known)
            codes = {cell: code for code, cell in enumerate(column.levels)}
            column.values[is_known] = [codes[cell] for cell in known]
    seen = {*column.values[:trained].tolist()} if tested and column.levels else set[float]()
    unseen = [level for code, level in enumerate(column.levels) if code not in seen]
    if tested and unseen and role == "input":
        problem = f"which no row of --data has in {column}"
        raise UsageError("test_data", unseen[0], problem=problem)
    place, problem, hint = fault_of(column)
    if problem:
        place = column.values.tolist().index(place) if column.levels else place
        key, row = ("data", place) if place < trained else ("test_data", place - trained)
        problem = f"in row {row + 1} of {column}, which {problem}"
        raise UsageError(key, str(cells[place]), problem=problem, hint=hint)
    return column


def fault_of(column: Column) -> tuple[int, str, str]:
    """Return the level or row that is wrong, why, and what to do; no reason where none is."""
    if not column.levels:
        is_infinite = np.isinf(column.values)
        return int(is_infinite.argmax()), "is infinite" * bool(is_infinite.any()), ""
    if column.role == "group":
        return 0, "", ""
    is_number = [bool(DECIMAL.fullmatch(level)) for level in column.levels]
    text = is_number.index(False)
    if INFINITE.fullmatch(column.levels[text]):
        return text, "is infinite", ""
    if WITH_COMMA.fullmatch(column.levels[text]):
        return text, "has a comma", "numbers take a decimal point and no other mark"
    if column.role == "target":
        return text, "is no number", ""
    if any(is_number):
        number = is_number.index(True)
        row = column.values.tolist().index(number) + 1
        problem = f"is text, while row {row} has the number {visible(column.levels[number])}"
        return text, problem, "leave a missing value empty, or leave the column out with --drop"
    has_many = len(column.levels) > MOST_LEVELS
    problem = f"is one of {len(column.levels)} texts" * has_many
    return text, problem, f"at most {MOST_LEVELS}; leave the column out with --drop"


def rows_of(columns: list[Column], source: Source, tested: int = 0) -> Rows:
    """Return the rows of columns, with one-hot categories and marks of missing values."""
    count, notes = len(columns[0].values), list[str]()
    trained = count - tested
    kept = np.ones(count, dtype=bool)
    for column in columns:
        is_missing = np.isnan(column.values)
        if is_missing.all():
            raise UsageError("data", problem=f"{column} is empty", hint="leave it out with --drop")
        if source.missing == "drop":
            kept &= ~is_missing
        elif is_missing.any() and (source.missing == "error" or column.role != "input"):
            place = int(is_missing.argmax())
            key, row = ("data", place) if place < trained else ("test_data", place - trained)
            problem = f"no value in row {row + 1} of {column}"
            hint = "use --missing=median or --missing=drop"
            hint = hint if column.role == "input" else "use --missing=drop"
            raise UsageError(key, problem=problem, hint=hint)
    for key, name, own in (
        ("data", source.data, kept[:trained]),
        ("test_data", source.test_data, kept[trained:]),
    ):
        if len(own) and not own.any():
            raise UsageError(key, name, problem="where each row lacks a value")
    if not kept.all():
        notes.append(f"{count - kept.sum()} of {count} rows are left out: they lack a value")
    names, inputs, groups, y = list[str](), list[Any](), None, np.empty(0)
    for column in columns:
        cells = column.values[kept]
        is_missing = np.isnan(cells)
        found = list(dict.fromkeys(cells[~is_missing].tolist())) if column.levels else []
        if column.role == "target":
            y = cells
        elif column.role == "group":
            codes = {code: place for place, code in enumerate(found)}
            groups = np.array([codes[code] for code in cells.tolist()])
        elif column.levels:
            names += [f"{column.name}={column.levels[int(code)]}" for code in found]
            inputs += [cells == code for code in found]
            notes.append(f"{column} is one-hot: {len(found)} levels")
        else:
            names.append(column.name)
            inputs.append(cells)
        if is_missing.any():
            names.append(f"{column.name} is missing")
            inputs.append(is_missing)
            notes.append(f"{column} lacks a value in {is_missing.sum()} of {len(cells)} rows")
    tested = int(kept[trained:].sum())
    learned = y[: len(y) - tested]
    if learned.min() == learned.max():
        raise UsageError("target", source.target, problem=f"which is {y[0]:g} in every row")
    return Rows(np.column_stack(inputs), y, groups, tuple(names), tuple(notes), tested)
