"""TensorBoard logs, read back with TensorBoard's own reader."""

from __future__ import annotations

import dataclasses
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from commands import TINY
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training import make_settings, train

from regbench.analysis.result import Result
from regbench.experiments.dropout_scale import run_dropout_scale
from regbench.report import figures as plots
from regbench.report.tensorboard import write_scale_logs, write_training_logs
from regbench.settings.study import DropoutScale

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Command

EVERYTHING = {"histograms": 0, "scalars": 0, "images": 0}


def read(folder: Path) -> Any:
    reader = EventAccumulator(str(folder), size_guidance=EVERYTHING)
    reader.Reload()
    return reader


@pytest.fixture
def result() -> Result:
    settings = make_settings("dropout", (0.2, 0.5))
    return Result(settings, {}, train(settings, "batched"))


def test_arms_are_runs_with_the_same_tags(result: Result, tmp_path: Path) -> None:
    assert write_training_logs(result, list(plots.fit_pictures(result)), tmp_path) == 0
    names = [arm.name for arm in result.settings.arms]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    history = result.history
    for index, name in enumerate(names):
        reader = read(tmp_path / name)
        tags = reader.Tags()
        assert set(tags["scalars"]) == {"loss/train", "loss/train_eval", "loss/test"}
        assert set(tags["histograms"]) == {
            f"{kind}/{parameter}"
            for kind in ("weights", "gradients")
            for parameter in result.settings.parameter_names
        }
        for tag, losses in (
            ("loss/train", history.train_loss),
            ("loss/train_eval", history.train_loss_eval),
            ("loss/test", history.test_loss),
        ):
            events = reader.Scalars(tag)
            assert [event.step for event in events] == [10, 20, 30]
            np.testing.assert_allclose(
                [event.value for event in events], losses[:, index].mean(axis=1), rtol=1e-6
            )
        for kind, snapshots in (("weights", history.parameters), ("gradients", history.gradients)):
            for parameter, values in snapshots.items():
                events = reader.Histograms(f"{kind}/{parameter}")
                assert [event.step for event in events] == [10, 20, 30]
                for place, event in enumerate(events):
                    shown, expected = event.histogram_value, values[place, index]
                    assert shown.num == expected.size
                    assert shown.min == pytest.approx(expected.min())
                    assert shown.max == pytest.approx(expected.max())
                    assert shown.sum == pytest.approx(expected.sum(dtype=float), abs=1e-5)
                    for limit, below in zip(
                        shown.bucket_limit, np.cumsum(shown.bucket), strict=True
                    ):
                        at_least, at_most = (expected < limit - 1e-9), (expected <= limit + 1e-9)
                        assert at_least.sum() <= below <= at_most.sum()
        assert tags["images"] == ([] if index == 0 else ["fit"])


def test_fit_image_is_the_picture_of_the_epoch(result: Result, tmp_path: Path) -> None:
    pictures = dict(plots.fit_pictures(result))
    write_training_logs(result, list(pictures.items()), tmp_path)
    images = read(tmp_path / "p=0.5").Images("fit")
    assert [image.step for image in images] == [10, 20, 30]
    for image in images:
        assert image.encoded_image_string == pictures[image.step].png
        size = Image.open(io.BytesIO(image.encoded_image_string)).size
        assert size == (image.width, image.height)


def test_histograms_of_values_that_are_not_finite_are_skipped_and_counted(
    result: Result, tmp_path: Path
) -> None:
    weights = {name: values.copy() for name, values in result.history.parameters.items()}
    weights["hidden1.weight"][2, 1] = np.nan
    weights["output.bias"][1:, 0] = np.inf
    history = dataclasses.replace(result.history, parameters=weights)
    broken = dataclasses.replace(result, history=history)
    assert write_training_logs(broken, [], tmp_path) == 3
    events = read(tmp_path / "p=0.2").Histograms("weights/hidden1.weight")
    assert [event.step for event in events] == [10, 20]
    events = read(tmp_path / "baseline").Histograms("weights/output.bias")
    assert [event.step for event in events] == [10]


def test_scale_logs_hold_what_was_drawn(tmp_path: Path) -> None:
    result = run_dropout_scale(DropoutScale(p=(0.1, 0.5), units=40, trials=30))
    pictures = [plots.scale_picture(scale) for scale in result.scales]
    write_scale_logs(result, pictures, tmp_path)
    for scale, picture in zip(result.scales, pictures, strict=True):
        reader = read(tmp_path / f"p={scale.drop_probability!r}")
        assert reader.Histograms("output/train")[0].histogram_value.num == 30
        for tag, value in (
            ("output/mean", scale.outputs.mean()),
            ("output/sd", scale.outputs.std(ddof=1)),
            ("output/eval", 40.0),
        ):
            assert reader.Scalars(tag)[0].value == pytest.approx(value, rel=1e-6)
        assert reader.Images("distribution")[0].encoded_image_string == picture.png


def test_command_writes_logs_that_can_be_read(regbench: Command, tmp_path: Path) -> None:
    assert regbench("wdecay", *TINY, "--no-plots", "--out=run").code == 0
    reader = read(tmp_path / "run" / "tensorboard" / "lambda=0.01")
    assert [event.step for event in reader.Scalars("loss/test")] == [2, 4]
    assert [image.step for image in reader.Images("fit")] == [2, 4]
