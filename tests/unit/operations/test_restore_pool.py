from __future__ import annotations

import threading
import time

import pytest

from holdfast.operations.restore.links import Holder, Holders
from holdfast.operations.restore.pool import MAX_WAITING, WORKERS, Pool
from holdfast.operations.restore.scope import Place


class Piece:
    """A batch that waits until it is let go, then perhaps fails."""

    def __init__(
        self,
        go: threading.Event | None = None,
        error: BaseException | None = None,
        closing: BaseException | None = None,
    ) -> None:
        self.go = go
        self.error = error
        self.closing = closing
        self.begun = threading.Event()
        self.closed = 0

    def run(self) -> None:
        self.begun.set()
        if self.go is not None:
            self.go.wait()
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed += 1
        if self.closing is not None:
            raise self.closing


def test_all_batches_are_run_and_closed_once() -> None:
    pieces = [Piece() for _ in range(100)]
    with Pool() as pool:
        for piece in pieces:
            pool.submit(piece)
    assert all(piece.begun.is_set() and piece.closed == 1 for piece in pieces)


def test_only_so_many_wait() -> None:
    go = threading.Event()
    working = [Piece(go) for _ in range(WORKERS)]
    waiting = [Piece(go) for _ in range(MAX_WAITING)]
    last = Piece(go)
    with Pool() as pool:
        for piece in working:
            pool.submit(piece)
        for piece in working:
            piece.begun.wait()
        for piece in waiting:
            pool.submit(piece)
        thread = threading.Thread(target=pool.submit, args=(last,))
        thread.start()
        thread.join(0.05)
        assert thread.is_alive()
        go.set()
        thread.join()
    assert last.closed == 1


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
def test_a_failure_ends_it_and_is_raised(error: BaseException) -> None:
    go = threading.Event()
    bad = Piece(go, error)
    pieces = [Piece(go) for _ in range(WORKERS + MAX_WAITING - 1)]

    def fill(pool: Pool) -> None:
        pool.submit(bad)
        for piece in pieces:
            pool.submit(piece)
        bad.begun.wait()
        assert not pool.has_failed
        go.set()
        while True:  # ends, because the pool takes nothing any more
            piece = Piece()
            pieces.append(piece)
            pool.submit(piece)

    with pytest.raises(type(error)), Pool() as pool:
        fill(pool)
    assert bad.closed == 1
    assert all(piece.closed == 1 for piece in pieces)


def test_a_failure_of_the_block_drops_what_waits() -> None:
    go = threading.Event()
    working = [Piece(go) for _ in range(WORKERS)]
    waiting = [Piece(go) for _ in range(3)]
    pools: list[Pool] = []

    def let_go() -> None:
        while not pools[0].has_failed:  # or a worker would be free before the block has failed
            time.sleep(0.001)
        go.set()

    late = threading.Thread(target=let_go)

    def fail(pool: Pool) -> None:
        for piece in working:
            pool.submit(piece)
        for piece in working:
            piece.begun.wait()
        for piece in waiting:
            pool.submit(piece)
        pools.append(pool)
        late.start()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), Pool() as pool:
        fail(pool)
    late.join()
    assert all(piece.closed == 1 for piece in working + waiting)
    assert not any(piece.begun.is_set() for piece in waiting)


def test_a_batch_that_fails_to_close_is_a_failure() -> None:
    with pytest.raises(ArithmeticError), Pool() as pool:
        pool.submit(Piece(closing=ArithmeticError()))


def test_those_who_wait_for_a_holder_get_it_or_become_it() -> None:
    holders = Holders()
    assert holders.claim((0, 1)) is None
    assert holders.claim((0, 2)) is None
    got: list[Holder | None] = []
    threads = [threading.Thread(target=lambda: got.append(holders.claim((0, 1)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert got == []
    holders.settle((0, 1), None)
    while not got:
        threads[0].join(0.001)
    assert got == [None]
    holder = Holder(Place(None, b"/"), b"f", 1, 2)
    holders.settle((0, 1), holder)
    for thread in threads:
        thread.join()
    assert got == [None, holder, holder]


@pytest.mark.fault(6)
def test_an_interrupt_while_it_waits_for_its_threads_ends_it_all_the_same() -> None:
    """A join that an interrupt ended is not done again: it might never return."""
    go = threading.Event()
    piece, others = Piece(go), [Piece() for _ in range(2)]
    joined: list[str] = []

    def interrupted() -> None:
        joined.append("once")
        go.set()
        raise KeyboardInterrupt

    pool = Pool(workers=1)
    pool.__enter__()
    pool.submit(piece)
    piece.begun.wait()
    for each in others:
        pool.submit(each)
    pool._threads[0].join = interrupted  # type: ignore[assignment,method-assign]
    with pytest.raises(KeyboardInterrupt):
        pool.__exit__(None, None, None)
    assert joined == ["once"]
    assert all(each.closed == 1 for each in (piece, *others))


@pytest.mark.fault(6)
def test_a_thread_that_cannot_be_started_leaves_no_other_waiting() -> None:
    pool = Pool(workers=2)
    first, second = pool._threads

    def refused() -> None:
        raise RuntimeError("can't start new thread")

    second.start = refused  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        pool.__enter__()
    first.join(60)
    assert not first.is_alive()


@pytest.mark.fault(6)
def test_a_thread_that_ends_by_a_failure_keeps_nobody_waiting() -> None:
    """One that has not even got a batch, as when memory ends where it waits for one."""
    pool = Pool(workers=1)
    piece = Piece()

    def failing() -> None:
        raise MemoryError

    pool._next = failing  # type: ignore[method-assign]

    def fill() -> None:
        pool._threads[0].join()
        for _ in range(MAX_WAITING + 1):  # the last would wait for room for ever
            pool.submit(piece)

    with pytest.raises(MemoryError), pool:
        fill()
