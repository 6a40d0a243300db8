"""`regbench verify`: every row holds, and fails where the code that it watches is broken."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
import torch

from regbench.analysis.decomposition import Split, split
from regbench.engines import ENGINES, batched
from regbench.engines.fused.engine import COEFFICIENTS, COMPILING
from regbench.regularizers.noise import Dropout, InputNoise
from regbench.regularizers.penalties import (
    L1,
    DecoupledDecay,
    EarlyStopping,
    GroupLasso,
    WeightDecay,
)
from regbench.settings.groups import Machine
from regbench.tasks import table
from regbench.tasks.synthetic import Synthetic, loss_at_test_points
from regbench.tasks.table import Tabular
from regbench.verify import cases
from regbench.verify.cases import CASES
from regbench.verify.runner import compare_means, compare_values, select, verify

if TYPE_CHECKING:
    from commands import Command
    from torch import Tensor

    from regbench.analysis.history import Array, Batch, History
    from regbench.regularizers import Step
    from regbench.settings.study import Training
    from regbench.tasks.sample import Sample
    from regbench.verify.runner import Row

NAMES = [case.name for case in CASES]


def rows_of(engine: Literal["auto", "batched"], *names: str) -> dict[str, Row]:
    """Return some rows, or all, by name."""
    verified = verify(select(CASES, names), Machine(engine=engine, device="cpu"))
    return {row.case.name: row for row in verified.rows}


@functools.cache
def all_rows(engine: Literal["auto", "batched"]) -> dict[str, Row]:
    """Return every row, run once for all tests."""
    return rows_of(engine)


@pytest.mark.parametrize("engine", ["batched", "auto"])
@pytest.mark.parametrize("name", NAMES)
def test_row_holds(engine: Literal["auto", "batched"], name: str) -> None:
    row = all_rows(engine)[name]
    assert row.status == "ok", row


def test_rows_have_names_of_their_own_that_fit_the_table() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for case in CASES:
        assert len(case.name) < 24
        assert len(case.statement) <= 80
        assert case.source


def assert_failing(*names: str) -> None:
    found = {name: row.status for name, row in rows_of("batched", *names).items()}
    assert found == dict.fromkeys(names, "FAILED")


def test_wrong_sign_of_decay_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def grow(self: WeightDecay, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        gradient.sub_(parameter, alpha=self.strength)

    monkeypatch.setattr(WeightDecay, "add_penalty_gradient_", grow)
    assert_failing("momentum-decay", "sgd-penalty", "decay", "decay-momentum", "ridge")


def test_decay_of_twice_the_strength_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def decay_twice(self: WeightDecay, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        gradient.add_(parameter, alpha=2 * self.strength)

    monkeypatch.setattr(WeightDecay, "add_penalty_gradient_", decay_twice)
    assert_failing(
        "momentum-decay", "sgd-penalty", "decay", "ridge", "ridge-bias", "ridge-covariance"
    )


def test_gradient_of_half_the_squared_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    backward = batched.backward

    def halve(*arguments: Any) -> list[Tensor]:
        return [delta / 2 for delta in backward(*arguments)]

    monkeypatch.setattr(batched, "backward", halve)
    assert_failing("sgd", "momentum", "sgd-penalty", "ridge", "ridge-descent", "lasso")


def test_bias_that_is_not_decayed_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def decay_weights(self: WeightDecay, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        if not step.parameter.is_bias:
            gradient.add_(parameter, alpha=self.strength)

    monkeypatch.setattr(WeightDecay, "add_penalty_gradient_", decay_weights)
    assert_failing("momentum-decay", "sgd-penalty", "ridge", "ridge-descent")


def test_dropout_without_its_scale_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = Dropout.factor

    def unscaled(self: Dropout, step: Step) -> Tensor:
        return scaled(self, step) * (1 - self.strength)

    monkeypatch.setattr(Dropout, "factor", unscaled)
    assert_failing("dropout-loss", "dropout-ridge")


def test_input_noise_of_another_size_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    perturb_inputs = InputNoise.perturb_inputs

    def perturb_more(self: InputNoise, x: Tensor, step: Step) -> Tensor:
        return 1.5 * perturb_inputs(self, x, step) - 0.5 * x

    monkeypatch.setattr(InputNoise, "perturb_inputs", perturb_more)
    assert_failing("input-noise")


def test_group_penalty_of_another_weight_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    shrink_ = GroupLasso.after_step_

    def shrink_less_(
        self: GroupLasso, parameter: Tensor, momentum: Tensor | None, step: Step
    ) -> None:
        training = step.training.replaced(lr=step.training.lr / parameter.shape[-1] ** 0.5)
        shrink_(self, parameter, momentum, dataclasses.replace(step, training=training))

    monkeypatch.setattr(GroupLasso, "after_step_", shrink_less_)
    assert_failing("group-lasso")


def test_torch_dropout_without_its_scale_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = torch.nn.Dropout.forward
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: scaled(self, x) * (1 - self.p))
    assert_failing("dropout-scale-mean", "dropout-scale-variance", "dropout-scale-law")


def test_damped_first_step_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    update_ = batched.update_by_sgd_

    def damp_(stack: Any, activations: Any, deltas: Any, training: Training) -> None:
        is_first = not any(buffer.any() for buffer in stack.momenta)
        share = 1 - training.momentum if is_first else 1.0
        update_(stack, activations, [share * delta for delta in deltas], training)

    monkeypatch.setattr(batched, "update_by_sgd_", damp_)
    assert_failing("momentum", "momentum-decay", "ridge-descent")


def test_dropout_that_does_nothing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dropout, "factor", lambda *_: None)
    assert_failing("dropout-loss", "dropout-ridge")


def test_proximal_step_that_momentum_does_not_see_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threshold_ = L1.after_step_

    def forget_(self: L1, parameter: Tensor, momentum: Tensor | None, step: Step) -> None:
        threshold_(self, parameter, None, step)

    monkeypatch.setattr(L1, "after_step_", forget_)
    assert_failing("lasso")


def test_subgradient_in_place_of_the_proximal_step_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def add_sign_(self: L1, gradient: Tensor, parameter: Tensor, step: Step) -> None:
        gradient.add_(parameter.sign(), alpha=self.strength)

    monkeypatch.setattr(L1, "after_step_", lambda *_: None)
    monkeypatch.setattr(L1, "add_penalty_gradient_", add_sign_)
    assert_failing("lasso-zeros")


def test_coupled_decay_in_place_of_decoupled_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    coupled = WeightDecay.add_penalty_gradient_
    monkeypatch.setattr(DecoupledDecay, "before_step_", lambda *_: None)
    monkeypatch.setattr(DecoupledDecay, "add_penalty_gradient_", coupled)
    assert_failing("decoupled", "adam-decoupled")


def test_decoupled_decay_in_place_of_coupled_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WeightDecay, "add_penalty_gradient_", lambda *_: None)
    monkeypatch.setattr(WeightDecay, "before_step_", DecoupledDecay.before_step_)
    assert_failing("momentum-decay", "decay-momentum", "adam-penalty", "adam-decay")


def test_wrong_memory_of_adam_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batched, "BETA_2", 0.99)
    assert_failing("adam", "adam-penalty", "adam-decoupled")


def test_bias_squared_without_its_correction_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def plug_in(predictions: Array, truth: Array) -> Split:
        parts = split(predictions, truth)
        assert parts
        wrong = parts.values + np.array([parts.values[1] / len(predictions), 0, 0])
        return dataclasses.replace(parts, values=wrong)

    monkeypatch.setattr(cases, "split", plug_in)
    assert_failing("decomposition", "least-squares-bias")


def test_a_row_of_numbers_that_are_not_finite_fails() -> None:
    assert not compare_values([1.0, 2.0], [1.0, np.nan], 1e-10).holds
    assert not compare_values([1.0, 2.0], [np.inf, 2.0], 1e-10).holds
    assert not compare_means(0.0, [0.0, np.nan, 1.0]).holds


def test_a_comparison_shows_the_entry_that_lies_furthest_off() -> None:
    found = compare_values([1.0, 2.0, 4.0], [1.0, 3.0, 4.5], 0.1)
    assert (found.predicted, found.measured, found.deviation) == (2.0, 3.0, 0.25)
    assert not found.holds
    assert compare_values([1.0, 2.0, 4.0], [1.0, 3.0, 4.5], 0.25).holds
    # Differences 0 and 2: their mean 1 is one standard error, √2/√2, from 0.
    z = compare_means([[1.0], [1.0]], [[1.0], [3.0]])
    assert (z.predicted, z.measured) == (1.0, 2.0)
    assert z.deviation == pytest.approx(1.0)


def test_command_prints_every_row_that_is_asked_for(regbench: Command) -> None:
    finished = regbench("verify", "--only=decay", "--only=decay-momentum,sgd", "--device=cpu")
    assert finished.code == 0
    assert "3 of 3 rows agree" in finished.out
    assert "0.818723" in finished.out
    assert "0.133970" in finished.out
    assert "Polyak 1964" in finished.out
    assert "\x1b" not in finished.out


def test_command_exits_1_where_a_row_fails(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WeightDecay, "add_penalty_gradient_", lambda *_: None)
    finished = regbench("verify", "--only=decay,sgd", "--engine=batched", "--device=cpu", "--quiet")
    assert finished.code == 1
    assert "1 of 2 rows agree" in finished.out
    assert "FAILED: decay" in finished.out
    assert finished.out.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"), [([], f"{COMPILING}\n"), (["--json"], f"{COMPILING}\n"), (["--quiet"], "")]
)
def test_command_says_why_nothing_seems_to_happen(
    regbench: Command, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    def compile_first(batch: Batch, *others: Any) -> History:
        others[-1].say(COMPILING)
        return batched.train_batched(batch, *others)

    monkeypatch.setitem(ENGINES, "fused", compile_first)
    assert regbench("verify", "--only=decay", "--device=cpu", *options).err == said


def test_json_document_has_every_row(regbench: Command) -> None:
    finished = regbench("verify", "--only=decay,sgd", "--json", "--device=cpu")
    document = finished.document
    assert finished.code == 0
    assert document["schema"] == "regbench.verify/1"
    assert document["holds"] is True
    sgd, decay = document["rows"]
    assert (sgd["name"], decay["name"]) == ("sgd", "decay")
    assert decay["status"] == "ok"
    assert decay["predicted"] == pytest.approx(decay["measured"], rel=1e-10)
    assert (decay["unit"], decay["limit"]) == ("relative", 1e-10)
    assert json.dumps(document["config"]["only"]) == '["decay", "sgd"]'


def test_a_row_that_the_engine_cannot_serve_is_skipped_and_not_counted(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(COEFFICIENTS, Dropout)
    names = "--only=dropout-loss,dropout-scale-mean"
    finished = regbench("verify", names, "--engine=fused", "--json")
    skipped, ran = finished.document["rows"]
    assert (finished.code, skipped["status"], ran["status"]) == (0, "skipped", "ok")
    assert skipped["reason"] == "the fused engine cannot train dropout=0.3"
    assert skipped["measured"] is None
    finished = regbench("verify", names, "--engine=fused")
    assert "1 of 1 rows agree" in finished.out
    assert "1 skipped" in finished.out
    alone = regbench("verify", "--only=dropout-loss", "--engine=fused")
    assert alone.code == 1, "nothing was verified"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--only=rigde"], "--only: got 'rigde', which is no row; did you mean 'ridge'?"),
        (["--only=xyzzy"], "allowed: sgd, momentum"),
        (["--only="], "--only: got ''"),
        (["--engine=fast"], "--engine: got 'fast'; allowed: auto"),
        (["--engine=fused", "--device=cuda"], "--device: got 'cuda'"),
        (["--threads=0"], "--threads: got '0'"),
        (["--threads=1", "--threads=2"], "--threads: given 2 times"),
    ],
)
def test_wrong_usage_is_one_clear_line(regbench: Command, arguments: list[str], named: str) -> None:
    finished = regbench("verify", *arguments)
    assert (finished.code, finished.out) == (2, "")
    assert named in finished.err
    assert finished.err.count("\n") == 1


def test_environment_chooses_the_engine_too(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGBENCH_ENGINE", "reference")
    monkeypatch.setenv("REGBENCH_LR", "ignored: rows have their own")
    (row,) = regbench("verify", "--only=sgd", "--json").document["rows"]
    assert (row["engine"], row["status"]) == ("reference", "ok")


def test_cases_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CASES[0].name = "other"  # type: ignore[misc]


def test_ridge_risk_is_within_four_standard_errors_at_every_strength() -> None:
    agreement = all_rows("auto")["ridge-risk"].agreement
    assert agreement is not None
    assert abs(agreement.deviation) < 4


def test_risk_at_the_training_inputs_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Synthetic, "risk", lambda _, outcome: loss_at_test_points(outcome))
    assert_failing("risk", "ridge-risk")


def test_stopping_an_epoch_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EarlyStopping, "stops_at", lambda self, epochs: int(self.strength) + 1)
    assert_failing("early-stopping")


def test_losses_of_a_table_in_other_units_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "units", lambda outcome: 1.0)
    assert_failing("table-risk", "table-task")


def test_training_on_a_row_of_a_table_that_is_held_out_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    split = Tabular.split

    def swap(self: Tabular, seed: int) -> tuple[Any, Any]:
        train, held = split(self, seed)
        return np.sort(np.append(train, held[:1])), held

    monkeypatch.setattr(Tabular, "split", swap)
    assert_failing("table-risk", "table-parts", "table-interval")


def test_variance_of_a_table_by_the_number_of_replicates_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts = Tabular.parts

    def plug_in(self: Tabular, history: History, kept_index: int) -> Any:
        found = parts(self, history, kept_index)
        assert found
        bias_squared, variance = found
        return bias_squared, dataclasses.replace(variance, values=variance.values * 3 / 4)

    monkeypatch.setattr(Tabular, "parts", plug_in)
    assert_failing("table-parts")


def test_rows_of_a_table_taken_as_certain_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    over_rows = Tabular.over_rows

    def certain(self: Tabular, *arguments: Any) -> Sample:
        found = over_rows(self, *arguments)
        return dataclasses.replace(found, apart=0 * found.values)

    monkeypatch.setattr(Tabular, "over_rows", certain)
    assert_failing("table-interval")
