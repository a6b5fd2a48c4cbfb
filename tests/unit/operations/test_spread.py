"""Work that other processes do."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import pytest

from holdfast.errors import (
    AmbiguousSnapshot,
    BackendError,
    DamagedRepository,
    HoldfastError,
    ObjectNotFound,
    StorageUnavailable,
    UsageError,
)
from holdfast.operations.spread import MOST_WAITING, spread
from holdfast.overrides import override
from holdfast.store.objects import NewerKeys


def square(number: int) -> int:
    return number * number


def missing(number: int) -> int:
    raise ObjectNotFound(f"data/{number}", "no such object")


def dies_elsewhere(parent: int) -> int:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def spawning(workers: int = 1) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def test_each_task_comes_with_its_result() -> None:
    with ThreadPoolExecutor(3) as executor:
        found = dict(spread(executor, square, range(500)))
    assert found == {number: number * number for number in range(500)}


def test_tasks_are_taken_as_there_is_room() -> None:
    """However many there are, few are held."""
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        while taken < 1000:
            taken += 1
            yield taken

    with ThreadPoolExecutor(1) as executor:
        for done, _ in enumerate(spread(executor, square, tasks())):
            assert taken <= done + MOST_WAITING + 1


def test_other_processes_do_it() -> None:
    with spawning(2) as executor:
        assert sorted(result for _, result in spread(executor, square, range(20))) == sorted(
            number * number for number in range(20)
        )


def test_what_the_work_raises_is_raised() -> None:
    with spawning() as executor, pytest.raises(ObjectNotFound, match="no such object") as caught:
        list(spread(executor, missing, [7]))
    assert caught.value.object == "data/7"


def test_a_dead_worker_costs_time_only() -> None:
    """The pool is broken by then: its tasks are done by who waits for them."""
    parent = os.getpid()
    with spawning() as executor:
        found = list(spread(executor, dies_elsewhere, [parent] * 5))
    assert found == [(parent, parent)] * 5


def test_forked_processes_are_refused() -> None:
    context = multiprocessing.get_context("fork")
    with (
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(UsageError, match="spawn"),
    ):
        list(spread(executor, square, [1]))


class Counting(Executor):
    """Does nothing, and knows what was cancelled."""

    def __init__(self) -> None:
        self.futures: list[Future[object]] = []

    @override
    def submit(self, *_: object, **__: object) -> Future[object]:  # type: ignore[override]
        future: Future[object] = Future()
        if not self.futures:
            future.set_result(0)
        self.futures.append(future)
        return future


def test_what_is_left_is_cancelled_when_nobody_waits_any_more() -> None:
    executor = Counting()
    found = spread(executor, square, range(10))
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert [future.cancelled() for future in executor.futures] == [False] + [True] * 9


class Closed(Executor):
    """Refuses every task with an error of its own, as Dask does when its client is closed."""

    class ClosedError(Exception):
        """What it says."""

    @override
    def submit(self, *_: object, **__: object) -> Future[object]:  # type: ignore[override]
        raise self.ClosedError


def test_an_executor_that_takes_nothing_any_more_costs_time_only() -> None:
    assert dict(spread(Closed(), square, range(5))) == {n: n * n for n in range(5)}


@pytest.mark.parametrize(
    "error",
    [
        HoldfastError("all of it"),
        AmbiguousSnapshot("which?"),
        BackendError("data/x", "broken"),
        StorageUnavailable("data/x", "busy", 3.5),
        DamagedRepository("index/x", "damaged", "look"),
        NewerKeys("index/x", 3, 7),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_travel_between_processes(error: HoldfastError) -> None:
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - as executors do
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.__dict__ == error.__dict__
