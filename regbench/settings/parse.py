"""Where a setting's value comes from: flag over environment over TOML file over default.

Texts that users type and values in files meet the same rules, so that each mistake has one message
whatever its source. Knows nothing about what the settings do.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import ValidationError

from regbench.errors import UsageError, visible
from regbench.regularizers import REGULARIZERS
from regbench.settings.study import (
    EXPERIMENTS,
    PILOT_REPLICATES,
    kind_of,
    model_of,
    option_of,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo

    from regbench.settings.study import Experiment

ENVIRONMENT_PREFIX = "REGBENCH_"
LARGEST_FILE = 1_000_000
"""Bytes; a larger configuration file is a mistake."""

MOST_NUMBERS = 1000
"""Of a list of strengths."""

ROUNDED_DIGITS, EXACT_DIGITS = 4, 17
"""Significant digits of a number of a spaced range, at least, and of any float64."""

WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
SWITCHES = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def resolve(
    experiment: str,
    flags: Mapping[str, list[str] | bool],
    environment: Mapping[str, str] = MappingProxyType({}),
    file: str | None = None,
) -> Experiment:
    """Return an experiment's settings: flag over environment over file over default.

    Args:
        experiment: The subcommand.
        flags: What was given on the command line, by key: texts as typed, or a boolean.
        environment: Environment variables; those that start with `REGBENCH_` count.
        file: Path of a TOML file, or None.

    Raises:
        UsageError: An unknown experiment or key, a value out of range, or an unreadable file. The
            message names the setting, what was received and what is allowed.
    """
    if experiment not in EXPERIMENTS:
        hint = suggestion(experiment, EXPERIMENTS) or f"; allowed: {', '.join(EXPERIMENTS)}"
        raise UsageError(f"{visible(experiment)}: no such experiment{hint}")
    fields = settings_of(experiment)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    if file is not None:
        values = read_file(Path(file), experiment)
        sources = {key: f"--config {visible(file)}: {key}" for key in values}
    for variable, key, text in from_environment(environment, experiment):
        values[key] = from_texts(variable, fields[key], [text])
        sources[key] = variable
    for key, given in flags.items():
        if key not in fields:
            raise UsageError(f"unknown key {visible(key)}{suggestion(key, fields)}")
        sources[key] = option_of(key)
        values[key] = (
            given if isinstance(given, bool) else from_texts(sources[key], fields[key], given)
        )
    for key, value in values.items():
        if is_list(fields[key]):
            if isinstance(value, str) and ":" in value:  # linspace or logspace
                value = split_numbers(sources[key], fields[key], value)
            numbers = value if isinstance(value, list) else [value]
            values[key] = tuple(x + 0.0 if type(x) is float else x for x in numbers)
    if experiment in REGULARIZERS:
        option, default = REGULARIZERS[experiment].option, REGULARIZERS[experiment].default
        values["strengths"] = values.pop(option, (default,))
    if values.get("target_width") is not None:
        if "replicates" in values:
            raise UsageError(
                f"{sources['replicates']}: not together with {sources['target_width']}, which "
                f"decides how many replicates there are"
            )
        values["replicates"] = PILOT_REPLICATES  # the rest is planned from them
    try:
        return model_of(experiment)(experiment=experiment, **values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        key = REGULARIZERS[experiment].option if key == "strengths" else key
        source = sources.get(key, option_of(key))
        raise UsageError(
            f"{source}: got {visible(first['input'])}; allowed: {allowed(fields[key])}"
        ) from None
    except UsageError as error:  # from a check of settings together, which knows only the option
        option, colon, what = str(error).partition(":")
        source = next((sources[key] for key in sources if option_of(key) == option), option)
        raise UsageError(f"{source}{colon}{what}") from None


def allowed(field: FieldInfo) -> str:
    """Return in words which values a setting takes."""
    kind = kind_of(field)
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if kind is bool:
        return "true or false"
    if is_list(field):
        return (
            "one or several finite numbers from 0, separated by commas, or linspace:FIRST:LAST:N "
            "or logspace:FIRST:LAST:N"
        )
    if kind is not int and kind is not float:
        choices = (field.description or "").rstrip(".").partition(": ")[2]
        return choices or "a path of printable characters"
    parts = ["a whole number" if kind is int else "a finite number"]
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    for constraint in field.metadata:
        for sign, word in words.items():
            if (bound := getattr(constraint, sign, None)) is not None:
                parts.append(f"{word} {bound:g}" if kind is float else f"{word} {bound}")
    return " ".join(parts)


def is_list(field: FieldInfo) -> bool:
    """Whether a setting takes several numbers."""
    return get_origin(field.annotation) is tuple


def from_texts(source: str, field: FieldInfo, texts: list[str]) -> Any:
    """Return the value that a setting's texts from the command line or environment stand for.

    Args:
        source: The option or variable, for the message.
        field: The setting.
        texts: As typed: one text, or several where the setting takes a list.

    Raises:
        UsageError: A text is no value of the setting's type, or there are too many.
    """
    if is_list(field):
        return [number for text in texts for number in split_numbers(source, field, text)]
    if len(texts) > 1:
        raise UsageError(f"{source}: given {len(texts)} times; give it once")
    text = texts[0]
    kind = kind_of(field)
    if kind is float:
        return to_number(source, field, text)
    if kind is int and WHOLE.fullmatch(text):
        return int(text)
    if kind is bool and text.lower() in SWITCHES:
        return SWITCHES[text.lower()]
    if kind in (int, bool):
        raise UsageError(f"{source}: got {visible(text)}; allowed: {allowed(field)}")
    return text


def to_number(source: str, field: FieldInfo, text: str) -> float:
    """Return the finite number that `text` spells in ASCII digits; see `from_texts`."""
    if not DECIMAL.fullmatch(text):
        hint = ""
        if re.fullmatch(r"[0-9]*,[0-9]+", text):
            hint = f" (a decimal comma? write {text.replace(',', '.')})"
        elif re.fullmatch(r"[0-9]{1,3}(\.[0-9]*)?%", text):
            hint = f" (a percentage? write {float(text[:-1]) / 100!r})"
        raise UsageError(f"{source}: got {visible(text)}; allowed: {allowed(field)}{hint}")
    number = to_float(source, text)
    if number in (float("inf"), float("-inf")):
        raise UsageError(f"{source}: got {visible(text)}, which is too large for a float")
    return number


def to_float(source: str, text: str) -> float:
    """Return the number that a text of ASCII digits spells, or infinity where it is too large.

    Raises:
        UsageError: It is not 0 and would become 0.
    """
    number = float(text)
    if number == 0 and re.search("[1-9]", text.lower().partition("e")[0]):
        raise UsageError(f"{source}: got {visible(text)}, which would silently become 0")
    return number


def split_numbers(source: str, field: FieldInfo, text: str) -> list[float]:
    """Return the numbers of a comma-separated list or of a spaced range; see `from_texts`."""
    if ":" in text:
        return spaced_numbers(source, field, text)
    if re.fullmatch(r"0?,[0-9]+", text):
        raise UsageError(
            f"{source}: got {visible(text)}; a decimal comma? write {text.replace(',', '.')}, or "
            f"0.0,{text.partition(',')[2]} for two values"
        )
    return [to_number(source, field, part) for part in text.split(",")]


def spaced_numbers(source: str, field: FieldInfo, text: str) -> list[float]:
    """Return the numbers of `linspace:FIRST:LAST:N` or `logspace:FIRST:LAST:N`.

    Those between the ends are rounded to four significant digits, so that arms have short names,
    or to as many more as keep them apart and between the ends. See `from_texts` for errors.
    """
    spacing, *parts = text.split(":")
    if spacing not in ("linspace", "logspace") or len(parts) != 3:
        raise UsageError(f"{source}: got {visible(text)}; allowed: {allowed(field)}")
    first, last = (to_number(source, field, part) for part in parts[:2])
    if not WHOLE.fullmatch(parts[2]) or not 2 <= int(parts[2]) <= MOST_NUMBERS:
        raise UsageError(
            f"{source}: got {visible(text)}; N must be a whole number from 2 to {MOST_NUMBERS}"
        )
    shares = [place / (int(parts[2]) - 1) for place in range(1, int(parts[2]) - 1)]
    if spacing == "linspace":
        between = [first + share * (last - first) for share in shares]
    elif first > 0 and last > 0:
        between = [first * (last / first) ** share for share in shares]
    else:
        raise UsageError(f"{source}: got {visible(text)}; both ends of logspace must be above 0")
    for digits in range(ROUNDED_DIGITS, EXACT_DIGITS + 1):
        rounded = [float(f"{number:.{digits}g}") for number in between]
        numbers = [first, *rounded, last]
        is_within = min(numbers) == min(first, last) and max(numbers) == max(first, last)
        if is_within and len(set(numbers)) == len(numbers):
            return numbers
    raise UsageError(
        f"{source}: got {visible(text)}; there are no {parts[2]} different numbers between its ends"
    )


def from_environment(
    environment: Mapping[str, str], experiment: str
) -> Iterator[tuple[str, str, str]]:
    """Yield variable, key and text of every environment variable that sets this experiment.

    Raises:
        UsageError: A variable starts with `REGBENCH_` and names no setting of any experiment.
    """
    fields = settings_of(experiment)
    known = {key for name in EXPERIMENTS for key in settings_of(name)}
    for variable in sorted(environment):
        if variable.startswith(ENVIRONMENT_PREFIX):
            key = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            if key not in known:
                hint = suggestion(key.upper(), map(str.upper, known), ENVIRONMENT_PREFIX)
                raise UsageError(f"{visible(variable)}: no such setting{hint}")
            if key in fields:
                yield variable, key, environment[variable]


def read_file(path: Path, experiment: str) -> dict[str, Any]:
    """Return the settings of a TOML file.

    Raises:
        UsageError: The file cannot be read, is no TOML, is for another experiment, or holds an
            unknown key.
    """
    source = f"--config {visible(path)}"
    try:
        if not path.is_file():
            raise UsageError(f"{source}: not a file")
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(f"{source}: larger than {LARGEST_FILE} bytes")
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text, parse_float=partial(to_float, source))
    except UnicodeDecodeError:
        raise UsageError(f"{source}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{source}: not TOML: {visible(error, 200)}") from None
    except RecursionError:
        raise UsageError(f"{source}: nested too deeply") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL byte, a number of 5000 digits
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"{source}: cannot be read: {reason}") from None
    stated = values.pop("experiment", experiment)
    if stated != experiment:
        raise UsageError(f"{source}: is for {visible(stated)}, not for '{experiment}'")
    fields = settings_of(experiment)
    for key in values:
        if key not in fields:
            raise UsageError(f"{source}: unknown key {visible(key)}{suggestion(key, fields)}")
    return values


def suggestion(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return '; did you mean ...?' for the nearest known word behind a prefix, or nothing."""
    nearest = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{prefix}{nearest[0]}'?" if nearest else ""
