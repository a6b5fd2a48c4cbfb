"""Buffers that come back by themselves, and never while anybody looks at them."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from tests.length import examples

from holdfast.primitives.buffers import BufferPool

SIZE = 4096


@pytest.mark.parametrize("size", [0, 1, SIZE - 1, SIZE, SIZE + 1, 10 * SIZE])
def test_a_buffer_has_the_size_that_was_asked_for(size: int) -> None:
    view = BufferPool(SIZE).take(size)
    assert (len(view), view.itemsize, view.format, view.readonly) == (size, 1, "B", False)
    view[:] = bytes(size)


def test_a_pool_of_odd_sizes_gives_whole_buffers() -> None:
    pool = BufferPool(SIZE + 1)
    views = [pool.take(SIZE + 1) for _ in range(20)]
    for number, view in enumerate(views):
        view[:] = bytes([number]) * (SIZE + 1)
    assert [bytes(view) for view in views] == [bytes([n]) * (SIZE + 1) for n in range(20)]


def test_a_buffer_is_used_again_when_the_last_view_is_gone() -> None:
    pool = BufferPool(SIZE)
    view = pool.take(SIZE)
    view[:4] = b"mark"
    part = view[:4]
    del view
    assert bytes(pool.take(SIZE)[:4]) != b"mark"  # a part of it is looked at still
    del part
    assert bytes(pool.take(SIZE)[:4]) == b"mark"


def test_a_forked_child_has_its_own() -> None:
    view = BufferPool(SIZE).take(5)
    view[:] = b"mine."
    pid = os.fork()
    if not pid:
        view[:] = b"other"
        os._exit(0)
    os.waitpid(pid, 0)
    assert bytes(view) == b"mine."


def test_threads_never_get_the_same_buffer() -> None:
    pool = BufferPool(SIZE)
    start = threading.Barrier(4)

    def work(number: int) -> bool:
        start.wait()
        mark = bytes([number]) * SIZE
        for _ in range(2000):
            view = pool.take(SIZE)
            view[:] = mark
            if bytes(view) != mark:
                return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(work, range(1, 5)))


def test_buffers_outlive_their_pool() -> None:
    pool = BufferPool(SIZE)
    view = pool.take(4)
    view[:] = b"kept"
    del pool
    gc.collect()
    assert bytes(view) == b"kept"


class Machine(RuleBasedStateMachine):
    """Whatever is taken and dropped, nobody else's bytes change."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = BufferPool(SIZE)
        self.held: list[tuple[memoryview, bytes]] = []

    @rule(size=st.integers(0, SIZE), fill=st.binary(min_size=1, max_size=1))
    def take(self, size: int, fill: bytes) -> None:
        view = self.pool.take(size)
        view[:] = fill * size
        self.held.append((view, fill * size))

    @rule(number=st.integers(0, 1000), cut=st.integers(0, SIZE))
    def keep_a_part(self, number: int, cut: int) -> None:
        if self.held:
            view, expected = self.held.pop(number % len(self.held))
            self.held.append((view[cut:], expected[cut:]))

    @rule(number=st.integers(0, 1000))
    def drop(self, number: int) -> None:
        if self.held:
            del self.held[number % len(self.held)]

    @invariant()
    def nothing_changed(self) -> None:
        assert all(view == expected for view, expected in self.held)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=examples(30), stateful_step_count=40)
