"""Regularizers from elsewhere: a file, an installed package, or a class that a program registers.

Only what is named is loaded: an installed one by its entry point's name, which is its command.
Knows nothing about command lines or runs.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import re
import sys
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from regbench.errors import UsageError, cannot_read, shareable, suggestion, visible
from regbench.regularizers import REGULARIZERS, Regularizer
from regbench.regularizers.base import HOOKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

GROUP = "regbench.regularizers"
PLACES = ("file", "module")
"""Fields of an `origin` that may change when a file moves."""
WORDS: dict[str, tuple[Callable[[Any], object], str]] = {
    "command": (re.compile("[a-z][a-z0-9-]*").fullmatch, "a word such as 'max-norm'"),
    "option": (re.compile("[a-z][a-z0-9_]*").fullmatch, "a word such as 'lambda' or 'stop_epoch'"),
    "symbol": (re.compile(r"[^\W\d_]\w*").fullmatch, "a letter or a word"),
    "summary": (lambda word: word and word.isprintable(), "a line of text"),
    "default": (lambda word: 0 <= word < math.inf, "a number from 0"),
    "neutral": (lambda word: word in (0, math.inf), "0 or infinity"),
}
"""Checks of a class's attributes, each with what is expected in words."""
TOLD = ("meaning", "is_probability", "makes_zeros", "is_whole")
"""Other attributes that are stored of a class."""
NOISY = ("factor", "perturb_inputs", "perturb_targets")
"""Hooks whose presence is stored of a class."""
Kind = TypeVar("Kind", bound=type[Regularizer])


def register(kind: Kind) -> Kind:
    """Make a class known by its command, by a call or as a decorator, and return it.

    A digest of its source, or of its compiled code where it was typed into a notebook, is part of
    what its blocks are named by. Raises `UsageError` where it is no regularizer, lacks a word, or
    its command is another's.
    """
    try:
        source = inspect.getsource(kind)
    except (OSError, TypeError):
        source = repr(compiled(kind))
    digest = sha256(source.encode()).hexdigest()
    return admit(kind, "register", {"module": kind.__module__, "sha256": digest})


def compiled(value: Any) -> Any:
    """Return what a class, function or constant says, the same wherever it was defined."""
    if isinstance(value, type):
        own = {k: v for k, v in vars(value).items() if k[:2] != "__" or hasattr(v, "__code__")}
        return [(name, compiled(one)) for name, one in sorted(own.items()) if name != "origin"]
    value = getattr(value, "__func__", getattr(value, "fget", value))
    if hasattr(value, "__code__"):
        return [compiled(value.__code__), repr(value.__defaults__), repr(value.__kwdefaults__)]
    if isinstance(value, CodeType):
        names = value.co_names, value.co_varnames, value.co_freevars
        return [value.co_code, *names, [*map(compiled, value.co_consts)]]
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def load_file(path: str) -> None:
    """Execute a file and register the regularizers that it defines.

    Raises `UsageError` where it cannot be read or executed, or defines none that is right.
    """
    source = f"--plugin {visible(path)}"
    if not are_allowed():
        raise UsageError(source, problem="REGBENCH_PLUGINS has switched plug-ins off")
    try:
        file = Path(path).expanduser().resolve()
        content, place = file.read_bytes(), shareable(str(file))
    except (OSError, ValueError, RuntimeError) as error:  # a NUL byte in the path; no such home
        reason = cannot_read(error, path) if isinstance(error, OSError) else str(error)
        raise UsageError(source, problem=reason) from None
    digest = sha256(content).hexdigest()
    module = ModuleType(f"regbench_plugin_{digest}")
    module.__file__ = str(file)
    with importing_from(str(file.parent)):
        sys.modules[module.__name__] = module
        loaded(source, lambda: exec(compile(content, str(file), "exec"), vars(module)))
    found = [kind for kind in vars(module).values() if is_kind(kind)]
    kinds = [kind for kind in found if kind.__module__ == module.__name__]  # others are imported
    if not kinds:
        raise UsageError(source, problem="no subclass of regbench.Regularizer is defined there")
    for kind in kinds:
        admit(kind, source, {"file": place, "sha256": digest})


@contextmanager
def importing_from(folder: str) -> Iterator[None]:
    """Let a plug-in import what lies beside it, and forget that and itself at the end.

    So each plug-in has its own, and both travel to other machines by value when they are pickled.
    """
    before = {*sys.modules}
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        for name in sorted(sys.modules.keys() - before, reverse=True):  # submodules first
            module, top = sys.modules[name], Path(folder, name.partition(".")[0])
            place = getattr(module, "__file__", None) or [*getattr(module, "__path__", ()), "/"][0]
            if Path(place).parent == Path(folder) or Path(place).is_relative_to(top):
                del sys.modules[name]


def named(command: str) -> type[Regularizer] | None:
    """Return the regularizer of a command, after loading it where it is installed, or None.

    Raises `UsageError` where that fails.
    """
    if command not in REGULARIZERS and (point := installed().get(command)):
        source = f"plug-in {source_of(point)}"
        kind = loaded(source, point.load)
        if getattr(kind, "command", None) != command:
            raise UsageError(source, problem=f"{point.value} has not the command {command!r}")
        assert point.dist
        admit(kind, source, {"distribution": point.dist.name, "version": point.dist.version})
    return REGULARIZERS.get(command)


def installed() -> dict[str, metadata.EntryPoint]:
    """Return by command what installed packages offer, but for commands that are known."""
    points = metadata.entry_points(group=GROUP) if are_allowed() else ()
    return {point.name: point for point in points if point.name not in REGULARIZERS}


def source_of(point: metadata.EntryPoint) -> str:
    """Return name and version of the distribution of an entry point."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


def described(kind: type[Regularizer]) -> dict[str, Any]:
    """Return where a plug-in is from, and all that is shown of it; see `stand_ins`."""
    words: dict[str, Any] = {word: getattr(kind, word) for word in (*WORDS, *TOLD)}
    words["hooks"] = [h for h in NOISY if getattr(kind, h) is not getattr(Regularizer, h)]
    words["constants"] = {field.name: field.default for field in dataclasses.fields(kind)[1:]}
    return {**kind.origin, "words": words | {"neutral": str(kind.neutral)}}


def stand_ins(plugins: Iterable[Mapping[str, Any]]) -> dict[str, type[Regularizer]]:
    """Return by command a class with the words of each plug-in that a run has used.

    That is the plug-in itself where the same one is loaded, and else a class that can be shown and
    not trained. Raises `ValueError` where the words are not those of `described`.
    """
    found = {}
    for plugin in plugins:
        origin = {key: value for key, value in plugin.items() if key != "words"}
        command, words = str(origin.get("command")), dict(plugin.get("words", {}))
        kind = REGULARIZERS.get(command)
        if kind is None or identity(kind.origin) != identity(origin):
            hooks, constants = words.pop("hooks", ()), dict(words.pop("constants", {}))
            kinds = {type(word) for word in (*words.values(), *constants.values())}
            if words.keys() != {*WORDS, *TOLD} or not kinds <= {str, bool, float, int}:
                raise ValueError(f"the words of plug-in {visible(command)}")
            words |= {"neutral": float(words["neutral"]), "origin": origin}
            words |= {hook: not_loaded for hook in NOISY if hook in hooks}
            own = [(name, float, float(value)) for name, value in constants.items()]
            kind = dataclasses.make_dataclass(
                "StandIn", own, bases=(Regularizer,), namespace=words, frozen=True
            )
            check_words(kind, "plug-in")
        found[command] = kind
    return found


def not_loaded(*_: Any) -> Any:
    """Stand in for a hook."""
    raise UsageError("plug-in", problem="is not loaded")


def require(plugins: Iterable[Mapping[str, Any]], run: str, line: str) -> None:
    """Raise `UsageError` where a plug-in that a run has used is not loaded, or differs.

    `line` is the command that names its file. One that is installed is loaded.
    """
    for origin in plugins:
        kind = named(origin["command"])
        if kind is None or identity(kind.origin) != identity(origin):
            where = f"{place_of(origin)} {origin.get('version', '')}".strip()
            what = "differs from what it was then" if kind else "is executed only where you name it"
            hint = f"run: {line}" if "file" in origin else "register the same class first"
            hint = "install that version" if "version" in origin else hint
            problem = f"whose plug-in {origin['command']!r} of {visible(where, 200)} {what}"
            raise UsageError("RUN", run, problem=problem, hint=hint)


def identity(origin: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells two plug-ins of a command apart, wherever they lie."""
    return {key: value for key, value in origin.items() if key not in (*PLACES, "words")}


def admit(kind: Kind, source: str, origin: Mapping[str, str]) -> Kind:
    """Put a class into the registry, with where it is from; see `register`."""
    if not is_kind(kind) or inspect.isabstract(kind):
        problem = "which is abstract or no subclass of regbench.Regularizer"
        raise UsageError(source, getattr(kind, "__name__", kind), problem=problem)
    check_words(kind, source)
    check_hooks(kind, source)
    loaded(source, kind)  # checks its fields
    known = REGULARIZERS.get(kind.command)
    if known and place_of(known.origin) != place_of(origin):
        problem = f"whose command {kind.command!r} is already that of {place_of(known.origin)}"
        raise UsageError(source, kind.__name__, problem=problem)
    kind.origin = {"command": kind.command, **origin}
    REGULARIZERS[kind.command] = kind
    return kind


def check_words(kind: type[Regularizer], source: str) -> None:
    """Raise `UsageError` where a class lacks a word, or one is not right."""
    for word, (is_right, allowed) in WORDS.items():
        value, is_fine = getattr(kind, word, None), False
        with suppress(TypeError, AttributeError):  # of another type
            is_fine = bool(is_right(value))
        if not is_fine:
            where, problem = f"{source}: {kind.__name__}.{word}", "missing" if value is None else ""
            raise UsageError(where, value, allowed, problem=problem)


def check_hooks(kind: type[Regularizer], source: str) -> None:
    """Raise `UsageError` where a public method is no hook, or a hook has not its arguments."""
    for name in dir(kind):
        method, known = getattr(kind, name), getattr(Regularizer, name, None)
        if name.startswith("_") or method is known or not inspect.isroutine(method):
            continue
        where = f"{source}: {kind.__name__}.{name}"
        if known is None:
            hint = suggestion(name, HOOKS) or f"hooks: {', '.join(HOOKS)}"
            problem = "is no hook, and a method of your own begins with _"
            raise UsageError(where, problem=problem, hint=hint)
        allowed, found = list(inspect.signature(known).parameters), inspect.signature(method)
        takes = [p.name for p in found.parameters.values() if p.kind != p.VAR_POSITIONAL]
        is_open = len(takes) < len(found.parameters)  # it has *args
        if takes != (allowed[: len(takes)] if is_open else allowed):
            raise UsageError(where, f"({', '.join(takes)})", f"({', '.join(allowed)})")


def place_of(origin: Mapping[str, str]) -> str:
    """Return the file, module or distribution that a plug-in is from, in which it may change."""
    return next((origin[key] for key in (*PLACES, "distribution") if key in origin), "regbench")


def is_kind(value: object) -> bool:
    """Whether something is a class of regularizers."""
    return isinstance(value, type) and issubclass(value, Regularizer)


def loaded(source: str, load: Callable[[], Any]) -> Any:
    """Return what `load` does; raises `UsageError` for whatever it raises."""
    try:
        return load()
    except (Exception, SystemExit) as error:
        problem = f"cannot be loaded: {type(error).__name__}: {error}"
        raise UsageError(source, problem=problem, hint="--debug shows where") from error


def are_allowed() -> bool:
    """Whether plug-ins may be loaded: not with `REGBENCH_PLUGINS` set to anything but 1."""
    return os.environ.get("REGBENCH_PLUGINS", "1") == "1"
