"""Arms as users type them: regularizers at strengths, joined by a plus sign.

Knows nothing about where a text comes from.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

from regbench.errors import UsageError, suggestion, visible
from regbench.regularizers import REGULARIZERS, Arm, Regularizer
from regbench.regularizers.plugins import named
from regbench.settings.base import ARMS
from regbench.settings.numbers import split_numbers, to_number

FindRegularizer = Callable[[str], type[Regularizer] | None]
PLUS = re.compile(r"\+(?=[^\W\d])")
"""A plus sign before a name; the one in `1e+2` belongs to a number."""
CONSTANT = re.compile(r",(?=[^\W\d]\w*=)")
"""A comma before the name of a regularizer's constant."""


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
