"""Runs that were cut off, damaged or computed elsewhere: reported, finished, or refused."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from commands import NO_FILES, TINY, Finished

from regbench.engines import ENGINES
from regbench.experiments import dropout_scale
from regbench.experiments import training as experiment
from regbench.settings.study import TrainingExperiment
from regbench.storage.run_folder import CHECKSUM, occupied, write_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from commands import Command

    from regbench.analysis.history import History
    from regbench.engines import Block

THREE_PARTS = [
    *("wdecay", "--lambda=0.1,0.2", "--points=4", "--hidden=4", "--depth=1", "--replicates=150"),
    *("--epochs=4", "--log-every=2", "--engine=batched", "--device=cpu", "--no-cache", *NO_FILES),
]
SCALE = ["dropout-scale", "--p=0.1,0.5", "--units=9", "--trials=9", "--no-cache", *NO_FILES]


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[str, ...]]]:
    """Return a list to which every trained block adds its first seed and its arms."""
    blocks: list[tuple[int, tuple[str, ...]]] = []
    train = ENGINES["batched"]

    def record(block: Block, advance: Callable[[int], None]) -> History:
        blocks.append((block.seeds[0], tuple(arm.name for arm in block.arms)))
        return train(block, advance)

    monkeypatch.setitem(ENGINES, "batched", record)
    return blocks


def blocks_of(run: str) -> dict[str, bytes]:
    """Return the bytes of every block by name."""
    return {path.name: path.read_bytes() for path in Path(run, "blocks").glob("*.block")}


def numbers_of(run: str) -> dict[str, Any]:
    """Return a run's document without its times and its place."""
    document = json.loads(Path(run, "summary.json").read_text())
    for key in ("started", "duration_seconds"):
        del document["environment"][key]
    del document["run_dir"]
    return dict(document)


def assert_one_line(finished: Finished, code: int, *named: str) -> None:
    """Check that a command printed one line of error and nothing else."""
    assert (finished.code, finished.out) == (code, ""), finished.err
    assert finished.err.count("\n") == 1
    assert finished.err[:-1].isprintable()
    for part in named:
        assert part in finished.err


@pytest.mark.parametrize("options", [["wdecay", "--lambda=0.1,0.2", *TINY, *NO_FILES], SCALE])
def test_report_shows_what_the_run_has_shown(regbench: Command, options: list[str]) -> None:
    first = regbench(*options, "--out=run")
    again = regbench("report", "run")
    assert (again.code, again.err) == (0, "")
    assert again.out == first.out.replace("Results: run\n", "")
    document = regbench("report", "run", "--json")
    assert (document.code, document.out) == (0, Path("run/summary.json").read_text())


def test_blocks_of_a_pilot_are_counted_once(regbench: Command) -> None:
    tiny = [option for option in TINY if not option.startswith("--replicates")]
    planned = regbench("wdecay", "--target-width=0.0003", *tiny, *NO_FILES, "--out=run", "--json")
    assert len(planned.document["seeds"]) > 10
    blocks = list(Path("run/blocks").iterdir())
    max(blocks, key=lambda path: path.stat().st_mtime_ns).unlink()  # the last, not a pilot's
    reported = regbench("report", "run", "--quiet")
    assert reported.code == 1
    assert f"it has {len(blocks) - 1} of {len(blocks)} blocks" in reported.err


@pytest.mark.parametrize("options", [["wdecay", *TINY], ["l1", *TINY]])
def test_report_makes_every_file_again_without_torch(
    regbench: Command, tmp_path: Path, options: list[str]
) -> None:
    regbench(*options, "--out=run")
    kept = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    for name in ("figures", "tensorboard"):
        shutil.rmtree(Path("run", name))
    for name in ("history.csv", "summary.json"):
        Path("run", name).unlink()
    program = (
        "import sys\n"
        "from regbench.cli import main\n"
        "try:\n"
        "    main(['report', 'run', '--files'])\n"
        "except SystemExit as stopped:\n"
        "    assert stopped.code == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, capture_output=True)
    made = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    assert set(made) == set(kept)
    for path, content in kept.items():
        if "tensorboard" not in path.parts:  # its events carry the time
            assert made[path] == content, path


def test_what_is_missing_is_trained_and_nothing_else(
    regbench: Command, trained: list[tuple[int, tuple[str, ...]]]
) -> None:
    regbench(*THREE_PARTS, "--out=run")
    arms = ("baseline", "lambda=0.1", "lambda=0.2")
    assert trained == [(1, arms), (65, arms), (129, arms)]
    whole, numbers = blocks_of("run"), numbers_of("run")
    assert len(whole) == 9
    trained.clear()
    for path in list(Path("run/blocks").iterdir())[:2]:
        path.unlink()
    Path("run/DONE").unlink()
    partial = regbench("report", "run")
    assert partial.code == 1
    assert "it has 7 of 9 blocks" in partial.err
    assert regbench("resume", "run").code == 0
    assert sum(len(arms) for _, arms in trained) == 2
    assert blocks_of("run") == whole
    assert numbers_of("run") == numbers


def test_resumed_run_says_what_was_asked_and_not_what_was_chosen(regbench: Command) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run")
    numbers = numbers_of("run")
    assert numbers["config"]["engine"] == "auto"
    sorted(Path("run/blocks").iterdir())[0].unlink()
    assert regbench("resume", "run").code == 0
    assert numbers_of("run") == numbers


def test_long_work_is_saved_arm_by_arm_with_the_same_bytes(
    regbench: Command,
    monkeypatch: pytest.MonkeyPatch,
    trained: list[tuple[int, tuple[str, ...]]],
) -> None:
    regbench(*THREE_PARTS, "--out=whole")
    trained.clear()
    monkeypatch.setattr(experiment, "BLOCK_OPERATIONS", 1.0)
    regbench(*THREE_PARTS, "--out=run")
    arms = ("baseline", "lambda=0.1", "lambda=0.2")
    assert trained == [(first, (arm,)) for first in (1, 65, 129) for arm in arms]
    assert blocks_of("run") == blocks_of("whole")


@pytest.mark.parametrize(("options", "total"), [(THREE_PARTS, 9), (SCALE, 2)])
def test_finished_run_is_not_run_again_unless_a_block_is_damaged(
    regbench: Command, options: list[str], total: int
) -> None:
    regbench(*options, "--out=run")
    whole = blocks_of("run")
    again = regbench("resume", "run", "--quiet")
    assert (again.code, again.err) == (0, "regbench: 'run' is complete: nothing to train\n")
    victim = sorted(Path("run/blocks").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-1])
    reported = regbench("report", "run", "--quiet")
    assert reported.code == 1
    assert f"block {victim.stem} is damaged and not used" in reported.err
    assert f"it has {total - 1} of {total} blocks" in reported.err
    assert regbench("resume", "run", "--quiet").code == 0
    assert blocks_of("run") == whole
    assert victim.with_suffix(".damaged").exists()
    assert regbench("report", "run", "--quiet").code == 0


def test_whole_block_under_the_name_of_another_is_noticed_and_trained_again(
    regbench: Command, trained: list[tuple[int, tuple[str, ...]]]
) -> None:
    regbench(*THREE_PARTS, "--out=run")
    whole = blocks_of("run")
    trained.clear()
    other, victim = sorted(Path("run/blocks").iterdir())[:2]
    shutil.copy(other, victim)
    reported = regbench("report", "run", "--quiet")
    assert reported.code == 1
    assert f"block {victim.stem} is damaged and not used" in reported.err
    assert regbench("resume", "run", "--quiet").code == 0
    assert sum(len(arms) for _, arms in trained) == 1
    assert blocks_of("run") == whole


@pytest.mark.parametrize("options", [["wdecay", *TINY, *NO_FILES], SCALE])
def test_report_of_a_run_without_blocks_is_a_document_too(
    regbench: Command, options: list[str]
) -> None:
    regbench(*options, "--out=run")
    for path in [Path("run/DONE"), *Path("run/blocks").iterdir()]:
        path.unlink()
    reported = regbench("report", "run", "--json")
    assert reported.code == 1
    assert reported.document["is_complete"] is False
    assert reported.document["experiment"] == options[0]
    assert reported.document["run_dir"] == "run"
    assert "it has 0 of 2 blocks" in reported.err


def test_partial_document_says_that_it_is(regbench: Command) -> None:
    regbench(*THREE_PARTS, "--out=run")
    whole = json.loads(Path("run/summary.json").read_text())
    assert whole["is_complete"] is True
    for path in sorted(Path("run/blocks").iterdir()):
        content = path.read_bytes()
        path.unlink()
        partial = regbench("report", "run", "--json")
        path.write_bytes(content)
        assert partial.code == 1
        document = partial.document
        assert document["is_complete"] is False
        if "seeds" in document:  # else the first part is missing, and there is nothing to show
            shown = len(document["seeds"])
            assert shown in (64, 128)
            for name, history in document["history"].items():
                for key, losses in history.items():
                    expected = [row[:shown] for row in whole["history"][name][key]]
                    assert losses == expected


@pytest.mark.parametrize("last", [1, 2, 3])
def test_out_of_memory_loses_no_finished_block(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    regbench(*THREE_PARTS, "--out=whole")
    train, calls = ENGINES["batched"], 0

    def run_out(block: Block, advance: Callable[[int], None]) -> History:
        nonlocal calls
        calls += 1
        if calls == last:
            raise MemoryError
        return train(block, advance)

    with monkeypatch.context() as patch:
        patch.setitem(ENGINES, "batched", run_out)
        finished = regbench(*THREE_PARTS, "--out=run", "--quiet")
    assert_one_line(finished, 1, "out of memory", "--hidden", "regbench resume run")
    assert len(blocks_of("run")) == 3 * (last - 1)
    assert regbench("resume", "run").code == 0
    assert blocks_of("run") == blocks_of("whole")
    assert numbers_of("run") == numbers_of("whole")


def test_out_of_memory_after_training_says_how_to_go_on(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(experiment, "concatenate", run_out)
        finished = regbench(*THREE_PARTS, "--out=run", "--quiet")
    assert_one_line(finished, 1, "out of memory", "--hidden", "regbench resume run")
    assert regbench("resume", "run").code == 0


@pytest.mark.parametrize(("options", "module"), [(THREE_PARTS, experiment), (SCALE, dropout_scale)])
def test_other_versions_finish_a_run_only_where_that_is_allowed(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, options: list[str], module: Any
) -> None:
    regbench(*options, "--out=run")
    before = blocks_of("run")
    victim = sorted(Path("run/blocks").iterdir())[0]
    victim.unlink()
    describe = module.describe_provenance

    def describe_other(*arguments: Any) -> dict[str, str]:
        return {**describe(*arguments), "torch": "9.9"}

    monkeypatch.setattr(module, "describe_provenance", describe_other)
    for _ in range(2):
        refused = regbench("resume", "run")
        assert_one_line(refused, 2, "torch", "then and 9.9 now", "--allow-mixed")
    assert blocks_of("run") == {k: v for k, v in before.items() if k != victim.name}
    allowed = regbench("resume", "run", "--allow-mixed")
    assert allowed.code == 0
    assert len(blocks_of("run")) == len(before)
    assert victim.name not in blocks_of("run"), "a block is named by what computed it"
    assert regbench("report", "run").code == 0


def test_run_of_a_gpu_is_not_finished_on_a_cpu_in_silence(regbench: Command) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    regbench(*THREE_PARTS, "--out=run")
    Path("run/DONE").unlink()
    manifest = json.loads(Path("run/environment.json").read_text())
    del manifest[CHECKSUM]
    manifest["environment"]["device"] = "cuda:0"
    manifest["provenances"][0]["device"] = "cuda"
    write_record(Path("run/environment.json"), manifest)
    assert_one_line(regbench("resume", "run"), 2, "--device", "cuda", "use cpu or auto")
    assert regbench("resume", "run", "--allow-mixed").code == 0


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


def spoil_experiment(run: Path) -> None:
    change_manifest(run, experiment="\x1b[31mcutmix")


def spoil_manifest(run: Path) -> None:
    path = run / "environment.json"
    path.write_text(path.read_text().replace('"cpu_count"', '"cpu_counter"'))


def spoil_manifest_wholly(run: Path) -> None:
    (run / "environment.json").write_bytes(b"\x00" * 100)


def spoil_configuration(run: Path) -> None:
    path = run / "config.toml"
    path.write_text(path.read_text().replace("seed = 1\n", "seed = 2\n"))


def spoil_configuration_wholly(run: Path) -> None:
    (run / "config.toml").write_text("seed = ")


def spoil_configuration_away(run: Path) -> None:
    (run / "config.toml").unlink()


def change_manifest(run: Path, **values: Any) -> None:
    manifest = json.loads((run / "environment.json").read_text())
    del manifest[CHECKSUM]
    write_record(run / "environment.json", {**manifest, **values})


SPOILT: list[tuple[Callable[[Path], None], Sequence[str]]] = [
    (spoil_nothing, ["RUN: got 'run'", "not a folder", "regbench runs"]),
    (spoil_with_a_file, ["RUN: got 'run'", "not a folder"]),
    (spoil_with_another_programs_files, ["RUN: got 'run'", "not the folder of a run"]),
    (spoil_schema, ["'regbench.run/99'", "use the version of regbench that made it"]),
    (spoil_experiment, ["\\x1b[31mcutmix", "not known"]),
    (spoil_manifest, ["environment.json is damaged", "--config run/config.toml"]),
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
    assert occupied(folder).endswith("regbench resume $'\\x1b[31mrun'")


def test_damaged_manifest_costs_no_block(
    regbench: Command, trained: list[tuple[int, tuple[str, ...]]]
) -> None:
    options = [option for option in THREE_PARTS if option != "--no-cache"]
    regbench(*options, "--out=run")
    spoil_manifest(Path("run"))
    trained.clear()
    assert regbench("wdecay", "--config=run/config.toml", "--out=again").code == 0
    assert trained == []
    assert blocks_of("again") == blocks_of("run")


CHANGES: dict[str, Any] = {
    "truth": "sine", "points": 5, "test_points": 3, "slope": 2.0, "x_min": -2.0, "x_max": 2.0,
    "noise": 0.1, "test_noise": 0.1, "features": "polynomial:2", "hidden": 5, "depth": 2,
    "optimizer": "adam", "epochs": 6, "lr": 0.02, "momentum": 0.5, "log_every": 4,
    "strengths": (0.3,), "replicates": 3, "seed": 9, "pairing": "independent", "vary": "data",
    "dtype": "float64", "experiment": "l1",
}  # fmt: skip
SHOWN = {
    "out", "tensorboard", "plots", "cache", "json_", "quiet", "threads", "confidence", "confirm",
    "target_width", "require", "margin",
}  # fmt: skip
"""Settings that change no number of a block."""


@pytest.mark.parametrize("name", sorted(set(TrainingExperiment.model_fields) - SHOWN))
def test_changed_setting_never_finds_the_blocks_of_another(
    regbench: Command, trained: list[tuple[int, tuple[str, ...]]], name: str
) -> None:
    base = {
        "strengths": (0.1,), "points": 4, "hidden": 4, "depth": 1, "replicates": 2, "epochs": 4,
        "log_every": 2, "device": "cpu", "plots": False, "tensorboard": False, "quiet": True,
        "engine": "batched",
    }  # fmt: skip
    changed = {"device": "auto", "engine": "reference"} | CHANGES

    def run(out: str, **values: Any) -> dict[str, bytes]:
        from regbench.commands import run_training

        settings = TrainingExperiment(**{"experiment": "wdecay", **base, "out": out, **values})
        assert run_training(settings) == 0
        return blocks_of(out)

    regbench("--version")  # an empty folder to work in
    before = run("before")
    trained.clear()
    after = run("after", **{name: changed[name]})
    shared = set(before) & set(after)
    # Only the baseline may be shared, and only where nothing but the arm differs; or all of it
    # where `auto` is the same device.
    expected = {"strengths": 1, "experiment": 1, "device": 0 if torch.cuda.is_available() else 2}
    assert len(shared) == expected.get(name, 0)
    assert all(before[block] == after[block] for block in shared)


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
@pytest.mark.parametrize("options", [THREE_PARTS, SCALE])
def test_run_that_cannot_be_written_to_is_refused_before_anything_is_trained(
    regbench: Command,
    trained: list[tuple[int, tuple[str, ...]]],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    named: list[str],
) -> None:
    regbench(*options, "--out=run")
    Path("run/DONE").unlink()
    next(Path("run/blocks").iterdir()).unlink()
    trained.clear()
    with monkeypatch.context() as spoiled:
        spoil(Path("run"), spoiled)
        assert_one_line(regbench("resume", "run"), 2, "RUN: ", *named)
    assert trained == []


def test_run_without_its_folder_of_blocks_is_trained_anew(regbench: Command) -> None:
    regbench("wdecay", *TINY, *NO_FILES, "--out=run")
    numbers = numbers_of("run")
    shutil.rmtree("run/blocks")
    assert regbench("resume", "run").code == 0
    assert numbers_of("run") == numbers
    assert regbench("report", "run").code == 0
