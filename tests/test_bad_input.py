"""Bad input: one clear line that names the option, the value and what is allowed, and no trace."""

from __future__ import annotations

import os
import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import assert_one_line

from regbench.errors import UsageError, option_of
from regbench.experiments import COMMANDS
from regbench.storage import run_folder

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Command, Finished

    from regbench.settings.command import Request

DIGITS = "1" * 5000


def assert_refused(finished: Finished, *named: str) -> None:
    """Check that one clear line on stderr names the option and what is allowed."""
    assert finished.code == 2
    assert finished.out == ""
    assert finished.err.endswith("\n")
    line = finished.err[:-1]
    assert not [c for c in line if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert line.startswith("regbench: error: ")
    for part in named:
        assert part in line


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run fail at once where a mistake is not refused."""
    from regbench.engines import ENGINES
    from regbench.verify import dropout_scale

    def refuse(*_: object) -> None:
        raise AssertionError("training began")

    for engine in ENGINES:
        monkeypatch.setitem(ENGINES, engine, refuse)
    monkeypatch.setattr(dropout_scale, "measure_scale", refuse)


NOT_NUMBERS = [
    ("nan", "'nan'"),
    ("inf", "'inf'"),
    ("-inf", "'-inf'"),
    ("-1", "-1"),
    ("", "''"),
    ("0,01", "0.01"),
    ("0x10", "'0x10'"),
    ("٠.١", "'٠.١'"),
    ("1e400", "too large"),
    ("1e-400", "become 0"),
    ("0.1\x1b[31m", "\\x1b[31m"),
    ("[/]", "'[/]'"),
    ("1_0", "'1_0'"),
    (" 1", "' 1'"),
    ("0.1\n", "\\n"),
    ("\u202e0.1", "\\u202e"),
    ("e5", "'e5'"),
    (".", "'.'"),
]


@pytest.mark.parametrize(("value", "named"), NOT_NUMBERS)
@pytest.mark.usefixtures("no_training")
def test_bad_number_is_refused(regbench: Command, tmp_path: Path, value: str, named: str) -> None:
    assert_refused(regbench("wdecay", "--lambda", value), "--lambda", named)
    assert_refused(regbench("wdecay", "--lr", value), "--lr", named)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_training")
def test_every_option_of_a_number_refuses_what_is_none(regbench: Command, tmp_path: Path) -> None:
    for name, option in (
        *(("wdecay", option) for option in ("--momentum", "--noise", "--test-noise", "--slope")),
        *(("dropout", "--p"), ("dropout-scale", "--p"), ("wdecay", "--margin")),
    ):
        for value, named in (("nan", "'nan'"), ("0x10", "'0x10'")):
            assert_refused(regbench(name, option, value), option, named)
    assert not list(tmp_path.iterdir())


NOT_COUNTS = ["0", "-1", "1e3", "10.0", str(10**18), DIGITS, "", "abc", "٣", "1_0", "0x1", "nan"]


@pytest.mark.parametrize("value", NOT_COUNTS)
@pytest.mark.usefixtures("no_training")
def test_bad_count_is_refused(regbench: Command, tmp_path: Path, value: str) -> None:
    for option in ("--epochs", "--replicates"):
        refused = regbench("wdecay", option, value)
        assert_refused(refused, option, value[:20], "a whole number from 1")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_training")
def test_every_option_of_a_count_refuses_what_is_none(regbench: Command, tmp_path: Path) -> None:
    for option in ("--points", "--hidden", "--log-every", "--test-points", "--threads"):
        for value in ("0", "1e3"):
            assert_refused(regbench("wdecay", option, value), option, value)
    assert not list(tmp_path.iterdir())


BAD = [
    # command, arguments, what the line must name
    ("wdecay", ["--lambda", "380"], ["--lambda", "380", "2(1+momentum)/lr"]),
    ("wdecay", ["--lambda", "40", "--lr", "0.1"], ["--lambda", "'40.0'", "38"]),
    ("wdecay", ["--lambda", "0.1,,0.2"], ["--lambda", "''"]),
    ("wdecay", ["--lambda", "0.1,0.10"], ["--lambda", "0.1", "twice"]),
    ("wdecay", ["--lambda", "0.1", "--lambda", "0.1"], ["--lambda", "twice"]),
    ("wdecay", ["--lambda", "0,-0.0"], ["--lambda", "twice"]),
    ("wdecay", ["--lambda", "0.1,nan"], ["--lambda", "'nan'"]),
    ("wdecay", ["--lambda", "1,5,"], ["--lambda", "''"]),
    ("wdecay", ["--lambda", ","], ["--lambda", "''"]),
    ("wdecay", ["--lambda", ",5"], ["--lambda", "',5'"]),
    ("wdecay", ["--lambda", ",".join(f"1e-{n}" for n in range(2, 302)) * 4], ["--lambda"]),
    ("dropout", ["--p", "1"], ["--p", "'1.0'", "below 1"]),
    ("dropout", ["--p", "1.5"], ["--p", "1.5", "below 1"]),
    ("dropout", ["--p", "50%"], ["--p", "'50%'", "0.5"]),
    ("dropout-scale", ["--p", "50%"], ["--p", "'50%'", "0.5"]),
    ("dropout-scale", ["--p", "1"], ["--p", "below 1"]),
    ("dropout-scale", ["--units", "0"], ["--units", "'0'", "from 1"]),
    ("dropout-scale", ["--trials", "1"], ["--trials", "'1'", "from 2"]),
    ("dropout-scale", ["--trials", "1000000", "--units", "100000000"], ["--trials", "--units"[2:]]),
    ("wdecay", ["--lr", "0"], ["--lr", "'0.0'", "above 0"]),
    ("wdecay", ["--momentum", "1"], ["--momentum", "'1.0'", "below 1"]),
    ("wdecay", ["--depth", "-1"], ["--depth", "'-1'", "from 0"]),
    ("wdecay", ["--log-every", "0"], ["--log-every", "'0'"]),
    ("wdecay", ["--test-points", "0"], ["--test-points", "'0'"]),
    ("wdecay", ["--slope", "inf"], ["--slope", "'inf'"]),
    ("wdecay", ["--x-min", "1", "--x-max", "1"], ["--x-min", "--x-max"]),
    ("wdecay", ["--seed", "-1"], ["--seed", "'-1'", "from 0"]),
    ("wdecay", ["--seed", "4294967296"], ["--seed", "4294967296", "4294967295"]),
    ("wdecay", ["--seed", "4294967295"], ["--seed", "4294967295", "--replicates"]),
    ("wdecay", ["--seed", "1.5"], ["--seed", "'1.5'"]),
    ("wdecay", ["--seed", "abc"], ["--seed", "'abc'"]),
    ("dropout-scale", ["--seed", "4294967296"], ["--seed", "4294967296"]),
    ("wdecay", ["--device", "tpu"], ["--device", "'tpu'", "cpu"]),
    ("wdecay", ["--device", "cuda:abc"], ["--device", "cuda:abc"]),
    ("wdecay", ["--device", "cpu\n"], ["--device", "\\n"]),
    ("wdecay", ["--device", "cuda", "--engine", "reference"], ["--device", "'cuda'", "reference"]),
    ("wdecay", ["--engine", "fast"], ["--engine", "'fast'", "reference, batched"]),
    ("wdecay", ["--dtype", "float16"], ["--dtype", "'float16'", "float64"]),
    ("wdecay", ["--pairing", "both"], ["--pairing", "'both'", "shared, independent"]),
    ("wdecay", ["--require", "worse"], ["--require", "'worse'", "better", "not-worse"]),
    ("wdecay", ["--replicates", "1000000000"], ["--replicates", "1000000000"]),
    ("wdecay", ["--hidden", "10000000"], ["--hidden", "10000000"]),
    ("wdecay", ["--replicates", "10000000", "--log-every", "1"], ["memory", "GB", "--replicates"]),
    ("wdecay", ["--hidden", "100000"], ["memory", "GB", "--hidden"]),
    (
        "wdecay",
        ["--epochs=1000000000", "--log-every=1000000000", "--replicates=100000"],
        ["operations", "--epochs"],
    ),
    ("wdecay", ["--epochs", "1", "--epochs", "2"], ["--epochs", "2 times"]),
    ("wdecay", ["--out", "a", "--out", "b"], ["--out", "2 times"]),
    ("wdecay", ["--out", ""], ["--out", "''"]),
    ("wdecay", ["--config", "a", "--config", "b"], ["--config", "2 times"]),
    ("wdecay", ["--config", ""], ["--config"]),
    ("wdecay", ["--config", "absent.toml"], ["--config", "absent.toml"]),
    ("wdecay", ["--config", "/dev/null"], ["--config", "/dev/null", "not a file"]),
    ("wdecay", ["--config", "nul\0.toml"], ["--config", "\\x00"]),
    ("wdecay", ["--config", "a" * 300], ["--config", "aaa"]),
    ("wdecay", ["--config", "/"], ["--config", "not a file"]),
    ("wdecay", ["--out", "/dev/null/x"], ["--out", "/dev/null"]),
    ("wdecay", ["--out", "/dev/null"], ["--out", "/dev/null"]),
    ("wdecay", ["--out", "/"], ["--out", "'/'", "not empty"]),
    ("wdecay", ["--out", "a" * 300], ["--out", "aaa"]),
    ("wdecay", ["--out", "new/" + "a" * 300], ["--out", "aaa"]),
    ("wdecay", ["--out", "new/" + "a" * 300 + "/b"], ["--out", "aaa"]),
    ("wdecay", ["--out", "new/../../../../../../../../dev/null/x"], ["--out", "/dev/null"]),
    ("wdecay", ["--out", "nul\0"], ["--out", "\\x00"]),
    ("wdecay", ["--out", "/proc/x"], ["--out", "/proc/x"]),
    ("wdecay", ["--out", "\ud800"], ["--out", "\\ud800"]),
    ("wdecay", ["--lamda", "0.1"], ["--lamda", "--lambda"]),
    ("wdecay", ["--p", "0.5"], ["--p"]),
    ("wdecay", ["0.1"], ["0.1"]),
    ("wdecay", ["--lambda"], ["--lambda"]),
    ("wdecay", ["--plots=yes"], ["--plots"]),
    ("wdecay", ["\x1b]0;title\x07"], ["\\x1b"]),
    ("compare", [], ["ARM: nothing to compare", "wdecay=0.01+dropout=0.5"]),
    ("compare", ["wdecay=0.1", "--lambda", "0.1"], ["--lambda"]),
    ("compare", ["--arms", "wdecay=0.1"], ["--arms"]),
    ("compare", ["wdecay"], ["ARM: got 'wdecay'", "lacks its strength"]),
    ("compare", ["wdcay=0.1"], ["ARM: got 'wdcay=0.1'", "did you mean 'wdecay'?"]),
    ("compare", ["wdecay=0.1\x1b[31m"], ["ARM: ", "\\x1b[31m"]),
    ("compare", ["[bold]=0.1"], ["ARM: got '[bold]=0.1'"]),
    ("compare", ["wdecay=0.1", "wdecay=0.10"], ["ARM: ", "twice"]),
    ("compare", ["wdecay=0.1+wdecay=0.2"], ["ARM: ", "has wdecay twice"]),
    ("compare", ["wdecay=0.1,0.2+l1=0.1,0.2"], ["ARM: ", "two parts have several values"]),
    ("compare", ["wdecay=" + DIGITS], ["ARM: got '1111", "too large"]),
    ("compare", ["wdecay=0.1+dropout=1"], ["ARM: got 'dropout=1.0'", "below 1"]),
    ("runs", ["--root", "absent"], ["--root", "'absent'", "a folder"]),
    ("runs", ["--root", ""], ["--root", "''"]),
    ("runs", ["--root", "/dev/null"], ["--root", "/dev/null"]),
    ("runs", ["--root", "a" * 300], ["--root", "aaa"]),
    ("runs", ["--root", "nul\0"], ["--root", "\\x00"]),
    ("runs", ["--root", "\ud800"], ["--root", "\\ud800"]),
    ("runs", ["--root", "/", "--root", "/"], ["--root", "2 times"]),
    ("verify", ["--engine", "fused", "--engine", "fused"], ["--engine", "2 times"]),
    ("wdecya", [], ["wdecya", "wdecay"]),
    ("[bold]x[/bold]", [], ["[bold]x[/bold]"]),
]


@pytest.mark.parametrize(("command", "arguments", "named"), BAD)
@pytest.mark.usefixtures("no_training")
def test_mistake_gets_one_clear_line_and_leaves_nothing(
    regbench: Command, tmp_path: Path, command: str, arguments: list[str], named: list[str]
) -> None:
    assert_refused(regbench(command, *arguments), *named)
    assert not list(tmp_path.iterdir())


BAD_FILES = [
    # content of the file, what the line must name
    (b"lamda = 0.1", ["'lamda'", "'lambda'"]),
    (b"p = 0.1", ["'p'"]),
    (b"lambda = 'many'", ["lambda", "'many'"]),
    (b"lambda = '0.1'", ["lambda", "'0.1'"]),
    (b"lambda = true", ["lambda", "True"]),
    (b"lambda = [0.1, true]", ["lambda", "True"]),
    (b"lambda = []", ["lambda"]),
    (b"lambda = [[0.1]]", ["lambda"]),
    (b"lambda = nan", ["lambda", "'nan'"]),
    (b"lambda = 1e999", ["lambda", "'inf'"]),
    (b"epochs = true", ["epochs", "'True'"]),
    (b"epochs = 10.0", ["epochs", "'10.0'"]),
    (b"epochs = '10'", ["epochs", "'10'"]),
    (b"epochs = 1000000000000000000000000000", ["epochs", "a whole number"]),
    (b"epochs = " + b"1" * 5000, ["epochs", "digits"]),
    (b"lr = 0.1\nlambda = [\n 0.1,\n " + b"1" * 5000 + b"]\n", ["lambda", "digits"]),
    (b"epochs = 0x" + b"f" * 5000, ["epochs", "'0xfff"]),
    (b"noise = 0x" + b"f" * 5000, ["noise", "'0xfff"]),
    (b"noise = 1e-400", ["'1e-400'", "become 0"]),
    (b"lambda = [0.1, -1e-4_00]", ["'-1e-4_00'", "become 0"]),
    (b"lambda = " + b"1" * 400, ["lambda"]),
    (b"lr = inf", ["lr", "'inf'"]),
    (b"momentum = 1", ["momentum", "'1'"]),
    (b"plots = 'no'", ["plots", "'no'", "true or false"]),
    (b"plots = 1", ["plots", "'1'"]),
    (b"device = 3", ["device", "'3'"]),
    (b"out = ''", ["out"]),
    (b"seed = 2026-01-01", ["seed"]),
    (b"epochs = 1\nepochs = 2", ["not TOML"]),
    (b"epochs =", ["not TOML"]),
    (b"\xff\xfe", ["UTF-8"]),
    (b"[task]\npoints = 10", ["'task'"]),
    (b"experiment = 'dropout'", ["'dropout'", "'wdecay'"]),
    (b"experiment = 3", ["'3'"]),
    (b"strengths = [0.1]", ["'strengths'"]),
    (b"config = 'x'", ["'config'"]),
    (b'"\\u001b[31m" = 1', ["\\x1b[31m"]),
    (b"# " + b"x" * 1_000_001, ["1000000 bytes"]),
    (b"a = " + b"[" * 5000, []),
]


@pytest.mark.parametrize(("content", "named"), BAD_FILES)
@pytest.mark.usefixtures("no_training")
def test_bad_configuration_file_is_refused(
    regbench: Command, tmp_path: Path, content: bytes, named: list[str]
) -> None:
    (tmp_path / "settings.toml").write_bytes(content)
    finished = regbench("wdecay", "--config", "settings.toml")
    assert_refused(finished, "settings.toml", *named)
    assert [path.name for path in tmp_path.iterdir()] == ["settings.toml"]


@pytest.mark.usefixtures("no_training")
@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("lambda = -1", "-1.0"),
        ("lambda = [0.1, 0.1]", "twice"),
        ("lambda = 380", "2(1+momentum)/lr"),
    ],
)
def test_strengths_of_a_file_are_checked_like_those_of_the_command_line(
    regbench: Command, tmp_path: Path, content: str, named: str
) -> None:
    (tmp_path / "settings.toml").write_text(content)
    assert_refused(regbench("wdecay", "--config", "settings.toml"), "lambda", named)


@pytest.mark.usefixtures("no_training")
def test_fifo_as_configuration_is_refused_without_waiting(
    regbench: Command, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert_refused(regbench("wdecay", "--config", "pipe"), "--config", "not a file")


KEYS = {key for command in COMMANDS.values() for key in command.settings}
OPTIONS = sorted({option_of(key) for key in KEYS} - {"--out"})
ODD_TEXT = st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))
ODD_TEXT |= st.sampled_from(["wdecay=0.1", "l1=1+dropout=0.5", "l1=1,2", "l1", "+", "=", ","])
ODD_TEXT |= st.sampled_from(["[/]", "[bold]", "../..", "%s", "{}", "--", "-", "\x1b]0;x\x07"])


@pytest.fixture
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop a command line that asks for a run just before it gets one."""

    def refuse(request: Request, *_: object) -> None:
        raise UsageError(problem=f"asked for {request.command.name}")

    monkeypatch.setattr(run_folder, "create_run", refuse)


@pytest.mark.usefixtures("no_folder")
@settings(
    max_examples=settings().max_examples // 5,  # parsing takes tens of milliseconds
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    command=st.sampled_from([*COMMANDS, "report", "resume", "runs"]) | ODD_TEXT,
    arguments=st.lists(st.sampled_from([*OPTIONS, "--config", "--root"]) | ODD_TEXT, max_size=4),
)
def test_any_command_line_is_answered_in_plain_text(
    regbench: Command, tmp_path: Path, command: str, arguments: list[str]
) -> None:
    finished = regbench(command, *arguments)
    lines = (finished.out + finished.err).split("\n")
    assert all(line.isprintable() for line in lines)
    if command not in ("runs", "--"):  # a list of none, and the help, as where nothing is given
        assert (finished.code, finished.out, len(lines)) == (2, "", 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("REGBENCH_EPOCHS", "many", "'many'"),
        ("REGBENCH_LAMBDA", "nan", "'nan'"),
        ("REGBENCH_PLOTS", "maybe", "'maybe'"),
        ("REGBENCH_SEED", "-1", "'-1'"),
        ("REGBENCH_EPOCH", "10", "did you mean 'REGBENCH_EPOCHS'"),
        ("REGBENCH_\x1b[31m", "10", "\\x1b[31m"),
    ],
)
@pytest.mark.usefixtures("no_training")
def test_bad_environment_variable_is_refused_by_name(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert_refused(regbench("wdecay"), "REGBENCH_", named)


@pytest.mark.usefixtures("no_training")
def test_folder_that_is_not_empty_is_refused_and_kept(regbench: Command, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "notes.txt").write_text("mine")
    assert_refused(regbench("wdecay", "--out", "old"), "--out", "'old'", "not empty")
    assert [path.name for path in (tmp_path / "old").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("wdecay --batch-size 8", "one step on all points"),
        ("wdecay --loss mae", "the mean squared error"),
        ("wdecay --lr-schedule cosine", "the learning rate is constant"),
        ("wdecay --points 10,30", "a run at each value: --over points=10,30"),
        ("wdecay --lambda 0.01 0.1", "and several: --p 0.1,0.5"),
        ("wdecay --lambda logspace:-4:0:5", "logspace:1e-4:1e0:5"),
        ("wdecay --optimizer adamw", "decoupled with --optimizer=adam"),
        ("l2", "the command is wdecay"),
        ("list", "regbench runs lists the runs"),
        ("help", "use --help"),
        ("-V", "use --version"),
    ],
)
def test_words_of_other_programs_are_answered(regbench: Command, words: str, said: str) -> None:
    finished = regbench(*words.split())
    assert_one_line(finished, 2, said)
    assert "did you mean" not in finished.err


def test_word_that_is_like_no_option_is_compared_with_none(regbench: Command) -> None:
    finished = regbench("wdecay", "--gamma", "3")
    assert_one_line(finished, 2, "--gamma: no option of wdecay")
    assert "did you mean" not in finished.err
    assert_one_line(regbench("wdecay", "--replicats", "3"), 2, "did you mean '--replicates'?")
