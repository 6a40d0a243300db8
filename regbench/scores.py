"""Scores from elsewhere, read and judged. Knows no statistics, nor how the answer is shown."""

from __future__ import annotations

import csv
import io
import itertools
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.analysis.scores import Judged
from regbench.errors import UsageError, cannot_read, differences
from regbench.program import open_run, read_back
from regbench.settings.groups import Judging
from regbench.settings.parse import to_number
from regbench.storage.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

NOT_FINITE = {"nan", "inf", "+inf", "-inf"}


def judge(scores: Any, question: Judging | None = None) -> Judged:
    """Return what scores say: which arms are better than the baseline, by how much, how surely.

    They are a pandas table, long (columns `arm`, `seed` or `pair`, and a score) or wide (a column
    for each arm), or a mapping from each arm to its scores, in the order of the pairs where there
    are as many of each. Raises `UsageError` where a score is no number or nothing is to compare.
    """
    if hasattr(scores, "to_dict"):
        rows = scores.to_dict("records")
    elif not isinstance(scores, Mapping):
        raise UsageError("scores", scores, "a pandas table, or a mapping from arms to scores")
    elif len({len(own) for own in scores.values()}) == 1:
        rows = [dict(zip(scores, row, strict=True)) for row in zip(*scores.values(), strict=True)]
    else:
        rows = [{"arm": arm, "score": x} for arm, own in scores.items() for x in own]
    return judge_rows(rows, "scores", question or Judging())


def judge_named(names: Sequence[str], question: Judging) -> Judged:
    """Judge the scores in a file, `-` for stdin, or of runs; see `judge`."""
    if all(os.path.isdir(name) for name in names):  # noqa: PTH112 - no name is too long for it
        rows, is_crossed = rows_of_runs(names)
        return judge_rows(rows, "runs", question, is_crossed=is_crossed)
    name = names[0]
    try:
        if len(names) > 1:
            raise UsageError("SCORES", " ".join(names), "one file, or folders of runs")
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8-sig")
        comma = next((c for c in ",;\t" if c in text.partition("\n")[0]), ",")
        rows = list(csv.DictReader(io.StringIO(text, ""), delimiter=comma, strict=True))
    except OSError as error:
        raise UsageError("SCORES", problem=cannot_read(error, name)) from None
    except (ValueError, csv.Error) as error:
        raise UsageError("SCORES", name, problem=f"which is no table: {error}") from None
    return judge_rows(rows, name, question)


def judge_rows(
    rows: Iterable[Mapping[Any, Any]],
    source: str,
    question: Judging,
    notes: Sequence[str] = (),
    is_crossed: bool = False,
) -> Judged:
    """Judge the scores of a table by the pairs that every arm has; see `judge` and `table_of`."""
    found, (measure, *others) = table_of(rows, source)
    baseline = question.baseline or ("baseline" if "baseline" in found else next(iter(found), ""))
    if baseline not in found:
        raise UsageError("baseline", baseline, ", ".join(found), problem="which is no arm")
    scores, notes = {baseline: found.pop(baseline), **found}, [*notes]
    known = dict.fromkeys(itertools.chain(*scores.values()))
    pairs = [pair for pair in known if all(pair in own for own in scores.values())]
    if not found or len(pairs) == 1 or min(map(len, scores.values())) < 2:
        counts = ", ".join(f"{len(own)} of {arm}" for arm, own in scores.items())
        allowed = "two arms with two scores each, of the same pairs if they have pairs"
        raise UsageError("SCORES", f"{len(pairs)} pairs: {counts}", allowed)
    if others:
        notes.append(f"judged by {measure} alone, not by {', '.join(others)}")
    if 0 < len(pairs) < len(known):
        lost = len(known) - len(pairs)
        notes.append(f"{lost} of {len(known)} pairs are left out: not every arm has them")
    if not pairs:
        notes.append("no pairs: intervals are Welch's, and pairs would make them narrower")
    for key in ("splits", "target_width"):
        if getattr(question, key) and not (pairs and (key == "splits" or not question.splits)):
            raise UsageError(key, getattr(question, key), problem="which takes independent pairs")
    values = {arm: np.array([own[pair] for pair in pairs or own]) for arm, own in scores.items()}
    return Judged(measure, values, pairs, question, notes, is_crossed)


def table_of(
    rows: Iterable[Mapping[Any, Any]], source: str
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Return the first scores of a table by arm and pair, and what all scores are called.

    It is long where it has a column `arm`. Without a column `seed` or `pair` each row is a pair, so
    that no two arms of a long table share one. An empty cell has no score.
    """
    found, measures = dict[str, dict[str, float]](), ["score"]
    for number, row in enumerate(rows, 1):
        cells = {str(title).strip(): cell for title, cell in row.items()}
        keys, arm = [key for key in ("seed", "pair") if key in cells], cells.pop("arm", None)
        pair = "/".join(str(cells.pop(key)).strip() for key in keys) or str(number)
        if arm is not None:
            measures = [*cells] or measures
            cells = {str(arm).strip(): cells.get(measures[0])}
        for name, cell in cells.items():
            place = f"{source}, row {number}, {name}"
            if pair in found.setdefault(name, {}):
                raise UsageError(place, problem=f"a second score in pair {pair}")
            if cell not in (None, ""):
                found[name][pair] = number_of(place, cell)
    return found, measures


def compare(
    train: Callable[[Any, Any], Any],
    arms: Iterable[Any],
    seeds: Iterable[Any],
    folder: str | Path | None = None,
    question: Judging | None = None,
) -> Judged:
    """Judge arms by `train(arm, seed)`, a function of yours that returns a score, or some by name.

    Scores are kept as they come in `scores.csv` of the folder, so that the same call goes on where
    it was cut off; another function needs another folder. A call that raises is noted, left out
    with its pair, and made again by the next one. Raises what `judge` does, and `RunError` where a
    score cannot be kept.
    """
    path = Path(os.path.expanduser(folder)) / "scores.csv" if folder else None  # noqa: PTH111
    table = path.read_text("utf-8") if path and path.exists() else ""
    kept = {(row.get("arm"), row.get("seed")): row for row in csv.DictReader(io.StringIO(table))}
    arms, notes = list(arms), list[str]()
    asked = {(str(arm), str(seed)): (arm, seed) for seed in seeds for arm in arms}
    for (name, pair), given in asked.items():
        if (name, pair) in kept:
            continue
        try:
            made = train(*given)
        except Exception as error:
            notes.append(f"train({name}, {pair}) raised {type(error).__name__}: {error}")
            continue
        scores = made if isinstance(made, Mapping) else {"score": made}
        texts = {str(key): repr(number_of("train", score)) for key, score in scores.items()}
        kept[name, pair] = {"arm": name, "seed": pair, **texts}
        if path:
            text = io.StringIO()
            written = csv.DictWriter(text, list(dict.fromkeys(itertools.chain(*kept.values()))))
            written.writeheader()
            written.writerows(kept.values())
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text.getvalue())
    rows = [kept[key] for key in asked if key in kept]
    return judge_rows(rows, "train", question or Judging(), notes)


def number_of(place: str, cell: Any) -> float:
    """Return the number in a cell, which may be not finite."""
    if isinstance(cell, str) and cell.strip().lower() not in NOT_FINITE:
        return to_number(place, cell.strip(), "a number, or nothing")
    try:
        return float(cell)
    except (TypeError, ValueError):
        raise UsageError(place, str(cell), "a number") from None


def rows_of_runs(names: Sequence[str]) -> tuple[list[dict[str, Any]], bool]:
    """Return what the arms of runs are judged by, and whether these scores are of best epochs.

    Seeds follow each other, so that those that runs share are at even and odd positions of the same
    halves. Raises `UsageError` where the runs' data differ.
    """
    found, facts = dict[str, dict[int, float]](), dict[str, Any]()
    for name in names:
        result, done, total, _ = read_back(open_run(name))
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
    return rows, result.question.is_at_best
