"""TensorBoard logs, read back with TensorBoard's own reader."""

from __future__ import annotations

import io
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import TINY
from PIL import Image
from scipy import stats
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import ENVIRONMENT, final_weights, make_request, make_result

from regbench.engines.machine import nothing
from regbench.report import dropout_scale, tensorboard, training
from regbench.report.base import View
from regbench.report.figures import Picture, draw
from regbench.settings.study import DropoutScale
from regbench.storage.run_folder import Run
from regbench.verify.dropout_scale import ScaleResult, measure_scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from commands import Command

    from regbench.analysis.result import Result

EVERYTHING = {"histograms": 0, "scalars": 0, "images": 0}


def read(folder: Path) -> Any:
    reader = EventAccumulator(str(folder), size_guidance=EVERYTHING)
    reader.Reload()
    return reader


@pytest.fixture
def result() -> Result:
    return make_result("dropout", (0.2, 0.5))


def write(result: Any, folder: Path, pictures: Sequence[Picture] = ()) -> list[str]:
    """Write the logs of a result and pictures into a folder; return what is said about them."""
    report = dropout_scale if isinstance(result, ScaleResult) else training
    run = Run(folder, make_request(), {})
    view = View(dict, run, sentences=["It <holds>."], logs=partial(report.logs, result))
    return list(tensorboard.write(view, pictures))


def test_arms_are_runs_with_the_same_tags(result: Result, tmp_path: Path) -> None:
    assert write(result, tmp_path) == []
    names, folder = result.study.arm_names, tmp_path / "tensorboard"
    weights = final_weights(result.study)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "answer"])
    history = result.history
    for arm_index, name in enumerate(names):
        reader = read(folder / name)
        tags = reader.Tags()
        assert {tag for tag in tags["scalars"] if not tag.startswith("interval/")} == {
            *("difference/risk", "error/risk", "error/test_loss"),
            *("error/bias_squared", "error/variance", "loss/train_loss", "loss/train_loss_eval"),
            *("network/weight_norm", "network/zero_share", "network/rms_slope"),
            *(f"network/rms_{layer}" for layer in ("hidden1", "hidden2", "output")),
        }
        layers = result.study.network.layer_names
        assert tags["histograms"] == [f"weights/{layer}" for layer in layers]
        for tag, losses in (
            ("loss/train_loss", history.train_loss),
            ("loss/train_loss_eval", history.train_loss_eval),
            ("error/test_loss", history.test_loss),
            ("error/risk", history.risk),
            ("network/weight_norm", history.weight_norm),
        ):
            events = reader.Scalars(tag)
            assert [event.step for event in events] == [0, 1, 2, 3, 4, 6, 7, 10, 20, 30]
            np.testing.assert_allclose(
                [event.value for event in events], losses[:, arm_index].mean(axis=1), rtol=1e-6
            )
        for layer in layers:
            events = reader.Histograms(f"weights/{layer}")
            assert [event.step for event in events] == [0, 1, 2, 3, 4, 6, 7, 10, 20, 30]
            shown, expected = events[-1].histogram_value, weights[layer][arm_index]
            assert shown.num == sum(shown.bucket) == expected.size
            assert shown.min <= expected.min()
            assert shown.max >= expected.max()
            below = np.searchsorted(np.sort(expected), shown.bucket_limit)
            assert np.abs(below - np.cumsum(shown.bucket)).max() <= 2  # at an edge


def test_answer_and_pictures_have_a_run_of_their_own(result: Result, tmp_path: Path) -> None:
    pictures = [draw(name, result, {"png"}) for name in ("fan", "pairs")]
    write(result, tmp_path, pictures)
    for name in result.study.arm_names:
        assert not read(tmp_path / "tensorboard" / name).Tags()["images"]
    reader = read(tmp_path / "tensorboard" / "answer")
    assert reader.Tags()["images"] == ["fan", "pairs"]
    for picture in pictures:
        (image,) = reader.Images(picture.name)
        assert image.step == 30
        assert image.encoded_image_string == picture.files["png"]
        size = Image.open(io.BytesIO(image.encoded_image_string)).size
        assert size == (image.width, image.height)


def test_there_are_histograms_of_ten_epochs_at_most(tmp_path: Path) -> None:
    result = make_result(epochs=200, log_every=10, points=2, hidden=3)
    assert len(result.history.kept_epochs) > 10
    write(result, tmp_path)
    events = read(tmp_path / "tensorboard" / "baseline").Histograms("weights/output")
    steps = [event.step for event in events]
    assert (len(steps), steps[0], steps[-1]) == (10, 0, 200)


def test_histograms_of_weights_that_are_not_finite_are_left_out_and_counted(
    result: Result, tmp_path: Path
) -> None:
    result.history.rms_hidden1[-1, 1, 2] = np.nan
    result.history.rms_output[-2:, 0, 0] = np.inf
    assert write(result, tmp_path) == ["note: 3 histograms left out: their values are not finite"]
    folder = tmp_path / "tensorboard"
    events = read(folder / "dropout=0.2").Histograms("weights/hidden1")
    assert [event.step for event in events] == [0, 1, 2, 3, 4, 6, 7, 10, 20]
    events = read(folder / "baseline").Histograms("weights/output")
    assert [event.step for event in events] == [0, 1, 2, 3, 4, 6, 7, 10]


def ends_of(reader: Any, tag: str) -> Any:
    """Return the ends of a curve's intervals, `(2, epochs)`."""
    ends = (reader.Scalars(f"interval/{tag}/{end}") for end in ("lower", "upper"))
    return np.array([[event.value for event in end] for end in ends])


def test_curves_have_the_interval_of_their_mean_and_differences_that_of_the_answer(
    tmp_path: Path,
) -> None:
    result = make_result("wdecay", (3.0,), confidence=0.9)
    write(result, tmp_path)
    for arm_index, name in enumerate(result.study.arm_names):
        reader = read(tmp_path / "tensorboard" / name)
        values = result.history.test_loss[:, arm_index].astype(float)
        error = stats.sem(values, axis=1)
        ends = np.array(stats.t.interval(0.9, 2, values.mean(axis=1), error))
        np.testing.assert_allclose(ends_of(reader, "error/test_loss"), ends, rtol=1e-5)
        parts = [found[arm_index] for found in result.decompositions]
        for part in ("bias_squared", "variance"):
            found = [getattr(kept, part) for kept in parts]
            shown = [event.value for event in reader.Scalars(f"error/{part}")]
            np.testing.assert_allclose(shown, [one.value for one in found], rtol=1e-5)
            ends = np.transpose([one.ci for one in found])
            np.testing.assert_allclose(ends_of(reader, f"error/{part}"), ends, rtol=1e-5)
        events, ends = reader.Scalars("difference/risk"), ends_of(reader, "difference/risk")
        assert [event.step for event in events] == result.history.epochs.tolist()
        for event, end, losses in zip(events, ends.T, result.history.risk, strict=True):
            gaps = losses[1].astype(float) - losses[0]
            paired = stats.ttest_1samp(gaps, 0).confidence_interval(0.9) if gaps.any() else (0, 0)
            expected = (gaps.mean(), *paired) if arm_index else (0, 0, 0)
            np.testing.assert_allclose([event.value, *end], expected, rtol=1e-5)


def test_one_replicate_has_no_interval_and_no_margins(tmp_path: Path) -> None:
    write(make_result(replicates=1), tmp_path)
    tags = read(tmp_path / "tensorboard" / "baseline").Tags()
    assert [tag for tag in tags["scalars"] if "interval" in tag] == []
    assert "difference/risk" in tags["scalars"]
    assert "custom_scalars__config__" not in tags["tensors"]


def make_scale_result() -> ScaleResult:
    study = DropoutScale(p=(0.1, 0.5), units=40, trials=30)
    scales = [measure_scale(p, study, nothing) for p in study.p]
    return ScaleResult(study, ENVIRONMENT, scales)


def test_scale_logs_hold_what_was_drawn_and_one_more_the_picture(tmp_path: Path) -> None:
    result: Any = make_scale_result()
    write(result, tmp_path, [draw("scale", result, {"png"})])
    for scale in result.scales:
        name = f"p={scale.drop_probability}"
        reader = read(tmp_path / "tensorboard" / name)
        assert reader.Histograms("output/train")[0].histogram_value.num == 30
        for tag, value in (
            ("output/mean", scale.outputs.mean()),
            ("output/sd", scale.outputs.std(ddof=1)),
            ("output/eval", 40.0),
        ):
            assert reader.Scalars(tag)[0].value == pytest.approx(value, rel=1e-6)
        assert not reader.Tags()["images"]
    assert read(tmp_path / "tensorboard" / "answer").Tags()["images"] == ["scale"]


def test_command_writes_logs_that_can_be_read(regbench: Command, tmp_path: Path) -> None:
    assert regbench("wdecay", *TINY, "--out=run").code == 0
    reader = read(tmp_path / "run" / "tensorboard" / "wdecay=0.01")
    assert [event.step for event in reader.Scalars("error/test_loss")] == [0, 1, 2, 4]
    reader = read(tmp_path / "run" / "tensorboard" / "answer")
    assert [image.step for image in reader.Images("fan")] == [4]


def test_arm_whose_name_is_too_long_for_a_folder_has_a_shorter_one(regbench: Command) -> None:
    kinds = ("wdecay", "l1", "decoupled", "group-lasso", "input-noise", "dropout", "max-norm")
    arms = [
        "+".join(f"{kind}=1.1234567890123456e-100" for kind in kinds)
        + f"+gaussian-dropout=1.1234567890123456e-100+early-stopping={last}"
        for last in (1, 2)
    ]
    for run in ("one", "two"):
        finished = regbench("compare", *arms, *TINY, "--no-plots", "--no-report", f"--out={run}")
        assert (finished.code, "note" in finished.err) == (0, False), finished.err
    names = [sorted(p.name for p in Path(run, "tensorboard").iterdir()) for run in ("one", "two")]
    assert names[0] == names[1]
    assert len(names[0]) == 4, "one for each, though they differ at their ends only"
    document = json.loads(Path("one/summary.json").read_text())
    assert min(len(arm["name"]) for arm in document["arms"][1:]) > 255
    assert max(map(len, names[0])) < 255
