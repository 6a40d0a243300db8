"""The documentation site: `sphinx-build -W docs FOLDER`, with the extra `docs` installed."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "reference")]

from generate import SECTIONS  # noqa: E402

import regbench  # noqa: E402

metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
project, release = "regbench", regbench.__version__
author = project_copyright = "The regbench authors"
extensions = ["myst_parser"]
exclude_patterns = ["pictures/*.py", "reference/*.py"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]
smartquotes = False  # `--require` is an option, not a dash
html_theme = "furo"
html_title = f"regbench {release}"
html_use_index = False
html_static_path, html_css_files = ["style"], ["site.css"]
html_copy_source = html_show_sourcelink = False
html_theme_options = {"source_repository": "", "top_of_page_buttons": []}


def fill(app: Any, name: str, source: list[str]) -> None:
    """Put what is read from the code in the place of its marks, and lead links out of `docs/`."""
    text = re.sub(r"<!-- generated: (\w+) -->\n.*", lambda mark: SECTIONS[mark[1]](), source[0])
    files = f"{metadata['urls']['Repository']}/blob/main/"
    depth = "../" * (1 + name.count("/"))
    source[0] = re.sub(rf"\]\({re.escape(depth)}(?!\.\./)([^)]+)\)", rf"]({files}\1)", text)


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", fill)
