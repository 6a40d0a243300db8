"""Numbers as users type them: one, a list, or a spaced range.

Knows nothing about which setting a number is for.
"""

from __future__ import annotations

import math
import re

from regbench.errors import UsageError
from regbench.settings.base import STRENGTHS

MOST_NUMBERS = 1000
"""In a list or a range."""
ROUNDED_DIGITS, EXACT_DIGITS = 4, 17
"""Significant digits of a number of a spaced range, at least, and of any float64."""

WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def to_number(source: str, text: str, allowed: str) -> float:
    """Return the finite number that `text` spells in ASCII digits.

    Args:
        source: Where the text comes from, for the message.
        text: As typed.
        allowed: What would be right, for the message.

    Raises:
        UsageError: It is no number, or none that a float64 holds.
    """
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
    """Return the number that a text of ASCII digits spells, or infinity where it is too large.

    Raises:
        UsageError: It is not 0 and would become 0.
    """
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
    or to as many more as keep them apart and between the ends. See `to_number` for errors.
    """
    spacing, *parts = text.split(":")
    if spacing not in ("linspace", "logspace") or len(parts) != 3:
        raise UsageError(source, text, STRENGTHS)
    first, last = (to_number(source, part, STRENGTHS) for part in parts[:2])
    if not WHOLE.fullmatch(parts[2]) or not 2 <= int(parts[2]) <= MOST_NUMBERS:
        problem = f"where N must be a whole number from 2 to {MOST_NUMBERS}"
        raise UsageError(source, text, problem=problem)
    shares = [step / (int(parts[2]) - 1) for step in range(1, int(parts[2]) - 1)]
    if spacing == "linspace":
        between = [first + share * (last - first) for share in shares]
    elif first > 0 and last > 0:
        between = [first * (last / first) ** share for share in shares]
    else:
        raise UsageError(source, text, problem="but both ends of logspace must be above 0")
    for digits in range(ROUNDED_DIGITS, EXACT_DIGITS + 1):
        rounded = [float(f"{number:.{digits}g}") for number in between]
        numbers = [first, *rounded, last]
        is_within = min(numbers) == min(first, last) and max(numbers) == max(first, last)
        if is_within and len(set(numbers)) == len(numbers):
            return numbers
    problem = f"but there are no {parts[2]} different numbers between its ends"
    raise UsageError(source, text, problem=problem)
