"""Numbers as users type them: one, a list, or a spaced range.

Knows nothing about which setting a number is for.
"""

from __future__ import annotations

import math
import re

from regbench.errors import UsageError
from regbench.settings.base import STRENGTHS

MOST_NUMBERS = 1000
"""Most numbers in a list or a range."""
WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


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
