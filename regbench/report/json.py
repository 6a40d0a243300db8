"""Results as one JSON document. `docs/schemas/result.json` describes it."""

from __future__ import annotations

import io
import json
import math
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from regbench import __version__
from regbench.storage.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from regbench.analysis.decomposition import PartDifferences
    from regbench.analysis.result import Result
    from regbench.regularizers import Arm
    from regbench.report.base import View
    from regbench.report.figures import Picture
    from regbench.settings.groups import Environment
    from regbench.storage.run_folder import Run


def document_of(
    run: Run, environment: Environment, is_complete: bool, content: dict[str, Any]
) -> dict[str, Any]:
    """Return a document: what every one begins and ends with, around an experiment's own."""
    return {
        "schema": "regbench.result/3",
        "experiment": run.request.command.name,
        "version": __version__,
        "is_complete": is_complete,
        "config": run.request.to_file(),
        "environment": environment.to_record(),
        **content,
        "run_dir": str(run.folder),
    }


def to_text(document: dict[str, Any]) -> str:
    """Return the document as JSON text; numbers that are not finite become null."""
    text = io.StringIO()  # joins the encoder's little pieces as they come
    json.dump(finite(document), text, indent=1)
    return text.getvalue() + "\n"


def finite(value: Any) -> Any:
    """Return a value with None in place of every number in it that is not finite."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def text_of(view: View) -> str:
    """Return the document of a view."""
    return view.text


def write(view: View, pictures: Sequence[Picture]) -> Iterable[str]:
    """Write `summary.json`."""
    write_text(view.folder / "summary.json", view.text)
    return ()


def training_content(result: Result) -> dict[str, Any]:
    """Return what the document of a training experiment has of its own."""
    study, history, fresh = result.study, result.history, result.confirmation
    failures = result.failures
    logged = list(zip(study.training.logged_epochs, result.comparisons_by_epoch, strict=True))
    kept_epochs = history.kept_epochs.tolist()
    kept = list(zip(kept_epochs, result.decompositions, strict=True))
    differences = list(zip(kept_epochs, result.decomposition_differences, strict=True))

    def without_arm(parts: PartDifferences) -> dict[str, Any]:
        return {name: part for name, part in asdict(parts).items() if name != "arm"}

    def regularizers(arm: Arm) -> list[dict[str, Any]]:
        return [{"command": part.command, "strength": part.strength} for part in arm.parts]

    return {
        "arms": [{"name": arm.name, "regularizers": regularizers(arm)} for arm in study.arms],
        "seeds": list(study.seeds),
        "epochs": history.epochs.tolist(),
        "history": measured(result),
        "claims": [asdict(claim) for claim in result.claims],
        "measures": [asdict(difference) for difference in result.measures],
        "comparisons": [asdict(c) for c in result.comparisons],
        "at_best_epochs": [asdict(difference) for difference in result.at_best_epochs],
        "slope_ratios": {
            arm: {"ratio": r, "ci": ci} for arm, (r, ci) in result.slope_ratios.items()
        },
        "failures": failures and dict(zip(study.arm_names, failures, strict=True)),
        "comparisons_by_epoch": {
            arm: [{"epoch": epoch, **asdict(compared[index])} for epoch, compared in logged]
            for index, arm in enumerate(study.compared)
        },
        "decomposition": {
            arm: [
                {"epoch": epoch, **(asdict(found) if (found := parts[index]) else {})}
                for epoch, parts in kept
            ]
            for index, arm in enumerate(study.arm_names)
        },
        "decomposition_differences": {
            arm: [
                {"epoch": epoch, **(without_arm(parts[index]) if parts else {})}
                for epoch, parts in differences
            ]
            for index, arm in enumerate(study.compared)
        },
        "optimum": result.optimum and asdict(result.optimum),
        "interactions": [asdict(interaction) for interaction in result.interactions],
        "best_arm": result.best_arm and result.best_arm.name,
        "confirmation": fresh
        and {
            "seeds": list(fresh.study.seeds),
            "comparisons": [asdict(c) for c in fresh.comparisons],
            "at_best_epochs": [asdict(difference) for difference in fresh.at_best_epochs],
            "history": measured(fresh),
            "diverged": diverged(fresh),
        },
        "diverged": diverged(result),
        **result.task.document(history, study.compared),
    }


def measured(result: Result) -> dict[str, dict[str, Any]]:
    """Return every measure by arm and name: a list of replicates for each epoch."""
    measures = result.history.named("measures").items()
    return {
        arm: {name: values[:, index].tolist() for name, values in measures}
        for index, arm in enumerate(result.study.arm_names)
    }


def diverged(result: Result) -> list[dict[str, Any]]:
    """Return the arms that have a loss that is not finite, the baseline too."""
    return [
        {"arm": result.study.arm_names[arm_index], "epoch": epoch, "replicates": count}
        for arm_index, epoch, count in result.divergences
    ]
