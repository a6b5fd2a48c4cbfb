"""Reading objects of a store: many at once, ahead of the thread that stores them.

What is read ahead is bounded, and a large object is never whole in memory. An object that changes
while it is read is read again; its parts are never those of two versions, unless it keeps changing
and is marked so.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeAlias

from holdfast.backend import Changed, Listed, RemoteFailure, RemoteObjects
from holdfast.errors import ObjectNotFound
from holdfast.filesystem.remote import Disordered
from holdfast.model.content import ContentBuilder
from holdfast.model.node import Content
from holdfast.model.roles import TreeSaver
from holdfast.operations.ingest import LARGE, Fill, Ingest, Tell

_log = logging.getLogger(__name__)

READERS: Final = 16
"""Requests that are under way at the same time."""

PART: Final = 8 << 20
"""Bytes that are read at a time."""

PARTS_AHEAD: Final = 4
"""Parts of the object that is being stored that are read ahead."""

MOST_BYTES: Final = 64 << 20
"""Bytes of the objects behind it that are read ahead, more or less one object's first part."""

READ_ATTEMPTS: Final = 3

MOST_WAITING: Final = 512
"""Objects that are being read, and ends of folders behind them, that wait."""

_Next: TypeAlias = Callable[[], bytes]


class Unfetched(Exception):  # noqa: N818 - never leaves backup: it becomes a problem in the result
    """An object could not be read.

    Attributes:
        failure: what the store said; None when it said nothing.
        is_gone: it is not there any more.
    """

    def __init__(self, message: str, failure: RemoteFailure | None = None) -> None:
        super().__init__(message)
        self.failure = failure
        self.is_gone = failure is not None and failure.is_absence


@dataclass(slots=True, eq=False)
class Ticket:
    """An object that is being read.

    Attributes:
        listed: what is known of it.
        asked: the bytes before this one were asked for.
        parts: what was asked for and not stored yet, in order, with the number of bytes.
    """

    listed: Listed
    asked: int = 0
    parts: deque[tuple[Future[bytes], int]] = field(default_factory=deque)


class Fetched(NamedTuple):
    """An object that was read and stored.

    Attributes:
        listed: what was known of the version that was read.
        size: bytes that were read.
        content: where they are.
        is_stable: it did not change meanwhile.
    """

    listed: Listed
    size: int
    content: Content | None
    is_stable: bool


class Fetcher:
    """Reads objects and stores what is in them. Used by one thread; a context manager.

    Args:
        objects: where they are.
        saver: stores their lists of blobs.
        ingest: cuts and stores their bytes.
        owner: number of the user that they are said to be of.

    Attributes:
        most_waiting: objects, and ends of folders behind them, that may wait to be stored.
    """

    most_waiting: Final = MOST_WAITING

    def __init__(
        self, objects: RemoteObjects, saver: TreeSaver, ingest: Ingest, owner: int
    ) -> None:
        self._objects = objects
        self._saver = saver
        self._ingest = ingest
        self._owner = owner
        self._waiting = 0
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="holdfast-objects")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, Disordered):
            self._pool.shutdown(cancel_futures=True)
            return
        # A request that has stalled may take minutes to end, and nobody needs its answer.
        self._objects.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._objects.close()

    @property
    def is_full(self) -> bool:
        """Something is to be stored before more is read."""
        return self._waiting >= MOST_BYTES

    def begin(self, listed: Listed) -> Ticket:
        """Begin to read an object."""
        ticket = Ticket(listed)
        self._ask(ticket, 1)
        return ticket

    def store(self, ticket: Ticket, tell: Tell) -> Fetched:
        """Store an object, which is read again if it changes meanwhile, a few times at most.

        Args:
            ticket: from `begin`.
            tell: told of the bytes of it that were read.

        Raises:
            Unfetched: it cannot be read.
        """
        for attempt in range(READ_ATTEMPTS):
            listed = ticket.listed
            try:
                size, content = self._store(ticket, tell if attempt == 0 else _nobody)
                self._confirm(listed)
            except Changed:
                self._drop(ticket)
                fresh = self._status(listed.path)
                if _same(fresh, listed) and attempt:
                    raise Unfetched("the store gives fewer bytes than it says there are") from None
                ticket = self.begin(fresh)
            except BaseException:
                self._drop(ticket)
                raise
            else:
                return Fetched(listed, size, content, is_stable=True)
        self._drop(ticket)
        _log.warning("%r changed while it was read", ticket.listed.path)
        size, content = self._store_any(ticket.listed)
        return Fetched(ticket.listed, size, content, is_stable=False)

    def _ask(self, ticket: Ticket, most: int) -> None:
        """Have parts of an object read, until so many of them wait."""
        listed = ticket.listed
        while ticket.asked < listed.size and len(ticket.parts) < most:
            end = min(ticket.asked + PART, listed.size)
            part = self._pool.submit(self._objects.read, listed, ticket.asked, end)
            ticket.parts.append((part, end - ticket.asked))
            self._waiting += end - ticket.asked
            ticket.asked = end

    def _drop(self, ticket: Ticket) -> None:
        for part, size in ticket.parts:
            part.cancel()
            self._waiting -= size
        ticket.parts.clear()

    def _store(self, ticket: Ticket, tell: Tell) -> tuple[int, Content | None]:
        def following() -> bytes:
            if not ticket.parts:
                return b""
            part, size = ticket.parts.popleft()
            self._waiting -= size
            self._ask(ticket, PARTS_AHEAD)
            try:
                data = part.result()
            except RemoteFailure as failure:
                raise Unfetched(str(failure), failure) from None
            tell(len(data))
            return data

        return self._ingested(following, ticket.listed.size)

    def _store_any(self, listed: Listed) -> tuple[int, Content | None]:
        """Store an object as it is from part to part."""
        done = 0

        def following() -> bytes:
            nonlocal done
            end = min(done + PART, listed.size)
            if done == end:
                return b""
            try:
                data = self._objects.read_any(listed.path, done, end)
            except RemoteFailure as failure:
                raise Unfetched(str(failure), failure) from None
            done = end if len(data) == end - done else listed.size
            return data

        return self._ingested(following, listed.size)

    def _ingested(self, following: _Next, size: int) -> tuple[int, Content | None]:
        builder = ContentBuilder(self._saver)
        group = ("large" if size >= LARGE else "small", self._owner)
        self._ingest.stream(_filling(following), group, builder)
        return builder.finish()

    def _confirm(self, listed: Listed) -> None:
        """Make sure that all that was read is of one version.

        Raises:
            Changed: it is not, or nobody knows.
            Unfetched: the object is gone, or the store fails.
        """
        is_one = listed.tag and listed.size <= PART
        if (
            not self._objects.is_exact
            and not is_one
            and not _same(self._status(listed.path), listed)
        ):
            raise Changed(listed.path)

    def _status(self, path: str) -> Listed:
        try:
            found = self._objects.status(path)
        except RemoteFailure as failure:
            raise Unfetched(str(failure), failure) from None
        if found is None:
            raise Unfetched("it is gone", RemoteFailure(ObjectNotFound(path, "no such object")))
        return found


def _same(one: Listed, other: Listed) -> bool:
    return (one.size, one.mtime, one.tag) == (other.size, other.mtime, other.tag)


def _filling(following: _Next) -> Fill:
    """A function that fills buffers from parts; an empty one is the end."""
    rest = memoryview(b"")

    def fill(buffer: memoryview, _: int) -> int:
        nonlocal rest
        if not rest:
            rest = memoryview(following())
        count = min(len(buffer), len(rest))
        buffer[:count] = rest[:count]
        rest = rest[count:]
        return count

    return fill


def _nobody(_: int) -> None:
    """Bytes that are read once more were told of already."""
