"""Arms as text: what is typed becomes sums of regularizers, whose text becomes them again."""

from __future__ import annotations

import math
import sys
import tempfile
from pathlib import Path

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st
from training import make_request, make_study

from regbench.errors import UsageError
from regbench.experiments import resolve
from regbench.regularizers import REGULARIZERS, Arm
from regbench.regularizers.noise import Dropout
from regbench.regularizers.penalties import L1, DecoupledDecay, WeightDecay
from regbench.settings.parse import arms_of

STRENGTHS = {
    name: st.integers(0, 10**9).map(float)
    if kind.is_whole
    else st.floats(0, min(kind.upper_bound, sys.float_info.max), exclude_max=True)
    for name, kind in REGULARIZERS.items()
}
SUMS = st.lists(st.sampled_from(list(REGULARIZERS)), min_size=1, unique=True).flatmap(
    lambda commands: st.tuples(*(st.tuples(st.just(name), STRENGTHS[name]) for name in commands))
)
"""Distinct regularizers in any order, each with a strength."""
ANY_TEXT = st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"]))
PIECES = st.sampled_from(
    [*REGULARIZERS, "=", "+", ",", ":", "0.1", "1e+2", "-1", "nan", "linspace:0:0.5:3", " ", "\x1b"]
)


def names_of(*texts: str) -> list[str]:
    """Return the names of the arms that `regbench compare` makes of texts, without the baseline."""
    return list(resolve("compare", {"arms": list(texts)}).study.compared)


@given(SUMS)
@example((("wdecay", -0.0), ("dropout", 5e-324)))
@example((("l1", 1e300), ("wdecay", 1e22)))  # `1e+300` has a plus sign of its own
def test_any_sum_survives_its_text(parts: tuple[tuple[str, float], ...]) -> None:
    arm = Arm(tuple(REGULARIZERS[command](strength + 0.0) for command, strength in parts))
    (found,) = arms_of("ARM", arm.name)
    assert found == arm
    assert (found.name, found.name.isascii(), found.name.isprintable()) == (arm.name, True, True)
    typed = "+".join(f"{command}={strength!r}" for command, strength in parts)
    assert arms_of("ARM", typed) == [arm], "in any order"
    for part in found.parts:
        assert part.strength or math.copysign(1, part.strength) == 1, "there is no minus zero"


@given(st.lists(SUMS, min_size=1, max_size=6))
def test_arms_of_a_study_survive_their_file_exactly(
    sums: list[tuple[tuple[str, float], ...]],
) -> None:
    arms = {
        Arm(
            tuple(
                REGULARIZERS[command](strength % (100 if REGULARIZERS[command].is_whole else 0.9))
                for command, strength in parts
            )
        )
        for parts in sums
    }
    names = sorted(arm.name for arm in arms)
    first = resolve("compare", {"arms": names})
    assert first.study.compared == names
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_text(tomli_w.dumps(first.to_file()), encoding="utf-8")
        again = resolve("compare", {}, {}, str(path))
    assert (again.study, again.digest) == (first.study, first.digest)


def test_plus_sign_of_an_exponent_belongs_to_the_number() -> None:
    (arm,) = arms_of("ARM", "wdecay=1e+2+dropout=5e-1+l1=+2")
    assert arm.parts == (WeightDecay(100.0), Dropout(0.5), L1(2.0))
    assert names_of("wdecay=1e+2") == ["wdecay=100.0"]


def test_parts_stand_in_one_order_whatever_was_typed() -> None:
    typed = ["l1=1+decoupled=2+dropout=0.5+wdecay=3", "dropout=0.5+l1=1+wdecay=3+decoupled=2"]
    for text in typed:
        assert names_of(text) == ["wdecay=3.0+dropout=0.5+decoupled=2.0+l1=1.0"]
    with pytest.raises(UsageError, match="twice; give each arm once"):
        names_of(*typed)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wdecay=0.1,0.2", ["wdecay=0.1", "wdecay=0.2"]),
        ("wdecay=linspace:0:1:3", ["wdecay=0.0", "wdecay=0.5", "wdecay=1.0"]),
        ("dropout=0.5+l1=logspace:1e-2:1:3", [f"dropout=0.5+l1={x}" for x in (0.01, 0.1, 1.0)]),
        ("l1=logspace:1e-2:1e+0:2+dropout=0.5", [f"dropout=0.5+l1={x}" for x in (0.01, 1.0)]),
        ("wdecay=3+dropout=0.2,0.1", [f"wdecay=3.0+dropout={p}" for p in (0.2, 0.1)]),
    ],
)
def test_several_values_of_one_part_make_an_arm_each(text: str, expected: list[str]) -> None:
    assert names_of(text) == expected
    # Beside others they keep their place.
    assert names_of("decoupled=9", text, "l1=7") == ["decoupled=9.0", *expected, "l1=7.0"]


def test_arms_add_up_in_python_as_in_text() -> None:
    total = WeightDecay(0.01) + Dropout(0.5)
    assert total == Arm((Dropout(0.5), WeightDecay(0.01)))
    assert arms_of("ARM", "wdecay=0.01+dropout=0.5") == [total]
    assert total + L1(0.1) + DecoupledDecay(0.2) == (L1(0.1) + DecoupledDecay(0.2)) + total
    assert Arm() + L1(0.1) == Arm((L1(0.1),))
    assert (Arm().name, Arm().parts) == ("baseline", ())


REFUSED = [
    # what was typed, and what the line must say
    ("wdcay=0.1", ["got 'wdcay=0.1'", "did you mean 'wdecay'?"]),
    ("wdecay=0.1+dropuot=0.5", ["'dropuot=0.5' is no regularizer", "did you mean 'dropout'?"]),
    ("xyzzy=1", ["got 'xyzzy=1'", f"regularizers: {', '.join(REGULARIZERS)}"]),
    ("WDECAY=1", ["got 'WDECAY=1'", "is no regularizer"]),
    ("dropout-scale=0.5", ["is no regularizer"]),
    ("lambda=0.1", ["is no regularizer"]),
    ("baseline", ["'baseline' is no regularizer with its strength", "allowed: arms such as"]),
    ("wdecay", ["got 'wdecay', where 'wdecay' lacks its strength", "such as wdecay=0.01"]),
    ("wdecay:0.1", ["'wdecay:0.1' is no regularizer with its strength"]),
    ("wdecay=0.1+dropout", ["'dropout' lacks its strength", "such as dropout=0.5"]),
    ("+", ["got '+', which is half a sum", "without spaces"]),
    ("0.1", ["'0.1' is no regularizer with its strength"]),
    ("=0.1", ["'=0.1' is no regularizer"]),
    ("+wdecay=0.1", ["'' is no regularizer"]),
    ("+", ["got '+'"]),
    ("=", ["got '='"]),
    ("wdecay=", ["got ''", "finite numbers from 0"]),
    ("wdecay=0.1+", ["got '0.1+'"]),
    ("wdecay==1", ["got '=1'"]),
    ("wdecay=0.1=2", ["got '0.1=2'"]),
    ("wdecay = 1", ["got 'wdecay', where 'wdecay' lacks its strength"]),
    ("wdecay=0.1,,0.2", ["got ''"]),
    ("wdecay=0,1", ["a decimal comma? write 0.1"]),
    ("wdecay=nan", ["got 'nan'"]),
    ("wdecay=inf", ["got 'inf'"]),
    ("wdecay=1e400", ["too large"]),
    ("wdecay=1e-400", ["become 0"]),
    ("wdecay=-1", ["got 'wdecay=-1.0'", "allowed: a finite number from 0"]),
    ("wdecay=380", ["got '380.0'", "2(1+momentum)/lr"]),
    ("dropout=50%", ["'50%'", "0.5"]),
    ("wdecay=0.1+dropout=1", ["got 'dropout=1.0'", "from 0 to below 1"]),
    ("wdecay=0.1+wdecay=0.2", ["'wdecay=0.1+wdecay=0.2', which has wdecay twice"]),
    ("l1=1+dropout=0.1+l1=1", ["which has l1 twice"]),
    ("wdecay=0.1,0.1", ["'wdecay=0.1' twice", "each arm once"]),
    ("wdecay=0,-0", ["'wdecay=0.0' twice"]),
    ("wdecay=1,2+dropout=0.1,0.2", ["two parts have several values"]),
    ("l1=1,2+dropout=linspace:0:0.5:3", ["two parts have several values"]),
    ("wdecay=linspace:0:1:1", ["where N must be"]),
    ("wdecay=linspace:0:1:1001", ["where N must be"]),
    ("wdecay=0.1\x1b[31m", ["\\x1b[31m"]),
    ("\x1b]0;x\x07=1", ["\\x1b]0;x\\x07"]),
    ("wdecay=٠.١", ["'٠.١'"]),
    ("ﬁ=1", ["is no regularizer"]),
    ("wdecay=0.1+\u202edropout=0.5", ["\\u202e"]),
]


@pytest.mark.parametrize(("text", "said"), REFUSED)
def test_text_that_is_no_arm_is_refused_in_one_line(text: str, said: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        resolve("compare", {"arms": [text]})
    line = str(refused.value)
    assert line.startswith("ARM: ")
    assert line.isprintable()
    assert [part for part in said if part not in line] == [], line


@pytest.mark.parametrize("texts", [[], [""], [" "], ["\n", "\t"]])
def test_nothing_to_compare_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError, match=r"^ARM: nothing to compare; allowed: arms such as "):
        resolve("compare", {"arms": texts} if texts else {})


def test_more_arms_than_there_may_be_are_counted() -> None:
    texts = [f"{name}=linspace:0.1:0.9:600" for name in ("wdecay", "dropout")]
    assert len(names_of(texts[0])) == 600
    with pytest.raises(UsageError, match=r"^ARM: got '1200 arms'; allowed: at most 1000$"):
        names_of(*texts)


@given(ANY_TEXT | st.lists(PIECES, max_size=8).map("".join))
@example("wdecay=" + "1" * 100_000)
@example("wdecay=0.1+" * 10_000)
@example("+" * 100_000)
def test_any_text_is_arms_or_one_line_that_can_be_shown(text: str) -> None:
    refusals = []
    try:
        found = arms_of("ARM", text)
        assert found
        assert all(arm.parts for arm in found)
    except UsageError as error:
        refusals.append(str(error))
    try:
        names = names_of(text)
        assert names == [arm.name for part in text.split() for arm in arms_of("ARM", part)]
    except UsageError as error:
        refusals.append(str(error))
    assert all(line.isprintable() and len(line) < 1000 for line in refusals)


@pytest.mark.parametrize(
    ("arms", "labels"),
    [
        (["wdecay=0.01"], ["λ=0.01"]),
        (["wdecay=0.01", "dropout=0.5"], ["λ=0.01", "p=0.5"]),
        (["l1=0.1+dropout=0.5"], ["p=0.5+λ=0.1"]),
        (["wdecay=0.01", "l1=0.01"], ["wdecay=0.01", "l1=0.01"]),
        (["dropout=0.5", "wdecay=0.01+l1=0.1"], ["dropout=0.5", "wdecay=0.01+l1=0.1"]),
        (["wdecay=0", "decoupled=0"], ["wdecay=0.0", "decoupled=0.0"]),
    ],
)
def test_labels_are_symbols_where_each_stands_for_one_regularizer(
    arms: list[str], labels: list[str]
) -> None:
    study = make_study("compare", arms=tuple(arms))
    assert list(study.labels) == study.arm_names == ["baseline", *names_of(*arms)]
    assert list(study.labels.values()) == ["baseline", *labels]


def test_study_of_an_option_is_that_of_its_arms() -> None:
    option = make_request("wdecay", (0.1, 0.2), seed=4, epochs=9)
    arms = make_request("compare", arms=("wdecay=0.1", "wdecay=0.2"), seed=4, epochs=9)
    assert option.study == arms.study
    assert option.digest != arms.digest, "a run's folder is named for its command too"
