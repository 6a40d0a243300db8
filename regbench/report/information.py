"""What `regbench info` says: machine, versions and engines, and which regularizers there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regbench.errors import UsageError, option_of
from regbench.regularizers import REGULARIZERS, plugins
from regbench.report.base import Table, View

if TYPE_CHECKING:
    from collections.abc import Mapping


def view(installation: Mapping[str, str]) -> View:
    """Return the view of an installation, after loading every plug-in that is installed.

    Its document is described by `docs/schemas/info.json`.
    """
    broken = []
    for command in plugins.installed():
        try:
            plugins.named(command)
        except UsageError as error:
            broken.append({"command": command, "error": str(error)})
    words, rows = ("command", "option", "default", "summary"), list[tuple[str, ...]]()
    found = [
        {
            **{word: getattr(kind, word) for word in words},
            "from": plugins.place_of(kind.origin),
            "origin": dict(kind.origin),
        }
        for kind in REGULARIZERS.values()
    ]
    for known in found:
        told = known["command"], option_of(known["option"]), f"{known['default']:g}"
        rows.append((*told, f"{known['from']} {known['origin'].get('version', '')}".strip()))
    rows += [(known["command"], "", "broken", known["error"]) for known in broken]
    document: dict[str, Any] = {"schema": "regbench.info/1", **installation}
    titles = ("regularizer", "option", "default", "from")
    return View(
        lambda: document | {"regularizers": found, "broken": broken},
        tables=[
            Table([*installation.items()], left=(0, 1), wrapped={1: 60}),
            Table([titles, *rows], left=(0, 1, 3), wrapped={3: 36}),
        ],
    )
