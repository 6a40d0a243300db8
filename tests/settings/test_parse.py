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
from training import make_request, make_study

from regbench.errors import UsageError, visible
from regbench.experiments import COMMANDS, resolve
from regbench.regularizers import REGULARIZERS
from regbench.settings.command import Request
from regbench.settings.groups import Output
from regbench.settings.study import DropoutScale, Study

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))


def strengths_of(study: Study) -> list[float]:
    """Return the strengths of the arms, the baseline left out."""
    return [part.strength for arm in study.arms[1:] for part in arm.parts]


def values_of(request: Request) -> tuple[Any, ...]:
    """Return what was asked, without where each value came from."""
    return request.command.name, request.study, request.question, request.machine, request.output


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("lambda = [0.3, 0.4]\nepochs = 3\nhidden = 33\nplots = false\n")
    environment = {"REGBENCH_LAMBDA": "0.2", "REGBENCH_EPOCHS": "2", "REGBENCH_JSON": "yes"}
    found = resolve("wdecay", {"lambda": ["0.1"]}, environment, str(path))
    study, output = found.study, found.output
    assert strengths_of(study) == [0.1]
    assert (study.training.epochs, study.network.hidden, study.task.points) == (2, 33, 10)
    assert (output.plots, output.json_, output.tensorboard) == (False, True, True)
    assert resolve("wdecay", {"plots": True}, environment, str(path)).output.plots is True


def test_every_value_says_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("lambda = [0.3, 0.4]\nepochs = 3\nhidden = 33\nplots = false\n")
    environment = {"REGBENCH_LAMBDA": "0.2", "REGBENCH_EPOCHS": "2", "REGBENCH_JSON": "yes"}
    flags: dict[str, list[str] | bool] = {"lambda": ["0.1"], "log_every": ["7"], "quiet": True}
    found = resolve("wdecay", flags, environment, str(path))
    assert dict(found.origins) == {
        "lambda": "--lambda",
        "log_every": "--log-every",
        "quiet": "--quiet",
        "epochs": "REGBENCH_EPOCHS",
        "json": "REGBENCH_JSON",
        "hidden": f"--config {visible(path)}: hidden",
        "plots": f"--config {visible(path)}: plots",
    }
    origins = found.to_record()["origins"]
    assert list(origins) == list(COMMANDS["wdecay"].settings)
    assert {key for key in origins if origins[key] == "default"} == {*origins} - {*found.origins}


@pytest.mark.parametrize(
    ("flags", "environment", "source"),
    [
        ({"x_max": ["-3"]}, {"REGBENCH_X_MIN": "-2"}, "REGBENCH_X_MIN"),
        ({"x_min": ["9"]}, {}, "--x-min"),
        ({"confirm": ["9"], "vary": ["data"]}, {}, "--confirm"),
        ({"vary": ["data"]}, {"REGBENCH_CONFIRM": "9"}, "REGBENCH_CONFIRM"),
        ({"lambda": ["380"]}, {}, "--lambda"),
        ({}, {"REGBENCH_LAMBDA": "380"}, "REGBENCH_LAMBDA"),
    ],
)
def test_values_that_do_not_fit_together_are_refused_where_one_was_set(
    flags: dict[str, list[str] | bool], environment: dict[str, str], source: str
) -> None:
    with pytest.raises(UsageError) as refused:
        resolve("wdecay", flags, environment)
    assert refused.value.source == source
    assert str(refused.value).startswith(f"{source}: got '")


def test_settings_with_another_value_keep_the_rest_and_are_checked_again() -> None:
    request = make_request(quiet=True, epochs=7)
    assert request.output.replaced(json=True).quiet
    assert request.output.replaced(json=True).json_
    assert request.output.replaced(plots=False) == make_request(quiet=True, plots=False).output
    assert request.study.replaced(seed=5) == make_study(seed=5, epochs=7)
    with pytest.raises(UsageError, match=r"^x_min: got '3\.0'"):
        request.study.task.replaced(x_min=3.0)


def test_defaults_are_the_article_s() -> None:
    study = resolve("wdecay", {}, {}).study
    assert isinstance(study, Study)
    assert strengths_of(study) == [0.01]
    assert study.network.layer_sizes == [1, 200, 200, 200, 1]
    training, task = study.training, study.task
    assert (training.epochs, training.lr, training.momentum) == (2000, 0.01, 0.9)
    assert training.log_every == 200
    assert (task.points, task.test_points, task.slope) == (10, 10, 1.5)
    assert (task.x_min, task.x_max, task.noise, task.test_noise) == (-1, 1, 0.5, 0.3)
    assert (study.replicates, study.seed, study.pairing) == (30, 1, "shared")
    assert strengths_of(resolve("dropout", {}, {}).study) == [0.5]
    scale = resolve("dropout-scale", {}, {}).study
    assert isinstance(scale, DropoutScale)
    assert (scale.p, scale.units, scale.trials, scale.seed) == ((0.5,), 10_000, 1000, 1)


def test_as_many_test_points_as_points_where_not_given() -> None:
    assert resolve("wdecay", {"points": ["7"]}, {}).study.task.test_points == 7


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
    assert resolve(experiment, {}, {}, str(path)).command.name == experiment


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
    study = resolve("wdecay", {}, {}, str(path)).study
    assert strengths_of(study) == [1.0]
    assert study.task.slope == 2.0


def test_logged_epochs_are_the_multiples_and_the_last() -> None:
    for epochs in range(1, 30):
        for every in range(1, 35):
            found = make_study(epochs=epochs, log_every=every).training
            expected = [e for e in range(1, epochs + 1) if e % every == 0 or e == epochs]
            assert found.logged_epochs == expected
            assert found.logged_count == len(expected)


OTHERWISE = [
    # What decides the numbers or is asked of them, and what is not.
    ({"strengths": (0.2,)}, True),
    ({"strengths": (0.01, 0.2)}, True),
    ({"command": "l1"}, True),
    ({"seed": 2}, True),
    ({"epochs": 29}, True),
    ({"momentum": 0.5}, True),
    ({"dtype": "float64"}, True),
    ({"noise": 0.1}, True),
    ({"confidence": 0.9}, True),
    ({"confirm": 9}, True),
    ({"require": "better"}, True),
    ({"engine": "reference"}, False),
    ({"device": "cpu"}, False),
    ({"threads": 1}, False),
    ({"out": "x"}, False),
    ({"plots": False}, False),
    ({"tensorboard": False}, False),
    ({"cache": False}, False),
    ({"json": True}, False),
    ({"quiet": True}, False),
]


@pytest.mark.parametrize(("values", "differs"), OTHERWISE, ids=str)
def test_hash_is_of_study_and_question_and_not_of_machine_or_output(
    values: dict[str, Any], differs: bool
) -> None:
    base, other = make_request(), make_request(**values)
    assert (other.digest[:8] != base.digest[:8]) == (other.digest != base.digest) == differs


def settings_of_a_file(experiment: str) -> dict[str, st.SearchStrategy[Any]]:
    kind = REGULARIZERS[experiment]
    strengths: Any = st.integers(0, 10**9) if kind.is_whole else st.floats(0, 0.99)
    return {
        "epochs": st.integers(1, 10**9),
        "lr": st.floats(1e-6, 1e-3),
        "momentum": st.floats(0, 0.99),
        "seed": st.integers(0, 2**31),
        "slope": st.floats(-1e6, 1e6),
        "plots": st.booleans(),
        "dtype": st.sampled_from(["float32", "float64"]),
        kind.option: st.lists(strengths, min_size=1, max_size=5, unique=True).map(
            lambda values: [value + 0.0 for value in values]
        ),
    }


@settings(max_examples=60)
@given(data=st.data())
@pytest.mark.parametrize("experiment", list(REGULARIZERS))
def test_settings_survive_their_file_exactly(experiment: str, data: st.DataObject) -> None:
    values = data.draw(st.fixed_dictionaries({}, optional=settings_of_a_file(experiment)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.toml")
        path.write_text(tomli_w.dumps(values), encoding="utf-8")
        first = resolve(experiment, {}, {}, str(path))
        path.write_text(tomli_w.dumps(first.to_file()), encoding="utf-8")
        assert values_of(resolve(experiment, {}, {}, str(path))) == values_of(first)


def accept_or_refuse(experiment: str, flags: Any, environment: Any, file: str | None) -> None:
    """Resolve: either there are settings, or a `UsageError` with a line that can be shown."""
    refusal = None
    try:
        found = resolve(experiment, flags, environment, file)
        assert isinstance(found, Request)
    except UsageError as error:
        refusal = str(error)
    assert refusal is None or (refusal.isprintable() and len(refusal) < 1000)


NUMBER_LIKE = st.text(alphabet="0123456789.,eE+-naif%_x٣ \n", max_size=12)


@given(data=st.data())
def test_any_text_of_an_option_or_variable_is_accepted_or_refused(data: st.DataObject) -> None:
    experiment = data.draw(st.sampled_from(list(COMMANDS)))
    key = data.draw(st.sampled_from(list(COMMANDS[experiment].settings)))
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
    experiment = data.draw(st.sampled_from(list(COMMANDS)))
    keys = st.sampled_from([*COMMANDS[experiment].settings, "experiment"]) | st.text(max_size=8)
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


def test_tilde_is_the_home_folder_wherever_a_path_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "settings.toml").write_text('out = "~/x"\nexport = ["~/x.md"]\n')
    asked = [
        resolve("wdecay", {"out": ["~/x"], "export": ["~/x.md"]}, {}),
        resolve("wdecay", {}, {"REGBENCH_OUT": "~/x", "REGBENCH_EXPORT": "~/x.md"}),
        resolve("wdecay", {}, {}, "~/settings.toml"),
    ]
    outputs = [request.output for request in asked]
    for output in [*outputs, Output(out="~/x", export=("~/x.md",))]:
        assert (output.out, output.export) == (f"{tmp_path}/x", (f"{tmp_path}/x.md",))
    assert asked[2].origins["out"] == "--config '~/settings.toml': out"
