"""The reference, read from the code: Markdown for the marks `<!-- generated: SECTION -->`.

`python docs/reference/generate.py commands` prints a section. Knows nothing about Sphinx.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from regbench.analysis.claims import CLAIMS
from regbench.cli import VERIFIED, app
from regbench.errors import EXIT_CODES
from regbench.experiments import COMMANDS
from regbench.regularizers import REGULARIZERS
from regbench.report.claims import CLAIM_WORDS
from regbench.settings.base import allowed, is_hidden
from regbench.settings.parse import ENVIRONMENT_PREFIX
from regbench.settings.study import Task
from regbench.settings.table import Table
from regbench.settings.truths import TRUTHS
from regbench.tasks.synthetic import Synthetic
from regbench.tasks.table import Tabular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SCHEMAS: dict[str, Any] = {
    name: json.loads((Path(__file__).parents[1] / "schemas" / f"{name}.json").read_text("utf-8"))
    for name in ("result", "judged", "verify", "runs", "show", "info")
}
"""The JSON Schemas by the names of their files."""
TABLE = Table(rows=20, inputs=1, digest="0" * 32)
"""Any table: its measures are those of all."""
SHARED = [name for name, command in COMMANDS.items() if command.regularizer]
"""The commands that differ in their first option alone."""


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table without columns that are empty; `|` within a cell is escaped."""
    rows = list(rows)
    used = [column for column in range(len(titles)) if any(row[column] for row in rows)]
    lines = [[line[column] for column in used] for line in (titles, ["---"] * len(titles), *rows)]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def code(text: object) -> str:
    """Return a text as code, or nothing where there is none."""
    return f"`{text}`" if str(text) else ""


def default_of(field: Any) -> str:
    """Return a setting's default as it would be typed."""
    if field.default_factory or field.default is None:
        return ""
    if isinstance(field.default, bool):
        return "on" if field.default else "off"
    is_list = isinstance(field.default, tuple)
    return code(",".join(map(str, field.default)) if is_list else field.default)


def values_of(key: str, field: Any, kind: Any) -> str:
    """Return which values a setting takes; of a strength more narrowly, of a switch nothing."""
    if kind and key == kind.option:
        limits = "from 0 to below 1" if kind.is_probability else "from 0"
        return f"{'whole' if kind.is_whole else 'finite'} numbers {limits}"
    return "" if field.annotation is bool else allowed(field)


def options(name: str, is_own_only: bool = False) -> str:
    """Return the options of a command: all, or those that no other command of a regularizer has."""
    group: Any = typer.main.get_command(app)
    command, known_as = group.commands[name], COMMANDS.get(name)
    settings, kind = (known_as.settings, known_as.regularizer) if known_as else ({}, None)
    rows = []
    for known in command.params:
        key = known.name.removesuffix("_")
        words = ", ".join(map(code, [*known.opts, *known.secondary_opts]))
        meaning, default, values = known.help or "", "", ""
        if key in settings:
            field = settings[key].field
            meaning = field.description or ""
            default, values = default_of(field), values_of(key, field, kind)
        if getattr(known, "param_type_name", "") == "argument":
            words = code(known.metavar)
        if not is_own_only or (kind and key == kind.option):
            rows.append((words, meaning, default, values))
    return table(("option", "meaning", "default", "values"), rows)


def commands() -> str:
    """Return every command with its examples and options."""
    parts = []
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        summary, _, examples = (command.help or "").partition("\n\n")
        examples = re.sub(" +$", "", examples, flags=re.MULTILINE)
        parts.append(f"## {name}\n\n{summary}\n\n```sh\n{examples}\n```\n")
        is_shared = name in SHARED[1:]
        parts.append(options(name, is_own_only=is_shared))
        if is_shared:
            parts.append(f"All other options are those of [{SHARED[0]}](#{SHARED[0]}).\n")
    return "\n".join(parts)


def variables() -> str:
    """Return every setting as an environment variable and key of a file."""
    takers: dict[str, set[str]] = {}
    for name, command in COMMANDS.items():
        for key in (key for key, s in command.settings.items() if not is_hidden(s.field)):
            takers.setdefault(key, set()).add(name)
    everywhere, training = takers["out"], takers["replicates"]
    words = {
        frozenset(everywhere): "every experiment",
        frozenset(training): "every training experiment",
        frozenset(training | {"verify"}): "every training experiment, verify",
    }
    for key in VERIFIED:
        takers[key].add("verify")
    rows = [
        (
            code(ENVIRONMENT_PREFIX + key.upper()),
            code(key),
            words.get(frozenset(names), ", ".join(sorted(names))),
        )
        for key, names in takers.items()
    ]
    return table(("variable", "key of a file", "commands"), rows)


def exit_codes() -> str:
    """Return every exit code."""
    return table(("code", "meaning"), [(code(c), words) for c, words in EXIT_CODES.items()])


def measures() -> str:
    """Return every measure, with the words of the schema."""
    described = SCHEMAS["result"]["$defs"]["history"]
    of_layers = next(iter(described["patternProperties"].values()))["description"]
    rows = [
        (
            code(f"{name}_LAYER" if measure.is_of_layers else name),
            of_layers if measure.is_of_layers else described["properties"][name]["description"],
            "yes" if measure.is_loss else "",
        )
        for name, measure in (Synthetic(Task()).measures | Tabular(TABLE).measures).items()
    ]
    return table(("measure", "what it is", "diverges"), rows)


def claims() -> str:
    """Return every claim, and what decides it."""
    rows = [
        (
            code(name),
            CLAIM_WORDS[name],
            code(measure) or "the headline measure (`--by`)",
            "above 0" if sign > 0 else "below 0",
        )
        for name, (measure, sign) in CLAIMS.items()
    ]
    return table(("claim", "on the screen", "measure", "holds where its difference lies"), rows)


def truths() -> str:
    """Return every truth with its formula."""
    rows = [(code(name), code(f"slope * {t.formula.strip()}")) for name, t in TRUTHS.items()]
    return table(("`--truth`", "y without noise"), rows)


def regularizers() -> str:
    """Return every regularizer: its words and its class."""
    rows = [
        (code(name), code(f"rb.{kind.__name__}"), kind.symbol, f"{kind.default:g}", kind.summary)
        for name, kind in REGULARIZERS.items()
    ]
    return table(("command", "from Python", "symbol", "default", "what it does"), rows)


def documents() -> str:
    """Return the keys of every JSON document."""
    parts = []
    for schema in SCHEMAS.values():
        title = schema["title"]
        parts += [f"## {title}\n\n{schema['description']}\n", keys_of(schema, title)]
        for name, part in schema["$defs"].items():
            parts += [f"### {name} ({title})\n\n", keys_of(part, title)]
    return "\n".join(parts)


def keys_of(schema: Any, title: str) -> str:
    """Return the keys of an object in the schema of a title, with their meanings and types."""
    (of_layers,) = schema.get("patternProperties", {"": None}).values()
    found = schema["properties"] | ({"rms_LAYER": of_layers} if of_layers else {})
    rows = [(code(key), part["description"], type_of(part, title)) for key, part in found.items()]
    return table(("key", "what it is", "type"), rows)


def type_of(schema: Any, title: str) -> str:
    """Return in words what a value in the schema of a title is, with a link to its part."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("#")[2].rpartition("/")[2]
        anchor = re.sub(r"[^\w-]", "", f"{name} {title}".replace(" ", "-"))
        return f"[{name}](#{anchor})" if name else "this document again"
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if "enum" in schema:
        return " or ".join(code(json.dumps(value)) for value in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(type_of(part, title) for part in schema["oneOf"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = {"array": "list", "object": "object"}
    if "items" in schema:
        words["array"] = f"list of {type_of(schema['items'], title)}"
    if isinstance(schema.get("additionalProperties"), dict):
        words["object"] = f"object of {type_of(schema['additionalProperties'], title)}"
    return " or ".join(str(words.get(kind, kind)) for kind in kinds)


SECTIONS: dict[str, Callable[[], str]] = {
    section.__name__: section
    for section in (
        *(commands, variables, exit_codes, regularizers, truths, measures, claims, documents),
    )
}

if __name__ == "__main__":
    print(SECTIONS[sys.argv[1]]())
