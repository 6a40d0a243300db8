"""Imports go one way, what must start fast imports nothing heavy, and no module is too long."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import regbench

PACKAGE = Path(regbench.__file__).parent
HEAVY = {
    "torch",
    "distributed",
    "numba",
    "matplotlib",
    "scipy",
    "tensorboard",
    "PIL",
    "rich",
    "tomli_w",
    "jinja2",
}

# Each room (a folder, or a module of the root) may import the rooms that are named here, all of
# which stand above it, and these heavy libraries.
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "regularizers": ({"errors"}, {"torch"}),  # for type checkers only, see below
    "limits": (set(), set()),
    "settings": ({"errors", "regularizers", "limits"}, {"torch"}),  # likewise
    "tasks": ({"errors", "settings"}, {"torch"}),
    "analysis": ({"errors", "regularizers", "settings", "tasks"}, {"scipy"}),
    "engines": (
        {"errors", "regularizers", "settings", "tasks", "analysis"},
        {"torch", "numba"},
    ),
    "storage": ({"errors", "regularizers", "settings", "analysis"}, {"tomli_w"}),
    "process": ({"errors", "limits", "storage"}, set()),
    "executors": (
        {"errors", "regularizers", "analysis", "engines", "storage"},
        {"torch", "distributed"},
    ),
    "experiments": (
        {
            "errors",
            "regularizers",
            "limits",
            "settings",
            "tasks",
            "analysis",
            "engines",
            "storage",
            "executors",
        },
        {"torch", "scipy"},
    ),
    "verify": (
        {"errors", "regularizers", "settings", "analysis", "engines", "experiments"},
        {"scipy", "torch"},
    ),
    "report": (
        {
            "errors",
            "limits",
            "regularizers",
            "settings",
            "tasks",
            "analysis",
            "storage",
            "experiments",
            "verify",
        },
        {"matplotlib", "PIL", "rich", "tensorboard", "jinja2", "tomli_w"},
    ),
    "program": (
        {"errors", "settings", "storage", "process", "experiments", "verify", "report"},
        set(),
    ),
    "api": (
        {
            "errors",
            "regularizers",
            "settings",
            "analysis",
            "storage",
            "experiments",
            "verify",
            "report",
            "program",
        },
        set(),
    ),
    "scores": (
        {
            "errors",
            "settings",
            "analysis",
            "storage",
            "experiments",
            "program",
            "api",
        },
        set(),
    ),
    "commands": (
        {
            "errors",
            "regularizers",
            "settings",
            "storage",
            "process",
            "experiments",
            "verify",
            "report",
            "program",
            "scores",
        },
        set(),
    ),
    "cli": (
        {
            "errors",
            "regularizers",
            "settings",
            "storage",
            "process",
            "experiments",
            "program",
            "commands",
        },
        set(),
    ),
    "__main__": ({"process", "cli"}, set()),
    # Each name where it is first used: for type checkers only, see below.
    "__init__": (
        {"errors", "regularizers", "settings", "analysis", "experiments", "scores", "api"},
        set(),
    ),
}
AT_START = {
    "__init__",
    "errors",
    "limits",
    "process",
    "regularizers",
    "settings",
    "storage",
    "experiments",
}
AT_START |= {"program", "commands", "cli", "api", "__main__", "report/__init__.py"}
"""Rooms and modules that every command imports at once."""
LATE = {"experiments/feasibility.py", "experiments/training.py", "experiments/stages.py"}
"""Modules of these rooms that are imported where they are first used."""
FOR_TYPES_ONLY = {"regularizers", "settings"}
"""Rooms that import heavy libraries for type checkers alone, in no function either."""
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in MODULES
    if path != PACKAGE / "__init__.py"  # which imports each public name where it is first used
}
"""The path of each module by its name."""
MOST_ROOT_MODULES, MOST_FOLDERS, MOST_LINES = 10, 14, 500


def part_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(tree: ast.AST) -> set[str]:
    """Return every module that is imported anywhere, in full."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def is_for_types(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def imported_at_start(tree: ast.Module) -> set[str]:
    """Return what is imported when the module is, without what only type checkers read."""
    run = [node for node in tree.body if not is_for_types(node)]
    outside = [node for node in run if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return imported(ast.Module(outside, []))


def own_parts(names: set[str]) -> set[str]:
    """Return the rooms that are imported; the version, which is anybody's, is in none."""
    names = names - {"regbench.__version__"}
    parts = {name.split(".")[1] for name in names if name.split(".")[0] == "regbench"}
    return {part if part in ALLOWED else "__init__" for part in parts}


def heavy_libraries(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names} & HEAVY


def test_module_imports_only_what_stands_below_it() -> None:
    for path in MODULES:
        part, name = part_of(path), path.relative_to(PACKAGE).as_posix()
        assert part in ALLOWED, f"{name}: a new part needs its place in the table"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts, libraries = ALLOWED[part]
        assert own_parts(imported(tree)) - {part} <= parts, name
        assert heavy_libraries(imported(tree)) <= libraries, name
        if {part, name} & AT_START and name not in LATE:
            assert not heavy_libraries(imported_at_start(tree)), name
        if part in FOR_TYPES_ONLY:
            run = [node for node in tree.body if not is_for_types(node)]
            assert not heavy_libraries(imported(ast.Module(run, []))), name


def test_table_has_no_circle_and_no_part_that_is_gone() -> None:
    assert {part_of(path) for path in MODULES} == set(ALLOWED)
    below: set[str] = set()
    for part, (parts, _) in ALLOWED.items():
        assert parts <= below, part
        below.add(part)


def imported_modules(path: Path) -> set[str]:
    """Return the package's modules that a module imports when it runs, at once or later."""
    found, tree = set[str](), ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and is_for_types(node):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
            (given,) = node.args
            assert isinstance(given, ast.Constant), f"{path}: a computed name"
            found.add(str(given.value))
    for name in imported(tree) | found:
        parents = [name, name.rpartition(".")[0]]
        found |= {*[own for own in parents if own in NAMES][:1]}
    return found


def test_imports_have_no_circle_and_no_computed_name() -> None:
    graph = {name: imported_modules(path) - {name} for name, path in NAMES.items()}
    order = graphlib.TopologicalSorter(graph)
    order.prepare()  # or it raises CycleError, which names the circle
    assert len(graph["regbench.program"]) > 5


def test_root_has_few_modules() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_ROOT_MODULES


def test_package_has_few_folders() -> None:
    assert len({path.parent for path in MODULES} - {PACKAGE}) <= MOST_FOLDERS


def test_no_module_is_long_and_none_imports_pyplot() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= MOST_LINES, path
        assert not [name for name in imported(ast.parse(text)) if "pyplot" in name], path
