"""One page of everything, `report.html`, and the templates of what a notebook shows.

The page asks for nothing from outside, and its policy forbids it to. Templates stand beside this.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from regbench import __version__
from regbench.errors import UsageError, printable, shareable
from regbench.report.format import tone_of
from regbench.storage.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regbench.report.base import View
    from regbench.report.figures import Picture

HERE = files(__name__)
CONFIGURED = "At the shell, or with these settings in a file that --config names:"
FILES = {
    "summary.json": "every number",
    "history.csv": "the losses as a tidy table",
    "config.toml": "the settings",
    "environment.json": "where and how it ran",
    "figures": "the pictures",
    "tensorboard": "for tensorboard --logdir",
}


def write(view: View, pictures: Sequence[Picture]) -> Iterable[str]:
    """Write `report.html`."""
    write_text(view.folder / "report.html", page(view, pictures))
    return ()


def text_of(view: View) -> str:
    """Return the page of a view with pictures of its own; raises `UsageError` where it has none."""
    from regbench.report.figures import draw

    if view.subject is None:
        raise UsageError("export", problem="not as a page: no block of this run is there")
    names = [name for name in view.pictures if name not in view.moved]
    is_drawn = view.request.output.plots
    pictures = [draw(name, view.subject, {"html"}) for name in names if is_drawn]
    return page(view, pictures, is_alone=True)


def page(view: View, pictures: Sequence[Picture], is_alone: bool = False) -> str:
    """Return the page of a view that has a run; alone, it has no links to files beside it."""
    import tomli_w

    request, result = view.request, view.subject
    environment = getattr(result, "environment", None)  # scores may be from anywhere
    how, inputs = view.inputs or (CONFIGURED, tomli_w.dumps(request.to_file()))
    style, script = ((HERE / name).read_text("utf-8") for name in ("page.css", "page.js"))
    return render(
        "page.html",
        view=view,
        replicates=getattr(result.study, "replicates", 0),
        moving=view.moving() if view.moving and request.output.plots else None,
        pictures=[inline(picture) for picture in pictures if "html" in picture.files],
        command=request.command_line,
        how=how,
        inputs=inputs,
        files={} if is_alone else {n: w for n, w in FILES.items() if (view.folder / n).exists()},
        folder=shareable(str(view.folder)),
        facts={"regbench": __version__, **(environment.to_record() if environment else {})},
        provenances=view.run.manifest["provenances"] if view.run else [],
        style=style,
        script=script,
        hashes=[digest(style), digest(script)],
    )


def render(template: str, **values: Any) -> str:
    """Return what a template makes of values, whose texts are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    templates = Environment(
        loader=PackageLoader(__name__, ""),
        autoescape=True,
        finalize=lambda value: printable(value, "\n") if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["tone"] = tone_of
    return templates.get_template(template).render(**values)


def digest(text: str) -> str:
    """Return what a policy calls a text that may stand in the page."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def inline(picture: Picture) -> dict[str, Any]:
    """Return a picture's SVG for a page: its names are its own there, its font is the page's.

    It begins where title and explanation end, which the page has as text.
    """
    svg = picture.files["html"].decode().partition("<svg ")[2]
    svg = re.sub(r"(?s)<metadata>.*?</metadata>|<style.*?</style>| font-family:[^;]*;", "", svg)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\1{picture.name}-", svg)
    svg = re.sub(r'(?s)<a xlink:href="([^"]*)"[^>]*>(.*?)</a>', r"<g><title>\1</title>\2</g>", svg)
    attributes, _, content = svg.partition(">")
    width, height = (float(size) for size in re.findall(r'="([\d.]+)pt"', attributes))
    top = 72 * picture.top
    named = {"name": picture.name, "title": picture.title, "what": picture.what}
    box = f"0 {top:.1f} {width:g} {height - top:.1f}"
    return {**named, "explanation": picture.explanation, "box": box, "content": content}
