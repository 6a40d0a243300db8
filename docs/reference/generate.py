"""The reference, read from the code: Markdown for the marks `<!-- generated: SECTION -->`.

`python docs/reference/generate.py commands` prints a section. Knows nothing about Sphinx.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from regbench.analysis.claims import CLAIMS
from regbench.analysis.measures import MEASURES
from regbench.cli import EXIT_CODES, app
from regbench.experiments import COMMANDS
from regbench.regularizers import REGULARIZERS
from regbench.report.claims import WORDS
from regbench.settings.base import allowed
from regbench.settings.parse import ENVIRONMENT_PREFIX
from regbench.settings.truths import TRUTHS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

SCHEMAS: dict[str, Any] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parents[1] / "schemas").glob("*.json"))
}
"""The JSON Schemas by the names of their files."""
SHARED = [name for name, command in COMMANDS.items() if command.regularizer]
"""The commands that differ in their first option alone."""


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; `|` within a cell is escaped."""
    lines = [titles, ["---"] * len(titles), *rows]
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


def options(name: str, is_own_only: bool = False) -> str:
    """Return the options of a command: all, or those that no other command of a regularizer has."""
    group: Any = typer.main.get_command(app)
    command, own = group.commands[name], COMMANDS[name].regularizer if is_own_only else None
    settings, rows = COMMANDS[name].settings if name in COMMANDS else {}, []
    for known in command.params:
        key = known.name.removesuffix("_")
        words = ", ".join(map(code, [*known.opts, *known.secondary_opts]))
        meaning, default, values = known.help or "", "", ""
        if key in settings:
            field = settings[key].field
            meaning = field.description or ""
            default, values = default_of(field), allowed(field)
        if getattr(known, "param_type_name", "") == "argument":
            words = code(known.metavar)
        if own is None or key == own.option:
            rows.append((words, default, values, meaning))
    return table(("option", "default", "values", "meaning"), rows)


def commands() -> str:
    """Return every command with its examples and options."""
    parts = []
    group: Any = typer.main.get_command(app)
    for name, command in group.commands.items():
        summary, _, examples = (command.help or "").partition("\n\n")
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
        for key in command.settings:
            takers.setdefault(key, set()).add(name)
    everywhere, training = takers["out"], takers["replicates"]
    words = {frozenset(everywhere): "all", frozenset(training): "all that train"}
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
        for name, measure in MEASURES.items()
    ]
    return table(("measure", "what it is", "diverges"), rows)


def claims() -> str:
    """Return every claim, and what decides it."""
    rows = [
        (
            code(name),
            WORDS[name],
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
        parts += [f"## {schema['title']}\n\n{schema['description']}\n", keys_of(schema)]
        for name, part in schema["$defs"].items():
            parts += [f"### {name} ({schema['title']})\n\n", keys_of(part)]
    return "\n".join(parts)


def keys_of(schema: Any) -> str:
    """Return the keys of an object with their types and meanings."""
    found = {**schema["properties"], **schema.get("patternProperties", {})}
    rows = [(code(key), type_of(part), part["description"]) for key, part in found.items()]
    return table(("key", "type", "what it is"), rows)


def type_of(schema: Any) -> str:
    """Return in words what a value is."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if "enum" in schema:
        return " or ".join(code(json.dumps(value)) for value in schema["enum"])
    if "oneOf" in schema:
        return " or ".join(map(type_of, schema["oneOf"]))
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = {"array": "list", "object": "object"}
    if "items" in schema:
        words["array"] = f"list of {type_of(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        words["object"] = f"by arm: {type_of(schema['additionalProperties'])}"
    return " or ".join(str(words.get(kind, kind)) for kind in kinds)


SECTIONS: dict[str, Callable[[], str]] = {
    section.__name__: section
    for section in (
        *(commands, variables, exit_codes, regularizers, truths, measures, claims, documents),
    )
}

if __name__ == "__main__":
    print(SECTIONS[sys.argv[1]]())
