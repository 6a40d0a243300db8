"""What users type, as values: numbers, lists, ranges, arms, and whole requests.

A setting's value comes from a flag, or else a variable, a TOML file or its default. Texts that
users type and values in files meet the same rules, so that each mistake has one message whatever
its source. Knows nothing about what the settings do.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from regbench.errors import UsageError, option_of, suggestion, visible
from regbench.regularizers import REGULARIZERS, Arm, Regularizer
from regbench.regularizers.plugins import named
from regbench.settings.base import (
    ARMS,
    STRENGTHS,
    Settings,
    allowed,
    is_list,
    keys_of,
    kind_of,
    unknown_key,
)
from regbench.settings.command import Arms, Request, nested_groups
from regbench.settings.groups import PILOT_REPLICATES
from regbench.settings.over import Over, Values, group_and_field
from regbench.settings.study import BaseStudy, Study, Task
from regbench.settings.table import Source, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic.fields import FieldInfo

    from regbench.settings.command import Command
    from regbench.settings.rows import Rows

ENVIRONMENT_PREFIX = "REGBENCH_"
OF_A_SERVICE = re.compile("REGBENCH_(SERVICE_(HOST|PORT.*)|PORT|PORT_[0-9]+_.*)")
"""Variables that Kubernetes sets for a service called regbench."""
LARGEST_FILE = 1_000_000
"""Largest configuration file in bytes."""
Group = TypeVar("Group", bound=Settings)
SWITCHES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
FindRegularizer = Callable[[str], type[Regularizer] | None]
ReadTable = Callable[[Source], "Rows"]
PLUS = re.compile(r"\+(?=[^\W\d])")
"""A plus sign before a name; the one in `1e+2` belongs to a number."""
CONSTANT = re.compile(r",(?=[^\W\d]\w*=)")
"""A comma before the name of a regularizer's constant."""
MOST_NUMBERS = 1000
"""Most numbers in a list or a range."""
WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def resolve(
    command: Command,
    flags: Mapping[str, list[str] | bool],
    environment: Mapping[str, str],
    file: str | None = None,
    others: Collection[str] = (),
    find: FindRegularizer = named,
    read: ReadTable | None = None,
) -> Request:
    """Return what a command was asked: flag over environment over TOML file over default.

    Variables of the keys in `others` are none of this command's. `find` returns the regularizer of
    a name, or None; `read` the rows of a table's file, which is not opened without it.

    Raises:
        UsageError: An unknown key, a value out of range, or an unreadable file.
    """
    settings = command.settings
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    if file is not None:
        values = read_file(Path(os.path.expanduser(file)), command)  # noqa: PTH111
        origins = {key: f"--config {visible(file)}: {key}" for key in values}
    known = {*settings, *others}
    for variable in sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX)):
        if not environment[variable] or OF_A_SERVICE.fullmatch(variable):
            continue
        key = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if key not in known:
            hint = suggestion(key.upper(), map(str.upper, known), ENVIRONMENT_PREFIX)
            raise UsageError(visible(variable), problem="no such setting", hint=hint)
        if key in settings:
            values[key] = from_texts(variable, settings[key].field, [environment[variable]])
            origins[key] = variable
    for key, given in flags.items():
        if key not in settings:
            raise unknown_key("", key, settings)
        origins[key], field = option_of(key if given else f"no_{key}"), settings[key].field
        values[key] = given if isinstance(given, bool) else from_texts(origins[key], field, given)
    for key, value in values.items():
        if is_list(settings[key].field):
            if isinstance(value, str) and re.match("l(in|og)space:", value):
                value = split_numbers(origins[key], value)
            numbers = value if isinstance(value, list | tuple) else [value]
            values[key] = tuple(x + 0.0 if type(x) is float else x for x in numbers)  # -0.0 is 0
    if values.get("target_width") is not None:
        if "replicates" in values:
            problem = f"not together with {origins['target_width']}, which decides the number"
            raise UsageError(origins["replicates"], problem=problem)
        values["replicates"] = PILOT_REPLICATES  # the rest is planned from them
    return build_request(command, values, origins, find, read)


def build_request(
    command: Command,
    values: Mapping[str, Any],
    origins: Mapping[str, str],
    find: FindRegularizer = named,
    read: ReadTable | None = None,
) -> Request:
    """Return the request that values by key make; see `resolve`."""
    regularizer, arms = command.regularizer, list[Any]()
    key = regularizer.option if regularizer else "arms"
    origin = origins.get(key, option_of(key))
    sources = ["arms", *(kind.__name__ for kind in REGULARIZERS.values())]
    places = {**dict.fromkeys(sources, origin), **origins}
    swept, over = "", tuple[Any, ...]()
    try:
        if text := build(Values, values).over:
            place = origins.get("over", "--over")
            swept, over = values_of(place, text)
            if swept in origins and (place != "--over" or origins[swept] == option_of(swept)):
                hint = "leave one of them out"
                raise UsageError(swept, problem=f"given together with {place} {swept}", hint=hint)
            values, places[swept] = {**values, swept: over[0]}, f"{place} {swept}"
        if regularizer:
            strengths = getattr(build(command.groups[0], values), key)
            arms = [regularizer(strength) for strength in strengths]
        elif Arms in command.groups:
            if not values.get("arms"):
                raise UsageError("arms", allowed=ARMS, problem="nothing to compare")
            arms = [arm for text in build(Arms, values).arms for arm in arms_of(origin, text, find)]
            if len(arms) > MOST_NUMBERS:
                raise UsageError("arms", f"{len(arms)} arms", f"at most {MOST_NUMBERS}")
        made = {"arms": arms, "task": table_of(command, values, read)}
        groups: dict[Any, Any] = {group: build(group, values, **made) for group in command.groups}
        parts: dict[str, Any] = {n: groups[kind] for n, kind in command.parts.items()}
        study = next((group for group in groups.values() if isinstance(group, BaseStudy)), None)
        if swept:
            study = Over(study=groups[Study], key=swept, values=over)
        request = Request(command, study, **parts, origins=origins)
        if study is not None:
            study.check_question(request.question)
    except UsageError as error:
        raise error.named(places) from None
    return request


def table_of(command: Command, values: Mapping[str, Any], read: ReadTable | None) -> Table | None:
    """Return the table that values by key name or, as those of a stored run, describe; or None."""
    source = build(Source, values) if Source in command.groups else Source()
    of_task, of_table = keys_of(Task).keys(), keys_of(Table).keys()
    if source.data is None and "digest" not in values:
        if alone := next((key for key in values if key in of_table - of_task), None):
            raise UsageError(alone, values[alone], problem="but there is no table: add --data=FILE")
        return None
    if alone := next((key for key in values if key in of_task - of_table), None):
        raise UsageError(alone, values[alone], problem="which means nothing with --data")
    if source.test_data and "folds" in values and "digest" not in values:
        problem = "not together with --test-data, which says what is held out"
        raise UsageError("folds", values["folds"], problem=problem)
    known = {key: values[key] for key in of_table if key in values}
    if read is None or source.data is None:
        return Table(**known)
    rows = read(source)
    if known.get("digest", rows.digest) != rows.digest:
        raise UsageError("data", source.data, problem="which has other values than the run had")
    return Table(**known | rows.facts, values=rows)


def build(group: type[Group], values: Mapping[str, Any], **made: Any) -> Group:
    """Return a group of settings, and those in it, from the values of any groups by key.

    Of a study, what is `made` already is taken as it is.
    """
    own = {key: values[key] for key in keys_of(group) if key in values}
    inner = {name: build(kind, values) for name, kind in nested_groups(group).items()}
    if group is Study:
        inner |= {name: value for name, value in made.items() if value is not None}
    return group(**own | inner)


def values_of(source: str, text: str) -> tuple[str, tuple[Any, ...]]:
    """Return the key and the values that `KEY=V,V,…` stands for; a range's may be whole numbers."""
    key, _, listed = text.partition("=")
    _, field = group_and_field(key := key.replace("-", "_"))
    if kind_of(field) is not str and re.match("l(in|og)space:", listed):
        numbers = split_numbers(f"{source} {key}", listed)
        return key, tuple(map(round, numbers) if kind_of(field) is int else numbers)
    return key, tuple(from_texts(f"{source} {key}", field, [word]) for word in listed.split(","))


def from_texts(source: str, field: FieldInfo, texts: list[str]) -> Any:
    """Return the value that texts from an option or variable stand for."""
    if field.annotation == tuple[str, ...]:
        is_whole = source.startswith("--")
        return tuple(texts) if is_whole else tuple(w for text in texts for w in text.split())
    if is_list(field):
        return [number for text in texts for number in split_numbers(source, text)]
    text, kind = only(source, texts), kind_of(field)
    if kind is float:
        return to_number(source, text, allowed(field))
    if kind is int and WHOLE.fullmatch(text):
        return int(text)
    if kind is bool and text.lower() in SWITCHES:
        return SWITCHES[text.lower()]
    if kind in (int, bool):
        has_several = re.fullmatch(r"[0-9]+(,[0-9]+)+", text)
        hint = f"a run at each value: --over {source.lstrip('-')}={text}" if has_several else ""
        raise UsageError(source, text, allowed(field), hint=hint)
    return text


def only(source: str, texts: list[str]) -> str:
    """Return the one text that an option was given, or raise `UsageError`."""
    if len(texts) > 1:
        raise UsageError(source, problem=f"given {len(texts)} times", hint="give it once")
    return texts[0]


def read_file(path: Path, command: Command) -> dict[str, Any]:
    """Return the settings of a TOML file, which must all be settings of the command."""
    source = f"--config {visible(path)}"
    try:
        is_of_a_shell = path.is_fifo() and path.parts[:2] == ("/", "dev")  # stdin or <(...)
        if not (path.is_file() or is_of_a_shell):
            raise UsageError(source, problem="not a file")
        with path.open("rb") as opened:
            content = opened.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise UsageError(source, problem=f"larger than {LARGEST_FILE} bytes")
        text = content.decode("utf-8-sig")
        if long := re.search("[0-9_]{4300}", text):  # more than Python reads; tomllib names no key
            key = text[: long.start()].rpartition("=")[0].split("\n")[-1].strip()
            raise UsageError(f"{source}: {visible(key)[1:-1]}", problem="too many digits")
        values = tomllib.loads(text, parse_float=partial(to_float, source))
    except UnicodeDecodeError:
        raise UsageError(source, problem="not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(source, problem=f"not TOML: {visible(error, 200)}") from None
    except RecursionError:
        raise UsageError(source, problem="nested too deeply") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(source, problem=f"cannot be read: {reason}") from None
    stated, settings = values.pop("experiment", command.name), command.settings
    if stated != command.name:
        raise UsageError(source, problem=f"is for {visible(stated)}, not for '{command.name}'")
    for key in values:
        if key not in settings:
            raise unknown_key(source, key, settings)
    return values


def arms_of(source: str, text: str, find: FindRegularizer = named) -> list[Arm]:
    """Return the arms that a text stands for: several where one of its parts has several values.

    `find` returns the regularizer of a name, or None.
    """
    choices = []
    for part in PLUS.split(text):
        command, equals, strengths = part.partition("=")
        kind = find(command)
        if kind is None or not equals:
            hint = suggestion(command, REGULARIZERS) if equals else ""
            hint = hint or f"regularizers: {', '.join(REGULARIZERS)}"
            problem = f"where {visible(part)} is no regularizer with its strength"
            if kind:
                problem = f"where {visible(part)} lacks its strength"
                hint = f"such as {command}={kind.default:g}"
            if text == "+":
                problem, hint = "which is half a sum", "write sums without spaces"
            raise UsageError(source, text, ARMS, problem=problem, hint=hint)
        strengths, *constants = CONSTANT.split(strengths)
        texts = dict(constant.split("=", 1) for constant in constants)
        own = {name: to_number(source, text, "a number") for name, text in texts.items()}
        if unknown := next((name for name in own if name not in kind().constants), None):
            hint = suggestion(unknown, kind().constants)
            problem = f"where {command} has no constant {visible(unknown)}"
            raise UsageError(source, text, problem=problem, hint=hint)
        values = split_numbers(source, strengths)
        try:
            choices.append([kind(value + 0.0, **own) for value in values])
        except UsageError as error:
            error.got = f"{command}={error.got}"
            raise
    if sum(len(values) > 1 for values in choices) > 1:
        raise UsageError(source, text, ARMS, problem="where two parts have several values")
    return [Arm(parts) for parts in itertools.product(*choices)]


def to_number(source: str, text: str, allowed: str) -> float:
    """Return the finite number that a text spells in ASCII digits, or raise `UsageError`."""
    if not DECIMAL.fullmatch(text):
        hint = ""
        if re.fullmatch(r"[0-9]*,[0-9]+", text):
            hint = f"a decimal comma? write {text.replace(',', '.')}"
        elif re.fullmatch(r"[0-9]{1,3}(\.[0-9]*)?%", text):
            hint = f"a percentage? write {float(text[:-1]) / 100!r}"
        raise UsageError(source, text, allowed, hint=hint)
    number = to_float(source, text)
    if math.isinf(number):
        raise UsageError(source, text, problem="which is too large for a float")
    return number


def to_float(source: str, text: str) -> float:
    """Return the number that digits spell, infinity where too large; refuse what would become 0."""
    number = float(text)
    if number == 0 and re.search("[1-9]", text.lower().partition("e")[0]):
        raise UsageError(source, text, problem="which would silently become 0")
    return number


def split_numbers(source: str, text: str) -> list[float]:
    """Return the numbers of a comma-separated list or of a spaced range; see `to_number`."""
    if ":" in text:
        return spaced_numbers(source, text)
    if re.fullmatch(r"0?,[0-9]+", text):
        decimals = text.partition(",")[2]
        hint = f"a decimal comma? write {text.replace(',', '.')}, or 0.0,{decimals} for two values"
        raise UsageError(source, text, hint=hint)
    return [to_number(source, part, STRENGTHS) for part in text.split(",")]


def spaced_numbers(source: str, text: str) -> list[float]:
    """Return the numbers of `linspace:FIRST:LAST:N` or `logspace:FIRST:LAST:N`.

    Those between the ends are rounded to four significant digits, so that arms have short names,
    or to as many more as keep them apart and between the ends.
    """
    spacing, *parts = text.split(":")
    if spacing not in ("linspace", "logspace") or len(parts) != 3:
        raise UsageError(source, text, STRENGTHS)
    first, last = (to_number(source, part, STRENGTHS) for part in parts[:2])
    steps = int(parts[2]) - 1 if WHOLE.fullmatch(parts[2]) else 0
    if not 1 <= steps < MOST_NUMBERS:
        problem = f"where N must be a whole number from 2 to {MOST_NUMBERS}"
        raise UsageError(source, text, problem=problem)
    shares = [step / steps for step in range(1, steps)]
    if spacing == "linspace":
        between = [first + share * (last - first) for share in shares]
    elif first > 0 and last > 0:
        between = [first * (last / first) ** share for share in shares]
    else:
        hint = f"ends are no exponents: logspace:1e{first:g}:1e{last:g}:{parts[2]}"
        problem = "but both ends of logspace must be above 0"
        raise UsageError(source, text, problem=problem, hint=hint if first < 0 else "")
    for digits in range(4, 18):  # 17 tell any two float64 apart
        numbers = [first, *(float(f"{number:.{digits}g}") for number in between), last]
        is_within = min(numbers) == min(first, last) and max(numbers) == max(first, last)
        if is_within and len(set(numbers)) == len(numbers):
            return numbers
    problem = f"but there are no {parts[2]} different numbers between its ends"
    raise UsageError(source, text, problem=problem)
