"""What `resume` and `report` refuse in one line: no run, a changed one, one nobody can write to."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY
from runs import THREE_PARTS, assert_one_line, change_manifest, spoil_manifest

from regbench.storage.run_folder import occupied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from commands import Command
    from runs import Trained


def spoil_nothing(run: Path) -> None:
    shutil.rmtree(run)


def spoil_with_a_file(run: Path) -> None:
    shutil.rmtree(run)
    run.write_text("mine")


def spoil_with_another_programs_files(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()
    (run / "environment.json").write_text('{"name": "conda"}')


def spoil_schema(run: Path) -> None:
    change_manifest(run, schema="regbench.run/99")


def spoil_schema_with_the_one_before(run: Path) -> None:
    change_manifest(run, schema="regbench.run/1")


def spoil_experiment(run: Path) -> None:
    change_manifest(run, experiment="\x1b[31mcutmix")


def spoil_manifest_wholly(run: Path) -> None:
    (run / "environment.json").write_bytes(b"\x00" * 100)


def spoil_configuration(run: Path) -> None:
    path = run / "config.toml"
    path.write_text(path.read_text().replace("seed = 1\n", "seed = 2\n"))


def spoil_configuration_wholly(run: Path) -> None:
    (run / "config.toml").write_text("seed = ")


def spoil_configuration_away(run: Path) -> None:
    (run / "config.toml").unlink()


SPOILT: list[tuple[Callable[[Path], None], Sequence[str]]] = [
    (spoil_nothing, ["RUN: got 'run'", "not a folder", "regbench runs"]),
    (spoil_with_a_file, ["RUN: got 'run'", "not a folder"]),
    (spoil_with_another_programs_files, ["RUN: got 'run'", "not the folder of a run"]),
    (spoil_schema, ["'regbench.run/99'", "use the version of regbench that made it"]),
    (spoil_schema_with_the_one_before, ["'regbench.run/1' and not 'regbench.run/2'", "version"]),
    (spoil_experiment, ["\\x1b[31mcutmix", "not known"]),
    (spoil_manifest, ["environment.json is missing or damaged", "--config run/config.toml"]),
    (spoil_manifest_wholly, ["environment.json is missing or damaged", "--config run/config.toml"]),
    (spoil_configuration, ["config.toml was changed"]),
    (spoil_configuration_wholly, ["config.toml", "not TOML"]),
    (spoil_configuration_away, ["RUN: got ", "config.toml': not a file"]),
]


@pytest.mark.parametrize("command", ["resume", "report"])
@pytest.mark.parametrize(
    ("spoil", "named"), SPOILT, ids=lambda value: getattr(value, "__name__", "")
)
def test_folder_that_is_no_whole_run_is_refused_and_left_alone(
    regbench: Command, command: str, spoil: Callable[[Path], None], named: list[str]
) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run")
    spoil(Path("run"))
    left = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert_one_line(regbench(command, "run"), 2, *named)
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == left


@pytest.mark.parametrize("command", ["resume", "report"])
@pytest.mark.parametrize(
    ("name", "named"),
    [("nul\0", "\\x00"), ("a" * 300, "aaa"), ("", "''"), ("\x1b[2J", "\\x1b"), ("..", "'..'")],
)
def test_name_that_is_no_run_is_refused(
    regbench: Command, command: str, name: str, named: str
) -> None:
    assert_one_line(regbench(command, name), 2, "RUN: got", named)


def test_folder_in_a_hint_is_one_word_of_the_shell(regbench: Command) -> None:
    options = ["wdecay", *TINY, *NO_FILES]
    regbench(*options, "--out=a b")
    assert regbench(*options, "--out=a b").err.endswith("regbench resume 'a b'\n")
    Path("a b/DONE").unlink()
    assert regbench("report", "a b").err.endswith("finish it with: regbench resume 'a b'\n")
    spoil_manifest(Path("a b"))
    assert "--config 'a b/config.toml', which" in regbench("resume", "a b").err


def test_control_characters_in_a_hint_are_escaped(regbench: Command) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run")
    folder = Path("run").rename("\x1b[31mrun")
    (folder / "DONE").unlink()
    shown = regbench("report", str(folder), "--quiet").err
    assert shown.endswith("regbench resume $'\\x1b[31mrun'\n")
    assert shown[:-1].isprintable()
    assert str(occupied(folder)).endswith("regbench resume $'\\x1b[31mrun'")


def refuse_to_make_files(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        if path.parent == run / "blocks":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "touch", refuse)


def put_a_file_for_the_blocks(run: Path, _: pytest.MonkeyPatch) -> None:
    shutil.rmtree(run / "blocks")
    (run / "blocks").write_text("")


def put_a_folder_for_a_file(run: Path, _: pytest.MonkeyPatch) -> None:
    (run / "summary.json").unlink()
    (run / "summary.json").mkdir()


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (refuse_to_make_files, ["cannot write 'run/blocks': Read-only file system"]),
        (put_a_file_for_the_blocks, ["cannot write 'run/blocks': File exists"]),
        (put_a_folder_for_a_file, ["'run'", "summary.json is a folder"]),
    ],
)
def test_run_that_cannot_be_written_to_is_refused_before_anything_is_trained(
    regbench: Command,
    trained: Trained,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    named: list[str],
) -> None:
    regbench(*THREE_PARTS, "--out=run")
    Path("run/DONE").unlink()
    next(Path("run/blocks").iterdir()).unlink()
    trained.clear()
    with monkeypatch.context() as spoiled:
        spoil(Path("run"), spoiled)
        assert_one_line(regbench("resume", "run"), 2, "RUN: ", *named)
    assert trained == []
