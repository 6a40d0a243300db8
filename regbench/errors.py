"""What can go wrong, and how a value that a user typed is shown back.

Knows nothing about what was being done: `cli.py` alone turns these into exit codes.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OUT_OF_MEMORY = "out of memory; use fewer hidden units, points, replicates or arms"
OPTION = r"(?<![^\s(])--(?!debug|plugin|config)([a-z]+(-[a-z]+)*)"
"""The options in a message that have a keyword in Python."""

EXIT_CODES = {
    0: "done",
    1: "failed, not complete, an arm diverged, or a row of verify failed",
    2: "wrong usage or configuration; nothing was trained",
    3: "the gate that --require asks for is not met",
    4: "cannot tell whether it is met",
    130: "interrupted (Ctrl-C)",
    143: "terminated (SIGTERM)",
}


class RegbenchError(Exception):
    """The base of every error that regbench raises for a user to read."""

    exit_code: ClassVar[int] = 1


class UsageError(RegbenchError):
    """A wrong option, environment variable, configuration file or folder.

    Attributes:
        source: Where the value came from: an option, a variable, a key of a file, an argument. A
            check that knows a setting by its key alone gives the key, and `named` does the rest.
        got: What was received, or None where that is not one value.
        allowed: What would be right.
        problem: What is wrong, where `allowed` does not say it.
        hint: What to do next.
    """

    exit_code: ClassVar[int] = 2
    is_named = False

    def __init__(
        self,
        source: str = "",
        got: object = None,
        allowed: str = "",
        *,
        problem: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(source, got, allowed, problem, hint)
        self.source, self.got, self.allowed = source, got, allowed
        self.problem, self.hint = problem, hint

    def __str__(self) -> str:
        """Return one line: where from, what came, what is allowed, what to do.

        Options are keys, as in Python, until the error is `named`.
        """
        got = f"got {visible(self.got)}" if self.got is not None else ""
        came = ", ".join(filter(None, (got, self.problem)))
        allowed = f"allowed: {self.allowed}" if self.allowed else ""
        said = "; ".join(filter(None, (came, allowed, self.hint)))
        if not self.is_named:
            said = in_python(said)
        return f"{self.source}: {said}" if self.source else said

    def named(self, origins: Mapping[str, str]) -> UsageError:
        """Return the error with the place in which a setting was set, or its option, as source."""
        source = origins.get(self.source, option_of(self.source))
        named = UsageError(source, self.got, self.allowed, problem=self.problem, hint=self.hint)
        named.is_named = True
        return named


class RunError(RegbenchError):
    """A run that was asked for correctly and could not be completed."""


def in_python(message: str) -> str:
    """Return a message with keywords of Python in place of options."""
    message = re.sub(r"(--[a-z-]+)=([a-z]\w*)", r'\1="\2"', message)
    message = re.sub(rf"({OPTION}) (?=\d)", r"\1=", message)
    return re.sub(OPTION, lambda m: m[1].replace("-", "_"), message)


def option_of(source: str) -> str:
    """Return a setting's key as it stands on the command line; any other source as it is."""
    if source == "arms":
        return "ARM"
    is_key = source.isidentifier() and source.islower()
    return "--" + source.replace("_", "-") if is_key else source


MEANT = {
    "batch-size": "each epoch is one step on all points",
    "loss": "the loss is the mean squared error",
    "lr-schedule": "the learning rate is constant: --lr",
    "adamw": "AdamW is the command decoupled with --optimizer=adam",
    "l2": "the command is wdecay",
    "list": "regbench runs lists the runs",
    "help": "use --help",
    "V": "use --version",
}
"""Hints for words that other programs use, without their dashes."""


def suggestion(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return what a word of other programs is here, or the nearest known word, or nothing."""
    plain, words = word.lstrip("-"), {one.lstrip("-"): one for one in known}
    nearest = difflib.get_close_matches(plain, words, n=1, cutoff=0.7)
    said = f"did you mean '{prefix}{words[nearest[0]]}'?" if nearest else ""
    return MEANT.get(plain, said)


def differences(one: Mapping[str, Any], other: Mapping[str, Any], here: str, there: str) -> str:
    """Return in words where facts by name differ, or nothing where they do not."""
    return ", ".join(
        f"{key} {one.get(key)} {here} and {other.get(key)} {there}"
        for key in sorted({*one, *other})
        if one.get(key) != other.get(key)
    )


def cannot_write(error: OSError, path: object = None) -> str:
    """Return what to say of an error of the system: `cannot write`, the file if known, and why."""
    file = path or error.filename
    return f"cannot write{f' {visible(file)}' if file else ''}: {error.strerror or error}"


def cannot_read(error: OSError, path: object) -> str:
    """Return what to say of an error of the system: `cannot read`, the file, and why."""
    return f"cannot read {visible(path, limit=200)}: {error.strerror or error}"


def unexpected(error: Exception) -> str:
    """Return what to say of an error that nobody expected."""
    return f"unexpected {type(error).__name__}: {visible(error, 200)[1:-1]} (--debug shows where)"


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
    return f"'{printable(plain)}'"


def printable(text: str, kept: str = "") -> str:
    """Return a text with escapes for control, formatting and surrogate characters not `kept`."""
    odd = f"[^ -~{kept}]"
    return re.sub(odd, lambda c: c[0] if c[0].isprintable() else ascii(c[0])[1:-1], text)


def shareable(word: str) -> str:
    """Return a word of a command whose absolute path, if any, is given from home or from here."""
    option, equals, path = word.partition("=") if word.startswith("--") else ("", "", word)
    if not path.startswith("/"):
        return word
    home = os.path.expanduser("~/")  # noqa: PTH111
    is_there = path.startswith(home)
    return option + equals + (path.replace(home, "~/", 1) if is_there else os.path.relpath(path))


def shell_word(path: object, encoding: str | None = None) -> str:
    """Return a path, never an option or the home folder, as a word of a command; see `quoted`."""
    text = str(path)
    return quoted("./" * text.startswith(("-", "~")) + text, encoding)


def quoted(text: str, encoding: str | None = None) -> str:
    """Return a text as one word of a shell, whose `~/` it expands, safe to show in a terminal.

    Characters that are not, or not in the encoding (of stderr where none is given), are `$'...'` of
    bash, zsh and POSIX (2024).
    """
    encoding = encoding or getattr(sys.stderr, "encoding", None) or "utf-8"
    if text.startswith("~/"):
        return f"~/{quoted(text[2:], encoding)}"
    if text.isprintable() and text.encode(encoding, "ignore").decode(encoding) == text:
        return shlex.quote(text)
    escaped = (
        chr(byte) if 32 <= byte < 127 and byte not in b"\\'" else f"\\x{byte:02x}"
        for byte in os.fsencode(text)
    )
    return f"$'{''.join(escaped)}'"
