"""The measured losses as one tidy table: a row for each number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from regbench.analysis.result import Result


def csv_pieces(result: Result) -> Iterator[bytes]:
    """Yield the table in pieces: its header, then the rows of an arm at an epoch."""
    yield b"arm,replicate,seed,epoch,metric,value\n"
    history, seeds = result.history, list(enumerate(result.study.seeds))
    for epoch_index, epoch in enumerate(history.epochs.tolist()):
        for arm_index, arm in enumerate(result.study.arm_names):
            for metric, measured in history.named("measures").items():
                values = measured[epoch_index, arm_index].tolist()
                yield "".join(
                    f"{arm},{replicate},{seed},{epoch},{metric},{value!r}\n"
                    for (replicate, seed), value in zip(seeds, values, strict=True)
                ).encode("ascii")
