"""What is tried again, for how long, and with which pauses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from holdfast.backend import (
    Backend,
    Call,
    Condition,
    Fail,
    Faulty,
    MemoryBackend,
    Retrying,
    brief,
    get_into,
    nth,
    since,
    until,
)
from holdfast.backend.retry import BRIEF, DEADLINE, FIRST_DEADLINE, Attempts
from holdfast.clock import SystemClock
from holdfast.errors import (
    AccessDenied,
    BackendError,
    ObjectExists,
    ObjectNotFound,
    ObjectTruncated,
    ObjectUnreadable,
    StorageFull,
    StorageUnavailable,
)
from holdfast.overrides import override


class Skipping:
    """A clock on which waiting takes no time, which notes all waits; safe for threads."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        return int(sum(self.waits) * 1e9)

    def utc_offset(self) -> int:
        return 0

    def monotonic(self) -> float:
        return sum(self.waits)

    def wait(self, event: threading.Event, seconds: float) -> bool:
        with self._lock:
            self.waits.append(seconds)
        return event.is_set()


def retrying(plan: Fail, inner: Backend | None = None) -> tuple[Retrying, Faulty, Skipping]:
    faulty = Faulty(inner or stored(), plan)
    clock = Skipping()
    return Retrying(faulty, clock), faulty, clock


def stored() -> MemoryBackend:
    backend = MemoryBackend()
    backend.put("a", b"content")
    return backend


def unavailable(when: Condition, retry_after: float | None = None, *, done: bool = False) -> Fail:
    return Fail(when, lambda n, p: StorageUnavailable(n, p, retry_after), done=done)


def fills(backend: Backend) -> bytes:
    memory = bytearray(7)
    get_into(backend, "a", 0, memoryview(memory))
    return bytes(memory)


VERBS: dict[str, Callable[[Backend], object]] = {
    "put": lambda backend: backend.put("b", b"x"),
    "put_if_absent": lambda backend: backend.put_if_absent("b", b"x"),
    "get": lambda backend: backend.get("a"),
    "range": lambda backend: backend.get("a", 1, 2),
    "get_into": fills,
    "stat": lambda backend: backend.stat("a"),
    "list": lambda backend: list(backend.list("")),
    "delete": lambda backend: backend.delete("a"),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("failures", [1, 2, 5])
def test_each_verb_is_tried_again(verb: str, failures: int) -> None:
    backend, faulty, clock = retrying(unavailable(lambda call: call.number <= failures))
    assert VERBS[verb](backend) == VERBS[verb](stored())
    assert len(faulty.calls) == failures + 1
    assert len(clock.waits) == failures


def test_a_listing_that_breaks_off_is_begun_anew() -> None:
    backend, faulty, _ = retrying(unavailable(nth(1), done=True))
    assert [info.name for info in backend.list("")] == ["a"]
    assert len(faulty.calls) == 2


@pytest.mark.fault(19)
def test_of_a_creation_whose_answer_was_lost_the_second_try_finds_the_object() -> None:
    inner = stored()
    backend, _, _ = retrying(unavailable(nth(1), done=True), inner)
    with pytest.raises(ObjectExists):
        backend.put_if_absent("b", b"x")
    assert inner.get("b") == b"x"


@pytest.mark.fault(19)
def test_of_a_deletion_whose_answer_was_lost_the_second_try_finds_nothing() -> None:
    backend, _, _ = retrying(unavailable(nth(1), done=True))
    with pytest.raises(ObjectNotFound):
        backend.delete("a")


@pytest.mark.parametrize(
    "error",
    [
        BackendError,
        AccessDenied,
        ObjectNotFound,
        ObjectExists,
        ObjectTruncated,
        ObjectUnreadable,
        StorageFull,
        KeyboardInterrupt,
        MemoryError,
    ],
)
def test_other_errors_are_not_tried_again(error: type[BaseException]) -> None:
    backend, faulty, clock = retrying(Fail(nth(1), error))
    with pytest.raises(error):
        backend.get("a")
    assert (len(faulty.calls), clock.waits) == (1, [])


@pytest.mark.fault(18)
def test_pauses_double_up_to_half_a_minute_and_differ() -> None:
    seen = []
    for _ in range(20):
        backend, _, clock = retrying(unavailable(lambda call: 1 < call.number < 12))
        backend.get("a")
        backend.get("a")
        seen.append(clock.waits)
        for wait, most in zip(clock.waits, [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30], strict=True):
            assert most / 2 <= wait <= most
    assert len({waits[0] for waits in seen}) > 5


@pytest.mark.fault(18)
def test_what_has_worked_is_tried_until_the_deadline() -> None:
    backend, faulty, clock = retrying(unavailable(since(2)))
    backend.get("a")
    with pytest.raises(StorageUnavailable, match="planned failure"):
        backend.get("a")
    assert DEADLINE - 30 <= sum(clock.waits) <= DEADLINE
    assert len(faulty.calls) == len(clock.waits) + 2


def test_what_never_worked_is_given_up_soon() -> None:
    backend, _, clock = retrying(unavailable(since(1)))
    with pytest.raises(StorageUnavailable):
        backend.get("a")
    assert FIRST_DEADLINE - 16 <= sum(clock.waits) <= FIRST_DEADLINE


def test_a_storage_that_answers_with_an_error_of_another_kind_has_not_worked() -> None:
    """The credentials may be wrong for this place, too."""
    plan = Fail(since(1), lambda n, p: AccessDenied(n, p) if n == "b" else StorageUnavailable(n, p))
    backend, _, clock = retrying(plan)
    with pytest.raises(AccessDenied):
        backend.get("b")
    with pytest.raises(StorageUnavailable):
        backend.get("a")
    assert sum(clock.waits) <= FIRST_DEADLINE


@pytest.mark.fault(18)
def test_the_storage_is_given_the_time_that_it_asks_for() -> None:
    backend, _, clock = retrying(unavailable(nth(1), 17.0))
    backend.get("a")
    assert clock.waits == [17.0]


def test_a_pause_is_never_shorter_than_ours() -> None:
    backend, _, clock = retrying(unavailable(nth(1), 0.0))
    backend.get("a")
    assert clock.waits[0] >= 0.25


@pytest.mark.parametrize("seconds", [DEADLINE + 1, 1e12, float("inf")])
def test_nobody_waits_beyond_the_deadline(seconds: float) -> None:
    backend, faulty, clock = retrying(unavailable(since(2), seconds))
    backend.get("a")
    with pytest.raises(StorageUnavailable):
        backend.get("a")
    assert (len(faulty.calls), clock.waits) == (2, [])


def test_it_says_so_the_second_time(caplog: pytest.LogCaptureFixture) -> None:
    backend, _, _ = retrying(unavailable(lambda call: call.number < 3))
    with caplog.at_level(logging.INFO, "holdfast"):
        backend.get("a")
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.INFO, logging.WARNING]
    assert "trying again in" in caplog.text


def test_threads_are_tried_again_each_by_itself() -> None:
    lock = threading.Lock()
    failed: set[str] = set()

    def first_of_each(call: Call) -> bool:
        with lock:
            is_first = call.name not in failed
            failed.add(call.name)
            return is_first

    inner = MemoryBackend()
    names = [f"data/{number}" for number in range(64)]
    for name in names:
        inner.put(name, name.encode())
    backend, faulty, clock = retrying(unavailable(first_of_each), inner)
    backend.list("")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(backend.get, names))
    assert found == [name.encode() for name in names]
    assert len(faulty.calls) == 2 * len(names) + 2
    assert len(clock.waits) == len(names) + 1


def test_closing_ends_what_waits_to_be_tried_again() -> None:
    waits = threading.Event()

    class Waiting(SystemClock):
        @override
        def wait(self, event: threading.Event, seconds: float) -> bool:
            waits.set()
            return super().wait(event, 60 + seconds)

    faulty = Faulty(stored(), unavailable(since(1)))
    backend = Retrying(faulty, Waiting())
    with ThreadPoolExecutor(1) as pool:
        found = pool.submit(backend.get, "a")
        assert waits.wait(20)
        backend.close()
        with pytest.raises(StorageUnavailable):
            found.result(20)
    assert len(faulty.calls) == 1


def test_what_is_behind_it_shows() -> None:
    inner = MemoryBackend()
    backend = Retrying(inner, Skipping())
    assert backend.capabilities() == inner.capabilities()
    assert backend.location == inner.location
    backend.close()


def test_what_took_long_by_itself_is_tried_again() -> None:
    """A large upload over a slow line may break off after more than the deadline."""
    clock = Skipping()
    attempts = Attempts(clock)
    attempts.run(lambda: None)
    tries: list[int] = []

    def upload() -> str:
        clock.waits.append(2 * DEADLINE)
        tries.append(len(tries))
        if len(tries) < 3:
            raise StorageUnavailable("a", "the connection broke off", None)
        return "done"

    with pytest.raises(StorageUnavailable):
        attempts.run(upload)  # the second try alone takes longer than what is tried again
    assert len(tries) == 2
    assert attempts.run(upload) == "done"


def test_work_that_is_of_no_use_any_more_is_not_tried_again() -> None:
    backend, faulty, clock = retrying(unavailable(since(2)))
    backend.get("a")
    stopped = threading.Event()
    mine = until(backend, stopped)
    stopped.set()
    with pytest.raises(StorageUnavailable):
        mine.get("a")
    assert (len(faulty.calls), len(clock.waits)) == (2, 1)
    with pytest.raises(StorageUnavailable):
        backend.get("a")  # which others still want
    assert sum(clock.waits) > DEADLINE - 60


def test_closing_stops_all_that_is_tried_again() -> None:
    backend = Retrying(Faulty(stored(), unavailable(since(1))), SystemClock())
    stopped = threading.Event()
    mine = until(backend, stopped)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(mine.get, "a")
        backend.close()
        with pytest.raises(StorageUnavailable):
            waiting.result(20)
    assert stopped.is_set()


def test_what_is_not_worth_a_long_wait_is_tried_again_for_some_seconds() -> None:
    backend, _, clock = retrying(unavailable(since(2)))
    backend.get("a")
    with pytest.raises(StorageUnavailable):
        brief(backend).get("a")
    assert 2 < sum(clock.waits) <= BRIEF
