"""What is shown: whole numbers at any width, and plain text off a terminal."""

from __future__ import annotations

import dataclasses
import io
import itertools
import re
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats
from training import ENVIRONMENT, make_request, make_result, make_study, train

from regbench.analysis.decomposition import describe, part_differences, split
from regbench.analysis.result import Result
from regbench.analysis.statistics import law_of
from regbench.regularizers import REGULARIZERS
from regbench.report.base import Table
from regbench.report.claims import CLAIM_WORDS, outward_ends
from regbench.report.format import interval_text, number, probability, rounded
from regbench.report.tables import loss_table, share_text
from regbench.report.terminal.console import print_table, progress, showable
from regbench.report.terminal.screen import Screen
from regbench.report.training import view
from regbench.settings.groups import Output
from regbench.storage.run_folder import Run


def make_console(width: int, is_terminal: bool, encoding: str = "utf-8") -> Console:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    return Console(file=file, width=width, force_terminal=is_terminal, markup=False, emoji=False)


def shown(console: Console) -> str:
    console.file.seek(0)
    return re.sub(r"\x1b\[[0-9;]*m", "", console.file.read())


def make_screen(console: Console) -> Screen:
    screen = Screen(Output())
    screen.details = screen.closing = screen.errors = console
    return screen


def show(
    result: Result,
    width: int = 80,
    is_terminal: bool = False,
    encoding: str = "utf-8",
    details: bool = True,
) -> str:
    """Return tables and answer as a console shows them, without styles."""
    console = make_console(width, is_terminal, encoding)
    run = Run(Path("run"), make_request(details=details), manifest={}, done=None)
    make_screen(console).show(view(run, result, is_complete=True))
    return shown(console)


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("replicates", [1, 3])
def test_no_number_is_ever_cut(width: int, is_terminal: bool, replicates: int) -> None:
    result = make_result(strengths=(0.001, 0.1), replicates=replicates)
    text, history = show(result, width, is_terminal), result.history
    logged, expected = [history.at(epoch) for epoch in (10, 20, 30)], []
    for losses in (history.train_loss_eval, history.risk):
        for values in losses[logged].reshape(-1, replicates).astype(float):
            mean, half = values.mean(), 0.0
            if replicates > 1:
                half = stats.t.ppf(0.975, replicates - 1) * stats.sem(values)
            expected.append(rounded(mean, (mean - half, mean + half)))
    for c in (c for compared in result.comparisons_by_epoch for c in compared):
        expected.append(rounded(c.mean_difference, c.ci))
        if replicates > 1:
            expected.append(interval_text(c.ci))
    for parts in result.decompositions[-1]:
        if parts is not None:
            expected.append(rounded(parts.bias_squared.value, parts.bias_squared.ci))
            expected.append(rounded(parts.variance.value, parts.variance.ci))
    for value in expected:
        assert re.search(rf"(^|\s){re.escape(value)}(\s|$)", text)
    assert "…" not in text


def invent_result() -> Result:
    """Return the result of a baseline and two arms whose numbers are drawn, all of them apart."""
    request = make_request(
        "l1", (0.1, 0.2), replicates=12, test_points=5, epochs=20, confidence=0.9, test_noise=0.5
    )
    generator = np.random.default_rng(3)
    history = train(request.study.replaced(replicates=1), "batched")
    epochs, kept, grid = len(history.epochs), len(history.kept_epochs), len(history.grid_x)
    losses = generator.lognormal(0, 0.3, (epochs, 3, 12))
    losses[:, 1] = losses[:, 0] + generator.lognormal(-2, 1, (epochs, 12)) - 0.1
    losses[:, 2] = losses[:, 0] - generator.lognormal(-2, 1, (epochs, 12))
    history = history.replaced(
        train_loss=losses / 2,
        train_loss_eval=losses / 2,
        test_loss=losses,
        risk=losses,
        predictions=generator.normal(0.4, [[[0.2]], [[0.5]], [[0.9]]], (kept, 3, 12, grid)),
        zero_share=generator.uniform(0.1, 0.9, (epochs, 3, 12)),
    )
    return Result(request.study, request.question, ENVIRONMENT, history)


def cells_under(text: str, heading: str) -> list[list[str]]:
    """Return the rows of the plain table below a line that begins so, its titles left out."""
    lines = iter(text.splitlines())
    while not next(lines).startswith(heading):
        pass
    next(lines)
    return [re.split(r" {2,}", line) for line in itertools.takewhile(str.strip, lines)]


def test_difference_table_shows_what_it_says() -> None:
    result = consistent_result()
    baseline, *arms = result.history.risk[-1]
    signs = np.array(list(itertools.product((1, -1), repeat=12)))
    law = law_of(np.array([arm - baseline for arm in arms]))
    rows = []
    for arm_index, arm in enumerate(arms, start=1):
        differences = np.sort(arm - baseline)
        test = stats.ttest_rel(arm, baseline)
        alone, half = test.confidence_interval(0.9), law.critical(0.9) * stats.sem(differences)
        ci = (differences.mean() - half, differences.mean() + half)
        # Of 12 fair coins 2 or fewer are heads with probability .02, and 3 or fewer with .07.
        median_ci = (differences[2], differences[-3])
        gain = (baseline.var() + arm.var()) / differences.var()
        flips = abs(signs @ differences) >= abs(sum(differences)) * (1 - 1e-12)
        zeros = 100 * result.history.zero_share[-1, arm_index].mean()
        rows.append(
            [
                f"λ={0.1 * arm_index:g}",
                *(rounded(differences.mean(), ci), interval_text(ci)),
                *(rounded(float(np.median(differences)), median_ci), interval_text(median_ci)),
                *(str(sum(differences < 0)), probability(law.probability(test.statistic))),
                *(f"{np.corrcoef(baseline, arm)[0, 1]:.2f}", f"{gain:.3g}"),
                *(interval_text(tuple(alone)), probability(np.mean(flips)), f"{zeros:.1f} %"),
            ]
        )
    assert cells_under(show(result), "Risk at epoch 20") == rows


def consistent_result() -> Result:
    """Return a result whose predictions are drawn, and whose risks are those of them."""
    result = invent_result()
    history, kept = result.history, result.history.kept_epochs
    risk = np.full_like(history.risk, 1.0)
    squares = np.square(history.predictions - history.grid_truth).mean(axis=-1) + 0.25
    risk[np.searchsorted(history.epochs, kept)] = squares
    return dataclasses.replace(result, history=history.replaced(risk=risk))


def test_table_of_reasons_shows_what_it_says() -> None:
    result = consistent_result()
    splits = [split(p, result.history.grid_truth) for p in result.history.predictions[-1]]
    changes = part_differences(["a", "b"], splits, 0.9)
    rows = []
    for index, label in enumerate(("baseline", "λ=0.1", "λ=0.2")):
        parts = describe(splits[index], 0.25, 0.9)
        for name, key in (("bias²", "bias_squared"), ("variance", "variance")):
            shown = [getattr(parts, key), *([getattr(changes[index - 1], key)] if index else [])]
            cells = [(rounded(part.value, part.ci), interval_text(part.ci)) for part in shown]
            rows.append([label, name, *itertools.chain(*cells)])
    heading = "Why: the risk at epoch 20 is bias² + variance + noise (0.25)"
    assert cells_under(show(result), heading) == rows


def test_claims_come_first_one_below_the_other_and_for_many_arms_side_by_side() -> None:
    few = make_result("wdecay", (3.0,), epochs=150, replicates=8, depth=1)
    measures = {found.measure: found for found in few.measures}
    norm = measures["weight_norm"]
    lines = show(few).splitlines()
    assert re.match("λ=3(: cannot tell| lowers| raises)", lines[1])
    cells = cells_under("\n".join(lines), "What is claimed of regularizers, at epoch 150")[:4]
    assert [row[1] for row in cells] == list(CLAIM_WORDS.values())
    baseline, value = few.history.weight_norm[-1].astype(float)
    higher = few.history.train_loss_eval[-1, 1] > few.history.train_loss_eval[-1, 0]
    assert cells[0][5] == f"{higher.sum()} of 8"
    ends = [rounded(float(end.mean()), norm.ci) for end in (value - baseline, baseline, value)]
    assert cells[3][2:] == ["yes", ends[0], interval_text(norm.ci), "8 of 8", *ends[1:]]
    many = make_result("wdecay", (0.1, 0.2, 3.0), epochs=150, replicates=8, depth=1)
    assert "? means cannot tell" in show(many)
    cells = cells_under(show(many), "What is claimed of regularizers, at epoch 150")[1:4]
    norm = next(f for f in many.measures if (f.arm, f.measure) == ("wdecay=3.0", "weight_norm"))
    assert [row[0] for row in cells] == ["λ=0.1", "λ=0.2", "λ=3"]
    assert cells[2][4] == f"yes {rounded(norm.mean_difference, norm.ci)}"


def test_answer_for_many_arms_is_a_table_with_a_row_for_each() -> None:
    result = make_result("wdecay", (0.1, 0.2, 3.0), epochs=20, replicates=8, depth=1)
    best = result.study.replaced(arms=result.study.arms[2:3])
    fresh_study = best.replaced(seed=9, replicates=4)
    fresh = Result(fresh_study, result.question, ENVIRONMENT, train(fresh_study, "batched"))
    result = dataclasses.replace(result, confirmation=fresh)
    assert result.confirmation is not None
    text = show(result, width=200, details=False)
    (again,) = result.confirmation.comparisons
    rows = []
    for c in result.comparisons:
        rows += [(c, result.study.labels[c.arm])]
        rows += [(again, f"{result.study.labels[c.arm]} fresh")] if c.arm == again.arm else []
    expected = [
        [label, {"inconclusive": "cannot tell", "better": "lower", "worse": "higher"}[c.verdict],
         rounded(c.mean_difference, c.ci), interval_text(c.ci), f"{c.wins} of {c.replicates}"]
        for c, label in rows
    ]  # fmt: skip
    shown = cells_under(text, "Risk at epoch 20: arm − baseline")[1 : 1 + len(rows)]
    assert [row[:5] for row in shown] == expected
    marks = {True: "yes", False: "no", None: "?"}
    claims = {(claim.arm, claim.claim): marks[claim.holds] for claim in result.claims}
    for (c, label), row in zip(rows, shown, strict=True):
        whole = fresh if label.endswith("fresh") else result
        stopped = next(f for f in whole.at_best_epochs if f.arm == c.arm)
        word = stopped.verdict.replace("inconclusive", "cannot tell")
        assert row[5] == f"{word} {rounded(stopped.mean_difference, stopped.ci)}"
        others = ("train_loss_higher", "fit_smoother", "weights_nearer_zero")
        assert row[6:] == [claims[c.arm, name] for name in others]
    assert text.index("Risk at epoch") < text.index("Why: ") < text.index("Mean squared error")
    assert "Earlier epochs are in" in text
    assert "by sign flips" not in text
    assert "by sign flips" in show(result, width=200)
    why = cells_under(text, "Why: the risk at epoch 20")[1:]
    changes = result.decomposition_differences[-1]
    for row, parts, change in zip(why[1:], result.decompositions[-1][1:], changes, strict=True):
        assert parts is not None
        assert change is not None
        bias, variance = (getattr(change, key) for key in ("bias_squared", "variance"))
        assert row[1:3] == [rounded(bias.value, bias.ci), interval_text(bias.ci)]
        assert row[3] == rounded(parts.bias_squared.value, parts.bias_squared.ci)
        assert row[4:6] == [rounded(variance.value, variance.ci), interval_text(variance.ci)]
        assert row[6] == rounded(parts.variance.value, parts.variance.ci)


def test_course_of_a_pair_has_the_first_epochs_the_best_and_the_last() -> None:
    result = make_result("wdecay", (0.1,), epochs=450, log_every=200, replicates=8, depth=1)
    epochs, risk = result.history.epochs.tolist(), result.history.risk
    risk[:] = 2 + np.random.default_rng(1).random(risk.shape)
    risk[epochs.index(42), 0] = 1  # where the baseline is best, and the arm
    risk[epochs.index(24), 1] = 1
    table = loss_table(result, has_details=False)
    rows = table.rows[1:]
    assert [row[0] for row in rows] == ["0", "10", "24", "42", "100", "400", "450"]
    baseline, arm = risk[epochs.index(100)].astype(float)
    ci = tuple(stats.ttest_rel(arm, baseline).confidence_interval(0.95))
    assert rows[4][-2:] == [rounded(float((arm - baseline).mean()), ci), interval_text(ci)]
    assert table.note == "The mean risk is lowest at epoch 42 (baseline) and 24 (λ=0.1)."
    risk[:, 1] = np.nan
    note = loss_table(result, has_details=False).note
    assert note == "The mean risk is lowest at epoch 42 (baseline)."


@pytest.mark.parametrize("count", [1, 2, 9])
def test_no_width_is_too_small_for_a_difference_and_its_interval(count: int) -> None:
    result = make_result("wdecay", tuple(range(1, count + 1)), replicates=3)
    run = Run(Path("run"), make_request(details=True), manifest={}, done=None)
    made = view(run, result, is_complete=True)
    tables = [*made.tables, *([made.answer] if made.answer else [])]
    kept = 0
    for table in tables:
        for column, title in enumerate(table.rows[0]):
            if title.endswith(("difference", "mean")):
                kept += 1
                assert not any({column, column + 1} & {*spared} for spared in table.dispensable)
    assert kept >= 4


def test_terminal_says_that_torch_is_loading_and_nothing_else_does() -> None:
    for is_terminal, words in ((True, "Loading torch ...\r"), (False, "")):
        console = make_console(80, is_terminal)
        make_screen(console).wait()
        assert shown(console).replace("\n", "\r") == words


def test_layers_that_go_another_way_than_all_weights_are_named() -> None:
    result = make_result("wdecay", (0.1,), replicates=8)
    baseline = np.linspace(1, 2, 8)
    for name, change in (("rms_output", 0.1), ("weight_norm", -0.2), ("rms_hidden1", -0.1)):
        getattr(result.history, name)[-1] = [baseline, baseline + change + baseline / 100]
    assert "The weights of the output layer are larger." in show(result)


def test_nearly_all_is_not_all() -> None:
    shares = [share_text(share) for share in (0.0, 1e-9, 0.5, 0.99999, 1.0)]
    assert shares == ["0.0 %", "0.1 %", "50.0 %", "99.9 %", "100.0 %"]


def test_zeros_that_no_regularizer_made_are_underflow() -> None:
    result = make_result("wdecay", (0.1,), replicates=3)
    result.history.zero_share[-1, 1] = 0.3
    assert show(result).count("underflow") == 1


@pytest.mark.parametrize("replicates", [1, 3, 30])
@pytest.mark.parametrize("strengths", [(0.01,), (0.001, 0.1)])
@pytest.mark.parametrize("command", sorted(REGULARIZERS))
def test_tables_fit_eighty_columns_on_a_terminal(
    command: str, replicates: int, strengths: tuple[float, ...]
) -> None:
    if REGULARIZERS[command].is_whole:
        strengths = tuple(round(1000 * strength) for strength in strengths)
    text = show(make_result(command, strengths, replicates=replicates), is_terminal=True)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


@pytest.mark.parametrize("replicates", [1, 3, 30])
def test_tables_of_a_sum_of_two_fit_eighty_columns_on_a_terminal(replicates: int) -> None:
    arms = ("wdecay=0.01", "dropout=0.5", "wdecay=0.01+dropout=0.5")
    text = show(make_result("compare", arms=arms, replicates=replicates), is_terminal=True)
    assert "λ=0.01+p=0.5" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80


def test_intervals_are_named_and_left_out_for_one_replicate() -> None:
    texts = [show(make_result(strengths=(0.001, 0.1), replicates=count)) for count in (1, 3)]
    assert "interval" not in texts[0]
    assert "95 % interval" in texts[1]
    assert "±" not in texts[1]


def test_dropout_shows_the_training_loss_without_masks_too() -> None:
    for command, is_shown in (("wdecay", False), ("dropout", True)):
        assert ("with its noise" in show(make_result(command, (0.1,)))) == is_shown


def test_lines_end_with_their_last_word_off_a_terminal() -> None:
    lines = show(make_result(strengths=(0.001, 0.1))).split("\n")
    assert len(lines) > 10
    assert [line for line in lines if line != line.rstrip()] == []


def test_share_of_zeros_is_shown_where_there_are_any() -> None:
    for command, is_shown in (("wdecay", False), ("l1", True)):
        result = make_result(command, (0.1, 0.5), epochs=200, log_every=200, lr=0.05)
        text = show(result)
        assert ("zeros: share of weights" in text) == is_shown
        for share in result.history.zero_share[-1, 1:].mean(axis=1) if is_shown else []:
            assert share > 0
            assert f"  {100 * share:.1f} %" in text


def test_console_without_unicode_gets_every_table_in_ascii() -> None:
    text = show(make_result(strengths=(0.001, 0.1)), encoding="ascii")
    assert "bias^2" in text
    assert "\nlambda=0.1 " in text
    assert "?" not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (59, ""),
        (70, "about 1 minute of"),
        (130, "about 2 minutes"),
        (7000, "about 2 hours"),
        (3e6, "about 35 days"),
    ],
)
def test_long_run_says_so_before_it_begins(seconds: float, words: str) -> None:
    console = make_console(80, is_terminal=False)
    make_screen(console).estimate("training", seconds)
    assert words in shown(console)
    assert bool(shown(console)) == bool(words)


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "1 second"), (44, "44 seconds")])
def test_short_training_says_how_long_it_takes_only_after_a_pilot(
    seconds: float, words: str
) -> None:
    console = make_console(80, is_terminal=False)
    screen = make_screen(console)
    screen.estimate("training", seconds)
    with screen.stage("pilot", 1, make_study().labels):
        assert not shown(console)
    screen.estimate("training", seconds)
    assert shown(console) == f"This will take about {words} of training, by rough estimate.\n"


def test_label_becomes_ascii_where_the_console_is() -> None:
    baseline, label = make_study(strengths=(0.1,)).labels.values()
    assert showable(make_console(80, False, "utf-8"), label) == label == "λ=0.1"
    assert showable(make_console(80, False, "ascii"), label) == "lambda=0.1"
    assert showable(make_console(80, False, "ascii"), baseline) == "baseline"
    assert showable(make_console(80, False, "ascii"), "½λ‖w‖²") == "?lambda?w?^2"


def test_group_is_named_once_on_a_terminal_and_in_every_line_elsewhere() -> None:
    table = Table(
        [("epoch", "arm"), ("1", "a"), ("1", "b"), ("2", "b")], left=(1,), is_grouped=True
    )
    for is_terminal, second in ((True, "b"), (False, "1 b")):
        console = make_console(80, is_terminal)
        print_table(console, table)
        rows = [" ".join(line.split()) for line in shown(console).splitlines()]
        assert rows[-3:] == ["1 a", second, "2 b"]


def test_narrow_terminal_goes_without_as_few_columns_as_it_can() -> None:
    cells = [letter * 6 for letter in "abcd"]
    table = Table([cells, cells], dispensable=[(2,), (2, 3)])
    for width, is_terminal, left in (
        (40, True, "abcd"), (24, True, "abd"), (14, True, "ab"), (5, True, "ab"),
        (5, False, "abcd"),
    ):  # fmt: skip
        console = make_console(width, is_terminal)
        print_table(console, table)
        *_, last = shown(console).splitlines()
        assert last.split() == [letter * 6 for letter in left]


def test_progress_off_a_terminal_is_about_ten_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(0, 100_000, 10))
    monkeypatch.setattr(time, "monotonic", lambda: next(ticks))
    console = make_console(80, is_terminal=False)
    with progress(console, "training", 1000) as advance:
        for _ in range(1000):
            advance(1)
    lines = shown(console).splitlines()
    assert len(lines) == 9
    assert lines[0].startswith("training: 10 %")
    assert "\x1b" not in "".join(lines)


def test_quiet_shows_no_progress() -> None:
    console = make_console(80, is_terminal=True)
    with progress(console, "training", 10, is_quiet=True) as advance:
        advance(10)
    assert shown(console) == ""


def test_short_work_shows_no_progress_off_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    console = make_console(80, is_terminal=False)
    with progress(console, "training", 10) as advance:
        advance(10)
    assert shown(console) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.123456789, "0.1235"),
        (-1234.4, "−1234"),
        (0.5, "0.5000"),
        (1e-8, "1.00e-08"),
        (12345.0, "1.23e+04"),
        (float("nan"), "n/a"),
        (float("inf"), "inf"),
        (float("-inf"), "−inf"),
        (None, "n/a"),
    ],
)
def test_numbers_are_short_and_honest(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [((0.0561, 0.0891), "0.056 to 0.09"), ((0.05, 0.11), "0.05 to 0.11"), ((1.0, 23.1), "1 to 24")],
)
def test_ends_of_the_best_strength_are_rounded_outward(
    interval: tuple[float, float], text: str
) -> None:
    assert " to ".join(outward_ends(interval)) == text
