"""Calls of a user's function, in this process or in others. Knows nothing about what it returns."""

from __future__ import annotations

import functools
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from regbench.errors import RunError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

Key = tuple[str, str]
IMPORTABLE = "put it into a file and import it, or leave workers at 1"
GUARD = "if __name__ == '__main__':"
loaded = functools.cache(pickle.loads)
"""Of a worker: the function that it was sent."""


def made(
    train: Callable[[Any, Any], Any], missing: Mapping[Key, tuple[Any, Any]], workers: int
) -> Generator[tuple[Key, dict[str, Any] | str]]:
    """Yield what each call comes to, by its key: scores by name, or in words what it raised.

    In order, or from several workers as they come. Who closes it ends the workers. Raises
    `UsageError` where no other process can import the function, and `RunError` where one has died.
    """
    if workers == 1 or not missing:
        yield from ((key, call(train, *given)) for key, given in missing.items())
        return
    try:
        sent = pickle.dumps(train)
        pickle.dumps([*missing.values()])
    except Exception as error:
        problem = f"which no other process can be sent: {error}"
        raise UsageError("train", problem=problem, hint=IMPORTABLE) from None
    before, spawn = {*multiprocessing.active_children()}, multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(workers, len(missing)), spawn, initializer=follow) as pool:
            try:
                keys = {pool.submit(call_sent, sent, *given): key for key, given in missing.items()}
                for done in as_completed(keys):
                    yield keys[done], done.result()
            except BaseException:  # of who closes this too
                try:
                    pool.shutdown(wait=False, cancel_futures=True)
                finally:
                    end({*multiprocessing.active_children()} - before)
                raise
    except ImportError as error:
        problem = f"which no other process can import: {error}"
        raise UsageError("train", problem=problem, hint=IMPORTABLE) from None
    except BrokenProcessPool:
        why = f"for want of memory, or because a script calls this outside `{GUARD}`"
        said = "scores are kept, and the same call goes on"
        raise RunError(f"a worker has died, perhaps {why}; {said}") from None


def end(children: Iterable[Any]) -> None:
    """End processes, also where Ctrl-C comes once more meanwhile."""
    try:
        for child in children:
            child.terminate()
    except KeyboardInterrupt:
        end(children)
        raise


def call(train: Callable[[Any, Any], Any], arm: Any, seed: Any) -> dict[str, Any] | str:
    """Return the scores of a call by name, as numbers or else texts; or in words what it raised."""
    try:
        returned = train(arm, seed)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    scores = returned if isinstance(returned, Mapping) else {"score": returned}
    return {str(name): plain(score) for name, score in scores.items()}


def plain(score: Any) -> float | str:
    """Return a score that any process can take: a tensor, say, as its number."""
    try:
        return float(score)
    except (TypeError, ValueError):
        return str(score)


def call_sent(sent: bytes, *given: Any) -> dict[str, Any] | str:
    """Call in a worker the function that it was sent; raises `ImportError` where it has none."""
    try:
        train = loaded(sent)
    except Exception as error:
        raise ImportError(str(error)) from None
    return call(train, *given)


def follow() -> None:
    """Let a worker leave Ctrl-C to the process that has started it, and end when that one does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def end_with(parent: Any) -> None:
    """Wait for the end of another process, and end this one."""
    parent.join()
    os._exit(1)
