"""The short part of the conformance, which every plug-in passes before it is first trained.

Knows nothing about where plug-ins come from; `regbench verify --plugin` has all rows.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from regbench.analysis.history import Batch
from regbench.engines.base import Listener
from regbench.engines.batched import train_batched
from regbench.engines.isolation import isolated
from regbench.engines.reference import train_reference
from regbench.errors import UsageError, unexpected
from regbench.regularizers import BY_CLASS
from regbench.regularizers.plugins import check_hooks, place_of

if TYPE_CHECKING:
    from regbench.regularizers import Regularizer
    from regbench.settings.study import Study

PASSED = {*BY_CLASS.values()}
"""Classes that have passed in this process."""


def check_plugins(study: Study) -> None:
    """Raise `UsageError` where a plug-in of a study breaks the contract of a regularizer."""
    for part in (part for arm in study.arms for part in arm.active):
        kind = type(part)
        if kind not in PASSED:
            source = f"plug-in {place_of(kind.origin)}" if kind.origin else kind.__name__
            check_hooks(kind, source)
            if problem := isolated(partial(failure_of, part, study), is_alone=True):
                hint = "correct it; regbench verify --plugin FILE has all rows"
                raise UsageError(source, part.name, problem=problem, hint=hint)
            PASSED.add(kind)


def failure_of(part: Regularizer, study: Study, _: object = None) -> str:
    """Return what fails in three epochs of tiny networks, or nothing."""
    network = study.network.replaced(hidden=4, depth=min(study.network.depth, 2))
    training = study.training.replaced(epochs=3, log_every=1)
    tiny = {"network": network, "training": training, "replicates": 2, "dtype": "float64"}
    tiny |= {"task": study.task.replaced(points=5, test_points=5), "pairing": "independent"}
    more, cpu = study.replaced(arms=[part, part + BY_CLASS["L1"](0.1)], **tiny), torch.device("cpu")
    batch = Batch(more.replaced(arms=[part]), range(2))
    with torch.random.fork_rng(devices=[]):
        before = torch.get_rng_state()
        try:
            one = train_batched(batch, cpu, 1, Listener())
            again = train_batched(Batch(more, range(2)), cpu, 1, Listener()).part(A=slice(2))
            other = train_reference(batch, cpu, 1, Listener())
        except Exception as error:  # of `Hooks`, or whatever a hook raises
            return f"whose hooks fail: {unexpected(error)}"
        if not torch.equal(before, torch.get_rng_state()):
            return "which draws torch's random numbers: step.noise has its own"
    if any(again.arrays[name].tobytes() != array.tobytes() for name, array in one.arrays.items()):
        return "whose row 'arms' fails: beside another arm it has other numbers"
    if not np.allclose(other.predictions, one.predictions, 1e-8, 1e-10, equal_nan=True):
        return "whose row 'engines' fails: replicates together differ from each alone"
    return ""
