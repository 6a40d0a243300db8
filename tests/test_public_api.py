"""What `import regbench` offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import regbench
from regbench.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_an_experiment_runs_from_python() -> None:
    flags = {"lambda": ["0.01", "0.1"], "replicates": ["3"], "hidden": ["5"], "epochs": ["4"]}
    request = regbench.resolve("wdecay", flags)
    result = regbench.run(regbench.plan(request))
    assert [comparison.arm for comparison in result.comparisons] == ["wdecay=0.01", "wdecay=0.1"]
    assert result.history.test_loss.shape == (1, 3, 3)


@pytest.mark.parametrize(
    ("experiment", "flags", "said"),
    [
        ("wdcay", {}, "'wdcay': no such experiment; did you mean 'wdecay'?"),
        ("\x1b", {}, r"'\x1b': no such experiment; allowed: wdecay, dropout, "),
        ("wdecay", {"bogus": ["1"]}, "unknown key 'bogus'"),
        ("wdecay", {"lamda": ["1"]}, "unknown key 'lamda'; did you mean 'lambda'?"),
        ("dropout-scale", {"epochs": ["1"]}, "unknown key 'epochs'"),
    ],
)
def test_unknown_experiment_or_key_is_a_usage_error(
    experiment: str, flags: dict[str, list[str] | bool], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        regbench.resolve(experiment, flags)
    assert str(refused.value).startswith(said)
    assert str(refused.value).isprintable()


def test_experiment_that_trains_nothing_runs_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = {"p": ["0.2", "0.5"], "units": ["50"], "trials": ["20"], "seed": ["3"]}
    plan = regbench.plan(regbench.resolve("dropout-scale", flags))
    assert (plan.work, plan.engine) == ("drawing", "")
    result = regbench.run(plan)
    assert [scale.drop_probability for scale in result.scales] == [0.2, 0.5]
    assert all(scale.outputs.shape == (20,) and scale.fits_law for scale in result.scales)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "source"), [({"hidden": ["100000"]}, ""), ({"device": ["cuda:999"]}, "--device")]
)
def test_work_that_does_not_fit_has_no_plan(flags: dict[str, list[str]], source: str) -> None:
    with pytest.raises(UsageError) as refused:
        regbench.plan(regbench.resolve("wdecay", {"engine": ["batched"], **flags}))
    assert refused.value.source == source


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(hasattr(regbench, name) for name in regbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = regbench.train
