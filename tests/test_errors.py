"""The line of a mistake; and of a name nothing that drives a terminal, but what can be copied."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY, run_process
from hypothesis import given, settings
from hypothesis import strategies as st

from regbench.errors import UsageError, error_line, option_of, quoted, shareable, shell_word

if TYPE_CHECKING:
    from commands import Command

ODD_NAMES = ["b\x1b[31mX", "c\udcff", "q'\u202ez", "a  b", "-x", "a\\b\n", "é"]
NAMES = st.binary(min_size=1).filter(lambda name: 0 not in name) | st.text(
    st.characters(categories=["Cc", "Cf", "Zs", "Po", "L", "N"], exclude_characters="\0"),
    min_size=1,
).map(os.fsencode)


LINES = [
    (UsageError(problem="no such thing"), "no such thing"),
    (UsageError("RUN", problem="not a folder"), "RUN: not a folder"),
    (UsageError("lr", 0.0, "numbers above 0"), "lr: got '0.0'; allowed: numbers above 0"),
    (UsageError("--only", "x", hint="name a row"), "--only: got 'x'; name a row"),
    (UsageError("x_min", 1.0, problem="which is odd"), "x_min: got '1.0', which is odd"),
    (
        UsageError("REGBENCH_SEED", -1, "from 0", problem="which is below", hint="raise it"),
        "REGBENCH_SEED: got '-1', which is below; allowed: from 0; raise it",
    ),
    (UsageError("--out", "", "a path"), "--out: got ''; allowed: a path"),
    (UsageError("seed", 0, problem="which is none"), "seed: got '0', which is none"),
    (UsageError("--out", "a\x1b\n"), r"--out: got 'a\x1b\n'"),
    (UsageError("lr", hint="choose --engine=batched or --x-max=2 and --by"), (
        'lr: choose engine="batched" or x_max=2 and by'
    )),
    (UsageError("lr", hint="use --target-width 30 or --by"), "lr: use target_width=30 or by"),
    (UsageError("x", problem="in a--b/c (--debug shows where)", hint="see verify --plugin FILE"), (
        "x: in a--b/c (--debug shows where); see verify --plugin FILE"
    )),
    (UsageError("--config 'a.toml': lr", "x", "a number"), (
        "--config 'a.toml': lr: got 'x'; allowed: a number"
    )),
]  # fmt: skip


@pytest.mark.parametrize(("error", "line"), LINES, ids=str)
def test_line_of_a_mistake_says_where_from_what_came_what_is_allowed_and_what_to_do(
    error: UsageError, line: str
) -> None:
    assert str(error) == line
    assert error.exit_code == 2


def test_fields_of_a_mistake_are_what_was_said() -> None:
    error = UsageError("x_min", 3.0, "less", problem="which is not below", hint="swap them")
    assert (error.source, error.got, error.allowed) == ("x_min", 3.0, "less")
    assert (error.problem, error.hint) == ("which is not below", "swap them")
    nothing = UsageError()
    assert (nothing.source, nothing.got, nothing.allowed) == ("", None, "")
    assert (nothing.problem, nothing.hint, str(nothing)) == ("", "", "")


def test_named_mistake_has_the_place_in_which_the_user_set_the_value() -> None:
    error = UsageError("x_min", 3.0, "less", problem="which is not below", hint="swap them")
    origins = {"x_min": "REGBENCH_X_MIN", "x_max": "--x-max"}
    named = error.named(origins)
    assert named.source == "REGBENCH_X_MIN"
    assert str(named) == str(error).replace("x_min", "REGBENCH_X_MIN")
    assert (named.got, named.allowed, named.problem) == (error.got, error.allowed, error.problem)
    assert named.hint == error.hint
    assert error.source == "x_min", "the first one is as it was"
    assert str(named.named(origins)) == str(named)
    assert str(error.named({})) == str(error).replace("x_min", "--x-min"), "where it is the default"


def test_option_of_a_key_has_dashes_and_any_other_source_stays() -> None:
    assert [option_of(key) for key in ("p", "x_min", "json")] == ["--p", "--x-min", "--json"]
    for source in ("", "RUN", "--x-min", "REGBENCH_X_MIN", "--config 'a': lr", "'wdcay'"):
        assert option_of(source) == source


@pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@settings(max_examples=settings().max_examples // 10)
@given(names=st.lists(NAMES, min_size=1, max_size=50))
def test_word_is_safe_to_show_and_names_the_same_file_in_a_shell(
    encoding: str, names: list[bytes]
) -> None:
    words = [shell_word(os.fsdecode(name), encoding) for name in names]
    assert all(word.isprintable() and word.encode(encoding) for word in words)
    script = f"printf '%s\\0' {' '.join(words)}"
    read = subprocess.run(["bash", "-c", script], capture_output=True, check=True).stdout
    paths = [b"./" + name if name.startswith((b"-", b"~")) else name for name in names]
    assert read.split(b"\0")[:-1] == paths


def test_path_in_a_page_is_given_from_here_or_from_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, home = tmp_path / "work", tmp_path / "home"
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    assert shareable(f"{here}/run") == "run"
    assert shareable(f"--config={home}/it's.toml") == "--config=~/it's.toml"
    assert shareable(f"{tmp_path}/data/x.py") == "../data/x.py"
    assert shareable(f"{tmp_path}/homework") == "../homework", "no folder of the home"
    for word in ("../x", "--lambda=0.1", "wdecay", "--over=points=1,2"):
        assert shareable(word) == word
    said = subprocess.run(
        ["bash", "-c", f"printf %s {quoted('~/a  b')}"], capture_output=True, check=True
    )
    assert said.stdout.decode() == f"{home}/a  b"


def test_plain_name_is_shown_as_it_is() -> None:
    assert shell_word(Path("runs/l1/20260101T000000Z-0123abcd"), "ascii") == (
        "runs/l1/20260101T000000Z-0123abcd"
    )


def test_error_line_keeps_the_spaces_of_a_name() -> None:
    assert error_line("go on with: regbench resume 'a  b'\n").endswith(r"resume 'a  b'\n")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_folder_of_any_name_is_shown_without_harm_and_can_be_gone_on_with(
    regbench: Command, name: str
) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run")
    Path("run/DONE").unlink()
    Path("run").rename(name)
    word = shell_word(name, "utf-8")
    listed = regbench("runs", "--root=.")
    assert listed.out.splitlines()[1].startswith(word)
    reported = regbench("report", "--quiet", "--", name)
    assert reported.err.endswith(f"regbench resume {word}\n")
    resumed = regbench("resume", "--quiet", "--", name)
    assert (resumed.code, resumed.err) == (0, "")
    assert resumed.out.splitlines()[-1] == f"Results: {word}"
    for line in (listed.out + reported.err + resumed.out).splitlines():
        assert line.isprintable()


def test_name_beyond_the_encoding_of_the_terminal_is_escaped(tmp_path: Path) -> None:
    for arguments in (["wdecay", *TINY, *NO_FILES, "--out=é"], ["runs", "--root=."]):
        finished = run_process(arguments, tmp_path, PYTHONIOENCODING="ascii")
        assert finished.code == 0, finished.err
        assert r"$'\xc3\xa9'" in finished.out
    finished = run_process(["report", "ù"], tmp_path, PYTHONIOENCODING="ascii")
    assert (finished.code, finished.err.count("\n")) == (2, 1)
    assert r"\xf9" in finished.err
