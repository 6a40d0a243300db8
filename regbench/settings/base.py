"""What all settings have in common: they are frozen, complete and finite, and say what they take.

Knows nothing about which settings there are, and nothing about where values come from.
"""

from __future__ import annotations

import math
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from regbench.errors import MEANT, UsageError, suggestion, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo

STRENGTHS = (
    "one or several finite numbers from 0, separated by commas, or linspace:FIRST:LAST:N or "
    "logspace:FIRST:LAST:N"
)
"""Allowed values of a setting that takes several numbers."""
ARMS = (
    "arms such as wdecay=0.01+dropout=0.5, where one part may have several values, 0.1,0.2 or "
    "logspace:FIRST:LAST:N"
)
"""Allowed texts for arms."""


class Settings(BaseModel):
    """A frozen group of settings, each with its help; the title stands above them there."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, defer_build=True
    )

    def __init__(self, *unnamed: Any, **values: Any) -> None:
        """Take values by key; raises `UsageError` for a key or a value that is wrong."""
        if unnamed:
            hint = f"keys: {', '.join(keys_of(type(self)))}"
            raise UsageError(type(self).__name__, unnamed[0], problem="without its key", hint=hint)
        try:
            super().__init__(**{key: in_python(value) for key, value in values.items()})
        except ValidationError as error:
            raise usage_error(type(self), error) from None

    def replaced(self, **values: Any) -> Self:
        """Return these settings with other values by key; raises `UsageError` as a new one does.

        What was not given follows its default, which may depend on those values.
        """
        fields = type(self).model_fields
        given = {fields[name].alias or name: getattr(self, name) for name in self.model_fields_set}
        return type(self)(**(given | values))


def in_python(value: Any) -> Any:
    """Return NumPy's numbers and arrays, alone or in a list, as Python's; all else as it is."""
    if isinstance(value, list | tuple):
        return type(value)(map(in_python, value))
    return value.tolist() if hasattr(value, "tolist") else value


def usage_error(group: type[Settings], error: ValidationError) -> UsageError:
    """Return what pydantic says of the first value that is wrong; the source is its key."""
    first, fields = error.errors()[0], keys_of(group)
    key = str(first["loc"][0]) if first["loc"] else group.__name__
    if key not in fields:
        return unknown_key(group.__name__, key, fields)
    if first["type"] == "missing":
        return UsageError(key, allowed=allowed(fields[key]), problem="is missing")
    hint = MEANT.get(first["input"], "") if isinstance(first["input"], str) else ""
    return UsageError(key, first["input"], allowed(fields[key]), hint=hint)


def unknown_key(source: str, key: str, known: Iterable[str]) -> UsageError:
    """Return the error of a key that is no setting."""
    return UsageError(source, problem=f"unknown key {visible(key)}", hint=suggestion(key, known))


def keys_of(group: type[Settings]) -> dict[str, FieldInfo]:
    """Return the fields of a group by key."""
    return {info.alias or name: info for name, info in group.model_fields.items()}


def kind_of(field: FieldInfo) -> Any:
    """Return the type of a setting's value, where it has one."""
    parts = get_args(field.annotation)
    return parts[0] if NoneType in parts else field.annotation


def is_list(field: FieldInfo) -> bool:
    """Whether a setting takes several values."""
    return get_origin(field.annotation) is tuple


def is_hidden(field: FieldInfo) -> bool:
    """Whether a setting is a fact of a stored run, which nobody is asked for."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("hidden"))


def allowed(field: FieldInfo) -> str:
    """Return in words which values a setting takes."""
    kind = kind_of(field)
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["allowed"])
    if get_origin(kind) is Literal:
        return ", ".join(choices(field))
    if kind is bool:
        return "true or false"
    kinds = get_args(kind) or (kind,)
    if all(isinstance(one, type) and issubclass(one, Settings) for one in kinds):
        return " or ".join(f"a {one.__name__}" for one in kinds)
    if is_list(field):
        return STRENGTHS
    return " ".join(["a whole number" if kind is int else "a finite number", *bounds(field)])


def bounds(field: FieldInfo, most: float = math.inf) -> list[str]:
    """Return in words between which numbers a setting lies, without bounds larger than `most`."""
    parts, words = [], {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    for constraint in field.metadata:
        for sign, word in words.items():
            bound = getattr(constraint, sign, None)
            if bound is not None and abs(bound) <= most:
                parts.append(f"{word} {bound:g}" if isinstance(bound, float) else f"{word} {bound}")
    return parts


def choices(field: FieldInfo) -> tuple[str, ...]:
    """Return the words of which a setting is one, or none where it is not."""
    kind, extra = kind_of(field), field.json_schema_extra
    named: Any = extra.get("choices", ()) if isinstance(extra, dict) else ()
    return get_args(kind) if get_origin(kind) is Literal else tuple(named)


def check_strength(
    source: str, strength: float, limit: float, got: object, reason: str = ""
) -> None:
    """Raise `UsageError` where a strength is negative, or not below `limit`; it shows `got`."""
    if not 0 <= strength < limit:
        why = f", which is {reason}" if reason else ""
        raise UsageError(source, got, f"numbers from 0 to below {limit:.10g}{why}")
