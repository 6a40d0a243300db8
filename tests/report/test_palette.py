"""Colours and names of arms: distinct, readable, and the same in every picture."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from training import make_result

from regbench.regularizers import REGULARIZERS, Arm
from regbench.regularizers.penalties import WeightDecay
from regbench.report.figures import palette

NINE = tuple(f"{kind}=0.{digit}" for kind in ("wdecay", "l1", "dropout") for digit in (1, 2, 3))
DEFICIENCIES = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216),
                   (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413),
                     (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602),
                   (0.004733, 0.691367, 0.303900)),
}  # fmt: skip
"""What people see of linear red, green and blue (Machado, Oliveira & Fernandes 2009)."""


def linear(color: str) -> np.ndarray:
    """Return linear red, green and blue of an sRGB colour."""
    channels = np.array(mpl.colors.to_rgb(color))
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(channels: np.ndarray) -> np.ndarray:
    """Return CIELAB coordinates of linear red, green and blue, with D65 as white."""
    matrix = (0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)
    x, y, z = np.cbrt(np.array(matrix) @ channels.clip(0, 1) / (0.9505, 1, 1.089))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(color: str) -> float:
    """Return the contrast of a colour on white (WCAG 2)."""
    return 1.05 / (float(linear(color) @ (0.2126, 0.7152, 0.0722)) + 0.05)


def middle(ramp: tuple[str, ...]) -> str:
    return ramp[1]


@pytest.mark.parametrize("ramp", [*palette.RAMPS.values(), palette.SUMS])
def test_a_ramp_begins_at_a_contrast_of_3_and_darkens(ramp: tuple[str, ...]) -> None:
    contrasts = [contrast(color) for color in ramp]
    assert contrasts[0] >= 3
    assert contrasts == sorted(contrasts)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_sums_are_told_from_verdicts_and_from_every_kind(deficiency: str) -> None:
    sight = np.array(DEFICIENCIES[deficiency])
    others = [palette.BAD, palette.GOOD, palette.BASELINE, *map(middle, palette.RAMPS.values())]
    seen = [lab(sight @ linear(color)) for color in (middle(palette.SUMS), *others)]
    assert min(np.linalg.norm(seen[0] - other) for other in seen[1:]) > 10


def test_an_arm_has_the_same_colour_everywhere_and_strengths_differ_in_lightness() -> None:
    study = make_result("compare", arms=NINE, epochs=1).study
    colors = palette.colors_of(study.arms)
    assert len(set(colors)) == 10
    assert colors[0] == palette.BASELINE
    for first in (1, 4, 7):
        lightness = [np.mean(mpl.colors.to_rgb(color)) for color in colors[first : first + 3]]
        assert lightness == sorted(lightness, reverse=True)
    assert {*palette.RAMPS} == {*REGULARIZERS, "plug-in"}


def test_plug_ins_differ_from_each_other_and_from_all_others() -> None:
    plugins = [type(f"P{n}", (WeightDecay,), {"command": f"own-{n}"}) for n in range(3)]
    kinds = [REGULARIZERS["group-lasso"], *plugins]
    colors = palette.colors_of([Arm(()), *(Arm((kind(0.5),)) for kind in kinds)])
    assert len(set(colors)) == 5


def test_short_labels_stay_apart() -> None:
    study = make_result("compare", arms=("wdecay=0.12345678", "l1=1e-20"), epochs=1).study
    assert list(palette.labels_of(study).values()) == ["baseline", "wdecay=0.1235", "l1=1e-20"]
    close = make_result(strengths=(0.12345678, 0.12345679), epochs=1).study
    assert palette.labels_of(close) == close.labels


def test_titles_have_the_names_of_regularizers_in_words() -> None:
    arms = "wdecay=0.010000001", "wdecay=0.01+dropout=0.5", "l1=1e-05", "early-stopping=40"
    study = make_result("compare", arms=arms[1:], epochs=60).study
    assert [*palette.names_of(study).values()] == [
        "baseline",
        "weight decay 0.01 + dropout 0.5",
        "L1 1e-05",
        "early stopping at epoch 40",
    ]
    close = make_result("compare", arms=("wdecay=0.01", arms[0]), epochs=1).study
    assert [*palette.names_of(close).values()][1:] == [
        "weight decay 0.01",
        "weight decay 0.010000001",
    ]
