"""The reference has all that there is, with a meaning: read from the code, and held against it."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from commands import TINY, word_of

import regbench
from regbench.analysis.claims import CLAIMS
from regbench.cli import app
from regbench.errors import EXIT_CODES
from regbench.experiments import COMMANDS
from regbench.regularizers import REGULARIZERS
from regbench.settings.base import is_hidden
from regbench.settings.study import Task
from regbench.settings.table import Table
from regbench.settings.truths import TRUTHS
from regbench.tasks.synthetic import Synthetic
from regbench.tasks.table import Tabular

if TYPE_CHECKING:
    from commands import Command

DOCS = Path(__file__).parents[1] / "docs"
GROUP: Any = typer.main.get_command(app)


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """Return every generated section by name."""
    specification = importlib.util.spec_from_file_location(
        "generate", DOCS / "reference" / "generate.py"
    )
    assert specification
    assert specification.loader
    generate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generate)
    return {name: section() for name, section in generate.SECTIONS.items()}


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of every row of the tables in a text."""
    rows = [re.split(r" (?<!\\)\| ", line[2:-2]) for line in text.splitlines() if line[:1] == "|"]
    return [row for row in rows if "---" not in row]


def test_every_mark_on_a_page_is_a_section_and_every_section_is_on_a_page(
    sections: dict[str, str],
) -> None:
    pages = "".join(path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md"))
    assert set(re.findall(r"<!-- generated: (\w+) -->", pages)) == sections.keys()


@pytest.mark.parametrize("name", GROUP.commands)
def test_every_option_of_a_command_has_a_meaning_in_the_reference(
    sections: dict[str, str], name: str
) -> None:
    (own,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", sections["commands"], re.M | re.S)
    assert len(re.findall(rf"^regbench {name}\b", own, re.MULTILINE)) >= 2, "examples"
    also = re.search(r"are those of \[(.+?)\]", own)
    if also:
        own += re.findall(rf"^## {also[1]}\n(.*?)(?=^## |\Z)", sections["commands"], re.M | re.S)[0]
    told = {row[0].split("`")[1]: row for row in rows_of(own) if row[0].startswith("`")}
    for known in GROUP.commands[name].params:
        assert known.help, known.name
        words = known.opts[0] if known.param_type_name == "option" else known.metavar
        assert told[words][1], words
    for key, setting in COMMANDS[name].settings.items() if name in COMMANDS else ():
        assert (word_of(key) in told) == (not is_hidden(setting.field)), key


def test_every_name_is_in_the_reference(sections: dict[str, str]) -> None:
    known = {key: s.field for command in COMMANDS.values() for key, s in command.settings.items()}
    settings = {key for key, field in known.items() if not is_hidden(field)}
    measures = (
        Synthetic(Task()).measures | Tabular(Table(rows=20, inputs=1, digest="0" * 32)).measures
    )
    for section, names in {
        "variables": settings | {f"REGBENCH_{key.upper()}" for key in settings},
        "exit_codes": set(map(str, EXIT_CODES)),
        "regularizers": set(REGULARIZERS),
        "truths": set(TRUTHS),
        "claims": set(CLAIMS),
        "measures": {f"{n}_LAYER" if m.is_of_layers else n for n, m in measures.items()},
    }.items():
        assert not {name for name in names if f"`{name}`" not in sections[section]}, section
        assert all(cell for row in rows_of(sections[section]) for cell in row[:2]), section


def test_every_variable_that_the_package_reads_is_in_the_reference() -> None:
    package = Path(regbench.__file__).parent
    sources = "".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    names = set(re.findall(r'environ(?:\.get\(|\.pop\(|\[)"([A-Z_]+)"', sources))
    assert {"NUMBA_CACHE_DIR", "REGBENCH_PLUGINS"} <= names
    page = (DOCS / "reference" / "settings.md").read_text(encoding="utf-8")
    told = {name for name in names if not re.match("COMP_|_TYPER_|_REGBENCH_COMPLETE", name)}
    assert not {name for name in told if f"`{name}`" not in page}


def test_every_file_of_a_run_is_described(regbench: Command, tmp_path: Path) -> None:
    page = (DOCS / "results.md").read_text(encoding="utf-8")
    sweep = regbench("wdecay", "--lambda=0.1,0.2,0.3", *TINY, "--out=sweep", "--quiet")
    scale = regbench("dropout-scale", "--units=9", "--trials=9", "--out=scale", "--quiet")
    assert (sweep.code, scale.code) == (0, 0)
    paths = [path for path in tmp_path.glob("*/**/*") if path.is_file()]
    assert len(paths) > 15
    for path in paths:
        name = path.relative_to(tmp_path).as_posix().partition("/")[2]
        name = re.sub(r"^blocks/.*", "blocks/*.block", re.sub(r"^(tensorboard)/.*", r"\1/", name))
        assert f"`{name}" in page, name
