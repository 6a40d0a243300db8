"""Shards: which blocks each has, and that merged they are what one run would have made."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY
from runs import THREE_PARTS, assert_one_line, blocks_of, change_manifest, numbers_of
from training import make_batch, make_study

import regbench as rb
from regbench.engines import machine
from regbench.errors import UsageError
from regbench.experiments.stages import SLURM, part_of, share
from regbench.storage.run_folder import mark_done

if TYPE_CHECKING:
    from commands import Command
    from runs import Trained

ARMS = ("baseline", "wdecay=0.1", "wdecay=0.2")


@pytest.fixture
def shards(regbench: Command) -> list[str]:
    """Return the folders of two shards of `THREE_PARTS`, with four and five of its blocks."""
    for part in (1, 2):
        finished = regbench(*THREE_PARTS, f"--shard={part}/2", f"--out=part-{part}", "--quiet")
        assert finished.code == 0
    return ["part-1", "part-2"]


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 8, 9])
def test_every_block_is_in_one_shard_and_shards_are_even(parts: int) -> None:
    batches = make_batch(make_study(strengths=(0.1, 0.2), replicates=5)).cut(2)
    found = []
    for part in range(1, parts + 1):
        own = share(batches, f"{part}/{parts}")
        assert len({batch.seeds for batch in own}) == len(own), "arms of a batch stay together"
        found.append([(batch.seeds, arm) for batch in own for arm in batch.arm_indices or ()])
    expected = [(batch.seeds, arm) for batch in batches for arm in range(3)]
    assert [block for own in found for block in own] == expected
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert share(batches, None) == batches


def array(task: int, first: int, last: int, count: int) -> dict[str, str]:
    """Return what Slurm sets for a task of an array."""
    return dict(zip(SLURM, map(str, (task, first, last, count)), strict=True))


@pytest.mark.parametrize(
    ("task", "part"), [((1, 1, 3, 3), "1/3"), ((3, 1, 3, 3), "3/3"), ((1, 1, 1, 1), "1/1")]
)
def test_part_is_that_of_the_task_of_a_slurm_array(task: tuple[int, ...], part: str) -> None:
    environment = array(*task)
    assert part_of("slurm", environment) == part
    del environment["SLURM_ARRAY_TASK_COUNT"]
    with pytest.raises(UsageError, match="SLURM_ARRAY_TASK_COUNT"):
        part_of("slurm", environment)


@pytest.mark.parametrize(
    ("given", "task"),
    {
        "3": (3, 3, 3, 1),  # all of it would be taken for done
        "2,5": (5, 2, 5, 2),
        "1,2,4": (2, 1, 4, 3),
        "0-3": (3, 0, 3, 4),
        "2-4": (2, 2, 4, 3),
        "1-5:2": (3, 1, 5, 3),
    }.items(),
)
def test_array_with_gaps_is_refused_with_the_way_out(given: str, task: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="not 1 to N; give it as shard I/N"):
        part_of("slurm", array(*task))


def test_merged_shards_are_the_run_of_one_machine_bit_for_bit(
    regbench: Command, trained: Trained, shards: list[str]
) -> None:
    assert [len(blocks_of(shard)) for shard in shards] == [4, 5]
    assert trained == [(1, ARMS), (65, ARMS[:1]), (65, ARMS[1:]), (129, ARMS)]
    assert regbench(*THREE_PARTS, "--out=one").code == 0
    trained.clear()
    # In any order, and twice.
    assert regbench("merge", "part-2", "part-1", "part-2", "--out=merged").code == 0
    assert trained == []
    assert blocks_of("merged") == blocks_of("one")
    assert numbers_of("merged") == numbers_of("one")
    for name in ("history.csv", "config.toml"):
        assert Path("merged", name).read_bytes() == Path("one", name).read_bytes()
    assert regbench("resume", "merged", "--quiet").err.endswith("nothing to train\n")
    assert regbench("report", "merged", "--quiet").code == 0


def test_merging_is_the_cache_with_the_folders_that_are_named(
    regbench: Command, trained: Trained, shards: list[str]
) -> None:
    # The same command without --shard finds the blocks of its neighbours.
    assert regbench("merge", *shards, "--out=elsewhere/merged").code == 0
    trained.clear()
    command = [option for option in THREE_PARTS if option != "--no-cache"]
    found = regbench(*command, "--out=one")
    assert (found.code, trained) == (0, [])
    assert blocks_of("one") == blocks_of("elsewhere/merged")
    one, merged = numbers_of("one"), numbers_of("elsewhere/merged")
    assert one.pop("config") == {**merged.pop("config"), "cache": True}
    assert one == merged


def test_duration_of_a_merged_run_is_that_of_all_shards_together(
    regbench: Command, shards: list[str]
) -> None:
    for shard, duration in zip(shards, (2.5, 4.25), strict=True):
        mark_done(Path(shard), {"duration_seconds": duration, "verdicts": {}})
    document = regbench("merge", *shards, "--out=merged", "--json").document
    assert document["environment"]["duration_seconds"] == 6.75
    assert json.loads(Path("merged/DONE").read_text())["duration_seconds"] == 6.75


def test_merged_shards_over_a_setting_are_the_run_of_one_machine(regbench: Command) -> None:
    options = ["wdecay", *TINY, *NO_FILES, "--no-cache", "--over=lr=0.01,0.02"]
    for part in ("--out=one", "--shard=1/2", "--shard=2/2"):
        out = f"--out=part-{part[8]}" if "shard" in part else "--quiet"
        assert regbench(*options, part, out).code == 0
    assert [len(blocks_of(f"part-{part}")) for part in (1, 2)] == [2, 2]
    assert regbench("report", "part-1", "--quiet").out.startswith("Shard 1/2 is done.")
    assert regbench("merge", "part-1", "part-2", "--out=merged", "--export=all.html").code == 0
    assert blocks_of("merged") == blocks_of("one")
    assert Path("merged/history.csv").read_bytes() == Path("one/history.csv").read_bytes()
    one, merged = (json.loads(Path(run, "summary.json").read_text()) for run in ("one", "merged"))
    assert [merged[key] for key in ("effects", "changes")] == [one["effects"], one["changes"]]
    spent = [merged, *(value["document"] for value in merged["over"])]
    assert len({found["environment"]["duration_seconds"] for found in spent}) == 1
    assert "At lr=0.01" in Path("all.html").read_text()


def test_shard_says_that_it_is_one_and_shows_no_numbers(
    regbench: Command, shards: list[str]
) -> None:
    for command in ("report", "resume"):
        shown = regbench(command, "part-2", "--quiet")
        assert shown.code == 0
        assert shown.out == (
            "Shard 2/2 is done. When all shards are: regbench merge part-2 ... --out DIR\n"
        )
    shown = regbench("show", "part-2")
    assert "done, 5 of 5 blocks" in shown.out
    assert "2/2" in shown.out
    markdown = regbench("report", "part-2", "--format=markdown").out
    assert "**Shard 2/2 is done." in markdown
    assert "--shard" not in markdown.partition("Repeat it")[2]
    document = regbench("report", "part-2", "--json").document
    assert (document["is_complete"], document["environment"]["shard"]) == (False, "2/2")
    assert "history" not in document
    assert {run["state"] for run in regbench("runs", "--root=.", "--json").document["runs"]} == {
        "shard 1/2",
        "shard 2/2",
    }
    with pytest.raises(rb.UsageError, match="shard 2/2"):
        rb.load("part-2")


def test_shard_that_was_cut_off_is_resumed_and_counted_by_its_own_blocks(
    regbench: Command, shards: list[str], trained: Trained
) -> None:
    whole = blocks_of("part-2")
    Path("part-2/DONE").unlink()
    sorted(Path("part-2/blocks").iterdir())[0].unlink()
    partial = regbench("report", "part-2", "--quiet")
    assert_one_line(partial, 1, "this shard 2/2 is not complete: it has 4 of 5 blocks")
    refused = regbench("merge", *shards, "--out=merged")
    assert_one_line(refused, 2, "8 of 9 blocks", "'part-2' has 4 of its 5: regbench resume part-2")
    assert not Path("merged").exists()
    trained.clear()
    assert regbench("resume", "part-2").code == 0
    assert sum(len(arms) for _, arms in trained) == 1
    assert blocks_of("part-2") == whole


@pytest.mark.parametrize("parts", ["1/3", "3/3", "1/999999999", "999999999/999999999"])
def test_more_parts_than_blocks_are_refused_before_anything_is_made(
    regbench: Command, parts: str
) -> None:
    for over in ((), ("--over=lr=0.01,0.02",)):  # a part of each value
        refused = regbench("wdecay", *TINY, *NO_FILES, f"--shard={parts}", *over)
        assert_one_line(refused, 2, "--shard", f"got '{parts}'", "N to 2, the number of blocks")
    assert not Path("runs").exists()


def test_missing_shard_is_named(regbench: Command, shards: list[str]) -> None:
    missing = regbench("merge", "part-2", "--out=merged")
    assert_one_line(missing, 2, "5 of 9 blocks are there; missing: shard 1/2")


def test_stored_run_of_more_parts_than_blocks_costs_one_line(
    regbench: Command, shards: list[str]
) -> None:
    began = json.loads(Path("part-2/environment.json").read_text())["environment"]
    change_manifest(Path("part-2"), environment={**began, "shard": "1/999999999"})
    for command in ("report", "show", "resume"):
        assert_one_line(regbench(command, "part-2"), 2, "999999999", "number of blocks")


def test_what_is_no_part_of_the_same_study_is_refused(regbench: Command, shards: list[str]) -> None:
    other = [option for option in THREE_PARTS if not option.startswith("--epochs")]
    regbench(*other, "--epochs=3", "--shard=2/2", "--out=other")
    refused = regbench("merge", "part-1", "other", "--out=merged")
    assert_one_line(refused, 2, "epochs 4 in part-1 and 3 in other", "one study")
    refused = regbench("merge", "part-1", "nothing", "--out=merged")
    assert_one_line(refused, 2, "got 'nothing'", "not a folder")
    refused = regbench("merge", *shards, "--out=other")
    assert_one_line(refused, 2, "--out", "not empty")
    assert not Path("merged").exists()


def test_other_versions_are_merged_only_where_that_is_allowed(
    regbench: Command, shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    describe = machine.describe_provenance
    with monkeypatch.context() as patch:
        patch.setattr(machine, "describe_provenance", lambda *a: {**describe(*a), "torch": "9.9"})
        shutil.rmtree("part-2")
        assert regbench(*THREE_PARTS, "--shard=2/2", "--out=part-2").code == 0
    refused = regbench("merge", *shards, "--out=merged")
    assert_one_line(refused, 2, "torch", "in part-1 and 9.9 in part-2", "--allow-mixed")
    assert regbench("merge", *shards, "--out=merged", "--allow-mixed").code == 0
    assert len(blocks_of("merged")) == 9
    computed = json.loads(Path("merged/environment.json").read_text())["provenances"]
    assert [found["torch"] == "9.9" for found in computed] == [True, False]
    assert regbench("report", "merged").code == 0


def test_batches_of_another_size_are_refused(regbench: Command, shards: list[str]) -> None:
    began = json.loads(Path("part-2/environment.json").read_text())["environment"]
    change_manifest(Path("part-2"), environment={**began, "batch_replicates": 32})
    refused = regbench("merge", *shards, "--out=merged", "--allow-mixed")
    assert_one_line(refused, 2, "batch_replicates 64 in part-1 and 32 in part-2")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--shard=0/2"], ["--shard", "got '0/2'", "I from 1 to N"]),
        (["--shard=3/2"], ["--shard", "got '3/2'", "I from 1 to N"]),
        (["--shard=half"], ["--shard", "got 'half'", "slurm"]),
        (["--shard=slurm"], ["--shard", "SLURM_ARRAY_TASK_ID", "give it as I/N"]),
        (["--shard=1/2", "--confirm=3"], ["--shard", "--confirm", "merge"]),
        (["--shard=1/2", "--export=a.md"], ["--export", "shard", "merge"]),
        (["--shard=1/2", "--target-width=1"], ["--shard", "--target-width", "how many replicates"]),
    ],
)
def test_what_cannot_be_a_shard_is_refused_with_the_way_to_do_it(
    regbench: Command, options: list[str], named: list[str]
) -> None:
    given = [option for option in TINY if not option.startswith("--replicates")]
    assert_one_line(regbench("wdecay", *given, *options), 2, *named)
    assert not Path("runs").exists()


def test_python_is_told_that_a_shard_has_no_result() -> None:
    with pytest.raises(rb.UsageError, match="gives no result"):
        rb.run(rb.Study(arms=rb.WeightDecay(0.1)), machine=rb.Machine(shard="1/2"))


def test_slurm_script_does_its_part_and_a_task_that_is_requeued_goes_on(
    regbench: Command, tmp_path: Path
) -> None:
    script = Path(__file__).parents[2] / "examples" / "slurm_array.sh"
    program = tmp_path / "bin" / "regbench"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> asked\nexec {sys.executable} -m regbench "$@"\n')
    program.chmod(0o755)
    Path("one.py").write_text(
        "from regbench import Regularizer\n"
        "class One(Regularizer):\n"
        "    command, option, symbol, default, summary = 'one', 'lambda', 'o', 0.1, 'One.'\n"
        "    def after_step_(self, *step):\n        pass\n"
    )

    def queue(task: int) -> str:
        finished = subprocess.run(
            ["bash", str(script), "--plugin", "one.py", *THREE_PARTS, "--plugin=one.py"],
            env={
                **os.environ,
                **array(task, 1, 2, 2),
                "SLURM_ARRAY_JOB_ID": "9",
                "PATH": f"{program.parent}:/usr/bin:/bin",
            },
            capture_output=True,
            check=False,
            text=True,
        )
        assert finished.returncode == 0, finished.stderr
        return Path("asked").read_text().splitlines()[-1]

    assert "--shard slurm" in queue(1)
    whole = blocks_of("parts-9/1")
    Path("parts-9/1/DONE").unlink()
    next(Path("parts-9/1/blocks").iterdir()).unlink()
    assert queue(1) == "resume parts-9/1 --plugin one.py --plugin=one.py"
    assert blocks_of("parts-9/1") == whole
    assert "--shard slurm" in queue(2)
    assert regbench("merge", "parts-9/1", "parts-9/2", "--out=merged").code == 0


def test_ci_matrix_has_every_part() -> None:
    text = (Path(__file__).parents[2] / "examples" / "ci_matrix.yml").read_text()
    listed = re.search(r"part: \[(.*)\]", text)
    assert listed
    parts = [int(word) for word in listed[1].split(",")]
    assert parts == [*range(1, len(parts) + 1)]
    assert f"--shard ${{{{ matrix.part }}}}/{len(parts)} " in text
