"""What `import regbench` offers."""

from __future__ import annotations

import pytest

import regbench


def test_an_experiment_runs_from_python() -> None:
    flags = {"lambda": ["0.01", "0.1"], "replicates": ["3"], "hidden": ["5"], "epochs": ["4"]}
    settings = regbench.resolve("wdecay", flags)
    result = regbench.run(regbench.plan(settings))  # type: ignore[arg-type]
    assert [comparison.arm for comparison in result.comparisons] == ["lambda=0.01", "lambda=0.1"]
    assert result.history.test_loss.shape == (1, 3, 3)


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(hasattr(regbench, name) for name in regbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = regbench.train
