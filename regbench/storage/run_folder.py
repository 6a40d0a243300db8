"""The run folder: made exclusively, described before the first block, marked when it is done.

`config.toml` and `environment.json` say what was asked and where, `DONE` that nothing is missing.
Knows nothing about what blocks hold.
"""

from __future__ import annotations

import dataclasses
import datetime
import errno
import fcntl
import hashlib
import os
import secrets
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from regbench.errors import (
    RunError,
    UsageError,
    cannot_read,
    cannot_write,
    differences,
    quoted,
    shareable,
    shell_word,
    visible,
)
from regbench.regularizers import REGULARIZERS
from regbench.regularizers.plugins import stand_ins
from regbench.settings.groups import VIEWS, Environment, Output
from regbench.settings.parse import resolve
from regbench.storage.files import (
    TEMPORARY,
    find_paths,
    flush_folder,
    read_plain,
    remove,
    unfinished,
    user_key,
    write_text,
)
from regbench.storage.records import (
    check_records,
    git_state,
    read_record,
    without_places,
    write_record,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from regbench.settings.command import Command, Request
    from regbench.settings.parse import FindRegularizer

    Find = Callable[[str, FindRegularizer], Command | None]

ROOT = Path("runs")
SCHEMA = "regbench.run/2"
MANIFEST = "environment.json"
CONFIGURATION = "config.toml"
DONE = "DONE"
BLOCKS = "blocks"
MADE = {"summary.json", "history.csv", "report.html", "figures", "tensorboard"}
"""Files that are made from a run's blocks, and can be made again."""
LARGEST_VIEW = 1_000_000_000
"""Largest file that is given a digest, in bytes."""


@dataclass(frozen=True)
class Run:
    """A run folder with its `environment.json`, and what `DONE` says if it is there."""

    folder: Path
    request: Request
    manifest: dict[str, Any]
    done: dict[str, Any] | None = None

    @property
    def blocks(self) -> Path:
        """The folder of the blocks."""
        return self.folder / BLOCKS

    @property
    def environment(self) -> Environment:
        """Where it began, and how long its last session took if it is finished."""
        duration = self.done["duration_seconds"] if self.done else None
        return Environment(**self.manifest["environment"], duration_seconds=duration)


def create_run(
    request: Request,
    environment: Environment,
    provenances: Sequence[Mapping[str, str]],
    command: list[str],
) -> Run:
    """Make the folder of a new run with its configuration and manifest, all at once.

    The folder is `--out`, which must be new or empty, or else a new one,
    `runs/<experiment>/<UTC time>-<hash>`, with a random suffix where another process was first. It
    is filled under a temporary name and renamed, so that there is never a run without a manifest.
    Raises `UsageError` where it is not empty or cannot be made or written to, or `user_key` does,
    and `RunError` where a file cannot be.
    """
    user_key()
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "experiment": request.command.name,
        "configuration": request.digest,
        "command": ["regbench", *command[1:]],
        "git": git_state(),
        **request.to_record(),
        "provenances": [dict(provenance) for provenance in provenances],
        "environment": environment.to_record(),
    }
    manifest = without_places(manifest)
    out, now = request.output.out, datetime.datetime.now(datetime.UTC)
    default = ROOT / request.command.name / f"{now:%Y%m%dT%H%M%SZ}-{request.digest[:8]}"
    folder = default if out is None else Path(out)
    try:
        if out is not None and folder.exists():  # perhaps a mount, or in a read-only folder
            fill_empty(folder, request, manifest)
        else:
            with made(folder.parent), unfinished(folder) as draft:
                draft.mkdir()
                fill_empty(draft, request, manifest)
                folder = publish(draft, folder, is_exact=out is not None)
        return Run(folder, request, manifest)
    except OSError as error:
        raise unwritable(out or ROOT, error) from None


def empty_folder(out: str) -> Path:
    """Return the folder of `--out`, new or empty; raises `UsageError` where it cannot be."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise occupied(folder)
    except OSError as error:
        raise unwritable(out, error) from None
    return folder


def unwritable(out: object, error: OSError) -> UsageError:
    """Return what to say about a folder that cannot be made or written to."""
    problem = f"cannot write to {visible(out)}: {error.strerror or error}"
    return UsageError("--out", problem=problem, hint="name a folder that can be written to")


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder with its parents, and remove what was made where the work within fails."""
    new = [path for path in (folder, *folder.parents) if not os.path.lexists(path)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for path in new:
            with suppress(OSError):
                path.rmdir()
        raise


def fill_empty(folder: Path, request: Request, manifest: Mapping[str, Any]) -> None:
    """Write what a run begins with into a folder; raises `UsageError` where it is not empty."""
    import tomli_w

    try:
        if any(folder.iterdir()):
            raise FileExistsError
        (folder / BLOCKS).mkdir()  # the first to make it has the folder
    except FileExistsError:
        raise occupied(folder) from None
    write_text(folder / CONFIGURATION, tomli_w.dumps(request.to_file()))
    write_record(folder / MANIFEST, manifest)


def publish(draft: Path, folder: Path, is_exact: bool) -> Path:
    """Rename a draft to `folder` or, where that is taken and need not be exact, with a suffix."""
    try:
        draft.rename(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        if is_exact:
            raise occupied(folder) from None
        folder = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}")
        draft.rename(folder)
    flush_folder(folder.parent)
    return folder


def occupied(folder: Path) -> UsageError:
    """Return what to say about a folder that holds something."""
    hint, left = "name a new folder", {BLOCKS, CONFIGURATION}
    if (folder / MANIFEST).exists():
        hint += f"; to finish a run: regbench resume {shell_word(folder)}"
    elif all(path.name in left or path.suffix == ".part" for path in folder.iterdir()):
        hint += " or empty this one: the start of a run was cut off there"
    return UsageError("--out", folder, problem="which is not empty", hint=hint)


def mark_done(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `DONE`, after everything else, with the digests of what else there is."""
    finished = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    write_record(folder / DONE, {"finished": finished, **facts, "views": view_digests(folder)})


def open_run(
    name: str, find_command: Find, output: Mapping[str, Any] = MappingProxyType({})
) -> Run:
    """Open a run folder by its path; see `Run`. Nothing in it is executed, and no link followed.

    `find_command` returns the command of a name, of the regularizers that it may call by theirs.
    `output` are settings of `Output` by key: of those that the run had, only `VIEWS` count. Raises
    `UsageError` where there is no run, it is another program's or of another version, or its
    configuration was changed since it began, and `RunError` where it cannot be read.
    """
    folder = Path(os.path.expanduser(name))  # noqa: PTH111

    def refused(problem: str, hint: str = "") -> UsageError:
        return UsageError("RUN", name, problem=problem, hint=hint)

    try:
        if not folder.is_dir():
            raise refused("which is not a folder", "`regbench runs` lists the runs")
        links = [entry.name for entry in os.scandir(folder) if entry.is_symlink()]
    except PermissionError as error:
        raise RunError(cannot_read(error, name)) from None
    except (OSError, ValueError):  # a name that is too long, a NUL byte
        raise refused("which is not a path") from None
    manifest = read_record(folder / MANIFEST)
    if manifest is None and (folder / CONFIGURATION).is_file() and (folder / BLOCKS).is_dir():
        word = shell_word(folder / CONFIGURATION)
        restart = f"start a new run with --config {word}, which uses the blocks that are whole here"
        raise refused(f"whose {MANIFEST} is missing or damaged", restart)
    if manifest is None or not str(manifest.get("schema", "")).startswith("regbench.run/"):
        problem = f"which is not the folder of a run: no {MANIFEST} of regbench's in it"
        raise refused(problem, "`regbench runs` lists the runs")
    if manifest["schema"] != SCHEMA:
        problem = f"whose schema is {visible(manifest['schema'])} and not {SCHEMA!r}"
        raise refused(problem, "use the version of regbench that made it")
    if links:
        problem = f"which holds the link {visible(links[0])}, and no link is followed"
        raise refused(problem, "put there what it leads to")
    done = read_record(folder / DONE)
    try:
        check_records(manifest, done)
        known = {**REGULARIZERS, **stand_ins(manifest["plugins"])}
        command = find_command(manifest["experiment"], known.get)
    except (ValueError, TypeError, OverflowError):
        raise refused(f"whose {MANIFEST} or {DONE} is not as regbench writes it") from None
    if command is None:
        raise refused(f"whose experiment {visible(manifest['experiment'])} is not known here")
    try:
        request = resolve(command, {}, {}, str(folder / CONFIGURATION), find=known.get)
    except UsageError as error:
        raise refused(f"which cannot be opened: {error}") from None
    if request.digest != manifest["configuration"]:
        problem = f"whose {CONFIGURATION} was changed since the run began"
        raise refused(problem, "start a new run with --config")
    kept = {key: getattr(request.output, key) for key in VIEWS}
    try:
        request = dataclasses.replace(request, output=Output(**{**kept, **output}))
    except UsageError as error:
        raise error.named({}) from None
    return Run(folder, request, manifest, done)


def resume_line(run: Run) -> str:
    """Return the command that finishes a run as it was asked for, or makes it again."""
    if not run.request.study.has_blocks:
        return run.request.command_line
    machine, source = run.request.machine, run.request.source
    files = [known["file"] for known in run.request.study.plugins if "file" in known]
    words = [word for file in dict.fromkeys(files) for word in ("--plugin", file)]
    words += ["--data", source.data] if source.data else []
    words += ["--test-data", source.test_data] if source.test_data else []
    words += ["--scheduler", machine.scheduler] if machine.scheduler else []
    words += ["--allow-mixed"] * machine.allow_mixed + run.request.output.shown_words
    return " ".join(["regbench resume", shell_word(run.folder), *map(quoted, words)])


def admit(run: Run, provenance: Mapping[str, str], is_mixed_allowed: bool) -> Run:
    """Return the run with today's provenance as its last one.

    Raises `UsageError` where it is new and mixing not allowed, or the run cannot be written to.
    """
    known = [known for known in run.manifest["provenances"] if known != provenance]
    if len(known) == len(run.manifest["provenances"]) and not is_mixed_allowed:
        problem = (
            f"which was computed otherwise: {differences(known[-1], provenance, 'then', 'now')}"
        )
        hint = "use the same, or --allow-mixed to finish it nevertheless"
        raise UsageError("RUN", run.folder, problem=problem, hint=hint)
    check_writable(run)
    manifest = {**run.manifest, "provenances": [*known, provenance]}
    if manifest != run.manifest:
        write_record(run.folder / MANIFEST, manifest)
    return dataclasses.replace(run, manifest=manifest)


def check_alike(runs: Sequence[Run], is_mixed_allowed: bool) -> None:
    """Raise `UsageError` where runs are of other studies than the first, or computed otherwise."""

    def asked(run: Run) -> dict[str, Any]:
        own = run.request.study.by_key() | run.request.question.model_dump()
        size = run.environment.batch_replicates
        return {**own, "experiment": run.request.command.name, "batch_replicates": size}

    first = runs[0]
    for run in runs:
        pairs = [(asked(first), asked(run), "merge runs of one study")]
        for known in () if is_mixed_allowed else run.manifest["provenances"]:
            pairs.append((first.manifest["provenances"][-1], known, "--allow-mixed joins them"))
        for one, other, hint in pairs:
            if apart := differences(one, other, f"in {first.folder}", f"in {run.folder}"):
                raise UsageError("RUN", run.folder, problem=f"which differs: {apart}", hint=hint)


def add_provenance(run: Run, provenance: Mapping[str, str]) -> None:
    """Let a run have blocks of one more provenance, which stands before today's in its manifest."""
    run.manifest["provenances"].insert(-1, dict(provenance))
    write_record(run.folder / MANIFEST, run.manifest)


def check_writable(run: Run) -> None:
    """Raise `UsageError` where blocks or files cannot be written; make their folder if missing."""
    user_key()
    for folder in (run.folder, run.blocks):
        try:
            folder.mkdir(exist_ok=True)
            with unfinished(folder / "probe") as probe:
                probe.touch()
        except OSError as error:
            problem, hint = cannot_write(error, folder), "make it writable, or resume a copy"
            raise UsageError("RUN", problem=problem, hint=hint) from None
    for name in (DONE, "history.csv", "summary.json"):
        if (run.folder / name).is_dir():
            problem = f"where {name} is a folder"
            raise UsageError("RUN", run.folder, problem=problem, hint="remove that")


def add_source(run: Run, blocks: Path) -> None:
    """Record that a block was copied from the blocks of another run."""
    sources = run.manifest.setdefault("sources", {})
    name = shareable(str(blocks.parent))
    sources[name] = sources.get(name, 0) + 1
    write_record(run.folder / MANIFEST, run.manifest)


def view_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file that is made of a run's blocks, by its path in the run."""
    found = {}
    for path in sorted(find_paths(folder, "*", 2)):
        name = path.relative_to(folder)
        if name.parts[0] in MADE and (content := read_plain(path, LARGEST_VIEW)):
            found[name.as_posix()] = hashlib.sha256(content).hexdigest()
    return found


def changed_views(run: Run) -> list[str]:
    """Return which files that were made of a run's blocks are missing or no longer the same."""
    made: Mapping[str, str] = (run.done or {}).get("views", {})
    here = view_digests(run.folder) if made else {}
    return [name for name, digest in made.items() if here.get(name) != digest]


@contextmanager
def in_use(folder: Path) -> Iterator[None]:
    """Let `is_in_use` be true of a run within, until the process ends in whatever way.

    Any number of processes may use a run at once: the lock is shared, is given back by the system,
    and does without where the file system has no locks. The first one removes what a killed process
    had not finished writing. What is read of a run is read within, or it may be gone already.
    """
    with ExitStack() as stack:
        with suppress(OSError, ValueError):  # no folder, or no path
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            with suppress(BlockingIOError):  # others use it
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for path in find_paths(folder, TEMPORARY, 2):
                    remove(path)
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # waits for who has it alone
        yield


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Yield whether no process works on a run; then none begins to within.

    Where the file system cannot tell, none does.
    """
    with ExitStack() as stack:
        try:
            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            yield not isinstance(error, BlockingIOError)
        else:
            yield True


def is_in_use(folder: Path) -> bool:
    """Whether a process works on a run; see `alone`."""
    with alone(folder) as is_alone:
        return not is_alone


def other_blocks(folder: Path) -> list[Path]:
    """Return the block folders of the runs under `runs/` and of those beside `folder`."""
    found = {*find_paths(ROOT, BLOCKS, 2), *find_paths(folder.parent, BLOCKS, 1)}
    own = (folder / BLOCKS).resolve()
    return sorted(path for path in found if not path.is_symlink() and path.resolve() != own)
