"""Scores from elsewhere, read and judged. Knows no statistics, nor how the answer is shown."""

from __future__ import annotations

import csv
import io
import itertools
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.scores import Judged
from regbench.api import viewer_of
from regbench.errors import (
    RunError,
    UsageError,
    cannot_read,
    cannot_write,
    differences,
    visible,
)
from regbench.experiments import calls, stored_command
from regbench.program import read_back
from regbench.settings.groups import Judging
from regbench.settings.parse import to_number
from regbench.storage import run_folder
from regbench.storage.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from regbench.analysis.result import Result

FORMS = "a table with a column for each arm, or with the columns arm, seed and a score"
NUMBER = "a number, or nothing; the arms of a long table are in a column called arm"
PAIRS = "seed", "pair", "split", "fold"
"""The columns that say which scores belong together."""
INDEX = "", "Unnamed: 0"
"""The columns that pandas numbers rows in; they are passed over."""
SAME_ROWS = "all scores are of the same test rows: intervals say nothing of other rows"
NOT_FINITE = {"nan", "inf", "+inf", "-inf"}


def judge(scores: Any, question: Judging | None = None) -> Judged:
    """Return what scores say: which arms are better than the baseline, by how much, how surely.

    They are a data frame, long (columns `arm`, `seed` or `pair`, and a score) or wide (a column for
    each arm), or a mapping from each arm to its scores: by pair in mappings, or in the order of the
    pairs in lists of the same length; lists of different lengths are not paired. Raises
    `UsageError` where a score is no number or nothing is to compare.
    """
    return judge_rows(rows_of(scores), "scores", question or Judging())


def rows_of(scores: Any) -> list[dict[Any, Any]]:
    """Return the rows of a data frame or a mapping; see `judge`."""
    if hasattr(scores, "columns"):
        if any(getattr(getattr(scores, "index", None), "names", ())):
            scores = scores.reset_index()
        columns = [scores[title] for title in scores.columns]
        return [dict(zip(scores.columns, row, strict=True)) for row in zip(*columns, strict=True)]
    try:
        named = all(hasattr(own, "keys") for own in scores.values())
        paired = named or len({len(own) for own in scores.values()}) == 1
        own = {arm: [*(s.items() if named else enumerate(s, 1))] for arm, s in scores.items()}
    except (AttributeError, TypeError):
        raise UsageError("scores", scores, "a data frame, or a mapping of arms to scores") from None
    each = ((arm, *pair) for arm, pairs in own.items() for pair in pairs)
    return [{"arm": a, "pair": pair if paired else "", "score": score} for a, pair, score in each]


def judge_named(names: Sequence[str], question: Any) -> Judged:
    """Judge by a `Judging` the scores in a file, `-` for stdin, or of runs; see `judge`."""
    if all(os.path.isdir(name) for name in names):  # noqa: PTH112 - no name is too long for it
        rows, result = rows_of_runs(names)
        task, splits = result.task, None
        if task.overlap:
            splits = f"{task.points}/{result.study.task.largest_fold}"
        notes = [] if splits or result.sample.is_independent else [SAME_ROWS]
        question = question.replaced(splits=question.splits or splits)
        is_halved = result.question.is_at_best and not splits
        return judge_rows(rows, "runs", question, notes, is_halved)
    if len(names) > 1:
        raise UsageError("SCORES", " ".join(names), "one file, or folders of runs")
    return judge_rows(read_table(names[0]), names[0], question)


def read_table(name: str) -> list[dict[str, str]]:
    """Return the rows of a file, or of stdin for `-`; raises `UsageError` where it is no table."""
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8-sig").lstrip("\r\n")
        comma = next((c for c in ",;\t" if c in text.partition("\n")[0]), ",")
        lines = csv.reader(io.StringIO(text, ""), delimiter=comma, strict=True)
        first, *rows = [line for line in lines if any(line)] or [[]]
    except OSError as error:
        raise UsageError("SCORES", problem=cannot_read(error, name)) from None
    except (ValueError, csv.Error) as error:
        raise UsageError("SCORES", name, problem=f"which is no table: {error}") from None
    titles = [title.strip() for title in first]
    if twice := next((one for one in titles if one and titles.count(one) > 1), None):
        raise UsageError("SCORES", name, problem=f"with two columns called {visible(twice)}")
    if long := next((number for number, row in enumerate(rows, 1) if any(row[len(titles) :])), 0):
        raise UsageError(f"{name}, row {long}", problem="has more cells than there are titles")
    return [dict(zip(titles, row, strict=False)) for row in rows]


def judge_rows(
    rows: Iterable[Mapping[Any, Any]],
    source: str,
    question: Judging,
    notes: Sequence[str] = (),
    is_halved: bool = False,
) -> Judged:
    """Judge the scores of a table by the pairs that every arm has; see `judge` and `table_of`."""
    found, (measure, *others) = table_of(rows, source)
    if not found:
        raise UsageError("SCORES", source, FORMS, problem="which has no score")
    baseline = question.baseline or ("baseline" if "baseline" in found else next(iter(found)))
    if baseline not in found:
        raise UsageError("baseline", baseline, ", ".join(found), problem="which is no arm")
    scores, notes = {baseline: found.pop(baseline), **found}, [*notes]
    known = dict.fromkeys(itertools.chain(*scores.values()))
    pairs = [pair for pair in known if all(pair in own for own in scores.values())]
    if not found or len(pairs) == 1 or min(map(len, scores.values())) < 2:
        counts = ", ".join(f"{len(own)} of {arm}" for arm, own in scores.items())
        allowed = "two arms or more with two scores or more, of the same pairs if they have pairs"
        raise UsageError("SCORES", f"{counts}; pairs that all have: {len(pairs)}", allowed)
    if others:
        notes.append(f"judged by {measure} alone, not by {', '.join(others)}")
    if 0 < len(pairs) < len(known):
        lost = len(known) - len(pairs)
        notes.append(f"{lost} of {len(known)} pairs are left out: not every arm has them")
    if not pairs:
        notes.append("no pairs: intervals are Welch's, and pairs would make them narrower")
    if question.splits and not pairs:
        raise UsageError("splits", question.splits, problem="but no two scores are of one split")
    if question.target_width and (question.splits or not pairs):
        problem = "which takes independent pairs"
        raise UsageError("target_width", question.target_width, problem=problem)
    values = {arm: np.array([own[pair] for pair in pairs or own]) for arm, own in scores.items()}
    return Judged(measure, values, pairs, question, notes, is_halved)


def table_of(
    rows: Iterable[Mapping[Any, Any]], source: str
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return the first scores of a table by arm and pair, and what all scores are called.

    It is long where it has a column `arm`. Without one of `PAIRS` each row is a pair, so that no
    two arms of a long table share one. An empty cell has no score.
    """
    found, measures = dict[str, dict[str, float]](), ["score"]
    for number, row in enumerate(rows, 1):
        cells = {str(title).strip(): cell for title, cell in row.items() if title not in INDEX}
        keys, arm = [key for key in PAIRS if key in cells], cells.pop("arm", None)
        pair = "/".join(str(cells.pop(key)).strip() for key in keys) or str(number)
        if arm is not None:
            measures = [*cells] or measures
            cells = {str(arm).strip(): cells.get(measures[0])}
        for name, cell in cells.items():
            place = f"{source}, row {number}, {name}"
            if pair in found.setdefault(name, {}):
                raise UsageError(place, problem=f"a second score in pair {pair}")
            if cell not in (None, ""):
                found[name][pair] = number_of(place, cell, NUMBER if arm is None else "a number")
    return found, measures


def compare(
    train: Callable[[Any, Any], Any],
    arms: Iterable[Any],
    seeds: Iterable[Any],
    folder: str | Path | None = None,
    question: Judging | None = None,
    *,
    workers: int = 1,
    progress: bool = False,
) -> Judged:
    """Judge arms by `train(arm, seed)`, a function of yours that returns a score, or some by name.

    Args:
        train: The function.
        arms: What it is given, the baseline first or called `baseline`; texts name them.
        seeds: What else it is given; the scores of a seed are a pair.
        folder: Where scores are kept as they come, in `scores.csv`, so that the same call goes on
            where it was cut off; another function needs another folder. None keeps nothing.
        question: What is asked of the scores; with the defaults where not given.
        workers: How many calls to make at once, in processes of their own if there are several;
            they import the function, so that it must stand in a file.
        progress: Whether to show on stderr how far it is.

    A call that raises is noted, left out with its pair, and made again by the next one.

    Raises:
        UsageError: What `judge` refuses, or a function that no other process can import.
        RunError: A score cannot be kept, or a worker has died.
    """
    if type(workers) is not int or workers < 1:
        raise UsageError("workers", workers, "a whole number from 1")
    path = Path(os.path.expanduser(folder)) / "scores.csv" if folder else None  # noqa: PTH111
    table, notes = read_table(str(path)) if path and path.exists() else [], list[str]()
    if not all({"arm", "seed"} <= row.keys() for row in table):
        raise UsageError("folder", folder, problem="whose scores.csv has no columns arm and seed")
    kept, arms = {(row["arm"], row["seed"]): row for row in table}, list(arms)
    if path:
        write_table(path, kept.values())  # where it cannot be written, nothing is called
    asked = {(str(arm), str(seed)): (arm, seed) for seed in seeds for arm in arms}
    missing = {key: given for key, given in asked.items() if key not in kept}
    with (
        viewer_of(progress).stage("scores", len(missing)) as advance,
        closing(calls.made(train, missing, workers)) as made,
    ):
        for (name, pair), scores in made:
            if isinstance(scores, str):
                notes.append(f"train({name}, {pair}) raised {scores}")
            else:
                texts = {key: repr(number_of("train", score)) for key, score in scores.items()}
                kept[name, pair] = {"arm": name, "seed": pair, **texts}
                if path:
                    write_table(path, kept.values())
            advance(1)
    rows = [kept[key] for key in asked if key in kept]
    return judge_rows(rows, "train", question or Judging(), notes)


def write_table(path: Path, rows: Collection[Mapping[str, str]]) -> None:
    """Write a table into a file, whose folder is made; raises `RunError` where it cannot be."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(dict.fromkeys(["arm", "seed", *itertools.chain(*rows)])))
    table.writeheader()
    table.writerows(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(cannot_write(error, path.parent)) from None
    write_text(path, text.getvalue())


def number_of(place: str, cell: Any, allowed: str = "a number") -> float:
    """Return the number in a cell, which may be not finite."""
    text = cell.strip() if isinstance(cell, str) else ""
    try:
        is_plain = not text or text.lower() in NOT_FINITE
        return float(cell) if is_plain else to_number(place, text, allowed)
    except (TypeError, ValueError):
        raise UsageError(place, str(cell), allowed) from None


def rows_of_runs(names: Sequence[str]) -> tuple[list[dict[str, Any]], Result]:
    """Return what the arms of runs are judged by, and the result of the last run.

    Seeds follow each other, so that those that runs share are at even and odd positions of the same
    halves. Raises `UsageError` where the runs' data differ.
    """
    found, facts = dict[str, dict[int, float]](), dict[str, Any]()
    for name in names:
        run = run_folder.open_run(name, stored_command)
        if not run.request.study.has_blocks:
            raise UsageError("SCORES", name, problem="which is a run that has no arms")
        result, done, total, _ = read_back(run)
        if done < total or not hasattr(result, "judged"):
            raise UsageError("SCORES", name, problem="which is not one whole study")
        study, by = result.study, result.question.judged_by
        own = {**study.task.model_dump(), "vary": study.vary, "by": by}
        if apart := differences(facts or own, own, f"in {names[0]}", "here"):
            raise UsageError("SCORES", name, problem=f"which is over other data: {apart}")
        facts = own
        for arm, values in zip(study.arm_names, result.judged.tolist(), strict=True):
            scores = dict(zip(study.seeds, values, strict=True))
            found[arm if found.get(arm, scores) == scores else f"{name}:{arm}"] = scores
    by_seed = ((arm, *score) for arm, scores in found.items() for score in scores.items())
    rows = [{"arm": arm, "seed": seed, facts["by"]: score} for arm, seed, score in by_seed]
    return rows, result
