"""What is learned, and how it is judged: the one place that asks which task a study has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regbench.settings.study import Task as SyntheticSettings
from regbench.tasks.synthetic import Synthetic

if TYPE_CHECKING:
    from regbench.settings.study import Study
    from regbench.tasks.base import Task

TASKS = {SyntheticSettings: Synthetic}
"""The task of each group of settings."""


def task_of(study: Study) -> Task:
    """Return the task of a study."""
    return TASKS[type(study.task)](study.task)
