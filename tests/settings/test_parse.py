"""Where a setting's value comes from, and that no text makes anything but settings or one line."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import example, given, settings
from hypothesis import strategies as st

from regbench.errors import UsageError, visible
from regbench.regularizers import REGULARIZERS
from regbench.settings.parse import resolve
from regbench.settings.study import DropoutScale, Experiment, TrainingExperiment, settings_of

ROOT = Path(__file__).parents[2]
EXPERIMENTS = [*REGULARIZERS, "dropout-scale"]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("lambda = [0.3, 0.4]\nepochs = 3\nhidden = 33\nplots = false\n")
    environment = {"REGBENCH_LAMBDA": "0.2", "REGBENCH_EPOCHS": "2", "REGBENCH_JSON": "yes"}
    found = resolve("wdecay", {"lambda": ["0.1"]}, environment, str(path))
    assert isinstance(found, TrainingExperiment)
    assert found.strengths == (0.1,)
    assert (found.epochs, found.hidden, found.points) == (2, 33, 10)
    assert (found.plots, found.json_, found.tensorboard) == (False, True, True)
    assert resolve("wdecay", {"plots": True}, environment, str(path)).plots is True


def test_defaults_are_the_article_s() -> None:
    found = resolve("wdecay", {}, {})
    assert isinstance(found, TrainingExperiment)
    assert found.strengths == (0.01,)
    assert found.layer_sizes == [1, 200, 200, 200, 1]
    assert (found.epochs, found.lr, found.momentum, found.log_every) == (2000, 0.01, 0.9, 200)
    assert (found.points, found.test_points, found.slope) == (10, 10, 1.5)
    assert (found.x_min, found.x_max, found.noise, found.test_noise) == (-1, 1, 0.5, 0.3)
    assert (found.replicates, found.seed, found.pairing) == (30, 1, "shared")
    dropout = resolve("dropout", {}, {})
    assert isinstance(dropout, TrainingExperiment)
    assert dropout.strengths == (0.5,)
    scale = resolve("dropout-scale", {}, {})
    assert isinstance(scale, DropoutScale)
    assert (scale.p, scale.units, scale.trials, scale.seed) == ((0.5,), 10_000, 1000, 1)


def test_as_many_test_points_as_points_where_not_given() -> None:
    found = resolve("wdecay", {"points": ["7"]}, {})
    assert isinstance(found, TrainingExperiment)
    assert found.test_points == 7


def test_variables_of_other_experiments_and_programs_do_not_matter() -> None:
    environment = {"REGBENCH_UNITS": "nonsense", "REGBENC_X": "1", "PATH": "/bin"}
    assert resolve("wdecay", {}, environment) == resolve("wdecay", {}, {})


def test_unknown_variable_is_refused_with_the_nearest_variable() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'REGBENCH_ENGINE'\?"):
        resolve("wdecay", {}, {"REGBENCH_ENGIN": "fused"})
    with pytest.raises(UsageError, match=r"'REGBENCH_XYZZY': no such setting$"):
        resolve("wdecay", {}, {"REGBENCH_XYZZY": "1"})


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_loads(path: Path) -> None:
    experiment = tomllib.loads(path.read_text(encoding="utf-8"))["experiment"]
    assert resolve(experiment, {}, {}, str(path)).experiment == experiment


def test_the_article_is_among_the_shipped_configurations() -> None:
    assert {path.stem for path in CONFIGS} >= {
        f"article-{name}" for name in ("wdecay", "dropout", "dropout-scale")
    }


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("lamda", "lambda"),
        ("Lambda", "lambda"),
        ("epoch", "epochs"),
        ("test-points", "test_points"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest(tmp_path: Path, key: str, nearest: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(f"{key} = 1\n")
    with pytest.raises(UsageError, match=f"unknown key '{key}'; did you mean '{nearest}'"):
        resolve("wdecay", {}, {}, str(path))


def test_integer_in_a_file_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("lambda = 1\nslope = 2\n")
    found = resolve("wdecay", {}, {}, str(path))
    assert isinstance(found, TrainingExperiment)
    assert found.strengths == (1.0,)
    assert found.slope == 2.0


def test_logged_epochs_are_the_multiples_and_the_last() -> None:
    for epochs in range(1, 30):
        for every in range(1, 35):
            found = TrainingExperiment(
                experiment="wdecay", strengths=(0.1,), epochs=epochs, log_every=every
            )
            expected = [e for e in range(1, epochs + 1) if e % every == 0 or e == epochs]
            assert found.logged_epochs == expected
            assert found.logged_count == len(expected)


def test_hash_differs_where_a_number_may_and_only_there() -> None:
    def hash_of(**values: Any) -> str:
        return TrainingExperiment(experiment="wdecay", **{"strengths": (0.1,), **values}).hash

    assert hash_of(strengths=(0.2,)) != hash_of() != hash_of(seed=2)
    assert hash_of(epochs=1999) != hash_of() != hash_of(momentum=0.5)
    assert hash_of(plots=False) == hash_of(tensorboard=False) == hash_of(out="x") == hash_of()


def values_of(experiment: str) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "epochs": st.integers(1, 10**9),
        "lr": st.floats(1e-6, 1e-3),
        "momentum": st.floats(0, 0.99),
        "seed": st.integers(0, 2**31),
        "slope": st.floats(-1e6, 1e6),
        "plots": st.booleans(),
        "dtype": st.sampled_from(["float32", "float64"]),
        REGULARIZERS[experiment].option: st.lists(
            st.floats(0, 0.99), min_size=1, max_size=5, unique=True
        ).map(lambda values: [value + 0.0 for value in values]),
    }


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("experiment", list(REGULARIZERS))
def test_settings_survive_their_file_exactly(experiment: str, data: st.DataObject) -> None:
    values = data.draw(st.fixed_dictionaries({}, optional=values_of(experiment)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_text(tomli_w.dumps(values), encoding="utf-8")
        first = resolve(experiment, {}, {}, str(path))
        path.write_text(tomli_w.dumps(first.to_file()), encoding="utf-8")
        assert resolve(experiment, {}, {}, str(path)) == first


def accept_or_refuse(experiment: str, flags: Any, environment: Any, file: str | None) -> None:
    """Resolve: either there are settings, or a `UsageError` with a line that can be shown."""
    refusal = None
    try:
        found = resolve(experiment, flags, environment, file)
        assert isinstance(found, Experiment)
    except UsageError as error:
        refusal = str(error)
    assert refusal is None or (refusal.isprintable() and len(refusal) < 1000)


NUMBER_LIKE = st.text(alphabet="0123456789.,eE+-naif%_x٣ \n", max_size=12)


@given(data=st.data())
def test_any_text_of_an_option_or_variable_is_accepted_or_refused(data: st.DataObject) -> None:
    experiment = data.draw(st.sampled_from(EXPERIMENTS))
    key = data.draw(st.sampled_from(list(settings_of(experiment))))
    text = data.draw(NUMBER_LIKE | st.text() | st.text(alphabet=st.characters(categories=["Cs"])))
    accept_or_refuse(experiment, {key: [text]}, {}, None)
    accept_or_refuse(experiment, {}, {f"REGBENCH_{key.upper()}": text}, None)
    accept_or_refuse(experiment, {}, {f"REGBENCH_{text}": "1"}, None)


LEAVES = (
    (
        st.none()
        | st.booleans()
        | st.integers(-(10**40), 10**40)
        | st.floats()
        | st.text(max_size=8)
    ).filter(lambda value: value is not None)
    | st.dates()
    | st.integers().map(lambda n: 10**400 + n)
)
TOML_VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(data=st.data())
def test_any_value_in_a_file_is_accepted_or_refused(data: st.DataObject) -> None:
    experiment = data.draw(st.sampled_from(EXPERIMENTS))
    keys = st.sampled_from([*settings_of(experiment), "experiment"]) | st.text(max_size=8)
    values = data.draw(st.dictionaries(keys, TOML_VALUES, max_size=3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "settings.toml")
        path.write_text(tomli_w.dumps(values), encoding="utf-8")
        accept_or_refuse(experiment, {}, {}, str(path))


@given(content=st.binary(max_size=40))
@example(b"lambda = [" * 3)
def test_any_bytes_as_a_file_are_accepted_or_refused(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "settings.toml")
        path.write_bytes(content)
        accept_or_refuse("wdecay", {}, {}, str(path))


@given(st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_visible_text_is_one_short_printable_line(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert len(shown) < 700
    if text.isprintable() and len(text) <= 60:
        assert shown == f"'{text}'"
