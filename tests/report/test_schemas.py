"""Every document is what its JSON Schema says, which allows no key that it does not describe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from commands import NO_FILES, TINY
from jsonschema import Draft202012Validator

from regbench.engines.fused.engine import COEFFICIENTS
from regbench.experiments import COMMANDS
from regbench.regularizers.noise import Dropout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from commands import Command

FOLDER = Path(__file__).parents[2] / "docs" / "schemas"
SCHEMAS: dict[str, Any] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")
}
SWEEP = "--lambda=logspace:1e-4:1:5"
DOCUMENTS = {
    "training": ["wdecay", *TINY, "--require=better"],
    "sums": ["compare", "l1=0.1", "dropout=0.5", "l1=0.1+dropout=0.5", *TINY, "--confirm=2"],
    "sweep": ["wdecay", SWEEP, *TINY, "--by=test-loss"],
    "width": ["wdecay", *(o for o in TINY if o != "--replicates=2"), "--target-width=9"],
    "one replicate": ["dropout", *(o for o in TINY if o != "--replicates=2"), "--replicates=1"],
    "over": ["wdecay", *TINY, "--over=lr=0.01,0.1,9"],
    "diverged": ["wdecay", "--lr=10", "--epochs=100", "--hidden=20", "--replicates=2"],
    "scale": ["dropout-scale", "--units=9", "--trials=9"],
    "article's scale": ["dropout-scale", "--p=0,0.5", "--trials=9"],
}


def objects_of(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every part of a schema that has properties, by where it stands."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
            yield path, schema
        for key, part in schema.items():
            yield from objects_of(part, f"{path}/{key}")


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_one_that_describes_every_key_and_is_closed(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    for path, part in objects_of(SCHEMAS[name]):
        assert part["additionalProperties"] is False, path
        assert {*part.get("required", [])} <= part["properties"].keys(), path
        for key, value in part["properties"].items():
            assert value["description"], (path, key)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_document_of_a_run_is_what_the_schema_says(regbench: Command, name: str) -> None:
    document = regbench(*DOCUMENTS[name], "--json", *NO_FILES).document
    check = Draft202012Validator(SCHEMAS["result"])
    check.validate(document)
    keys = {key for _, part in objects_of(SCHEMAS["result"]) for key in part["required"]}
    for key in document.keys() & keys:
        assert list(check.iter_errors({k: v for k, v in document.items() if k != key})), key
    assert list(check.iter_errors({**document, "new": 1}))


def test_document_of_a_run_that_was_cut_off_is_what_the_schema_says(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr("regbench.experiments.training.train", None)
        assert regbench("wdecay", *TINY, *NO_FILES, "--out=run").code == 1
    document = regbench("report", "run", "--json").document
    assert not document["is_complete"]
    Draft202012Validator(SCHEMAS["result"]).validate(document)


def test_documents_about_runs_and_the_installation_are_what_their_schemas_say(
    regbench: Command, tmp_path: Path
) -> None:
    for name, code, *options in (
        ("one", 0, "--epochs=4"),
        ("two", 0, "--epochs=4", "--lambda=0.1,0.2", "--shard=1/2"),
        ("three", 1, "--epochs=100", "--lr=10"),
    ):
        asked = ["--replicates=2", "--hidden=20", *options, *NO_FILES, f"--out=runs/wdecay/{name}"]
        assert regbench("wdecay", *asked).code == code
    (tmp_path / "runs" / "wdecay" / "one" / "environment.json").write_text("")
    for name, arguments in {
        "runs": ["runs"],
        "show": ["show", "runs/wdecay/two"],
        "info": ["info"],
    }.items():
        document = regbench(*arguments, "--json").document
        check = Draft202012Validator(SCHEMAS[name])
        check.validate(document)
        for key in document:
            assert list(check.iter_errors({k: v for k, v in document.items() if k != key})), key
    check = Draft202012Validator(SCHEMAS["show"])
    check.validate(regbench("show", "runs/wdecay/three", "--json").document)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,3\n2,4,4\n2.5,4.5,5\n", ["--target-width=1", "--require=better"]),
        ("a,b\n1,2\n2,4\n3,4\n", ["--splits=9/1", "--require=equal", "--margin=9"]),
        ("arm,loss\na,1\na,2\nb,2\nb,nan\n", ["--require=better"]),
    ],
)
def test_document_of_judged_scores_is_what_the_schema_says(
    regbench: Command, tmp_path: Path, text: str, words: list[str]
) -> None:
    (tmp_path / "scores.csv").write_text(text)
    document = regbench("judge", "scores.csv", "--json", *words).document
    check = Draft202012Validator(SCHEMAS["judged"])
    check.validate(document)
    for key in document:
        assert list(check.iter_errors({k: v for k, v in document.items() if k != key})), key


def test_document_of_verify_is_what_the_schema_says(
    regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(COEFFICIENTS, Dropout)  # so that a row is skipped
    rows = "--only=dropout-loss,dropout-scale-mean"
    document = regbench("verify", rows, "--engine=fused", "--json").document
    assert {row["status"] for row in document["rows"]} == {"ok", "skipped"}
    Draft202012Validator(SCHEMAS["verify"]).validate(document)


def test_schema_knows_every_setting_that_a_file_may_have() -> None:
    settings = {key for command in COMMANDS.values() for key in command.settings}
    not_kept = {"out", "json", "format", "export", "quiet", "details"}
    not_kept |= {"threads", "shard", "scheduler", "allow_mixed"}
    properties = SCHEMAS["result"]["$defs"]["config"]["properties"]
    assert properties.keys() == settings - not_kept | {"experiment"}
