"""The command line, called in this process in an empty folder, and what it has trained."""

from __future__ import annotations

import importlib
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from cauchy import PLUGIN
from commands import SOURCES, Finished
from hypothesis import HealthCheck, settings

from regbench.cli import main
from regbench.regularizers import REGULARIZERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from commands import Command
    from runs import Trained

    from regbench.analysis.history import Batch, History


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--faults` and `--pages`."""
    parser.addoption("--faults", action="store_true", help="make every fault as often as promised")
    parser.addoption("--pages", action="store_true", help="run what every page shows, at full size")


def pytest_configure(config: pytest.Config) -> None:
    """Try a few hundred inputs of each kind, or with `--faults` 10⁵ of all kinds together.

    The few hundred are always the same ones. Commands hear Ctrl-C even where a script has put the
    suite in the background.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    importlib.import_module("regbench.api")  # which says how results show themselves
    is_full = config.getoption("--faults")
    count = 25_000 if is_full else 300
    slow = [HealthCheck.too_slow]
    settings.register_profile(
        "count",
        max_examples=count,
        derandomize=not is_full,
        deadline=None,
        suppress_health_check=slow,
    )
    settings.load_profile("count")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that take longest first, so that all processes end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_faults.py")


@pytest.fixture(autouse=True, scope="session")
def own_key(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let blocks be signed by a key of this session, in commands that are processes too."""
    os.environ["XDG_STATE_HOME"] = SOURCES["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture
def regbench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Return a function that runs `regbench ARGUMENTS` in `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    for variable in [name for name in os.environ if name.startswith("REGBENCH_")]:
        monkeypatch.delenv(variable)

    def run(*arguments: str) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main(list(arguments))
        assert isinstance(stopped.value.code, int)
        return Finished(stopped.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Return a list to which every batch that `batched` trains adds its first seed and its arms."""
    from regbench.engines import ENGINES

    batches: Trained = []
    train = ENGINES["batched"]

    def record(batch: Batch, *others: Any) -> History:
        batches.append((batch.seeds[0], tuple(arm.name for arm in batch.arms)))
        return train(batch, *others)

    monkeypatch.setitem(ENGINES, "batched", record)
    return batches


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave the registry of regularizers as it was."""
    before = dict(REGULARIZERS)
    monkeypatch.delenv("REGBENCH_PLUGINS", raising=False)
    yield
    REGULARIZERS.clear()
    REGULARIZERS.update(before)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of the plug-in of the documentation."""
    path = tmp_path / "cauchy.py"
    path.write_text(PLUGIN, encoding="utf-8")
    return path
