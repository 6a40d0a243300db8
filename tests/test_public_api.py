"""What `import regbench` offers."""

from __future__ import annotations

import inspect
import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_type

import numpy as np
import pytest
from PIL import Image

import regbench as rb
from regbench.engines import ENGINES
from regbench.regularizers import REGULARIZERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from commands import Command

    from regbench.analysis.result import OverResult, Result
    from regbench.verify.dropout_scale import ScaleResult

untyped: Any = rb
"""For values that annotations rule out, some of which are wrong and some taken all the same."""
SMALL: dict[str, Any] = {
    "task": rb.Task(points=4),
    "network": rb.Network(hidden=4, depth=1),
    "training": rb.Training(epochs=6, log_every=3),
    "replicates": 3,
}


def small_study(**values: Any) -> rb.Study:
    arms = [rb.WeightDecay(0.1), rb.WeightDecay(0.1) + rb.Dropout(0.5)]
    return rb.Study(**({"arms": arms} | SMALL | values))


def test_a_study_runs_from_python_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    result = rb.run(small_study(), machine=rb.Machine(engine="batched", device="cpu"))
    assert result.study.arm_names == ["baseline", "wdecay=0.1", "wdecay=0.1+dropout=0.5"]
    assert result.history.test_loss.shape[1:] == (3, 3)
    assert [c.arm for c in result.comparisons] == result.study.arm_names[1:]
    assert capfd.readouterr() == ("", "")


def test_numbers_are_those_of_the_command(regbench: Command) -> None:
    study = small_study(task=rb.Task(truth="sine", points=4), seed=5, pairing="independent")
    result = rb.run(study, rb.Question(confidence=0.9), rb.Machine(engine="batched"))
    options = (
        "--truth=sine --points=4 --hidden=4 --depth=1 --epochs=6 --log-every=3 --replicates=3 "
        "--seed=5 --confidence=0.9 --pairing=independent --engine=batched --json"
    )
    finished = regbench("compare", "wdecay=0.1", "dropout=0.5+wdecay=0.1", *options.split())
    for arm_index, arm in enumerate(study.arm_names):
        for name, values in result.history.named("measures").items():
            assert finished.document["history"][arm][name] == values[:, arm_index].tolist()
    ends = [list(c.ci) if c.ci else None for c in result.comparisons]
    assert [c["ci"] for c in finished.document["comparisons"]] == ends


def test_a_run_in_a_folder_is_a_run_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    result = rb.run(small_study(), folder=folder)
    assert (folder / "DONE").is_file()
    assert (folder / "summary.json").is_file()
    again = rb.load(folder)
    for name, array in result.history.arrays.items():
        np.testing.assert_array_equal(again.history.arrays[name], array, err_msg=name)
    assert repr(again) == repr(result)
    next(iter((folder / "blocks").iterdir())).unlink()
    with pytest.raises(rb.UsageError, match=r"2 of 3 blocks"):
        rb.load(folder)


def test_a_number_where_several_may_stand_is_one_of_them() -> None:
    scales = rb.run(rb.DropoutScale(p=0.25, units=50, trials=20)).scales
    assert [scale.drop_probability for scale in scales] == [0.25]
    assert rb.Study(arms=rb.Dropout(0.5)).arm_names == ["baseline", "dropout=0.5"]


def test_result_is_shown_as_a_short_table() -> None:
    lines = repr(rb.run(small_study())).splitlines()
    assert lines[0] == "Result of 3 replicates at epoch 6"
    assert [line.split()[0] for line in lines[1:]] == [
        "arm", "baseline", "wdecay=0.1", "wdecay=0.1+dropout=0.5",
    ]  # fmt: skip
    assert all(len(line) <= 80 for line in lines)


def test_tidy_table_has_a_row_for_each_number() -> None:
    pandas = pytest.importorskip("pandas")
    result = rb.run(small_study(seed=7))
    table = result.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    measures, (epochs, arms, replicates) = (
        result.history.named("measures"),
        (result.history.test_loss.shape),
    )
    assert len(table) == len(measures) * epochs * arms * replicates
    chosen = table[
        (table.arm == "wdecay=0.1") & (table.replicate == 2) & (table.measure == "test_loss")
    ]
    np.testing.assert_array_equal(chosen.value, result.history.test_loss[:, 1, 2])
    assert set(chosen.seed) == {9}


def test_without_pandas_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(rb.UsageError, match="needs pandas"):
        rb.run(small_study()).to_pandas()


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: untyped.Study(arms=5), "arms: got '5'; allowed: regularizers"),
    (lambda: untyped.Study(arms=[3]), "arms: got"),
    (lambda: untyped.Study(arms=[]), "arms: got"),
    (lambda: untyped.Study(), "arms: is missing"),
    (lambda: untyped.Study(3), "Study: got '3', without its key"),
    (lambda: small_study(replicats=3), "Study: unknown key 'replicats'; did you mean 'replicates'"),
    (lambda: small_study(replicates="3"), "replicates: got '3'; allowed: a whole number from 1"),
    (lambda: small_study(replicates=True), "replicates: got 'True'"),
    (lambda: small_study(task=3), "task: got '3'; allowed: a Task or a Table"),
    (lambda: untyped.Task(truth="sinus"), "truth: got 'sinus'; allowed: linear, "),
    (lambda: untyped.Task(noise=float("nan")), "noise: got 'nan'"),
    (lambda: untyped.Task(x_min=3.0), "x_min: got '3.0'"),
    (lambda: untyped.WeightDecay("0.1"), "WeightDecay: got '0.1'; allowed: a finite number from 0"),
    (lambda: untyped.WeightDecay(-1), "WeightDecay: got '-1'"),
    (lambda: untyped.WeightDecay(float("inf")), "WeightDecay: got 'inf'"),
    (lambda: untyped.WeightDecay(True), "WeightDecay: got 'True'"),
    (lambda: untyped.WeightDecay(0.1) + rb.WeightDecay(0.2), "which has wdecay twice"),
    (lambda: untyped.WeightDecay(0.1) + 3, "arms: got '3'"),
    (lambda: small_study(arms=[rb.WeightDecay(1e6)]), "arms: got '1000000.0'; allowed: numbers"),
    (lambda: small_study(arms=[rb.L1(0.1), rb.L1(0.1)]), "arms: got 'l1=0.1' twice"),
    (lambda: untyped.Machine(device="tpu"), "device: got 'tpu'; allowed: auto, cpu"),
    (lambda: untyped.Question(require="equal"), "require: got 'equal', which needs margin above 0"),
    (lambda: untyped.DropoutScale(p=[0.5, 2.0]), "p: got '2.0'"),
    (lambda: untyped.DropoutScale(p="0.5"), "p: got '0.5'"),
    (lambda: untyped.run(3), "run: got '3'; allowed: a Study"),
    (lambda: untyped.run(small_study(), question=3), "run: got '3'; allowed: a Question"),
    (lambda: untyped.run(small_study(), machine="cpu"), "run: got 'cpu'; allowed: a Machine"),
    (lambda: untyped.load("no such run"), "RUN: got 'no such run', which is not a folder"),
]


FUSED, CUDA = rb.Machine(engine="fused"), rb.Machine(device="cuda", engine="reference")
HINTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: rb.run(small_study(network=rb.Network(depth=0)), machine=FUSED), (
        'engine: got \'fused\', which cannot train dropout=0.5 with depth=0; '
        'choose engine="batched" or engine="auto"'
    )),
    (lambda: rb.run(small_study(), machine=CUDA), (
        "device: got 'cuda', but the reference engine runs on the CPU; "
        'choose engine="batched" or device="cpu"'
    )),
    (lambda: rb.run(small_study(vary="init"), rb.Question(confirm=5)), (
        'confirm: got \'5\', which needs vary="both": fresh replicates would'
    )),
]  # fmt: skip


@pytest.mark.parametrize(("make", "said"), HINTS)
def test_hint_is_in_the_words_of_python(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(rb.UsageError) as refused:
        make()
    assert str(refused.value).startswith(said)


def test_lack_of_memory_names_no_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setitem(ENGINES, "batched", fail)
    with pytest.raises(rb.RunError, match=r"^out of memory; use fewer hidden units, points, "):
        rb.run(small_study(), machine=rb.Machine(engine="batched", device="cpu"))


@pytest.mark.parametrize(("make", "said"), WRONG)
def test_wrong_value_is_a_usage_error_of_one_line(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(rb.UsageError) as refused:
        make()
    assert said in str(refused.value)
    assert str(refused.value).isprintable()


def test_every_public_name_is_listed_and_there_and_imports_no_torch() -> None:
    for name in dir(rb):
        assert getattr(rb, name) is not None
    assert {kind.__name__ for kind in REGULARIZERS.values()} <= set(dir(rb))
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = rb.train
    program = (
        "import sys, regbench as rb\n"
        "for name in ('Study', 'Task', 'Question', 'Machine', 'DropoutScale', *dir(rb)):\n"
        "    getattr(rb, name)\n"
        "rb.Study(arms=rb.WeightDecay(0.1) + rb.Dropout(0.5))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_types_are_published() -> None:
    assert Path(rb.__file__).with_name("py.typed").is_file()


if TYPE_CHECKING:  # mypy reads this: an ignored error that it does not find is one
    assert_type(rb.run(rb.Study(arms=rb.L1(0.1))), Result)
    assert_type(rb.run(rb.DropoutScale(p=0.5)), ScaleResult)
    assert_type(rb.run(rb.Over(study=small_study(), key="points", values=[3, 4])), OverResult)
    assert_type(rb.load("runs/mine"), Result | Any)
    rb.load("runs/mine").histroy  # type: ignore[union-attr]  # noqa: B018
    rb.Study(arms=rb.L1(0.1), replicats=10)  # type: ignore[call-arg]
    rb.Task(pionts=10)  # type: ignore[call-arg]
    rb.run(small_study(), foldr="runs/mine")  # type: ignore[call-overload]


def test_history_is_shown_in_a_line_and_pictures_by_name() -> None:
    result = rb.run(small_study())
    assert repr(result.history).startswith("History of 5 epochs, 3 arms, 3 replicates: train_loss")
    assert {"fan", "pairs", "course"} <= {*dir(result.figures)}
    assert not isinstance(inspect.getattr_static(result, "figures"), property)  # not completed
    assert dir(rb.run(rb.DropoutScale(p=0.25, units=50, trials=20)).figures) == ["scale"]
    picture = result.figures.fan()._repr_png_()
    assert Image.open(io.BytesIO(picture)).format == "PNG"
    with pytest.raises(rb.UsageError, match="allowed: a sweep"):
        rb.run(small_study(arms=rb.L1(0.1))).figures.risk_over_strength()


def test_numbers_of_numpy_are_numbers() -> None:
    arms = [rb.WeightDecay(strength) for strength in np.array([0.25, 0.5], np.float32)]
    study = rb.Study(arms=arms, replicates=3, seed=5)
    task = untyped.Task(noise=np.float32(0.5))
    given = untyped.Study(arms=arms, replicates=np.int64(3), seed=np.uint8(5), task=task)
    assert given == study
    assert given.by_key() == study.by_key()
    assert untyped.DropoutScale(p=np.array([0.25, 0.5])) == rb.DropoutScale(p=[0.25, 0.5])
    assert untyped.EarlyStopping(np.int32(3)).name == "early-stopping=3"
    with pytest.raises(rb.UsageError, match="replicates: got 'True'"):
        untyped.Study(arms=arms, replicates=np.bool_(True))
