"""The picture of scores from elsewhere: pairs as dots, or the scores themselves."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from test_figures import assert_texts_are_seen, drawn, texts_of

from regbench.analysis.scores import Judged
from regbench.report.figures import pairs
from regbench.settings.groups import Judging


def judged(scores: dict[str, Any], is_paired: bool = True, **asked: Any) -> Judged:
    """Return what scores say; the first arm is the baseline."""
    arrays = {arm: np.asarray(own, float) for arm, own in scores.items()}
    pairs = [str(pair) for pair in range(len(next(iter(arrays.values()))))] if is_paired else []
    return Judged("a_rather_long_measure/of@something", arrays, pairs, Judging(**asked))


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("is_paired", [True, False])
@pytest.mark.parametrize("arms", [1, 3, 12])
def test_every_text_of_scores_is_seen(arms: int, is_paired: bool, better: str) -> None:
    generator = np.random.default_rng(arms)
    names = [f"arm_{arm}+of $a$ very, very long name=0.{arm}2345" for arm in range(arms + 1)]
    scores = {name: 1e3 * generator.normal(arm, 1, 9) for arm, name in enumerate(names)}
    if arms > 1:
        scores[names[2]][3] = np.nan
    result = judged(scores, is_paired, better=better)
    figure = drawn("pairs", result)
    assert_texts_are_seen(figure)
    texts = texts_of(figure)
    assert ("a score is not finite" in texts) == (arms > 1)
    assert any(f"{better} is better" in text for text in texts)
    assert any("not paired" in text for text in texts) == (not is_paired and arms <= 8)
    assert ("better in" in texts) == is_paired


@pytest.mark.parametrize(
    ("better", "title"),
    [
        ("lower", "b: cannot tell, the a_rather.* changes by .*; higher with c"),
        ("higher", "c improves the a_rather.* most, by 1.38, in 4 of 4 pairs; cannot tell for b"),
    ],
)
def test_pairs_of_scores_are_dots_and_hollow_where_the_baseline_was_better(
    better: str, title: str
) -> None:
    scores = {"plain": [1.0, 2, 3, 5], "b": [0.5, 2.5, 2, 2], "c": [2.0, 4, 4, 6.5]}
    result = judged(scores, better=better)
    figure = drawn("pairs", result)
    swarms: list[Any] = figure.axes[1].collections[2:4]
    for dots, arm in zip(swarms, ("b", "c"), strict=True):
        differences = np.sort(np.subtract(scores[arm], scores["plain"]))
        np.testing.assert_allclose(dots.get_offsets()[:, 0], differences)
        is_hollow = (dots.get_facecolors()[:, :3] == 1).all(axis=1)
        assert is_hollow.tolist() == [(d > 0) == (better == "lower") for d in differences]
    words = [text for text in texts_of(figure) if text[:2] in ("▲ ", "▼ ", "? ")]
    assert words == ["? cannot tell", "▲ higher"]
    assert re.fullmatch(title, pairs.title(result))


def test_scores_without_pairs_are_dots_themselves_beside_those_of_the_baseline() -> None:
    scores = {"plain": [1.0, 2, 3, 6], "b": [0.5, 2.5]}
    result = judged(scores, is_paired=False)
    figure = drawn("pairs", result)
    swarms: list[Any] = figure.axes[1].collections[2:4]
    for swarm, own in zip(swarms, scores.values(), strict=True):
        np.testing.assert_allclose(swarm.get_offsets()[:, 0], np.subtract(own, 3))
        assert not (swarm.get_facecolors()[:, :3] == 1).all(axis=1).any()
    assert "4 and 2 scores." in " ".join(texts_of(figure)).replace("\n", " ")
    assert "pairs" not in pairs.title(result)
