"""Runs in environments that users really have: what they leave must not depend on them.

    python tests/faults/weather.py [--combinations 100] [--seed 1]

First every variant alone, then random combinations of several kinds with random commands. Each must
leave whole files, whose pictures and numbers are byte for byte those of a run in fair weather, with
that run's exit code and all of its text; or end in one clear line, where a variant takes away what
is needed. Variants that this machine cannot make (other users, mounts) are left out and counted.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import pty
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from regbench.engines.fused.compilation import cache_folder
from regbench.storage.files import unseal

if TYPE_CHECKING:
    from collections.abc import Callable

OPTIONS = "--points=4 --hidden=4 --depth=1 --replicates=3 --epochs=4 --log-every=2 --device=cpu"
LARGE = "--points=4 --hidden=4 --depth=1 --replicates=60 --epochs=80 --log-every=2 --device=cpu"
COMMANDS = {
    "wdecay": f"wdecay {OPTIONS}",
    "compare": f"compare wdecay=0.1 dropout=0.5+l1=0.01 {OPTIONS} --confirm=3",
    "early-stopping": f"early-stopping --stop-epoch=1,2 {OPTIONS}",
    "document": f"wdecay {LARGE} --no-plots --no-tensorboard --json",
    "dropout-scale": "dropout-scale --p=0.1,0.5 --units=50 --trials=20",
}
USER = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
READ_ONLY = 'mount --bind . . && mount -o remount,bind,ro / && cd "$PWD" && exec "$@"'


@dataclass(frozen=True)
class Weather:
    """One variant: variables, what the command is run by, what is prepared, where stdout goes.

    `may_end` are exit codes that are right too, with one line that says why. Without a compiler the
    numbers are those of another engine.
    """

    kind: str
    name: str
    variables: dict[str, str] = field(default_factory=dict)
    wrapped_by: tuple[str, ...] = ()
    prepare: Callable[[Path], None] = lambda folder: None
    stdout: str = "pipe"
    folder: str = "."
    may_end: tuple[int, ...] = ()
    compiles: bool = True


def writes(name: str, text: str) -> Callable[[Path], None]:
    """Return what writes a file into a folder."""

    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")

    return write


def broken(module: str, text: str) -> dict[str, object]:
    """Return a variant in which Python finds another module first; `{folder}` is the folder's."""
    path = os.pathsep.join(["{folder}/shadow", *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"variables": {"PYTHONPATH": path}, "prepare": writes(f"shadow/{module}", text)}


def refusing(name: str, error: str) -> dict[str, object]:
    """Return a variant in which a call of the system is refused."""
    module, _, function = name.partition(".")
    text = (
        f"import errno, {module}\n"
        f"def refuse(*given):\n    raise OSError(errno.{error}, 'not here')\n"
        f"{module}.{function} = refuse\n"
    )
    return broken("sitecustomize.py", text)


def repository(folder: Path) -> None:
    """Make a repository whose index is locked."""
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    (folder / ".git" / "index.lock").touch()


def failing_git(folder: Path) -> None:
    """Make a program `git` that says nothing and fails."""
    writes("programs/git", "#!/bin/sh\nexit 3\n")(folder)
    (folder / "programs" / "git").chmod(0o755)


RC = [
    "text.usetex: True\n",
    "font.family: no such font\nfont.size: 30\n",
    "figure.constrained_layout.use: True\nsavefig.bbox: tight\nfigure.dpi: 300\n",
    "axes.prop_cycle: cycler('color', ['k'])\naxes.grid: True\nlines.linewidth: 9\n",
    "axes.formatter.use_locale: True\nimage.cmap: gray\npath.sketch: 5, 100, 2\n",
    "no such key: 1\nlines.linewidth: thick\n\x00",
]
STYLE = writes("config/stylelib/default.mplstyle", "axes.facecolor: black\nlines.linewidth: 12\n")
SHOWN = [
    "COLUMNS=0", "COLUMNS=-7", "COLUMNS=3", "COLUMNS=²", "COLUMNS=99999999999", "LINES=x",
    "LINES=²", "TERM=", "TERM=dumb", "TERM=no such terminal", "FORCE_COLOR=3", "NO_COLOR=1",
    "CI=1",
    "TTY_COMPATIBLE=1", "TTY_INTERACTIVE=1", "GITHUB_ACTIONS=true", "PY_COLORS=1",
    "COLORTERM=truecolor", "TERMINAL_WIDTH=abc", "TERMINAL_WIDTH=5", "TYPER_USE_RICH=0",
    "_TYPER_FORCE_DISABLE_TERMINAL=1", "JUPYTER_COLUMNS=7", "LC_ALL=xx", "PYTHONWARNINGS=error",
    "PYTHONOPTIMIZE=1",
]  # fmt: skip
DESCRIPTORS = [
    "file", "pipe", "slow", "unblocked", "socket", "unblocked socket", "pty", "append", "both",
    "leaving", "closed", "full",
]  # fmt: skip
SETTINGS = 'epochs = 4\nreplicates = 3\ndevice = "cpu"\n'


def variants() -> list[Weather]:
    """Return every variant that this machine can make, and say which ones it cannot."""
    made: list[Weather] = []

    def add(kind: str, name: str, **more: object) -> None:
        made.append(Weather(kind, name, **more))  # type: ignore[arg-type]

    for backend in ("module://matplotlib_inline.backend_inline", "qtagg", "no such backend", "agg"):
        add("matplotlib", f"MPLBACKEND={backend}", variables={"MPLBACKEND": backend})
    for number, text in enumerate(RC):
        there = {"variables": {"MATPLOTLIBRC": "{folder}/rc"}}
        add("matplotlib", f"rc {number}", prepare=writes("rc/matplotlibrc", text), **there)
        add("matplotlib", f"rc {number} here", prepare=writes("matplotlibrc", text))
    add("matplotlib", "style", variables={"MPLCONFIGDIR": "{folder}/config"}, prepare=STYLE)
    add("matplotlib", "unwritable", variables={"MPLCONFIGDIR": "/dev/null/config"})
    for setting in SHOWN:
        add("terminal", setting, variables=dict([setting.split("=", 1)]))
    for descriptor in DESCRIPTORS:
        add("descriptor", descriptor, stdout=descriptor, may_end=(1,) * (descriptor == "full"))
    sizes: tuple[tuple[str, int, tuple[int, ...]], ...] = (
        ("as", 1_300_000_000, (1, 2)), ("as", 1_100_000_000, (2,)), ("as", 700_000_000, (2,)),
        ("as", 150_000_000, (2,)), ("as", 3_000_000_000, ()), ("data", 360_000_000, (1, 2)),
        ("data", 200_000_000, (2,)), ("data", 1_000_000_000, ()), ("nofile", 40, ()),
        ("stack", 400_000, ()),
    )  # fmt: skip
    for option, size, ends in sizes:
        limit = "prlimit", f"--{option}={size}"
        add("container", f"{option}={size}", wrapped_by=limit, may_end=ends)
    add("container", "no home", variables={"HOME": "/nonexistent", "NUMBA_CACHE_DIR": ""})
    add("container", "home /", variables={"HOME": "/dev", "NUMBA_CACHE_DIR": ""})
    add("container", "relative", variables={"XDG_CACHE_HOME": "here", "NUMBA_CACHE_DIR": ""})
    add("container", "relative of Numba's", variables={"NUMBA_CACHE_DIR": "here"})
    add("container", "no temporary folder", variables={"TMPDIR": "/nonexistent"})
    add("container", "another user", wrapped_by=(*USER, "env", "-u", "HOME"))
    for number in (1, 2, 3):
        few = *USER, "prlimit", f"--nproc={number}"
        add("container", f"nproc={number}", wrapped_by=few)
    add("container", "read-only root", wrapped_by=("unshare", "-m", "sh", "-c", READ_ONLY, "sh"))
    add("compiler", "off", variables={"NUMBA_DISABLE_JIT": "1"}, compiles=False)
    add("compiler", "no threads", variables={"NUMBA_NUM_THREADS": "0"}, compiles=False)
    for module in ("numba", "llvmlite"):
        shadow = broken(f"{module}/__init__.py", "raise ImportError('of another\\nversion')\n")
        add("compiler", f"broken {module}", **shadow, compiles=False)
    for call, error in (
        ("os.fsync", "EINVAL"), ("os.fsync", "ENOTSUP"), ("os.fsync", "ENOSYS"),
        ("fcntl.flock", "ENOLCK"), ("fcntl.flock", "ENOTSUP"), ("fcntl.flock", "EINVAL"),
    ):  # fmt: skip
        add("file system", f"{call} {error}", **refusing(call, error))
    for folder in ("two words", "a\nline", "für λ", "-dash", "a" * 200, "$HOME;'\"", "deep/" * 20):
        add("file system", f"folder {folder[:9]!r}", folder=folder)
    add("git", "locked", prepare=repository)
    add("git", "not a repository", prepare=writes(".git", "gitdir: /nonexistent\n"))
    path = os.pathsep.join(["{folder}/programs", os.environ.get("PATH", "")])
    add("git", "git that fails", variables={"PATH": path}, prepare=failing_git)
    return made


def is_possible(weather: Weather) -> bool:
    """Whether this machine can make a variant at all."""
    if not weather.wrapped_by:
        return True
    if shutil.which(weather.wrapped_by[0]) is None:
        return False
    if weather.wrapped_by[0] == "prlimit":
        return True
    program = [*weather.wrapped_by, sys.executable, "-c", "import numba.core.caching, regbench"]
    wide = [word if "nproc" not in word else "--nproc=99" for word in program]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        return not subprocess.run(wide, cwd=folder, capture_output=True, check=False).returncode


@dataclass(frozen=True)
class Outcome:
    """What a run left: exit code, both texts, and its files by name."""

    code: int
    out: bytes
    err: bytes
    files: dict[str, bytes]


def run(command: str, weathers: list[Weather]) -> Outcome:
    """Run a command in some weathers at once."""
    with tempfile.TemporaryDirectory() as parent:
        top = Path(parent).resolve()
        top.chmod(0o755)
        folder = top / Path(*[weather.folder for weather in weathers])
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder, *folder.parents):
            if path.is_relative_to(top):
                path.chmod(0o777)
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache_folder() or "")}
        environment.pop("REGBENCH_OUT", None)
        wrappers: list[str] = []
        for weather in weathers:
            weather.prepare(folder)
            wrappers += weather.wrapped_by
            for name, value in weather.variables.items():
                environment[name] = value.replace("{folder}", str(folder))
        stdout = next((w.stdout for w in weathers if w.stdout != "pipe"), "pipe")
        arguments = [sys.executable, "-m", "regbench", *COMMANDS[command].split(), "--out=run"]
        with Reader(stdout, top) as reader, (top / "err").open("wb+") as err:
            process = subprocess.Popen(
                [*wrappers, *arguments, "--no-cache"],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=reader.descriptor,
                stderr=reader.descriptor if stdout == "both" else err,
                preexec_fn=(lambda: os.close(1)) if stdout == "closed" else None,
            )
            reader.follow()
            code = process.wait(300)
            out = reader.text()
            err.seek(0)
            return Outcome(code, out, err.read(), read_files(folder / "run"))


class Reader:
    """The other end of a command's stdout, of some kind."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.taken, self.source = kind, b"", -1
        if kind in ("file", "append", "closed"):
            flags = os.O_WRONLY | os.O_CREAT | (os.O_APPEND if kind == "append" else 0)
            self.path = folder / "out"
            self.descriptor = os.open(self.path, flags)
        elif kind == "full":
            self.descriptor = os.open("/dev/full", os.O_WRONLY)
        elif "socket" in kind:
            ends = socket.socketpair()
            self.source, self.descriptor = (end.detach() for end in ends)
        else:
            self.source, self.descriptor = pty.openpty() if kind == "pty" else os.pipe()
        if "unblocked" in kind:
            os.set_blocking(self.descriptor, False)
        self.thread = threading.Thread(target=self.read)

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        if self.source >= 0:
            self.thread.join()

    def follow(self) -> None:
        """Begin to read, once the command has its end."""
        os.close(self.descriptor)
        if self.source >= 0:
            self.thread.start()

    def read(self) -> None:
        """Take what comes until nothing does; the slow ones wait first and take little at once."""
        is_slow = "slow" in self.kind or "unblocked" in self.kind
        with os.fdopen(self.source, "rb", buffering=0) as source, suppress(OSError):
            while part := source.read(4096 if is_slow else 65536):
                self.taken += part
                if self.kind == "leaving":
                    return
                if is_slow:
                    time.sleep(0.001)

    def text(self) -> bytes:
        """Return all that came."""
        if self.source < 0:
            return self.path.read_bytes() if self.kind in ("file", "append") else b""
        self.thread.join()
        return self.taken.replace(b"\r\n", b"\n")


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a finished run, less what has to differ; all must be whole."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    assert not [name for name in found if name.endswith(".part")], found
    contents = {name: path.read_bytes() for name, path in found.items() if path.is_file()}
    for name, content in contents.items():
        assert not name.endswith(".block") or unseal(content) is not None, name
    if "DONE" not in contents:
        return {}
    document = json.loads(contents["summary.json"])
    for key in ("environment", "git", "command", "config", "run"):
        document.pop(key, None)
    views = ("figures/", "history.csv")
    same = {name: content for name, content in contents.items() if name.startswith(views)}
    return {"document": json.dumps(document).encode(), **same}


@functools.cache
def fair(command: str, compiles: bool) -> Outcome:
    """Return what a command leaves in fair weather, with or without a compiler."""
    off = Weather("compiler", "off", {"NUMBA_DISABLE_JIT": "1"})
    return run(command, [] if compiles else [off])


def words(text: bytes) -> list[bytes]:
    """Return the words of a text, whatever line ends, folders and times are in it."""
    lines = text.partition(b"Results:")[0].splitlines()
    said = b" ".join(line for line in lines if not line.startswith(b"Mind:"))
    return re.sub(rb"\(fused cannot train .*\), float", b"", said).split()


def check(command: str, weathers: list[Weather]) -> str:
    """Run a command in some weathers and return how it ended; raises where that is not right."""
    case = command, [f"{weather.kind}: {weather.name}" for weather in weathers]
    compiles = all(weather.compiles for weather in weathers)
    found, expected = run(command, weathers), fair(command, compiles)
    stdout = next((w.stdout for w in weathers if w.stdout != "pipe"), "pipe")
    assert b"Traceback" not in found.err + found.out, (case, found.err.decode()[-3000:])
    may_end = {code for weather in weathers for code in weather.may_end}
    if found.code != expected.code:
        assert found.code in may_end, (case, found.code, found.err.decode()[-2000:])
        told = [line for line in (found.out + found.err).splitlines() if b"error: " in line]
        assert len(told) == 1, (case, found.err)
        return "one clear line"
    if stdout == "full":
        raise AssertionError((case, "a full disk was not told"))
    assert found.files == expected.files, (case, found.err.decode()[-2000:], sorted(found.files))
    if stdout in ("pipe", "file", "append", "slow", "unblocked", "socket", "unblocked socket"):
        if "--json" in COMMANDS[command]:
            json.loads(found.out)
        else:
            assert b"\x1b" not in found.out + found.err, (case, found.out)
            assert words(found.out) == words(expected.out), (case, found.out.decode())
    return "whole files"


def main() -> None:
    """Try every variant alone, and then combinations."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--combinations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    every, draw, ends = variants(), random.Random(given.seed), Counter[str]()
    possible = [weather for weather in every if is_possible(weather)]
    tried: list[tuple[str, list[Weather]]] = []
    for weather in possible if given.combinations >= 100 else []:
        command = "document" if weather.kind == "descriptor" else draw.choice(list(COMMANDS))
        tried.append((command, [weather]))
    kinds = sorted({weather.kind for weather in possible})
    for _ in range(given.combinations):
        chosen = draw.sample(kinds, draw.randint(2, 4))
        mixed = [draw.choice([w for w in possible if w.kind == kind]) for kind in chosen]
        tried.append((draw.choice(list(COMMANDS)), mixed))
    wrong = 0
    for command, weathers in tried:
        try:
            ends[check(command, weathers)] += 1
        except AssertionError as error:
            wrong += 1
            print("wrong:", error, flush=True)
    left_out = [weather.name for weather in every if weather not in possible]
    print(f"{len(possible)} variants of {len(kinds)} kinds; not possible here: {left_out}")
    print(f"{sum(ends.values())} of {len(tried)} runs ended well: {dict(ends)}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
