"""The measured losses as one tidy table: a row for each number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regbench.analysis.result import Result

METRICS = ("train_loss", "train_loss_eval", "test_loss", "weight_norm", "zero_share")


def csv_pieces(result: Result) -> Iterator[bytes]:
    """Yield the table in pieces: its header, then the rows of an arm at an epoch."""
    yield b"arm,replicate,seed,epoch,metric,value\n"
    history, seeds = result.history, list(enumerate(result.settings.seeds))
    for place, epoch in enumerate(history.epochs.tolist()):
        for index, arm in enumerate(result.settings.arms):
            for metric in METRICS:
                values = getattr(history, metric)[place, index].tolist()
                yield "".join(
                    f"{arm.name},{replicate},{seed},{epoch},{metric},{value!r}\n"
                    for (replicate, seed), value in zip(seeds, values, strict=True)
                ).encode("ascii")
