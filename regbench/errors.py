"""What can go wrong, and how a value that a user typed is shown back.

Knows nothing about what was being done: `cli.py` alone turns these into exit codes.
"""

from __future__ import annotations

import os
import shlex
from typing import ClassVar

OUT_OF_MEMORY = "out of memory; lower --hidden, --points, --replicates or the number of arms"


class RegbenchError(Exception):
    """The base of every error that regbench raises for a user to read."""

    exit_code: ClassVar[int] = 1


class UsageError(RegbenchError):
    """A wrong option, environment variable, configuration file or folder."""

    exit_code: ClassVar[int] = 2


class RunError(RegbenchError):
    """A run that was asked for correctly and could not be completed."""


def cannot_write(error: OSError, path: object = None) -> str:
    """Return what to say of an error of the system: `cannot write`, the file if known, and why."""
    file = path or error.filename
    return f"cannot write{f' {visible(file)}' if file else ''}: {error.strerror or error}"


def cannot_read(error: OSError, path: object) -> str:
    """Return what to say of an error of the system: `cannot read`, the file, and why."""
    return f"cannot read {visible(path, limit=200)}: {error.strerror or error}"


def error_line(message: str) -> str:
    """Return the one line that says what ended the process."""
    return f"regbench: error: {visible(message, limit=1000)[1:-1]}"


def visible(text: object, limit: int = 60) -> str:
    """Return `text` in quotes on one line, safe to show in a terminal.

    Control, formatting and surrogate characters become escapes; more than `limit` characters
    are cut in the middle.
    """
    try:
        plain = str(text)
    except ValueError:  # a whole number of more digits than Python converts
        plain = f"{text:#x}"
    if len(plain) > limit:
        plain = f"{plain[: limit // 2]}...{plain[-limit // 4 :]}"
    shown = "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in plain
    )
    return f"'{shown}'"


def shell_word(path: object, encoding: str | None) -> str:
    """Return a path as a word of a command that can be copied, safe to show in a terminal.

    Where it has characters that are not safe, or not in the encoding of what shows it, they are
    escaped as `$'...'` of bash, zsh and POSIX (2024).
    """
    text, encoding = str(path), encoding or "utf-8"
    if text.startswith("-"):  # or it would be an option
        text = f"./{text}"
    if text.isprintable() and text.encode(encoding, "ignore").decode(encoding) == text:
        return shlex.quote(text)
    escaped = "".join(
        character
        if character.isascii() and character.isprintable() and character not in "\\'"
        else "".join(f"\\x{byte:02x}" for byte in os.fsencode(character))
        for character in text
    )
    return f"$'{escaped}'"
