"""Regularizers from elsewhere: a file, an installed package, a class; found again, or one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import cloudpickle
import pytest
from cauchy import PLUGIN, RUN, forget
from commands import run_process
from runs import assert_one_line, blocks_of
from training import make_step

import regbench as rb
from regbench.regularizers import BY_CLASS, REGULARIZERS, Regularizer
from regbench.regularizers.penalties import WeightDecay
from regbench.regularizers.plugins import load_file
from regbench.settings.parse import arms_of

if TYPE_CHECKING:
    from commands import Command

pytestmark = pytest.mark.usefixtures("forgotten")


def test_plugin_of_the_documentation_is_short_and_spells_out_its_words() -> None:
    assert len(PLUGIN.splitlines()) <= 60
    assert 'command = "cauchy"' in PLUGIN
    assert 'option = "lambda"' in PLUGIN


def test_plugin_trains_alone_and_in_a_sum(regbench: Command, file: Path) -> None:
    alone = regbench("--plugin", str(file), "cauchy", "--lambda=0,0.3", "--out=alone", *RUN)
    summed = regbench("compare", "cauchy=0.3+dropout=0.1", f"--plugin={file}", "--out=sum", *RUN)
    assert (alone.code, summed.code) == (0, 0), (alone.err, summed.err)
    baseline, neutral, arm = rb.load("alone").history.weight_norm.swapaxes(0, 1)
    assert (neutral == baseline).all()
    assert (arm[-1] < baseline[-1]).all()
    assert rb.load("sum").study.compared == ["dropout=0.1+cauchy=0.3"], "plug-ins come last"
    assert {path.name for path in Path("sum").iterdir()} >= {"history.csv", "summary.json"}


def test_penalty_is_added_as_the_formula_says(file: Path) -> None:
    import torch

    load_file(str(file))
    theta, gradient = torch.tensor([[0.5, -2.0]]), torch.ones(1, 2)
    REGULARIZERS["cauchy"](0.3).add_penalty_gradient_(gradient, theta, make_step())
    assert gradient.tolist()[0] == pytest.approx([1 + 0.6 * 0.5 / 1.25, 1 - 0.6 * 2 / 5])


def test_help_has_the_command_and_says_that_a_file_is_executed(
    regbench: Command, file: Path
) -> None:
    for arguments in (["--help"], ["cauchy", "--help"]):
        shown = " ".join(regbench(*arguments, "--plugin", str(file)).out.split())
        assert "Compare a Cauchy prior" in shown
        assert "--plugin FILE Execute this Python file" in shown.replace("│ │ ", "")


BROKEN = {
    "a syntax error": (("class Cauchy(", "class Cauchy(:"), "SyntaxError"),
    "an exception": (("import TYPE_CHECKING\n", "import missing\n"), "ImportError: cannot import"),
    "an exit": (("class Cauchy", "raise SystemExit(3)\nclass Cauchy"), "SystemExit: 3"),
    "no regularizer": (("(Regularizer)", ""), "no subclass of regbench.Regularizer"),
    "a missing word": (('    symbol = "λ"\n', ""), "Cauchy.symbol: missing; allowed: a letter"),
    "a wrong word": (('"cauchy"', '"Cau chy"'), "Cauchy.command: got 'Cau chy'; allowed: a word"),
    "a wrong type": (("= 0.01", '= "0.01"'), "Cauchy.default: got '0.01'; allowed: a number"),
    "a built-in's name": (('"cauchy"', '"wdecay"'), "command 'wdecay' is already that of regbench"),
    "a command's name": (('"cauchy"', '"verify"'), "got 'verify', which is a command of regbench"),
    "a setting's name": (('"lambda"', '"epochs"'), "option --epochs has another meaning"),
    "an abstract class": (
        ("(Regularizer):", "(Regularizer, __import__('abc').ABC):\n    "
         "@__import__('abc').abstractmethod\n    def todo(self): ...\n"),
        "which is abstract",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_broken_plugin_is_one_line_that_names_the_file(
    regbench: Command, file: Path, what: str
) -> None:
    (old, new), said = BROKEN[what]
    assert old in PLUGIN
    file.write_text(PLUGIN.replace(old, new), encoding="utf-8")
    assert_one_line(regbench("cauchy", "--plugin", str(file), *RUN), 2, said, "cauchy.py")
    assert not REGULARIZERS.keys() & {"cauchy"} or "name" in what
    forget()
    assert regbench("wdecay", *RUN).code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cauchy", "--plugin", "none.py"], "cannot read 'none.py': No such file"),
        (["cauchy", "--plugin", "."], "cannot read '.': Is a directory"),
        (["cauchy", "--plugin"], "--plugin: names no file"),
        (["cauchy"], "No such command 'cauchy'"),
        (["compare", "cauchy=1"], "where 'cauchy=1' is no regularizer"),
    ],
)
def test_plugin_that_is_not_there_is_one_line(
    regbench: Command, arguments: list[str], said: str
) -> None:
    assert_one_line(regbench(*arguments), 2, said)


def test_variable_switches_plugins_off(
    regbench: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGBENCH_PLUGINS", "0")
    assert_one_line(regbench("cauchy", f"--plugin={file}"), 2, "REGBENCH_PLUGINS")
    assert regbench("wdecay", *RUN).code == 0


WIDE = (
    PLUGIN.replace("class Cauchy", "@dataclass(frozen=True)\nclass Cauchy")
    .replace("from typing", "from dataclasses import dataclass\nfrom typing")
    .replace("1 + parameter**2", "1 + (parameter / self.width) ** 2")
    .replace("    def add", "    width: float = 1.0\n\n    def add")
)
"""The same with a constant of its own."""


def test_constant_of_its_own_is_part_of_name_and_blocks(regbench: Command, file: Path) -> None:
    file.write_text(WIDE, encoding="utf-8")
    names = ["cauchy=0.3,width=1.0", "cauchy=0.3,width=2.0", "wdecay=0.1+cauchy=0.3,width=0.5"]
    typed = ["cauchy=0.3", "cauchy=0.3,width=2", "cauchy=0.3,width=5e-1+wdecay=0.1"]
    done = regbench("compare", f"--plugin={file}", *typed, *RUN, "--out=run")
    assert done.code == 0, done.err
    forget()
    result = rb.load("run")
    assert result.study.compared == names
    ends = result.history.weight_norm[-1]
    assert len({values.tobytes() for values in ends}) == 4
    assert len(blocks_of("run")) == 4
    load_file(str(file))
    (arm,) = arms_of("ARM", names[-1])
    assert arm.name == result.study.arms[-1].name
    swept = arms_of("ARM", "cauchy=0.1,0.2,width=3")
    assert [one.name for one in swept] == ["cauchy=0.1,width=3.0", "cauchy=0.2,width=3.0"]
    for text, said in (("cauchy=1,widht=2", "did you mean 'width'"), ("cauchy=1,width=x", "'x'")):
        with pytest.raises(rb.UsageError, match=said):
            arms_of("ARM", text)


def test_field_that_is_no_number_or_has_a_taken_name_is_refused(
    regbench: Command, file: Path
) -> None:
    wide = "width: float = 1.0"
    for old, new in (
        (wide, 'width: str = "wide"'),
        (wide, f"{wide}\n    label: float = 1.0"),
        ("  default =", "  default: float ="),
    ):
        file.write_text(WIDE.replace(old, new), encoding="utf-8")
        assert_one_line(regbench("cauchy", f"--plugin={file}", *RUN), 2, "a number, as a constant")


def test_files_beside_a_plugin_are_imported_and_each_has_its_own(
    regbench: Command, tmp_path: Path
) -> None:
    path, modules = list(sys.path), set(sys.modules)
    for name, factor in (("one", 2), ("other", 3)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "beside.py").write_text(f"FACTOR = {factor}\n")
        text = PLUGIN.replace('"cauchy"', f'"{name}"').replace("alpha=2 *", "alpha=FACTOR *")
        text = text.replace("from typing", "from beside import FACTOR\nfrom typing", 1)
        (folder / "plugin.py").write_text(text, encoding="utf-8")
        load_file(str(folder / "plugin.py"))
    assert sys.path == path
    assert not {name for name in sys.modules.keys() - modules if "beside" in name}
    import torch

    theta, gradients = torch.ones(1, 2), [torch.zeros(1, 2), torch.zeros(1, 2)]
    for name, gradient in zip(("one", "other"), gradients, strict=True):
        REGULARIZERS[name](1.0).add_penalty_gradient_(gradient, theta, make_step())
    assert [gradient.tolist() for gradient in gradients] == [[[1.0, 1.0]], [[1.5, 1.5]]]


def test_plugin_travels_to_a_machine_that_has_no_such_file(file: Path, tmp_path: Path) -> None:
    file.write_text(WIDE, encoding="utf-8")
    load_file(str(file))
    (arm,) = arms_of("ARM", "dropout=0.1+cauchy=0.3,width=2")
    sent = tmp_path / "sent"
    sent.write_bytes(cloudpickle.dumps(arm))
    file.unlink()
    name, *gradient = unpickled(sent)
    assert name == "dropout=0.1+cauchy=0.3,width=2.0"
    assert [float(number) for number in gradient] == pytest.approx([2 * 0.3 * 2 / 2] * 2)


def unpickled(arm: Path) -> list[str]:
    """Return what a worker makes of a pickled arm: its name, and a gradient of its last part."""
    code = (
        "import pickle, sys, torch; arm = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        "gradient = torch.zeros(1, 2)\n"
        "arm.parts[-1].add_penalty_gradient_(gradient, torch.full((1, 2), 2.0), None)\n"
        "print(arm.name, *gradient[0].tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code, str(arm)], capture_output=True, text=True,
                          cwd=arm.parent, check=True)  # fmt: skip
    return done.stdout.split()


@pytest.mark.parametrize("has_init", [True, False])
def test_package_beside_a_plugin_travels_with_it(tmp_path: Path, has_init: bool) -> None:
    folder, before = tmp_path / "folder", set(sys.modules)
    (folder / "beside" / "deep").mkdir(parents=True)
    (folder / "environment").mkdir()
    if has_init:
        (folder / "beside" / "__init__.py").write_text("FACTOR = 5\n")
        (folder / "beside" / "deep" / "__init__.py").write_text("from beside import FACTOR\n")
    (folder / "beside" / "factor.py").write_text("FACTOR = 5\n")
    (folder / "beside" / "deep" / "rates.py").write_text(
        "from beside.factor import FACTOR\ndef rate(): return FACTOR\n"
    )
    (folder / "environment" / "installed.py").write_text("")
    text = PLUGIN.replace("alpha=2 *", "alpha=beside.deep.rates.rate() *")
    head = "import sys; sys.path.append(__file__.replace('plugin.py', 'environment'))\n"
    head += "import installed, beside.deep.rates; sys.path.pop()\n"
    (folder / "plugin.py").write_text(text.replace("from typing", f"{head}from typing", 1), "utf-8")
    load_file(str(folder / "plugin.py"))
    left = sys.modules.keys() - before
    assert "installed" in left
    assert not {name for name in left if name.startswith("beside")}
    del sys.modules["installed"]
    (tmp_path / "sent").write_bytes(cloudpickle.dumps(arms_of("ARM", "cauchy=0.3")[0]))
    shutil.rmtree(folder)
    _, *gradient = unpickled(tmp_path / "sent")
    assert [float(number) for number in gradient] == pytest.approx([5 * 0.3 * 2 / 5] * 2)


def test_order_of_loading_changes_no_sum(tmp_path: Path) -> None:
    for name in ("bbb", "aaa"):
        path = tmp_path / f"{name}.py"
        path.write_text(PLUGIN.replace('"cauchy"', f'"{name}"'), encoding="utf-8")
        load_file(str(path))
    (arm,) = arms_of("ARM", "bbb=0.1+aaa=0.2+early-stopping=3")
    assert arm.name == "early-stopping=3+aaa=0.2+bbb=0.1"


def test_plugin_that_inherits_from_a_regularizer_acts_after_all_of_them() -> None:
    class Halved(WeightDecay):
        """Weight decay of another name."""

        command: ClassVar[str] = "halved"

    arm = Halved(0.1) + rb.Dropout(0.5) + rb.L1(0.1)
    assert [part.command for part in arm.parts] == ["dropout", "l1", "halved"]


def test_registry_lists_the_regularizers_of_the_package_first() -> None:
    assert [kind.command for kind in BY_CLASS.values()] == list(REGULARIZERS)[: len(BY_CLASS)]


def test_noise_of_a_plugin_is_its_own() -> None:
    streams = {kind.command: kind.stream for kind in BY_CLASS.values()}

    class One(Regularizer):
        command = "one"

    class Other(Regularizer):
        command = "other"

    assert One.stream != Other.stream
    assert not {One.stream, Other.stream} & {*streams.values()}


def install(folder: Path, broken: bool = False) -> None:
    """Build a package with the plug-in and one more that is broken, and install it to a folder."""
    source = folder / "source"
    source.mkdir()
    (source / "cauchy_package.py").write_text(PLUGIN, encoding="utf-8")
    (source / "broken_package.py").write_text("raise OSError('no luck')\n", encoding="utf-8")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "cauchy-package"\nversion = "1.2"\n'
        '[project.entry-points."regbench.regularizers"]\n'
        'cauchy = "cauchy_package:Cauchy"\nbroken = "broken_package:Broken"\n'
        "[tool.setuptools]\n"
        'py-modules = ["cauchy_package", "broken_package"]\n'
    )
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    options = ["--no-index", "--disable-pip-version-check", "--target", str(folder / "site")]
    subprocess.run([*pip, *options, str(source)], check=True)


def test_installed_package_has_its_command_and_a_broken_one_costs_one_line(
    tmp_path: Path, regbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    shown = regbench("--help").out
    assert "cauchy" in shown
    assert "A regularizer of cauchy-package 1.2." in shown
    assert regbench("wdecay", *RUN).code == 0
    assert not {"cauchy_package", "broken_package"} & sys.modules.keys(), "only what is named"

    finished = regbench("cauchy", "--lambda=0.3", "--out=run", *RUN)
    assert finished.code == 0, finished.err
    manifest = json.loads(Path("run", "environment.json").read_text())
    origin = {"command": "cauchy", "distribution": "cauchy-package", "version": "1.2"}
    assert manifest["plugins"][0].items() >= origin.items()
    forget()
    assert regbench("compare", "cauchy=0.3+l1=0.1", *RUN).code == 0
    said = "plug-in cauchy-package 1.2: cannot be loaded: OSError: no luck"
    for arguments in (["broken"], ["compare", "broken=1"]):
        assert_one_line(regbench(*arguments), 2, said)
    document = regbench("info", "--json").document
    assert document["schema"] == "regbench.info/1"
    assert [known["from"] for known in document["regularizers"]][-2:] == [
        "regbench",
        "cauchy-package",
    ]
    assert [known["command"] for known in document["broken"]] == ["broken"]
    table = regbench("info")
    assert table.code == 0
    assert "cauchy-package 1.2" in table.out
    assert "no luck" in " ".join(table.out.split())

    forget()
    (record,) = (tmp_path / "site").glob("*.dist-info")
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: cauchy-package\nVersion: 1.3\n")
    told = "'cauchy' of 'cauchy-package 1.2' differs from what it was then; install that version"
    assert_one_line(regbench("resume", "run"), 2, told)


def test_plugin_is_found_by_a_process_of_its_own(file: Path, tmp_path: Path) -> None:
    finished = run_process(["cauchy", "--plugin", str(file), "--quiet", *RUN], tmp_path)
    assert finished.code == 0, finished.err
    assert "λ=0.01" in finished.out
