"""What TensorBoard itself makes of the logs of several runs, asked over HTTP."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
import pytest
from test_tensorboard import make_scale_result, write
from training import make_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regbench.analysis.result import Result

PATIENCE = 120
"""Seconds that a busy machine may take to start TensorBoard and to read all logs."""
Ask = Callable[..., Any]
HPARAMS = {
    "experimentName": "",
    "allowedStatuses": ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_UNKNOWN"],
    "startIndex": 0,
    "sliceSize": 100,
}


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Two runs; an arm of the second diverges."""
    found = {
        "one": make_result("dropout", (0.2, 0.5)),
        "other": make_result("wdecay", (0.1, 1.0), points=9),
    }
    found["other"].history.risk[4:, 2, 1] = np.inf
    return found


@pytest.fixture(scope="module")
def ask(results: dict[str, Result], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Start TensorBoard and yield what asks it, again until the answer has something in it."""
    folder = tmp_path_factory.mktemp("runs")
    for name, result in {**results, "scale": make_scale_result()}.items():
        write(result, folder / name)
    options = [f"--logdir={folder}", "--host=127.0.0.1", "--port=0", "--load_fast=false"]
    command = [sys.executable, "-m", "tensorboard.main", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        begun = (re.search(r"at http://(\S+)/", line) for line in server.stderr)
        address = next(filter(None, begun))[1]
        until = time.monotonic() + PATIENCE

        def asked(path: str, is_there: Callable[[Any], Any], body: Any = None, **query: str) -> Any:
            while True:
                connection, sent = HTTPConnection(address), body and json.dumps(body)
                url = f"/data/{path}?{urlencode(query)}"
                header = {"Content-Type": "application/json"}
                connection.request("POST" if body else "GET", url, sent, header)
                response = connection.getresponse()
                status, text = response.status, response.read()
                connection.close()
                found = json.loads(text) if status == 200 else None
                if found is not None and is_there(found):
                    return found
                assert time.monotonic() < until, (path, status, text)
                time.sleep(0.1)

        yield asked
        server.terminate()
        for _ in server.stderr:  # to its end: nothing is left in the pipe
            pass


def run_of(name: str, arm: str) -> str:
    return f"{name}/tensorboard/{arm}"


def test_hparams_list_the_arms_of_all_runs_with_what_differs_and_their_last_values(
    ask: Ask, results: dict[str, Result]
) -> None:
    listed = ask(
        "plugin/hparams/session_groups", lambda found: len(found["sessionGroups"]) == 8, HPARAMS
    )
    groups = {group["name"]: group for group in listed["sessionGroups"]}
    for name, result in results.items():
        for arm_index, arm in enumerate(result.study.arms):
            group = groups[run_of(name, arm.name)]
            strengths = {part.command: part.strength for part in arm.parts}
            given = {command: group["hparams"][command] for command in ("dropout", "wdecay")}
            assert given == {"dropout": 0, "wdecay": 0} | strengths
            assert group["hparams"]["points"] == result.study.task.points
            (session,) = group["sessions"]
            is_lost = (name, arm_index) == ("other", 2)
            assert session["status"] == ("STATUS_FAILURE" if is_lost else "STATUS_SUCCESS")
            metrics = {one["name"]["tag"]: one for one in group["metricValues"]}
            parts = result.decompositions[-1][arm_index]
            assert parts is not None
            for tag, value in (
                ("error/risk", result.history.risk[-1, arm_index].mean()),
                ("error/test_loss", result.history.test_loss[-1, arm_index].mean()),
                ("network/weight_norm", result.history.weight_norm[-1, arm_index].mean()),
                ("error/bias_squared", parts.bias_squared.value),
                ("error/variance", parts.variance.value),
            ):
                assert metrics[tag]["trainingStep"] == 30
                expected = np.nan if is_lost and tag == "error/risk" else value
                shown = float(metrics[tag]["value"])
                assert shown == pytest.approx(float(expected), rel=1e-5, nan_ok=True)
    assert {group for group in groups if "scale" in group} == {
        run_of("scale", "p=0.1"), run_of("scale", "p=0.5"),
    }  # fmt: skip
    experiment = ask("plugin/hparams/experiment", bool, {"experimentName": ""})
    differs = {info["name"] for info in experiment["hparamInfos"] if info["differs"]}
    assert differs == {"dropout", "wdecay", "points", "test_points", "p"}
    first = [metric["name"]["tag"] for metric in experiment["metricInfos"]][:5]
    assert first == [
        "difference/risk",
        *(f"error/{name}" for name in ("bias_squared", "risk", "test_loss", "variance")),
    ]


def test_custom_scalars_have_every_mean_between_the_ends_of_its_interval(ask: Ask) -> None:
    (category,) = ask("plugin/custom_scalars/layout", bool)["category"]
    charts = {chart["title"]: chart["margin"]["series"] for chart in category["chart"]}
    assert {"difference/risk", "error/risk", "error/variance", "loss/train_loss"} <= charts.keys()
    for (name, (series,)), arm in zip(
        charts.items(), ["baseline", "dropout=0.2"] * len(charts), strict=False
    ):
        assert series["value"] == name
        curves = []
        for tag in (series["lower"], name, series["upper"]):
            found = ask(
                "plugin/custom_scalars/scalars",
                lambda found: found["tag_to_events"],
                run=run_of("one", arm),
                tag=f"{tag}$",
            )
            assert list(found["tag_to_events"]) == [tag]
            curves.append([value for _, _, value in found["tag_to_events"][tag]])
        low, mean, high = map(np.array, curves)
        assert np.all((low <= mean) & (mean <= high))
        assert (arm, name) == ("baseline", "difference/risk") or np.all(low < high)


def test_scalars_histograms_and_the_answer_are_served(ask: Ask, results: dict[str, Result]) -> None:
    arm, history = run_of("other", "wdecay=0.1"), results["other"].history
    found = ask("plugin/scalars/scalars", bool, run=arm, tag="loss/train_loss")
    assert [step for _, step, _ in found] == history.epochs.tolist()
    found = ask("plugin/histograms/histograms", bool, run=arm, tag="weights/hidden1")
    assert [step for _, step, _ in found] == [0, 1, 2, 3, 4, 6, 7, 10, 20, 30]
    _, _, buckets = found[0]
    counts = history.named("weight_counts")["hidden1"][0, 1]
    assert buckets[0][0] == pytest.approx(-1)  # the bound of initial weights of one input
    assert buckets[-1][1] == pytest.approx(1)
    assert sum(count for *_, count in buckets) == pytest.approx(counts.sum())
    tags = ask("plugin/text/tags", lambda found: len(found) == 3)
    firsts = [run_of(name, "answer") for name in ("one", "other", "scale")]
    assert tags == {run: ["answer"] for run in firsts}
    (text,) = ask("plugin/text/text", bool, run=firsts[0], tag="answer")
    assert "It" in text["text"]
    assert "<holds>" not in text["text"]
