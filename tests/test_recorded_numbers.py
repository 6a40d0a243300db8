"""What a few commands measure is what it was when `python tests/record.py golden` wrote it down.

That command writes the golden file anew where a change is meant to move the numbers.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from record import COMMANDS, GOLDEN, GOLDEN_FILE, arguments, golden_numbers

if TYPE_CHECKING:
    from commands import Command

RECORDED: dict[str, dict[str, Any]] = json.loads(GOLDEN_FILE.read_text(encoding="utf-8"))


def is_close(path: str, measured: Any, recorded: Any, risk: float) -> bool:
    """Processors and libraries sum in different orders, which moves these numbers by 1e-12 of them.

    Intervals of several arms move by 1e-8 of them: their law is drawn along the eigenvectors of the
    arms' correlations. What is near 0, as a bias² may be, is the difference of numbers that are as
    large as the risk, and is compared relative to that.
    """
    if not isinstance(recorded, float) or not isinstance(measured, float):
        return bool(measured == recorded)
    relative = 1e-7 if "/ci/" in path else 1e-9
    return math.isclose(measured, recorded, rel_tol=relative, abs_tol=1e-11 * risk)


@pytest.mark.parametrize("name", GOLDEN)
def test_numbers_are_the_recorded_ones(regbench: Command, name: str) -> None:
    finished = regbench(*arguments(COMMANDS[name]))
    assert finished.code == 0, finished.err
    measured, recorded = golden_numbers(finished.document), RECORDED[COMMANDS[name]]
    assert measured.keys() >= recorded.keys()  # measures may have been added since
    risk = max((v for path, v in recorded.items() if "/baseline/risk/" in path), default=0.1)
    wrong = [
        f"{path}: {measured[path]!r}, recorded {value!r}"
        for path, value in recorded.items()
        if not is_close(path, measured[path], value, risk)
    ]
    assert not wrong
