"""The conformance suite: the package's own pass it, and what is broken fails where it is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest
import torch

from regbench.regularizers import BY_CLASS, REGULARIZERS, Regularizer
from regbench.settings.groups import Machine
from regbench.verify.conformance import CHECKS, conformance
from regbench.verify.runner import verify

if TYPE_CHECKING:
    from pathlib import Path

    from commands import Command
    from torch import Tensor

    from regbench.regularizers import Step


def failed_of(kind: type[Regularizer]) -> set[str]:
    """Return which checks of a regularizer alone fail."""
    cases = conformance(kind)[: len(CHECKS)]
    rows = verify(cases, Machine(engine="batched", device="cpu")).rows
    return {row.case.name.rpartition("-")[2] for row in rows if row.status != "ok"}


@pytest.mark.parametrize("kind", [k for k in BY_CLASS.values() if k.neutral == 0])
def test_every_regularizer_that_acts_at_its_default_conforms(kind: type[Regularizer]) -> None:
    assert failed_of(kind) == set()


class Broken(Regularizer):
    """The words of what is broken in the tests."""

    command: ClassVar[str] = "broken"
    option: ClassVar[str] = "lambda"
    symbol: ClassVar[str] = "λ"
    default: ClassVar[float] = 0.3
    summary: ClassVar[str] = "Compare what is broken with none."


class Shared(Broken):
    """Takes the norm over replicates too."""

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        """Add λ‖θ‖θ."""
        gradient.add_(parameter * parameter.norm(), alpha=self.strength)


class Random(Broken):
    """Draws from torch's global generator."""

    def after_step_(self, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
        """Add noise."""
        parameter.add_(torch.randn_like(parameter), alpha=step.training.lr * self.strength)


class Narrow(Broken):
    """Does not expect the axis of replicates."""

    def add_penalty_gradient_(self, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        """Raise where a weight has three axes."""
        if not step.parameter.is_bias:
            _, _ = parameter.shape
        gradient.add_(parameter, alpha=self.strength)


class Remembering(Broken):
    """Pulls to where the first parameters that it saw were: another arm is seen first."""

    seen: ClassVar[list[int]] = []

    def after_step_(self, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
        """Shrink the less, the more calls there were."""
        self.seen.append(1)
        parameter.mul_(1 - step.training.lr / len(self.seen))


class Counting(Broken):
    """Counts its calls, from the first epoch anew."""

    seen: ClassVar[list[int]] = []

    def before_step_(self, parameter: Tensor, step: Step) -> None:
        """Shrink the less, the more calls there were."""
        if step.epoch == 1:
            self.seen.clear()
        self.seen.append(1)
        parameter.mul_(1 - step.training.lr / len(self.seen))


@pytest.mark.parametrize(
    ("kind", "failed"),
    [
        (Broken, {"acts"}),
        (Shared, {"replicates", "engines", "linear"}),
        (Random, {"again", "arms", "replicates", "engines", "linear"}),
        (Narrow, {*CHECKS}),
        (Remembering, {"again", "arms", "replicates", "engines", "linear"}),
        (Counting, {"arms"}),
    ],
)
def test_broken_regularizer_fails_where_it_is_broken(
    kind: type[Regularizer], failed: set[str]
) -> None:
    assert failed_of(kind) == failed


def test_command_verifies_a_plugin_and_says_why_a_row_failed(
    regbench: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "narrow.py"
    file.write_text(
        "from regbench import Regularizer\n"
        "class Narrow(Regularizer):\n"
        "    command, option, symbol, default = 'narrow', 'lambda', 'λ', 0.3\n"
        "    summary = 'Compare what expects one network.'\n"
        "    def add_penalty_gradient_(self, gradient, parameter, step):\n"
        "        raise IndexError('too many axes')\n"
    )
    monkeypatch.delitem(REGULARIZERS, "narrow", raising=False)  # and forget it at the end
    monkeypatch.setitem(REGULARIZERS, "narrow", Broken)
    del REGULARIZERS["narrow"]
    finished = regbench("verify", f"--plugin={file}", "--only=narrow-neutral,narrow+l1", "--json")
    assert finished.code == 1
    rows = finished.document["rows"]
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert "unexpected IndexError: too many axes" in rows[0]["reason"]
    shown = regbench("verify", f"--plugin={file}", "--only=narrow-acts")
    assert "0 of 1 rows agree" in shown.out
    assert "too many axes" in shown.out
