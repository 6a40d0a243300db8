"""What a run says of itself: small JSON objects with a checksum, and which facts they have.

The checksum tells damage, not malice: what is read is checked before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from regbench.errors import shareable
from regbench.settings.groups import Environment  # noqa: TC001 - pydantic reads it
from regbench.storage.files import canonical, read_plain, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping

CHECKSUM = "sha256"
LARGEST_RECORD = 1_000_000
"""Largest record in bytes; a larger file is not regbench's."""


class Manifest(BaseModel):
    """What `environment.json` has besides the settings."""

    model_config = ConfigDict(defer_build=True)

    experiment: str
    configuration: str
    command: list[str]
    git: dict[str, str | bool] | None
    plugins: list[dict[str, Any]]
    origins: dict[str, str]
    provenances: Annotated[list[dict[str, str]], Field(min_length=1)]
    environment: Environment
    sources: dict[str, int] = {}


class Done(BaseModel):
    """What `DONE` has."""

    model_config = ConfigDict(defer_build=True)

    duration_seconds: float
    verdicts: dict[str, str]
    effects: dict[str, tuple[float, float, float]] = {}
    views: dict[str, str] = {}


def check_records(manifest: Mapping[str, Any], done: Mapping[str, Any] | None) -> None:
    """Raise `ValueError` where a run's records lack a fact, or one is of the wrong kind."""
    Manifest.model_validate(manifest)
    if done is not None:
        Done.model_validate(done)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a small JSON object with a checksum of all else in it."""
    sealed = {**record, CHECKSUM: hashlib.sha256(canonical(record)).hexdigest()}
    write_text(path, json.dumps(sealed, indent=1) + "\n")


def read_record(path: Path) -> dict[str, Any] | None:
    """Return what `write_record` wrote, or None where there is none that is whole.

    Raises `RunError` where it cannot be read.
    """
    content = read_plain(path, LARGEST_RECORD) or b""
    try:
        record = json.loads(content)
        checksum = record.pop(CHECKSUM)
        return record if checksum == hashlib.sha256(canonical(record)).hexdigest() else None
    except (ValueError, RecursionError, LookupError, AttributeError, TypeError):
        return None


def git_state() -> dict[str, str] | None:
    """Return the commit of the current folder's repository, or None where there is none.

    It leads to the script or configuration that was used. Whether files were changed since is not
    asked: `git status` runs programs that the repository names.
    """
    here, git = Path.cwd(), ["git", "--no-optional-locks", "-c", "core.fsmonitor=false"]
    try:
        if not any((folder / ".git").exists() for folder in (here, *here.parents)):
            return None
        asked = [*git, "rev-parse", "--verify", "HEAD"]
        own = {name: text for name, text in os.environ.items() if name[:4] != "GIT_"}
        commit = subprocess.check_output(asked, env=own, stderr=subprocess.DEVNULL, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.decode(errors="replace").strip()}


def without_places(value: Any) -> Any:
    """Return a record without where on this machine its files are; see `shareable`."""
    if isinstance(value, dict):
        return {key: without_places(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [*map(without_places, value)]
    quoted = re.compile("'(/[^']*)'")  # in where a setting came from
    is_text = isinstance(value, str)
    return quoted.sub(lambda m: f"'{shareable(m[1])}'", shareable(value)) if is_text else value
