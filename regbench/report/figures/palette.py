"""The colours of arms and verdicts, and what arms are called in pictures.

A colour says what kind of regularizer an arm is, its lightness how strong. Sums are a kind too.
Ramps were chosen by their distances under simulated deuteranopia, protanopia and tritanopia, and
begin at a contrast of 3 on white (WCAG 2, 1.4.11). Red and green are for verdicts alone.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_hex, to_rgb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from regbench.regularizers import Arm
    from regbench.settings.study import Study

INK, GREY, BASELINE, TRUTH = "#1F1F1F", "#6B6B6B", "#595959", "#000000"
NOISE, RULE, POINTS, OUTSIDE = "#D4D4D4", "#DDDDDD", "#FFD000", "#B5338A"
VARIANCE, BIAS, BEST = "#0E7C86", "#8A5A12", "#6B5900"
GOOD, BAD = "#1A7F37", "#B42318"
RAMPS = {
    "wdecay": ("#3E95D3", "#1463A8", "#082F63"),
    "dropout": ("#DA7D0B", "#C25A00", "#6E2F00"),
    "l1": ("#3EA67F", "#12875F", "#064B35"),
    "decoupled": ("#C97CA2", "#B64A82", "#5E1F40"),
    "gaussian-dropout": ("#9C8261", "#6B5234", "#38291A"),
    "max-norm": ("#3DA2A8", "#13757C", "#04444A"),
    "early-stopping": ("#899D2F", "#738A10", "#3A4A00"),
    "input-noise": ("#9489D7", "#5F4FBF", "#2C1F70"),
    "group-lasso": ("#779F69", "#4F8040", "#24451A"),
    "plug-in": ("#B38A7B", "#8A5A48", "#452A1F"),
}
"""Keyed by command. The first plug-in takes the last ramp, further ones any unused ramp."""
SUMS = ("#A35CF0", "#7A1CC4", "#3F0A6B")
NAMES = {
    "wdecay": "weight decay",
    "l1": "L1",
    "decoupled": "decoupled weight decay",
    "gaussian-dropout": "Gaussian dropout",
    "early-stopping": "early stopping at epoch",
}
"""What titles call a regularizer, where that is not its command."""


def colors_of(arms: Sequence[Arm]) -> list[str]:
    """Return the colour of every arm; the baseline is the empty one."""
    kinds = ["+" if len(arm.parts) > 1 else "".join(p.command for p in arm.parts) for arm in arms]
    spare = itertools.cycle([RAMPS[name] for name in reversed(RAMPS) if name not in kinds])
    others = dict.fromkeys(kind for kind in kinds if kind not in ("", "+"))
    ramps = {"+": SUMS, **{kind: RAMPS.get(kind) or next(spare) for kind in others}}
    colors = [BASELINE] * len(arms)
    for kind in {*kinds} - {""}:
        own = [index for index, other in enumerate(kinds) if other == kind]
        if kind != "+":
            own.sort(key=lambda index: arms[index].parts[0].strength)
            if arms[own[0]].parts[0].neutral > 0:  # of bounds the lower one is the stronger
                own.reverse()
        ends = (0.35, 0.35) if len(own) == 1 else (0.0, 1.0)
        ramp = np.array([to_rgb(color) for color in ramps[kind]])
        for index, place in zip(own, np.linspace(*ends, len(own)), strict=True):
            steps = np.linspace(0, 1, len(ramp))
            colors[index] = to_hex(tuple(np.interp(place, steps, channel) for channel in ramp.T))
    return colors


def distinct(count: int) -> list[str]:
    """Return the colours of so many arms of which nothing is known; the first is the baseline."""
    return [BASELINE, *itertools.islice(itertools.cycle(r[1] for r in RAMPS.values()), count - 1)]


def readable(color: str) -> str:
    """Return a colour darkened until its contrast on white is 4.5 (WCAG 2, 1.4.3)."""
    channels = np.array(to_rgb(color))
    while True:
        linear = np.where(
            channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
        )
        if 1.05 / (linear @ (0.2126, 0.7152, 0.0722) + 0.05) >= 4.5:
            return to_hex(tuple(channels))
        channels = channels * 0.96


def labels_of(study: Study) -> dict[str, str]:
    """Return what arms are called by name: as on the screen, to four digits where that is clear."""
    return shortened(study.labels)


def names_of(study: Study) -> dict[str, str]:
    """Return what titles call arms by name: `weight decay 0.01 + dropout 0.5`."""
    names = {}
    for arm in study.arms:
        kinds = [NAMES.get(part.command, part.command.replace("-", " ")) for part in arm.parts]
        told = [f"{kind} {part.values}" for kind, part in zip(kinds, arm.parts, strict=True)]
        names[arm.name] = " + ".join(told) or arm.name
    return shortened(names)


def shortened(texts: dict[str, str]) -> dict[str, str]:
    """Return texts with numbers of four digits, where that tells all of them apart."""
    number = re.compile(r"(?<=[= ])[\d.]+(e[+-]\d+)?")
    short = {n: number.sub(lambda m: f"{float(m[0]):.4g}", text) for n, text in texts.items()}
    return short if len({*short.values()}) == len(short) else texts
