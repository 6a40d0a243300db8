"""How a run was made: its settings and where each came from, machine, state, verdicts and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regbench.errors import quoted, shareable
from regbench.report.base import Table, View
from regbench.report.format import setting_text, told
from regbench.report.run_list import effect_cells
from regbench.settings.base import is_hidden
from regbench.storage.files import find_paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from regbench.storage.run_folder import Run


def view(run: Run, done: int, total: int) -> View:
    """Return the view of a run that has some of its blocks."""
    settings, state = settings_of(run), "done" if run.done else "not done"
    facts, manifest = run.done or {}, run.manifest
    verdicts, effects = dict(facts.get("verdicts", {})), dict(facts.get("effects", {}))
    files = {
        path.relative_to(run.folder).as_posix(): path.stat().st_size
        for path in sorted(find_paths(run.folder, "*"))
        if path.is_file()
    }
    document = {
        "schema": "regbench.show/1",
        "run_dir": str(run.folder),
        "state": state,
        "blocks": {"done": done, "total": total},
        "settings": settings,
        **{key: manifest[key] for key in ("command", "git", "environment", "provenances")},
        "sources": manifest.get("sources", {}),
        "verdicts": verdicts,
        "effects": effects,
        "files": files,
    }
    made = {
        "run": shareable(str(run.folder)),
        "state": f"{state}, {done} of {total} blocks" if total else state,
        "command": " ".join(map(quoted, ["regbench", *manifest["command"][1:]])),
    }
    if sources := document["sources"]:
        made["reused"] = ", ".join(f"{number} blocks of {run}" for run, number in sources.items())
    for facts in (manifest["git"] or {}, run.environment.to_record(), *manifest["provenances"]):
        made |= {key: setting_text(value) for key, value in facts.items()}
    judged = [(arm, told(str(word)), *effect_cells(effects, arm)) for arm, word in verdicts.items()]
    sizes = [(name, f"{size:,}") for name, size in files.items()]
    return View(
        lambda: document,
        run,
        tables=[
            settings_table(settings),
            Table([*made.items()], left=(0, 1), wrapped={1: 54}),
            Table([("arm", "verdict", "difference", "interval"), *judged], left=(0, 1)),
            Table([("file", "bytes"), *sizes]),
        ],
    )


def settings_of(run: Run) -> dict[str, dict[str, Any]]:
    """Return what there is to say of each setting, in the order of the help."""
    manifest, known = run.manifest, run.request.command.settings
    values = run.request.values() | manifest.get("machine", {}) | manifest["output"]  # as asked
    found = dict[str, dict[str, Any]]()
    for key, (field, panel) in known.items():
        needed = {"Task": key, "Table": "digest"}.get(panel)  # of a task that the run has
        if needed is None or needed in values:
            value, is_fact = values.get(key), is_hidden(field)  # of the rows, if it is one
            facts = {"group": panel, "value": value}
            facts["default"] = value if is_fact else run.request.default(key, values)
            facts["origin"] = manifest["origins"].get("data" if is_fact else key, "default")
            found[key] = facts
    return found


def settings_table(settings: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the table of all settings; those that are not the default have that beside them."""
    rows = [("", "setting", "value", "in place of", "from")]
    for key, known in settings.items():
        value, default = known["value"], known["default"]
        other = "" if value in (default, None) else setting_text(default) or "none"
        origin = known["origin"].removesuffix(f": {key}")
        rows.append((known["group"], key, setting_text(value), other, origin))
    return Table(rows, left=range(5), wrapped={2: 22, 4: 16}, is_grouped=True)
