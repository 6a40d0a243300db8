"""What is learned, and how it is judged: the one place that asks which task a study has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regbench.settings.study import Task as SyntheticSettings
from regbench.settings.table import Table
from regbench.tasks.synthetic import Synthetic
from regbench.tasks.table import Tabular

if TYPE_CHECKING:
    from regbench.settings.study import Study
    from regbench.tasks.base import Task

TASKS: dict[Any, Any] = {SyntheticSettings: Synthetic, Table: Tabular}
"""The task of each group of settings."""


def task_of(study: Study) -> Task:
    """Return the task of a study."""
    task: Task = TASKS[type(study.task)](study.task)
    return task
