"""The rows of a table: their values, and how arrays, pandas tables and tensors become them.

Knows nothing about files, and is not imported before there is a table.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.errors import UsageError, visible

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """The values of a table, copied and read-only.

    Attributes:
        x, y: Inputs `(n, D)`, NaN where a value is missing, and targets `(n,)`; float64.
        groups: Each row's group `(n,)`, int64 from 0, or None.
        names: The names of the D inputs, as the table has them.
        tested: How many rows, the last ones, are a test set; 0 where folds are held out.
        notes: What was made of the table, in lines that are safe to show.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    groups: NDArray[np.int64] | None
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    tested: int = 0

    def __post_init__(self) -> None:
        for name, kind in (("x", np.float64), ("y", np.float64), ("groups", np.int64)):
            if (given := getattr(self, name)) is not None:
                array = np.array(given, kind, order="C")
                array.setflags(write=False)
                object.__setattr__(self, name, array)

    def __reduce__(self) -> tuple[Any, ...]:
        """Build it again where it arrives: an array that is sent forgets that it is read-only."""
        return Rows, (self.x, self.y, self.groups, self.names, self.notes, self.tested)

    @cached_property
    def digest(self) -> str:
        """32 hex digits of the SHA-256 of shapes, values and groups; names do not count."""
        found = hashlib.sha256(repr((self.x.shape, self.groups is not None)).encode())
        for array in (self.x, self.y, *([] if self.groups is None else [self.groups])):
            one_nan = np.where(np.isnan(array), np.nan, array)
            found.update((one_nan + 0.0).astype("<f8").data)  # -0.0 becomes 0.0
        return found.hexdigest()[:32]

    @property
    def facts(self) -> dict[str, Any]:
        """What a `Table` keeps of them by key."""
        sizes = [] if self.groups is None else np.bincount(self.groups).tolist()
        facts = {"rows": len(self.x), "inputs": self.x.shape[1], "digest": self.digest}
        facts |= {"test_rows": self.tested} if self.tested else {}
        return facts | {"groups": len(sizes) or None, "largest_group": max(sizes, default=1)}


def rows_of(x: Any, y: Any, groups: Any, test: tuple[Any, Any] | None = None) -> Rows:
    """Return the rows of arrays, pandas tables or tensors; raises `UsageError` as `Table` does."""
    if test is not None:
        if groups is not None:
            raise UsageError("groups", problem="not together with test, which is held out")
        train, tested = rows_of(x, y, None), rows_of(*test, None)
        if train.names != tested.names:
            raise UsageError("test", problem="which has other inputs than X")
        x, y = (np.concatenate([getattr(own, key) for own in (train, tested)]) for key in "xy")
        return Rows(x, y, None, train.names, tested=len(tested.y))
    names = getattr(x, "columns", None)
    x, y = numbers_of("X", x), numbers_of("y", y)
    if x.ndim != 2 or 0 in x.shape:
        hint = "X[:, None] is one input" if x.ndim == 1 else ""
        raise UsageError("X", f"shape {x.shape}", "shape (n, D), a row for each target", hint=hint)
    if y.shape != x.shape[:1]:
        raise UsageError("y", f"shape {y.shape}", f"shape ({len(x)},), a target for each row of X")
    for name, array in (("X", x), ("y", y)):
        for place in np.argwhere(~np.isfinite(array))[:1].tolist():
            at, hint = f"at {name}{place}", "leave such rows out, or put numbers there"
            raise UsageError(name, array[*place], "finite numbers", problem=at, hint=hint)
    if y.min() == y.max():
        raise UsageError("y", y[0], "targets that vary", problem="in every row")
    names = [f"x{place}" for place in range(x.shape[1])] if names is None else map(str, names)
    if groups is None:
        return Rows(x, y, None, tuple(names))
    labels, codes = np.asarray(groups, dtype=object), dict[Any, int]()
    if labels.shape != y.shape:
        raise UsageError("groups", f"shape {labels.shape}", f"shape {y.shape}, a label of each row")
    if any(str(label) in ("None", "nan", "NaT", "<NA>") for label in labels):
        raise UsageError("groups", problem="a label is missing", hint="give each row one")
    found = [codes.setdefault(label, len(codes)) for label in labels.tolist()]
    return Rows(x, y, np.array(found), tuple(names))


def numbers_of(name: str, given: Any) -> NDArray[np.float64]:
    """Return an array, pandas table or tensor as float64, NaN where it has no value."""
    if given is None:
        raise UsageError(name, problem="is missing", hint="Table(X, y): inputs and targets")
    try:
        plain: Any = given.detach().cpu().double() if hasattr(given, "detach") else given
        plain = plain if hasattr(plain, "iloc") else np.ma.asarray(plain)
        kinds: Any = plain.dtypes if hasattr(plain, "iloc") else plain.dtype
        if any(kind.kind not in "biuf" for kind in np.ravel(kinds)):
            raise TypeError("it has text, dates or nothing in it")
        if hasattr(plain, "iloc"):
            return np.asarray(plain.to_numpy(np.float64, na_value=np.nan))
        return np.ma.filled(plain.astype(np.float64), np.nan)
    except (TypeError, ValueError, RuntimeError) as error:
        hint = "pandas.get_dummies makes numbers of categories"
        raise UsageError(name, problem=f"no numbers: {visible(error, 200)}", hint=hint) from None
