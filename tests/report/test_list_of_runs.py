"""The table of `regbench runs`: effects, differing settings, and the width that there is."""

from __future__ import annotations

import datetime
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from commands import NO_FILES, TINY
from rich.console import Console

from regbench.report.run_list import runs_table
from regbench.report.terminal.console import print_table
from regbench.storage.records import CHECKSUM, write_record
from regbench.storage.run_list import Summary

if TYPE_CHECKING:
    from commands import Command

KEYS = ("hidden", "points", "epochs")


def test_list_has_effects_and_the_settings_in_which_runs_differ(regbench: Command) -> None:
    regbench("wdecay", "--lambda=0.1,0.2", *TINY, *NO_FILES, "--quiet", "--slope=3")
    regbench("wdecay", "--lambda=0.1", *TINY, *NO_FILES, "--quiet", "--slope=2", "--truth=sine")
    old, new = sorted(Path("runs/wdecay").iterdir(), key=lambda folder: folder.stat().st_mtime)
    summary = json.loads((new / "summary.json").read_text())
    risks = {arm: summary["history"][arm]["risk"][-1] for arm in ("baseline", "wdecay=0.1")}
    differences = [a - b for b, a in zip(*risks.values(), strict=True)]
    (_, listed) = regbench("runs", "--json").document["runs"]
    (effect,) = listed["effects"].values()
    assert effect[0] == pytest.approx(sum(differences) / len(differences), abs=1e-6)
    assert effect[1] < effect[0] < effect[2]
    assert listed["settings"]["truth"] == "sine"
    # What a run of an earlier version has not recorded is left out.
    record = json.loads((old / "DONE").read_text())
    del record["effects"], record[CHECKSUM]
    write_record(old / "DONE", record)
    titles, *rows = (line.split() for line in regbench("runs").out.splitlines())
    assert titles[6:] == ["--truth", "--slope"], "and not what all have in common"
    assert [row[-2:] for row in rows] == [["linear", "3.0"]] * 2 + [["sine", "2.0"]]
    assert len(rows[0]) == len(rows[2]) - 4, "no difference, no interval"


@pytest.mark.parametrize(("width", "titles"), [(80, 4), (100, 6), (130, 9)])
def test_list_uses_the_width_that_there_is(width: int, titles: int) -> None:
    now, arm = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "wdecay=0.01"
    folder = Path("runs/wdecay/20260101T000000Z-0123abcd")
    verdicts, effects = {arm: "better"}, {arm: [-0.04, -0.05, -0.03]}
    found = [
        Summary(folder, "done", 3, now, now, [arm], verdicts, effects, dict.fromkeys(KEYS, n))
        for n in (1, 2)
    ]
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    table = runs_table(found, now)
    print_table(console, table)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(len(line.rstrip()) for line in lines) <= width
    shown, told = lines[0].split(), " ".join(line.strip() for line in lines[4:])
    assert len(shown) == titles
    omitted = ", ".join(title for title in table.rows[0] if title not in shown)
    said = f"Left out for want of room: {omitted}; --format csv has all." * bool(omitted)
    assert told.endswith(said)
    assert ("Left out" in told) == bool(omitted)


def test_list_fits_eighty_columns_on_a_terminal() -> None:
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    folder = Path("runs/wdecay/20260101T000000Z-0123abcd")
    again = folder.with_name("20260101T000000Z-4567cdef")
    arms = [f"wdecay=0.000{n}" for n in range(1, 10)]
    verdicts = dict.fromkeys(arms[:3], "inconclusive")
    run = Summary(folder, "not done", 3, now - datetime.timedelta(minutes=59), now, arms, verdicts)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    print_table(console, runs_table([run, replace(run, folder=again)], now))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert str(folder) in lines[2]
    assert "59 min" in lines[2]
    told = "".join(" ".join(lines).split())
    assert "wdecay=0.0002notdone" in told.replace(str(again), "")
    assert "wdecay=0.0003notdone" in told
    assert told.count("and6more") == 2
    assert str(again) in "".join(lines)


def test_list_shows_the_best_of_a_long_sweep() -> None:
    now, folder = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), Path("runs/a")
    arms = [f"wdecay=0.{n}" for n in range(1, 10)]
    effects = {arm: [abs(n - 6) - 1.0, -2.0, 0.5] for n, arm in enumerate(arms)}
    verdicts = dict.fromkeys(arms, "inconclusive")
    run = Summary(folder, "done", 3, now, now, arms, verdicts, effects)
    rows = runs_table([run], now).rows[1:]
    assert [row[2] for row in rows] == [
        *(f"wdecay=0.{n} cannot tell" for n in (7, 6, 8)), "and 6 more",
    ]  # fmt: skip


def test_name_of_a_sum_is_never_cut_in_the_list() -> None:
    now = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)
    folder = Path("runs/compare/20260101T000000Z-0123abcd")
    arm = "wdecay=0.01+dropout=0.5+decoupled=0.01+l1=0.001"
    run = Summary(folder, "done", 3, now, now, [arm], {arm: "inconclusive"})
    shown = []
    for is_terminal in (True, False):
        file = io.StringIO()
        console = Console(file=file, width=80, force_terminal=is_terminal, color_system=None)
        print_table(console, runs_table([run], now))
        shown.append(file.getvalue())
    assert f"{arm} cannot tell" in shown[1]
    lines = shown[0].partition("Left out")[0].splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    start = lines[0].index("verdict")
    assert "".join(line[start:] for line in lines[2:]).replace(" ", "") == f"{arm}cannottell"
