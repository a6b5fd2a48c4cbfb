"""When it is counted what there is to do."""

from __future__ import annotations

import threading

import pytest
from typing_extensions import override

from holdfast.progress import COUNT_AFTER, INTERVAL, Progress, ProgressEvent
from holdfast.testing.repositories import ManualClock


def counters() -> list[str]:
    return [each.name for each in threading.enumerate() if each.name == "holdfast-count"]


def never(_: threading.Event) -> tuple[int, int]:
    pytest.fail("counted")


class Asked(ManualClock):
    """Time does not pass; remembers how long it was to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    @override
    def wait(self, event: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        return event.wait()


def test_work_that_is_done_soon_is_not_counted() -> None:
    clock = Asked()
    with Progress(print, clock).counting(never):
        assert counters()
    assert not counters()
    assert clock.waits == [COUNT_AFTER]


def test_work_that_nobody_watches_is_not_counted() -> None:
    clock = ManualClock()
    with Progress(None, clock).counting(never):
        assert not counters()


def test_long_work_is_told_what_there_is_to_do_as_soon_as_that_is_known() -> None:
    clock = ManualClock()
    events: list[ProgressEvent] = []
    progress = Progress(events.append, clock)
    with progress.counting(lambda _: (4, 400)):
        progress.advance(1, 100)
        assert (events[-1].percent, events[-1].files_total, events[-1].seconds_left) == (0, 1, None)
        clock.advance(COUNT_AFTER)
        while events[-1].files_total == 1:
            clock.advance(INTERVAL)
            progress.advance(0, 0)
        assert (events[-1].percent, events[-1].files_total, events[-1].bytes_total) == (25, 4, 400)
        assert events[-1].seconds_left == pytest.approx(3 * events[-1].elapsed)


def test_a_count_ends_with_the_work() -> None:
    clock = ManualClock()
    has_begun = threading.Event()
    events: list[ProgressEvent] = []
    progress = Progress(events.append, clock)

    def count(stop: threading.Event) -> tuple[int, int]:
        has_begun.set()
        stop.wait()
        return 1000, 1000

    with pytest.raises(KeyError), progress.counting(count):  # noqa: PT012 - it is the block
        clock.advance(COUNT_AFTER)
        has_begun.wait()
        raise KeyError
    assert not counters()
    progress.finish()
    assert (events[-1].files_total, events[-1].seconds_left) == (0, 0)


def test_what_cannot_be_counted_stays_unknown() -> None:
    clock = ManualClock()
    has_failed = threading.Event()
    events: list[ProgressEvent] = []
    progress = Progress(events.append, clock)

    def count(_: threading.Event) -> None:
        has_failed.set()

    with progress.counting(count):
        clock.advance(COUNT_AFTER)
        has_failed.wait()
        progress.advance(1, 100)
    assert (events[-1].percent, events[-1].files_total) == (0, 1)
