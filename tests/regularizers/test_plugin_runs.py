"""Runs of plug-ins: found again, shown by everybody, finished by who names the file again."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cauchy import PLUGIN, RUN, forget
from runs import assert_one_line, blocks_of, numbers_of

import regbench as rb
from regbench.regularizers import REGULARIZERS, Arm
from regbench.regularizers.penalties import WeightDecay
from regbench.regularizers.plugins import load_file

if TYPE_CHECKING:
    from commands import Command

pytestmark = pytest.mark.usefixtures("forgotten")


def test_run_is_found_again_with_its_plugin_and_refused_without(
    regbench: Command, file: Path
) -> None:
    assert regbench("cauchy", f"--plugin={file}", "--lambda=0.3", "--out=run", *RUN).code == 0
    whole, numbers = blocks_of("run"), numbers_of("run")
    manifest = json.loads(Path("run", "environment.json").read_text())
    digest = hashlib.sha256(PLUGIN.encode()).hexdigest()
    origin = {"command": "cauchy", "file": file.name, "sha256": digest}
    words = manifest["plugins"][0].pop("words")
    assert manifest["plugins"] == [origin]
    assert (words["symbol"], words["default"], words["hooks"]) == ("λ", 0.01, [])

    Path("run", "DONE").unlink()
    for path in Path("run", "blocks").iterdir():
        path.unlink()
    forget()
    line = "regbench resume run --plugin cauchy.py --details"
    told = "RUN: got 'run', whose plug-in 'cauchy' of 'cauchy.py' is executed only", f"run: {line}"
    assert_one_line(regbench("resume", "run", "--details"), 2, *told)
    assert regbench(*shlex.split(line)[1:]).code == 0
    assert (blocks_of("run"), numbers_of("run")) == (whole, numbers)

    Path("run", "DONE").unlink()
    file.write_text(PLUGIN + "# edited\n", encoding="utf-8")
    forget()
    told = "RUN: got 'run', whose plug-in", "differs from what it was then"
    assert_one_line(regbench(*shlex.split(line)[1:]), 2, *told)


def test_run_of_a_plugin_is_shown_by_everybody_and_executes_nothing(
    regbench: Command, file: Path
) -> None:
    """The file says when it is executed, and is not there in the end."""
    code = "import pathlib\npathlib.Path('executed').touch()\n"
    file.write_text(PLUGIN.replace("from typing", f"{code}from typing", 1), encoding="utf-8")
    printed = regbench("cauchy", f"--plugin={file}", "--lambda=0.3", "--out=run", *RUN)
    assert printed.code == 0, printed.err
    Path("executed").unlink()
    forget()
    for _ in ("there", "gone"):
        shown = regbench("report", "run")
        assert shown.code == 0, shown.err
        assert shown.out.partition("\n\n")[2] in printed.out
        assert rb.load("run").study.arms[1].name == "cauchy=0.3"
        assert regbench("runs", "--root=.", "--json").document["runs"][0]["state"] == "done"
        assert regbench("show", "run", "--json").document["settings"]["lambda"]["value"] == [0.3]
        shutil.rmtree("merged", ignore_errors=True)
        assert regbench("merge", "run", "--out=merged", "--quiet").code == 0
        assert blocks_of("merged") == blocks_of("run")
        assert not REGULARIZERS.keys() & {"cauchy"}
        assert not Path("executed").exists()
        file.unlink(missing_ok=True)


def test_file_that_was_changed_since_the_run_is_not_executed_unless_it_is_named(
    regbench: Command, file: Path
) -> None:
    assert regbench("cauchy", f"--plugin={file}", "--out=run", *RUN).code == 0
    Path("run", "DONE").unlink()
    next(Path("run", "blocks").iterdir()).unlink()
    file.write_text(f"{PLUGIN}\n__import__('pathlib').Path('executed').touch()\n", "utf-8")
    forget()
    assert_one_line(regbench("resume", "run"), 2, "cauchy")
    assert not Path("executed").exists()
    assert_one_line(regbench("resume", "run", "--plugin=cauchy.py"), 2, "differs")
    load_file(str(file))
    assert Path("executed").exists(), "the file would have left a trace"


def test_run_over_values_is_found_again_with_its_plugin(regbench: Command, file: Path) -> None:
    given = "--plugin", str(file), "--over=lr=0.01,0.02", "--out=run"
    printed = regbench("cauchy", "--lambda=0.3", *given, *RUN, "--quiet")
    assert printed.code == 0, printed.err
    (origin,) = json.loads(Path("run", "environment.json").read_text())["plugins"]
    assert origin["command"] == "cauchy"
    forget()
    assert regbench("report", "run", "--quiet").out.strip() in printed.out
    forget()


def test_command_that_repeats_a_run_names_the_file(regbench: Command, file: Path) -> None:
    first = regbench("cauchy", f"--plugin={file}", "--lambda=0.3", *RUN, "--format=markdown")
    command = re.findall(r"```sh\nregbench (.*)\n```", first.out)[0]
    forget()
    again = regbench(*shlex.split(command), "--format=markdown")
    assert again.out == first.out


def test_hook_that_fails_later_is_to_be_corrected_and_not_resumed(
    regbench: Command, file: Path
) -> None:
    late = "        assert step.epoch < 4\n        gradient.add_("
    file.write_text(PLUGIN.replace("        gradient.add_(", late), encoding="utf-8")
    failed = regbench("cauchy", f"--plugin={file}", *RUN, "--out=run")
    assert failed.code == 1
    assert re.fullmatch(
        r"regbench: error: unexpected AssertionError: .*; if 'cauchy' is at fault, correct it and "
        r"begin a new run; else go on with: regbench resume run --plugin cauchy.py\n",
        failed.err,
    )


def test_plugin_that_breaks_the_contract_leaves_no_run(regbench: Command, file: Path) -> None:
    file.write_text(PLUGIN.replace("gradient.add_(", "return gradient.add("), encoding="utf-8")
    refused = regbench("cauchy", f"--plugin={file}", *RUN, "--out=run")
    assert_one_line(refused, 2, "cauchy.py", "returns a value", "verify --plugin")
    assert not Path("run").exists()
    rows = regbench("verify", f"--plugin={file}", "--only=cauchy-acts,cauchy-neutral", "--json")
    assert "returns a value" in rows.document["rows"][0]["reason"]


def test_edited_plugin_finds_no_block_of_before(regbench: Command, file: Path) -> None:
    options = ["cauchy", f"--plugin={file}", "--lambda=0.3", *RUN]
    assert regbench(*options, "--out=one").code == 0
    assert regbench(*options, "--out=two").code == 0
    assert blocks_of("two") == blocks_of("one")
    file.write_text(PLUGIN.replace("alpha=2", "alpha=3"), encoding="utf-8")
    assert regbench(*options, "--out=three").code == 0
    common = blocks_of("three").keys() & blocks_of("one").keys()
    assert len(common) == 1, "the baseline"


def test_registered_class_is_stored_and_read_back(regbench: Command, tmp_path: Path) -> None:
    class Local(WeightDecay):
        command = "local"

    study = rb.Study(
        arms=[Local(0.1)], replicates=2, network=rb.Network(hidden=4, depth=1),
        training=rb.Training(epochs=4),
    )  # fmt: skip
    with pytest.raises(rb.UsageError, match=r"'Local', which regbench.register has not seen"):
        rb.run(study, folder=tmp_path / "run")
    assert rb.register(Local) is Local
    result = rb.run(study, folder=tmp_path / "run")
    again = rb.load(tmp_path / "run")
    assert again.study.arms == (Arm(), Arm((Local(0.1),)))
    assert (again.history.risk == result.history.risk).all()
    forget()
    stored = rb.load(tmp_path / "run")
    assert stored.study.arms[1].name == "local=0.1", "its words are there"
    stored.network(arm="baseline")
    with pytest.raises(rb.UsageError, match=r"'local=0.1', whose plug-in is not loaded; register"):
        stored.network()
    assert_one_line(regbench("resume", "run"), 2, "RUN: got 'run'", "register the same class first")


# A package that others install, as pip leaves it.
