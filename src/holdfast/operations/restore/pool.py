"""A few threads that work on batches from a bounded queue; the first failure ends them all."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Final, Protocol, Self

WORKERS: Final = 2
"""Threads: nearly all of a small file's time is system calls, which they make side by side."""

MAX_WAITING: Final = 4
"""Batches that wait at most; each holds a few descriptors."""


class Batch(Protocol):
    """A piece of work."""

    def run(self) -> None:
        """Do it. An exception ends the whole restore."""

    def close(self) -> None:
        """Let go of what it holds, whether it was run or not."""


class Pool:
    """Runs batches in the order in which they come.

    As a context manager it waits for all of them. When one fails, or the block does, those that
    have not begun are dropped, and the first failure is raised.
    """

    def __init__(self, workers: int = WORKERS) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[Batch] = deque()
        self._ended = False
        self._failure: BaseException | None = None
        self._working = workers
        self._threads = [
            threading.Thread(target=self._work, name=f"holdfast-restore-{number}", daemon=True)
            for number in range(workers)
        ]

    def __enter__(self) -> Self:
        try:
            for thread in self._threads:
                thread.start()
        except BaseException as error:  # those that were started would wait for work for ever
            self._fail(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._ended = True
            if error is not None and self._failure is None:
                self._failure = error
            self._changed.notify_all()
        try:
            self._join()
        except BaseException as interruption:
            self._fail(interruption)  # or the rest would still be done
            # Not by another join: it may wait for ever for a lock that an interrupted one took.
            with self._changed:
                self._changed.wait_for(lambda: not self._working)
            raise
        finally:
            self._drop()
        if error is None and self._failure is not None:
            raise self._failure

    def _drop(self) -> None:
        """Let go of what nobody will run any more."""
        with self._changed:
            dropped, self._waiting = self._waiting, deque()
        for batch in dropped:
            batch.close()

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    @property
    def has_failed(self) -> bool:
        """Whether the work is to end; long batches ask now and then."""
        return self._failure is not None

    def submit(self, batch: Batch) -> None:
        """Hand over a batch; waits while too many are waiting.

        Raises:
            BaseException: what ended another batch.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._failure is not None or len(self._waiting) < MAX_WAITING
            )
            self._waiting.append(batch)
            self._changed.notify_all()
            if self._failure is not None:
                raise self._failure

    def _work(self) -> None:
        try:
            while (batch := self._next()) is not None:
                try:
                    batch.run()
                finally:
                    batch.close()
        except BaseException as error:  # noqa: BLE001 - raised again where the pool is used
            self._fail(error)
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def _next(self) -> Batch | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._failure is not None or self._ended or bool(self._waiting)
            )
            if self._failure is not None or not self._waiting:
                return None
            batch = self._waiting.popleft()
            self._changed.notify_all()
            return batch

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            if self._failure is None:
                self._failure = error
            self._changed.notify_all()
