"""Limits of how fast data passes: a law, whatever is asked for and whenever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.backend import Faulty, Limit, MemoryBackend, NoFault, Retrying, Throttled, until
from holdfast.backend.throttle import _BURST, _SMALL, _Meter
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import StorageUnavailable, UsageError
from holdfast.overrides import override

DAY = 86400
NEVER = threading.Event()


class Skipping:
    """A clock on which waiting takes no time; safe for threads."""

    def __init__(self, seconds: float = 0.0, offset: int = 0) -> None:
        self.seconds = seconds
        self.waited = 0.0
        self._offset = offset
        self._lock = threading.Lock()

    def now_ns(self) -> int:
        return int(self.seconds * 1e9)

    def utc_offset(self) -> int:
        return self._offset

    def monotonic(self) -> float:
        return self.seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        assert seconds > 0
        with self._lock:
            self.seconds += seconds
            self.waited += seconds
        return event.is_set()


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("1024", {0: 1024, 1439: 1024}),
        ("0", {0: 0, 720: 0}),
        ("08:00-18:00=512,4096", {479: 4096, 480: 512, 1079: 512, 1080: 4096}),
        ("22:00-06:00=0, 100", {1320: 0, 1439: 0, 0: 0, 359: 0, 360: 100, 1319: 100}),
        ("00:00-24:00=7", {0: 7, 1439: 7}),
        ("12:00-13:00=5", {719: 0, 720: 5, 779: 5, 780: 0}),
    ],
)
def test_a_limit_is_parsed(text: str, rates: dict[int, int]) -> None:
    limit = Limit.parse(text)
    assert {minute: limit.rate(minute) for minute in rates} == {
        minute: rate * 1024 for minute, rate in rates.items()
    }


def test_a_number_is_a_limit() -> None:
    assert Limit.parse(10240).rate(0) == 10240 << 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1.5",
        "fast",
        "1 2",
        "8:00-9:00=1",
        "08:00-08:00=1",
        "25:00-26:00=1",
        "24:01-24:02=1",
        "08:60-09:00=1",
        "08:00-09:00",
        "08:00-09:00=",
        "1,,2",
        "9999999999",
    ],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no (limit|part of a day)"):
        Limit.parse(text)


sizes = st.integers(0, 200_000)
pauses = st.floats(0, 30)


@given(st.lists(st.tuples(pauses, sizes), max_size=30), st.integers(1, 300))
def test_no_more_passes_in_any_time_than_the_limit_allows(
    takes: list[tuple[float, int]], rate: int
) -> None:
    clock = Skipping()
    meter = _Meter(Limit.parse(rate), clock)
    passed: list[tuple[float, int]] = []
    for pause, size in takes:
        clock.seconds += pause
        meter.take(size, NEVER)
        passed.append((clock.seconds, size))
    for first in range(len(passed)):
        total = 0
        for last in range(first, len(passed)):
            total += passed[last][1]
            window = passed[last][0] - passed[first][0]
            among = [size for _, size in passed[first : last + 1]]
            allowed = rate * 1024 * (window + _BURST) + max(among)
            if passed[last][1] <= _SMALL < max(among):
                # What came after the last large one has waited only for what is as small; the
                # next large one waits for it.
                allowed += rate * 1024 * _BURST + _SMALL
            assert total <= allowed + 1


@given(st.lists(sizes, min_size=1, max_size=30), st.integers(1, 300))
def test_no_more_time_passes_than_the_limit_takes(takes: list[int], rate: int) -> None:
    clock = Skipping()
    meter = _Meter(Limit.parse(rate), clock)
    for size in takes:
        meter.take(size, NEVER)
    assert clock.waited <= sum(takes) / (rate * 1024) + 1e-6


@given(
    st.lists(st.tuples(st.floats(0, 4000), st.integers(0, 3_000_000)), max_size=30),
    st.integers(0, 23),
    st.sampled_from([-36000, 0, 19800]),
)
def test_each_part_of_the_day_has_its_limit(
    takes: list[tuple[float, int]], hour: int, offset: int
) -> None:
    """Also after a part with a higher one, in which many were waiting already."""
    clock = Skipping(hour * 3600, offset)
    limit = Limit.parse("06:00-12:00=100,12:00-18:00=0,1000")
    meter = _Meter(limit, clock)
    passed: dict[int, list[tuple[float, int]]] = {}
    for pause, size in takes:
        clock.seconds += pause
        before = clock.seconds
        meter.take(size, NEVER)
        part = int(clock.seconds + offset) // (6 * 3600)
        if part % 4 == 2:  # no limit: only what was waited for before counts
            assert int(before + offset) // (6 * 3600) != part or clock.seconds == before
        else:
            passed.setdefault(part, []).append((clock.seconds, size))
    for part, found in passed.items():
        rate = 1024 * (100 if part % 4 == 1 else 1000)
        window = found[-1][0] - found[0][0]
        largest = max(size for _, size in found)
        # As above: small ones may have come after the last large one.
        assert sum(size for _, size in found) <= rate * (window + 2 * _BURST) + largest + _SMALL + 1


def test_threads_share_a_limit() -> None:
    clock = Skipping()
    meter = _Meter(Limit.parse(1), clock)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(meter.take, stopped=NEVER), [_SMALL + 1024] * 40))
    # What waits at the same time waits one after the other on this clock, so it may take longer.
    assert clock.seconds >= 39 * (_SMALL / 1024 + 1) - _BURST


@pytest.mark.parametrize("size", [200, _SMALL])
def test_a_sign_of_life_does_not_wait_for_packs(size: int) -> None:
    clock = Skipping()
    meter = _Meter(Limit.parse(64), clock)
    meter.take(64 << 20, NEVER)
    meter.take(size, NEVER)
    assert clock.waited == 0
    meter.take(_SMALL + 1, NEVER)
    assert clock.waited == pytest.approx(1024 + size / (64 << 10))


def test_small_objects_alone_have_the_limit_too() -> None:
    clock = Skipping()
    meter = _Meter(Limit.parse(64), clock)
    for _ in range(100):
        meter.take(_SMALL, NEVER)
    assert clock.waited == pytest.approx(99)


def test_a_sign_of_life_does_not_wait_while_another_thread_does() -> None:
    waits, goes_on = threading.Event(), threading.Event()

    class Held(Skipping):
        @override
        def wait(self, event: threading.Event, seconds: float) -> bool:
            waits.set()
            assert goes_on.wait(20)
            return super().wait(event, seconds)

    meter = _Meter(Limit.parse(64), Held())
    meter.take(1 << 20, NEVER)
    with ThreadPoolExecutor(2) as pool:
        pack = pool.submit(meter.take, 1 << 20, NEVER)
        assert waits.wait(20)
        pool.submit(meter.take, 200, NEVER).result(20)
        assert not pack.done()
        goes_on.set()
        pack.result(20)


def test_who_waits_soon_notices_that_there_is_no_limit_any_more() -> None:
    clock = Skipping(12 * 3600 - 60)
    meter = _Meter(Limit.parse("12:00-13:00=0,64"), clock)
    meter.take(64 << 20, NEVER)
    meter.take(64 << 20, NEVER)
    assert clock.waited <= 60 + 5


def test_what_waits_for_a_long_time_is_not_saved_up() -> None:
    clock = Skipping()
    meter = _Meter(Limit.parse(1), clock)
    clock.seconds += DAY
    for _ in range(4):
        meter.take(1024, NEVER)
    assert clock.waited == pytest.approx(3 - _BURST)


def test_each_verb_counts_in_its_direction() -> None:
    clock = Skipping()
    inner = Faulty(MemoryBackend(), NoFault())
    backend = Throttled(inner, Limit.parse(1), Limit.parse(2), clock)

    def cost(work: Callable[[], object]) -> float:
        clock.seconds += DAY
        before = clock.seconds
        work()
        work()
        return clock.seconds - before

    data = bytes(8192)
    assert cost(lambda: backend.put("a", data)) == pytest.approx(8 - _BURST)
    assert cost(lambda: backend.get("a")) == pytest.approx(4 - _BURST)
    assert cost(lambda: backend.get("a", 0, 4096)) == pytest.approx(2 - _BURST)
    assert cost(lambda: backend.stat("a")) == 0
    assert cost(lambda: list(backend.list(""))) == 0
    assert backend.capabilities() == inner.capabilities()
    assert backend.location == inner.location
    backend.put_if_absent("b", data)
    assert backend.get("b") == data
    backend.delete("b")
    backend.close()


def test_without_a_limit_nothing_waits() -> None:
    clock = Skipping()
    backend = Throttled(MemoryBackend(), None, None, clock)
    for number in range(3):
        backend.put(str(number), bytes(1 << 20))
        backend.get(str(number))
    assert clock.waited == 0


def test_what_waits_for_its_turn_can_be_stopped() -> None:
    """What passes without waiting does so all the same, and others go on waiting."""
    memory = MemoryBackend()
    throttled = Throttled(memory, Limit.parse(1), Limit.parse(1), SYSTEM_CLOCK)
    stopped = threading.Event()
    mine = until(Retrying(throttled, SYSTEM_CLOCK), stopped)
    large = bytes(_SMALL + 1)
    mine.put("a", large)  # which nothing was before
    mine.get("a")
    with ThreadPoolExecutor(2) as pool:
        sent, fetched = pool.submit(mine.put, "b", large), pool.submit(mine.get, "a")
        with pytest.raises(TimeoutError):
            sent.result(0.2)
        stopped.set()
        with pytest.raises(StorageUnavailable, match="given up"):
            sent.result(20)
        with pytest.raises(StorageUnavailable, match="given up"):
            fetched.result(20)
    mine.put("small", b"x")
    assert throttled.get("small") == b"x"
    assert {info.name for info in memory.list("")} == {"a", "small"}
