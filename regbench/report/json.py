"""Results as one JSON document. `docs/results.md` describes every key."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from regbench.analysis.decomposition import Decomposition
    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.experiments.dropout_scale import Scale, ScaleResult
    from regbench.settings.study import Experiment

SCHEMA = "regbench.result/1"


def training_document(
    result: Result, run_folder: Path, blocks: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return the document of a training experiment; `blocks` as in `_head`."""
    history, arms = result.history, result.settings.arms

    def by_arm(values: Array, index: int) -> list[list[float]]:
        table: list[list[float]] = values[:, index].tolist()
        return table

    return {
        **_head(result.settings, result.environment, blocks),
        "arms": [{"name": arm.name, "strength": arm.strength} for arm in arms],
        "seeds": list(result.settings.seeds),
        "epochs": history.epochs.tolist(),
        "history": {
            arm.name: {
                "train_loss": by_arm(history.train_loss, index),
                "train_loss_eval": by_arm(history.train_loss_eval, index),
                "test_loss": by_arm(history.test_loss, index),
                "weight_norm": by_arm(history.weight_norm, index),
                "zero_share": by_arm(history.zero_share, index),
            }
            for index, arm in enumerate(arms)
        },
        "comparisons": comparisons(result),
        "comparisons_by_epoch": {
            arm.name: [
                {"epoch": epoch, **dataclasses.asdict(compared[place])}
                for epoch, compared in zip(
                    history.epochs.tolist(), result.comparisons_by_epoch, strict=True
                )
            ]
            for place, arm in enumerate(arms[1:])
        },
        "decomposition": {
            arm.name: [
                {"epoch": epoch, **decomposition(parts[place])}
                for epoch, parts in zip(history.epochs.tolist(), result.decompositions, strict=True)
            ]
            for place, arm in enumerate(arms)
        },
        "best_arm": None if result.best_arm is None else result.best_arm.name,
        "confirmation": confirmation(result),
        "diverged": diverged(result),
        "run_dir": str(run_folder),
    }


def comparisons(result: Result) -> list[dict[str, Any]]:
    """Return every arm's comparison with the baseline at the last epoch."""
    return [dataclasses.asdict(comparison) for comparison in result.comparisons]


def decomposition(parts: Decomposition | None) -> dict[str, Any]:
    """Return the parts of an expected test error; empty for one replicate."""
    return {} if parts is None else dataclasses.asdict(parts)


def confirmation(result: Result) -> dict[str, Any] | None:
    """Return what fresh replicates say about the best arm, where that was asked for."""
    if result.confirmation is None:
        return None
    return {
        "seeds": list(result.confirmation.settings.seeds),
        "comparisons": comparisons(result.confirmation),
        "diverged": diverged(result.confirmation),
    }


def diverged(result: Result) -> list[dict[str, Any]]:
    """Return the arms that have a loss that is not finite, the baseline too."""
    return [
        {"arm": result.settings.arms[arm].name, "epoch": epoch, "replicates": count}
        for arm, epoch, count in result.divergences
    ]


def scale_document(
    result: ScaleResult, run_folder: Path, blocks: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Return the document of the dropout-scale experiment; `blocks` as in `_head`."""
    return {
        **_head(result.settings, result.environment, blocks),
        "scales": [_scale(scale) for scale in result.scales],
        "run_dir": str(run_folder),
    }


def empty_document(
    settings: Experiment, environment: dict[str, Any], run_folder: Path
) -> dict[str, Any]:
    """Return the document of a run that has measured nothing yet."""
    return {**_head(settings, environment, blocks=(0, 1)), "run_dir": str(run_folder)}


def to_text(document: dict[str, Any]) -> str:
    """Return the document as JSON text; numbers that are not finite become null."""
    return json.dumps(_finite(document), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def _head(
    settings: Experiment, environment: dict[str, Any], blocks: tuple[int, int] | None
) -> dict[str, Any]:
    """Return what every document begins with; `blocks` are done and in all, None for all."""
    return {
        "schema": SCHEMA,
        "experiment": settings.experiment,
        "version": __version__,
        "is_complete": blocks is None or blocks[0] == blocks[1],
        "config": settings.to_file(),
        "environment": environment,
    }


def _scale(scale: Scale) -> dict[str, Any]:
    keep = 1 - scale.drop_probability
    return {
        "p": scale.drop_probability,
        "units": scale.units,
        "trials": len(scale.outputs),
        "inverted": {
            "first_output": float(scale.outputs[0]),
            "mean": float(scale.outputs.mean()),
            "sd": float(scale.outputs.std(ddof=1)),
            "theory_mean": float(scale.units),
            "theory_sd": scale.theory_sd,
            "eval_output": scale.eval_output,
        },
        "classic": {
            "first_output": float(scale.kept[0]),
            "mean": float(scale.kept.mean()),
            "sd": float(scale.kept.std(ddof=1)),
            "theory_mean": scale.units * keep,
            "theory_sd": scale.theory_sd * keep,
            "eval_output": scale.eval_output * keep,
        },
        "article_z": scale.article_z,
        "article_probability": scale.article_probability,
        "keep_probability": scale.keep_probability,
        "shape_probability": scale.shape_probability,
        "scale_error": scale.scale_error,
        "fits_law": scale.fits_law,
        "outputs": scale.outputs.tolist(),
    }


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        return None
    return value
