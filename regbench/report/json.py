"""Results as one JSON document. `docs/results.md` describes every key."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regbench import __version__
from regbench.report.base import Sink
from regbench.storage.files import write_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from regbench.analysis.history import Array
    from regbench.analysis.result import Result
    from regbench.report.base import View
    from regbench.settings.command import Request
    from regbench.settings.machine import Environment

SCHEMA = "regbench.result/2"


@dataclass(frozen=True)
class Json(Sink):
    """Writes `summary.json`, and prints the same where asked to."""

    is_printed: bool

    def write(self, view: View, advance: Callable[[int], None]) -> Iterable[str]:
        """Write the document."""
        del advance
        write_text(view.folder / "summary.json", view.text)
        return ()

    def close(self, view: View) -> None:
        """Print the document."""
        if self.is_printed:
            sys.stdout.write(view.text)


def document_of(
    request: Request,
    environment: Environment,
    folder: Path,
    is_complete: bool,
    content: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """Return a document: what every one begins and ends with, around an experiment's own."""
    return {
        "schema": SCHEMA,
        "experiment": request.command.name,
        "version": __version__,
        "is_complete": is_complete,
        "config": request.to_file(),
        "environment": environment.to_record(),
        **content(),
        "run_dir": str(folder),
    }


def to_text(document: dict[str, Any]) -> str:
    """Return the document as JSON text; numbers that are not finite become null."""
    return json.dumps(_finite(document), indent=1, ensure_ascii=True, allow_nan=False) + "\n"


def training_content(result: Result) -> dict[str, Any]:
    """Return what the document of a training experiment has of its own."""
    history, arms = result.history, result.study.arms

    def by_arm(values: Array, arm_index: int) -> list[list[float]]:
        table: list[list[float]] = values[:, arm_index].tolist()
        return table

    return {
        "arms": [
            {
                "name": arm.name,
                "regularizers": [
                    {"command": part.command, "strength": part.strength} for part in arm.parts
                ],
            }
            for arm in arms
        ],
        "seeds": list(result.study.seeds),
        "epochs": history.epochs.tolist(),
        "history": {
            arm.name: {
                "train_loss": by_arm(history.train_loss, arm_index),
                "train_loss_eval": by_arm(history.train_loss_eval, arm_index),
                "test_loss": by_arm(history.test_loss, arm_index),
                "weight_norm": by_arm(history.weight_norm, arm_index),
                "zero_share": by_arm(history.zero_share, arm_index),
            }
            for arm_index, arm in enumerate(arms)
        },
        "comparisons": [asdict(comparison) for comparison in result.comparisons],
        "comparisons_by_epoch": {
            arm: [
                {"epoch": epoch, **asdict(compared[position])}
                for epoch, compared in zip(
                    history.epochs.tolist(), result.comparisons_by_epoch, strict=True
                )
            ]
            for position, arm in enumerate(result.study.compared)
        },
        "decomposition": {
            arm.name: [
                {"epoch": epoch} | (asdict(found) if (found := parts[arm_index]) else {})
                for epoch, parts in zip(history.epochs.tolist(), result.decompositions, strict=True)
            ]
            for arm_index, arm in enumerate(arms)
        },
        "best_arm": None if result.best_arm is None else result.best_arm.name,
        "confirmation": confirmation(result),
        "diverged": diverged(result),
    }


def confirmation(result: Result) -> dict[str, Any] | None:
    """Return what fresh replicates say about the best arm, where that was asked for."""
    if result.confirmation is None:
        return None
    return {
        "seeds": list(result.confirmation.study.seeds),
        "comparisons": [asdict(c) for c in result.confirmation.comparisons],
        "diverged": diverged(result.confirmation),
    }


def diverged(result: Result) -> list[dict[str, Any]]:
    """Return the arms that have a loss that is not finite, the baseline too."""
    return [
        {"arm": result.study.arm_names[arm_index], "epoch": epoch, "replicates": count}
        for arm_index, epoch, count in result.divergences
    ]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float | np.floating) and not math.isfinite(value):
        return None
    return value
