"""Where things are on a sheet: limits of axes, labels, and texts that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from regbench.report.figures import sheet


def test_what_must_be_seen_is_inside_whole_and_one_arm_far_off_is_not() -> None:
    inside, others = [(0.0, 0.0), (-0.15, -0.07)], [(-0.01, 0.0), (-0.05, -0.03), (-0.06, 0.14)]
    low, high = sheet.limits(inside, [*others, (0.54, 0.62)])
    assert -0.2 < low < -0.15
    assert 0.14 < high < 0.2
    low, high = sheet.limits([*inside, (0.54, 0.62)], others)
    assert high > 0.62


def test_the_only_other_arm_is_always_inside() -> None:
    low, high = sheet.limits([(0, 0), (-0.01, 0.01)], [(5, 6)])
    assert low < -0.01
    assert high > 6


def test_dots_lengthen_an_axis_only_so_far_and_those_of_an_arm_beyond_it_not_at_all() -> None:
    low, high = sheet.limits([(0, 0), (-0.1, 0)], (), [(-0.12, 0.05), (-0.02, 0.4)])
    assert low < -0.12
    assert 0.1 < high < 0.15
    low, high = sheet.limits([(0, 0), (-0.1, 0)], (), [(-0.12, 0.01), (7.0, 9.0)])
    assert 0.01 < high < 0.05


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_moves_no_limit(bad: float) -> None:
    assert sheet.limits([(0, 1), (bad, bad)], [(0, bad)]) == sheet.limits([(0, 1)])
    assert sheet.limits([(bad, bad)]) == (-1, 1)


def test_a_long_name_keeps_its_strength() -> None:
    name = "a_plug_in_with_a_name_that_is_far_too_long=0.03"
    (line,) = sheet.wrapped(name, 1.7, 10, "bold", most=1)
    assert line.startswith("a_plug")
    assert line.endswith("…=0.03")
    assert sheet.width_of(line, 10, "bold") <= 1.7
    (line,) = sheet.wrapped("words and words and words and words", 1, 10, most=1)
    assert line.endswith("…")


def test_labels_are_spread_apart_as_little_as_can_be() -> None:
    assert sheet.spread(np.array([0.5, 0.1]), 0.1, 0, 1).tolist() == [0.5, 0.1]
    assert sheet.spread(np.array([0.5, 0.5]), 0.1, 0, 1) == pytest.approx([0.45, 0.55])
    assert sheet.spread(np.array([1.0, 1.0, 0.0]), 0.1, 0, 1) == pytest.approx([0.9, 1.0, 0.0])
