"""What engines make of a task whose replicates have inputs of their own, and not equally many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from training import make_study, train

from regbench import tasks
from regbench.analysis.history import Batch
from regbench.engines import ENGINES
from regbench.engines.base import draw_batch
from regbench.settings.study import Task
from regbench.tasks.base import Data
from regbench.tasks.synthetic import Synthetic

if TYPE_CHECKING:
    from regbench.analysis.history import History
    from regbench.settings.study import Study

every_engine = pytest.mark.parametrize("engine", sorted(ENGINES))
REGULARIZED = [("wdecay", 0.1), ("dropout", 0.3), ("input-noise", 0.2)]


class Scattered(Synthetic):
    """The synthetic task at inputs that are drawn for each replicate: six, or five."""

    has_shared_inputs = False

    def draw(self, generator: torch.Generator, seed: int) -> Data:
        """Return the usual data with other training inputs, and perhaps without the last."""
        data = super().draw(generator, seed)
        x = torch.rand(data.x.shape, generator=generator) * 2 - 1
        count = 6 if torch.rand(1, generator=generator) < 0.5 else 5
        return Data(x[:count], data.y[:count], data.asked_x, data.asked_y)

    def arrays(self, drawn: Any) -> dict[str, torch.Tensor]:
        """Return no training data, which differ in length."""
        kept = super().arrays([Data(d.x, d.asked_y, d.asked_x, d.asked_y) for d in drawn])
        return {name: kept[name] for name in kept if not name.startswith("train")}


@pytest.fixture
def scattered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every study's task be scattered."""
    monkeypatch.setitem(tasks.TASKS, Task, Scattered)


def study_of(kind: str, strength: float, **values: Any) -> Study:
    """Return a small study in float64."""
    asked = {"dtype": "float64", "replicates": 6, "epochs": 30, "log_every": 10, "points": 6}
    return make_study(kind, (strength,), **{**asked, **values})


def assert_same(one: History, other: History, limit: float, replicates: Any = slice(None)) -> None:
    """Check that every measure and every prediction is the same."""
    for name in ("predictions", *(f"measures/{name}" for name in one.named("measures"))):
        expected = one.arrays[name][:, :, replicates]
        np.testing.assert_allclose(other.arrays[name], expected, limit, limit, err_msg=name)


@every_engine
@pytest.mark.parametrize(("kind", "strength"), REGULARIZED)
@pytest.mark.usefixtures("scattered")
def test_engines_agree_on_inputs_of_each_replicates_own(
    kind: str, strength: float, engine: str
) -> None:
    if (kind, engine) == ("input-noise", "fused"):
        pytest.skip("which the kernel does not know")
    study = study_of(kind, strength)
    counts = draw_batch(Batch(study, study.seeds)).counts
    assert set(counts) == {5, 6}
    assert_same(train(study, "reference"), train(study, engine), 1e-10)


@every_engine
@pytest.mark.usefixtures("scattered")
def test_replicate_is_the_same_whoever_is_in_its_batch(engine: str) -> None:
    # Rows are padded to the most that any replicate has, also where all of a batch have fewer. A
    # stack of one network is multiplied by another routine than a stack of six.
    study, limit = study_of("dropout", 0.3), 1e-12 if engine == "batched" else 0.0
    whole = train(study, engine)
    for index, seed in enumerate(study.seeds):
        alone = train(study.replaced(seed=seed, replicates=1), engine)
        assert_same(whole, alone, limit, slice(index, index + 1))


@every_engine
@pytest.mark.parametrize("depth", [0, 2])
def test_padding_counts_for_nothing(
    engine: str, depth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(Scattered):
        """All replicates have five rows of six."""

        def draw(self, generator: torch.Generator, seed: int) -> Data:
            """Return the first five rows."""
            data = super().draw(generator, seed)
            return Data(data.x[:5], data.y[:5], data.asked_x, data.asked_y)

    class Exact(Short):
        """The same, and no replicate may have more."""

        points = 5

    found = []
    for kind in (Short, Exact):
        monkeypatch.setitem(tasks.TASKS, Task, kind)
        found.append(train(study_of("wdecay", 0.1, depth=depth), engine))
    one, other = found
    assert_same(one, other, 1e-12)  # sums of six and of five numbers are rounded otherwise
