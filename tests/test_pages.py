"""README and documentation: what they show is what is printed, and no link is dead.

A block of `console` shows commands behind `$` with what they print at 80 columns, `...` for lines
that are left out. Commands without output stand in blocks of `sh`, and are run with a tiny network.
A paragraph or table that states a finding stands below a comment with the commands that found it,
and each of its numbers stands in their output, which one of the pages shows.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import pytest
import torch
from commands import NO_FILES

import regbench as rb
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
QUICK = {"README.md", "docs/own-data.md", "docs/tutorial.md", "docs/how-to/judge.md"}
"""Pages whose commands are run each time, but for long ones; `pytest --pages` runs those of all."""
LEAST_REPLICATES = 180
"""A finding comes from so many at least: thirty seeds do not support every sentence. Of a table
more splits say little more."""
FINDING = re.compile(r"^<!-- finding: (.+) -->\n((?:.+\n)+)", re.MULTILINE)
"""The commands of a finding, `;` between them, and the paragraph or table that states it."""
TOLD = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
"""A number of a sentence, with its sign."""
FINDING_PAGES = [ROOT / "README.md", ROOT / "docs" / "index.md", ROOT / "docs" / "experiments.md"]
FINDING_PAGES += [ROOT / "docs" / f"{name}.md" for name in ("own-data", "tutorial", "claims")]
FINDING_PAGES += [ROOT / "docs" / "when-does-it-help.md", ROOT / "docs" / "how-to" / "sweep.md"]
FINDING_PAGES += [ROOT / "docs" / "statistics.md"]


def commands_of(block: Block) -> list[str]:
    """Return the `regbench` commands of a block without comments, pipes and redirections."""
    text = block.text.replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.startswith("regbench ")]
    return [re.split(r"\s(?:#|\||>+|&&)\s?", line)[0] for line in lines]


def shown_outputs(block: Block) -> list[tuple[str, str]]:
    """Return the commands that a block shows, each with its output."""
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    return [(command, text) for command, _, text in (part.partition("\n") for part in parts)]


def replicates_of(command: str) -> int:
    """Return of how many replicates a command is."""
    found = re.search(r"--replicates (\d+)", command)
    return int(found[1]) if found else 30


def is_long(command: str) -> bool:
    """Whether a command takes a minute or so, as a table does with networks of the usual size."""
    is_large = "--data" in command and "--hidden" not in command
    return is_large or replicates_of(command) >= LEAST_REPLICATES


def write_tables(folder: Path) -> None:
    """Write the tables that pages ask about: those that a page makes, and some of the reader's."""
    lines = [line for block in BLOCKS for line in block.text.splitlines()]
    for line in [line for line in lines if line.startswith("python -c ") and "to_csv" in line]:
        subprocess.run([sys.executable, *shlex.split(line)[1:]], cwd=folder, check=True)
    names = "id,patient,room,size,price"
    rows = [f"{i},p{i % 12},r{i % 3},{i % 5},{i * 7 % 10}" for i in range(40)]
    tables = {"my": [*rows, "40,p3,r1,,4"], "train": rows[:30], "test": rows[30:]}
    for name, own in tables.items():
        (folder / f"{name}.csv").write_text("\n".join([names, *own]), encoding="utf-8")


def findings(text: str) -> list[tuple[list[str], str]]:
    """Return every finding of a page as its commands and its text, without targets of links."""
    return [
        (found[1].split("; "), re.sub(r"\]\([^)]*\)", "]", found[2]))
        for found in FINDING.finditer(text)
    ]


def numbers(text: str) -> set[str]:
    """Return the numbers of a text as they are written, each with its sign, without plain 0."""
    return set(TOLD.findall(text.replace("−", "-"))) - {"0"}


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
        _, *words = shlex.split(command)
        with pytest.raises(SystemExit):
            main(words if words[0] == "judge" else [*words, *NO_FILES])
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
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    write_tables(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for variable in [name for name in os.environ if name.startswith("REGBENCH_")]:
        monkeypatch.delenv(variable)
    wrong, outputs = [], dict[str, str]()
    is_full = pytestconfig.getoption("--pages")
    shown = [
        (block, command, text)
        for block in SHOWN
        for command, text in shown_outputs(block)
        if is_full or (block.page in QUICK and not is_long(command))
    ]
    for block, command, text in shown:
        if command not in outputs:
            outputs[command] = printed(command, monkeypatch)
        if line := first_missing(text, outputs[command]):
            wrong.append(f"{block.page}:{block.line}: {command}: {line}")
    assert not wrong, "\n".join(wrong)
    assert len(shown) >= 4


@pytest.mark.parametrize("path", FINDING_PAGES, ids=lambda path: path.name)
def test_every_number_of_a_finding_stands_in_the_output_of_its_command(path: Path) -> None:
    outputs = dict[str, str]()
    for block in SHOWN:
        for command, text in shown_outputs(block):
            outputs[command] = outputs.get(command, "") + text
    for commands, told in findings(path.read_text(encoding="utf-8")):
        shown = " ".join(command + " " + outputs[command] for command in commands)
        assert numbers(told) <= numbers(shown), (numbers(told) - numbers(shown), told)
        for command in commands:
            is_law = command.startswith("regbench dropout-scale") or "--data" in command
            assert is_law or replicates_of(command) >= LEAST_REPLICATES, command


def test_over_nine_tenths_of_the_gain_of_weight_decay_are_gone_where_training_stops_in_time() -> (
    None
):
    command = "regbench wdecay --lambda 0.01 --replicates 180"
    shown = next(
        " ".join(text.split())
        for block in SHOWN
        for own, text in shown_outputs(block)
        if own == command
    )
    told = re.findall(r"λ=0\.01 lowers the risk by \S+ \(95 % interval (\S+) to (\S+)\)", shown)
    (least, _), (_, most_at_best) = told
    assert float(most_at_best) < 0.1 * float(least)
    assert "more than nine tenths of its gain" in PAGES[0].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", [path for path in FINDING_PAGES if path.name != "statistics.md"], ids=lambda p: p.name
)
def test_a_paragraph_with_a_measured_number_says_where_it_comes_from(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for paragraph in re.split(r"\n\s*\n", text):
        is_measured = re.search(r"\d\.\d{3}", re.sub(r"`[^`]*`", "", paragraph))
        assert not is_measured or FINDING.match(paragraph + "\n"), paragraph


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
    for name in ("configs", "examples"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "examples" / "digits.csv", tmp_path / "scores.csv")
    if "--data" in block.text:
        write_tables(tmp_path)
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
    threads = torch.get_num_threads()
    with patch.dict(REGULARIZERS):
        for block in BLOCKS:
            if (block.page, block.language) == (page, "python"):
                exec(compile(block.text, f"{page}:{block.line}", "exec"), names)
    torch.set_num_threads(threads)
    if page == "docs/how-to/judge.md":
        assert_like(Path("digits/scores.csv"), ROOT / "examples" / "digits_10.csv")


def assert_like(path: Path, shown: Path) -> None:
    """Check that a page's function makes the scores that the page shows; processors round."""
    files = (path, shown, ROOT / "examples" / "digits.csv")
    made, kept, more = (list(csv.DictReader(one.read_text("utf-8").splitlines())) for one in files)
    assert kept == more[: len(kept)]
    for one, other in zip(made, kept, strict=True):
        assert (one["arm"], one["seed"]) == (other["arm"], other["seed"])
        assert float(one["accuracy"]) == pytest.approx(float(other["accuracy"]), abs=0.01)


def test_first_forty_pairs_of_the_page_say_what_all_of_them_do_not() -> None:
    lines = (ROOT / "examples" / "digits.csv").read_text("utf-8").splitlines()
    for pairs, verdict in ((10, "inconclusive"), (40, "better"), (61, "inconclusive")):
        rows = csv.DictReader(lines[: 1 + 2 * pairs])
        scores: dict[str, list[float]] = {"plain": [], "dropout": []}
        for row in rows:
            scores[row["arm"]].append(float(row["accuracy"]))
        assert rb.judge(scores, rb.Judging(better="higher")).comparisons[0].verdict == verdict


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
