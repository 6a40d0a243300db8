"""README and documentation: what they show is what is printed, and no link is dead.

A block of `console` shows commands behind `$` with what they print at 80 columns, `...` for lines
that are left out. Commands without output stand in blocks of `sh`, and are run with a tiny network.
"""

from __future__ import annotations

import io
import itertools
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import pytest
from commands import NO_FILES

from regbench.cli import main
from regbench.regularizers import REGULARIZERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Command

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OTHERS = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "benchmarks" / "README.md"]
TINY = {"points": "4", "hidden": "4", "depth": "1", "epochs": "4", "log_every": "2"}
TINY |= {"device": "cpu", "units": "9", "trials": "9", "plots": "0", "tensorboard": "0"}
TINY |= {"report": "0", "replicates": "2"}
"""Settings that make a run of milliseconds, where a command does not say otherwise."""
RELATIVE, UNITS = 0.05, 2
"""A number may differ by so much of itself, or by so many units of its last digit: processors round
differently, and training amplifies that."""
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")
RUN = re.compile(r"runs/[\w-]+/\d{8}T\d{6}Z-[0-9a-f]{8}")


NOT_RUN = "<!-- not run in tests: needs several machines -->"
"""Stands above a block that one machine cannot run."""


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str


def blocks() -> Iterator[Block]:
    """Yield every fenced block of every page."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, found.start()) + 1
            if NOT_RUN not in text[: found.start()].splitlines()[-1:]:
                yield Block(str(path.relative_to(ROOT)), line, found[1], found[2])


BLOCKS = list(blocks())
SHOWN = [block for block in BLOCKS if block.text.startswith("$ regbench ")]
QUICK = {"README.md", "docs/tutorial.md"}
"""Pages whose commands have four trained arms between them; `pytest --pages` runs those of all."""


def commands_of(block: Block) -> list[str]:
    """Return the `regbench` commands of a block without comments, pipes and redirections."""
    text = block.text.replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("regbench ")]
    return [re.split(r"\s(?:#|\||>+|&&)\s?", line)[0] for line in lines]


class Terminal(io.StringIO):
    """A terminal, as far as what prints can tell."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        """Whether it is one."""
        return True


def printed(command: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what a command prints on a terminal of 80 columns, without styles."""
    out = Terminal()
    with monkeypatch.context() as context:
        context.setattr(sys, "stdout", out)
        context.setattr(sys, "stderr", io.StringIO())
        with pytest.raises(SystemExit):
            main([*shlex.split(command)[1:], *NO_FILES])
    return re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())


def is_like(shown: str, line: str) -> bool:
    """Whether a line is what is shown of it, but for last digits and runs of space."""
    shapes = [" ".join(NUMBER.sub("#", RUN.sub("RUN", text)).split()) for text in (shown, line)]
    pairs = zip(*(NUMBER.findall(RUN.sub("", text)) for text in (shown, line)), strict=False)
    return shapes[0] == shapes[1] and all(itertools.starmap(is_near, pairs))


def is_near(shown: str, found: str) -> bool:
    """Whether two numbers agree within `RELATIVE` or `UNITS`."""
    digits, _, exponent = shown.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    gap = abs(float(shown) - float(found))
    return gap <= max(RELATIVE * abs(float(shown)), UNITS * unit) * (1 + 1e-9)


def first_missing(shown: str, out: str) -> str:
    """Return the first line that is shown and not printed behind those before it, or nothing.

    A line follows the one before it at once, but for empty lines, unless there is `...` between.
    """
    lines = iter([line for line in out.splitlines() if line.strip()])
    is_anywhere = True
    for line in filter(str.strip, shown.splitlines()):
        if line.strip() == "...":
            is_anywhere = True
        elif is_anywhere:
            if not any(is_like(line, other) for other in lines):
                return line
            is_anywhere = False
        elif not is_like(line, next(lines, "")):
            return line
    return ""


def test_shown_output_is_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """All in one: what one has trained, the next takes from the cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for variable in [name for name in os.environ if name.startswith("REGBENCH_")]:
        monkeypatch.delenv(variable)
    wrong, outputs = [], dict[str, str]()
    is_full = pytestconfig.getoption("--pages")
    shown_blocks = [block for block in SHOWN if is_full or block.page in QUICK]
    for block in shown_blocks:
        for shown in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, text = shown.partition("\n")
            if command not in outputs:
                outputs[command] = printed(command, monkeypatch)
            if line := first_missing(text, outputs[command]):
                wrong.append(f"{block.page}:{block.line}: {command}: {line}")
    assert not wrong, "\n".join(wrong)
    assert len(shown_blocks) >= 10


@pytest.mark.parametrize(
    ("line", "is_right"),
    [
        ("arm  value 0.0402 21 of 30", True),
        ("arm value 0.0403 22 of 30", True),
        ("arm value 0.0450 21 of 30", False),
        ("arm value 0.0402 25 of 30", False),
        ("arm value -0.0402 21 of 30", False),
        ("arm value 0.0402 21 of 30 more", False),
    ],
)
def test_only_last_digits_may_differ(line: str, is_right: bool) -> None:
    assert is_like("arm value  0.0402 21 of 30", line) is is_right


def test_lines_may_be_left_out_only_where_it_says_so() -> None:
    out = "one 1\n\ntwo 2\nthree 3\n"
    assert not first_missing("one 1\ntwo 2", out)
    assert not first_missing("one 1\n...\nthree 3", out)
    assert first_missing("one 1\nthree 3", out) == "three 3"
    assert first_missing("three 3\n...\ntwo 2", out) == "two 2"


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "sh" and commands_of(block)],
    ids=lambda block: f"{block.page}:{block.line}",
)
def test_command_without_output_runs(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, block: Block
) -> None:
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for name in set(RUN.findall(block.text)):
        small = [f"--{k.replace('_', '-')}={v}" for k, v in TINY.items() if v != "0"]
        own = [option for option in small if not option.startswith(("--units", "--trials"))]
        assert regbench("wdecay", *own, *NO_FILES, f"--out={name}", "--quiet").code == 0
    for name in re.findall(r"--plugin (\S+\.py)", block.text):  # the first Python of its page
        python = next(b.text for b in BLOCKS if (b.page, b.language) == (block.page, "python"))
        (tmp_path / name).write_text(python, encoding="utf-8")
    for command in commands_of(block):
        with monkeypatch.context() as context, patch.dict(REGULARIZERS):
            for key, value in TINY.items():
                if not (key == "replicates" and "--target-width" in command):
                    context.setenv(f"REGBENCH_{key.upper()}", value)
            words = shlex.split(command)[1:]
            if words[0] == "verify" and "--only" not in words:
                words += ["--only=sgd"]  # all rows have tests of their own
            finished = regbench(*words)
        assert finished.code in ((0, 3, 4) if "--require" in command else (0,)), finished.err


@pytest.mark.parametrize("page", sorted({b.page for b in BLOCKS if b.language == "python"}))
def test_python_of_a_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with patch.dict(REGULARIZERS):
        for block in BLOCKS:
            if (block.page, block.language) == (page, "python"):
                exec(compile(block.text, f"{page}:{block.line}", "exec"), names)


def test_every_block_says_what_it_is() -> None:
    known = {"sh", "console", "python", "yaml", "toml", "text", ""}
    for block in BLOCKS:
        assert block.language in known or block.text.startswith(":"), block[:3]
        if block.language == "console":
            assert block.text.startswith("$ regbench "), block[:3]


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as the forge and the site make them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", [*PAGES, *OTHERS], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_link_is_dead(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        name, _, anchor = link.partition("#")
        if not link.startswith("http"):
            target = path.parent / name if name else path
            assert target.exists(), link
            assert not anchor or anchor in anchors_of(target), link
