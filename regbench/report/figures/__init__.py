"""Pictures of results, by matplotlib without pyplot, so that nothing global changes.

Each module has a picture: a function that draws a result into the area of some `Axes`, one for its
title, which is a finding with its numbers, and one for the size of its file.
"""

from __future__ import annotations

# First, because it imports matplotlib whatever the user's settings are:
from regbench.report.plain import plain

# isort: split
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from regbench.report.figures import (
    claims,
    course,
    fan,
    over,
    pairs,
    predictions,
    risk_over_strength,
    scale,
    weights,
)
from regbench.report.figures.sheet import Sheet
from regbench.storage.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

    from regbench.report.base import View

PICTURES: dict[str, Any] = {
    "claims": claims,
    "risk_over_strength": risk_over_strength,
    "pairs": pairs,
    "fan": fan,
    "predictions": predictions,
    "course": course,
    "weights": weights,
    "scale": scale,
    "over": over,
}
"""The modules of the pictures, by name."""
DPI = 200
NO_DATES: dict[str, dict[str, None]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


@dataclass(frozen=True)
class Picture:
    """A drawn figure as files; width and height of the PNG in pixels."""

    name: str
    files: Mapping[str, bytes]  # by format
    width: int
    height: int
    title: str
    what: str  # what kind of picture it is, in a sentence
    explanation: str
    top: float  # where title and explanation end, in inches; a page has them as text


class ShownFigure(Figure):
    """A figure that a notebook shows, whether or not it has set up matplotlib."""

    def _repr_png_(self) -> bytes:
        """Return the figure as a notebook shows it."""
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


class Figures:
    """The pictures of a result by name: `figures.fan(axes)`, or of a size of its own `fan()`."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def __dir__(self) -> list[str]:
        """Return the names of its pictures, for completion."""
        own = {"OverResult": ["over"], "ScaleResult": ["scale"], "Judged": ["pairs"]}
        return own.get(type(self.result).__name__, [*PICTURES][:-2])

    def __getattr__(self, name: str) -> Any:
        """Return what draws a picture into the area of some axes and returns their figure."""
        if name not in PICTURES:
            raise AttributeError(f"no picture is called {name!r}; there are {', '.join(PICTURES)}")
        return lambda axes=None: drawn(name, self.result, axes).figure


@np.errstate(all="ignore")  # of what has diverged
def drawn(name: str, result: Any, axes: Axes | None = None) -> Sheet:
    """Return the area of some axes, or of a new figure, in which a picture is drawn."""
    module = PICTURES[name]
    if axes is None:
        figure = ShownFigure(figsize=module.size(result), dpi=DPI)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
    sheet = Sheet(axes)
    module.draw(result, sheet)
    return sheet


def draw(name: str, result: Any, formats: Collection[str]) -> Picture:
    """Draw a picture as files of some formats."""
    with plain():
        sheet = drawn(name, result)
        figure, files = sheet.figure, {}
        for suffix in sorted(formats):
            file = io.BytesIO()
            for text in sheet.head:
                text.set_visible(suffix != "html")
            for dots in (one for panel in figure.axes for one in panel.collections):
                tips = getattr(dots, "tips", []) if suffix == "html" else []
                dots.set_urls(tips)  # which `inline` makes titles of
            rcParams["svg.fonttype"] = "none" if suffix == "html" else "path"
            if suffix == "png":
                figure.canvas.draw()
                image = few_colors(Image.fromarray(np.asarray(figure.canvas.buffer_rgba())))
                image.save(file, "png", compress_level=1, dpi=(DPI, DPI))
            else:
                form = "svg" if suffix == "html" else suffix
                figure.savefig(file, format=form, metadata=NO_DATES[form])
            files[suffix] = file.getvalue()
    module = PICTURES[name]
    what = (module.__doc__ or "").partition("\n")[0]
    width, height = map(round, figure.bbox.size)
    told = module.title(result), what, sheet.explanation
    return Picture(name, files, width, height, *told, sheet.top)


def few_colors(image: Image.Image) -> Image.Image:
    """Return an image in 256 colours, by the median cut of every fourth pixel either way.

    It is written sooner, and takes half of the bytes. White remains white.
    """
    image = image.convert("RGB")
    some = image.resize((image.width // 4, image.height // 4), Image.Resampling.NEAREST)
    found = some.quantize(256, Image.Quantize.MEDIANCUT)
    colors = np.array(found.getpalette()).reshape(-1, 3)
    colors[(colors > 243).all(axis=1)] = 255
    found.putpalette(colors.ravel().tolist())
    return image.quantize(palette=found, dither=Image.Dither.NONE)


def write(view: View, pictures: Sequence[Picture]) -> Iterable[str]:
    """Write every picture into `figures/`, in the format that was asked for."""
    folder, suffix = view.folder / "figures", view.request.output.figure_format
    folder.mkdir(exist_ok=True)
    for picture in pictures:
        write_whole(folder / f"{picture.name}.{suffix}", [picture.files[suffix]])
    return ()
