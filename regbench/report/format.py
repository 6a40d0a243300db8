"""How numbers and amounts look. Knows nothing about what they mean."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regbench.analysis.statistics import Interval

TONES = {
    "good": r"^(yes|lower|better)(?=$| [-−]?\d)|\b(lowers|improves|fits)\b",
    "bad": r"^(no|higher|worse|diverged)(?=$| [-−]?\d)|\b(raises|worsens|DOES NOT FIT)\b",
    "open": r"^(\?|equal)(?=$| [-−]?\d)|\b(cannot tell|equal within|did nothing)\b",
}
"""Of the words of an answer, at the beginning of a cell or within a sentence."""


def tone_of(cell: str) -> str:
    """Return the tone of the word of an answer that a cell begins with, or nothing."""
    return next((tone for tone, words in TONES.items() if re.match(words, cell)), "")


def number(value: float | None) -> str:
    """Return a number with four digits, or three and an exponent where that says more."""
    if value is None or math.isnan(value):
        return "n/a"
    if 1e-3 <= abs(value) < 9999.5:
        return minus(f"{value:#.4g}".removesuffix("."))
    return minus(f"{value:.2e}") if value else "0"


def minus(text: str) -> str:
    """Return a number's text with a minus sign (U+2212) in place of a hyphen."""
    return text.replace("-", "−", text.startswith("-"))


def told(verdict: str) -> str:
    """Return a verdict as people read it."""
    return "cannot tell" if verdict == "inconclusive" else verdict


def rounded(value: float | None, interval: Interval | None) -> str:
    """Return a number with as many decimals as its interval supports, or as `number` does."""
    if value is None or interval is None or not math.isfinite(value):
        return number(value)
    half = (interval[1] - interval[0]) / 2
    if not 1e-6 <= half < 1e4:
        return number(value)
    places = max(0, 1 - math.floor(math.log10(half)))  # two digits of half the interval's width
    return minus(f"{value:z.{places}f}")


def setting_text(value: Any) -> str:
    """Return a setting's value: several with commas, and nothing for None."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def seeds_text(seeds: range) -> str:
    """Return the seeds of some replicates."""
    return f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}"


def interval_text(interval: Interval | None) -> str:
    """Return an interval with as many decimals as its width supports: two digits of its half."""
    return " to ".join(rounded(end, interval) for end in interval) if interval else "n/a"


def percent(share: float) -> str:
    """Return a share in per cent: `95 %`."""
    return f"{100 * share:.10g} %"


def probability(value: float | None) -> str:
    """Return a probability with three decimals, or an exponent where that says more."""
    if value is None:
        return "n/a"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def count(amount: int, what: str) -> str:
    """Return the amount and its noun: `1 trial`, `2 trials`."""
    return f"{amount} {what}{'' if amount == 1 else 's'}"
