"""Work that is spread over the processes of an executor, on this machine or on others.

Any executor of `concurrent.futures` does, and what ``dask.distributed`` gives as one. What a
worker could not do because it died is done here: that costs time and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from typing import TypeVar

from holdfast.errors import HoldfastError, UsageError

_log = logging.getLogger(__name__)

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

_LOOK = 0.5
"""Seconds between looks whether anybody still waits."""
MOST_WAITING = 64
"""Tasks that are handed over and not done yet."""


def spread(
    executor: Executor,
    work: Callable[[_Task], _Result],
    tasks: Iterable[_Task],
    has_ended: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[_Task, _Result]]:
    """Let an executor do tasks; gives each with its result, in the order in which they are done.

    Args:
        executor: that does them.
        work: does one; it and the tasks can be pickled.
        tasks: taken as there is room.
        has_ended: whether nobody waits for them any more.

    Raises:
        CancelledError: it has ended.
        HoldfastError: what the work raised.
        UsageError: its processes are forked, which storage drivers do not survive.
    """
    refuse_forks(executor)
    running: dict[Future[_Result], _Task] = {}
    waiting = iter(tasks)
    try:
        while True:
            for task in waiting:
                running[submit(executor, work, task)] = task
                if len(running) >= MOST_WAITING:
                    break
            if not running:
                return
            for future in await_one(running, has_ended):
                task = running.pop(future)
                yield task, outcome(future, work, task)
    finally:
        for future in running:
            future.cancel()


def await_one(
    futures: Iterable[Future[_Result]], has_ended: Callable[[], bool]
) -> set[Future[_Result]]:
    """Wait for any of these; returns those that are done.

    A thread that waits for a cluster without workers would wait for ever, and whoever joins it.

    Raises:
        CancelledError: it has ended.
    """
    waiting = list(futures)
    while True:
        done, _ = wait(waiting, timeout=_LOOK, return_when=FIRST_COMPLETED)
        if done:
            return done
        if has_ended():
            raise CancelledError


def submit(executor: Executor, work: Callable[[_Task], _Result], task: _Task) -> Future[_Result]:
    """Hand a task over; an executor that takes none any more makes it fail."""
    try:
        return executor.submit(work, task)
    except Exception as error:  # noqa: BLE001 - its processes have died, or it was shut down: as in `outcome`
        future: Future[_Result] = Future()
        future.set_exception(error)
        return future


def outcome(future: Future[_Result], work: Callable[[_Task], _Result], task: _Task) -> _Result:
    """Wait for what comes of a task that was handed over; if its worker died it is done here.

    Raises:
        HoldfastError: what the work raised.
    """
    try:
        return future.result()
    except HoldfastError:
        raise
    except Exception as error:  # noqa: BLE001 - each kind of executor has its own for a dead worker
        _log.warning("a worker failed, its task is done here: %s", error)
    return work(task)


def refuse_forks(executor: Executor) -> None:
    """Refuse an executor whose processes lack the threads of this one (UsageError)."""
    context: object = getattr(executor, "_mp_context", None)
    start: object = getattr(context, "get_start_method", None)
    if callable(start) and start() == "fork":
        raise UsageError(
            "this executor forks its processes, which connections and threads do not survive: give "
            'ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))'
        )
