"""Objects of a store that an executor's processes read and store, on this machine or on others.

Each process is an outpost of the backup's session. It gives back what an object's entry says of the
content; which objects are read, and the tree, stay with the backup. What a process could not read,
or did not live to tell of, the backup reads itself: so what it reports is what it has seen.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import closing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, NamedTuple, Self

from holdfast.backend import Address, Listed, RemoteObjects, open_objects
from holdfast.errors import UsageError
from holdfast.operations.backup.fetch import Fetched, Fetcher, Ticket, Unfetched
from holdfast.operations.ingest import Ingest, Tell
from holdfast.operations.spread import MOST_WAITING, outcome, refuse_forks, submit
from holdfast.primitives.chunker import ChunkerParams
from holdfast.store import Deposit, Order, Outpost, Writer

_log = logging.getLogger(__name__)

SHARE: Final = 64 << 20
"""Bytes of objects that one task is about, and how many at most; a longer one has its own."""
MOST_OBJECTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Haul:
    """Objects that are to be read and stored.

    Attributes:
        source: where they are.
        order: what they are stored by.
        params: how they are cut.
        seed: the secret that moves the cuts.
        owner: number of the user that they are said to be of.
        objects: they.
    """

    source: Address
    order: Order
    params: ChunkerParams
    seed: bytes = field(repr=False)
    owner: int
    objects: tuple[Listed, ...]


class Hauled(NamedTuple):
    """What has come of a haul.

    Attributes:
        deposit: what was stored.
        found: what was found of each object; None when it could not be read.
    """

    deposit: Deposit
    found: list[Fetched | None]


def store_objects(haul: Haul) -> Hauled:
    """Read objects and store what is in them.

    Raises:
        BackendError: the repository fails.
        UsageError: this process has no driver for one of the two stores.
    """
    with closing(open_objects(*haul.source)) as objects, Outpost(haul.order) as post:
        ingest = Ingest(post, haul.params, haul.seed)
        with Fetcher(objects, post, ingest, haul.owner) as fetcher:
            found = _fetched(objects, fetcher, haul.objects)
        return Hauled(post.finish(), found)


def _fetched(
    objects: RemoteObjects, fetcher: Fetcher, wanted: Sequence[Listed]
) -> list[Fetched | None]:
    """Read objects and store what is in them, as long as the store answers."""
    tickets = [fetcher.begin(listed) for listed in wanted]
    found: list[Fetched | None] = [None] * len(tickets)
    for number, ticket in enumerate(tickets):
        try:
            found[number] = fetcher.store(ticket, _nobody)
        except Unfetched as problem:
            _log.info("%s is left to the backup: %s", ticket.listed.path, problem)
            if problem.failure is not None and problem.failure.is_of_all:
                objects.stop()  # each of the others would be tried for as long as this one
                break
    return found


def _nobody(_: int) -> None:
    """Only the whole of an object is told of."""


@dataclass(slots=True, eq=False)
class _Batch:
    """Objects of one task.

    Attributes:
        objects: they.
        size: their bytes.
        running: the task and what it will come to, once it is handed over.
        found: what has come of it; nothing for all when that is of no use.
    """

    objects: list[Listed] = field(default_factory=list)
    size: int = 0
    running: tuple[Haul, Future[Hauled]] | None = None
    found: Sequence[Fetched | None] | None = None


class Elsewhere:
    """The processes of an executor; takes a `Fetcher`'s place. Used by one thread.

    Args:
        executor: whose processes read.
        source: where the objects are.
        writer: the backup's session.
        ingest: knows how objects are cut.
        owner: number of the user that they are said to be of.
        fetcher: reads what they leave.

    Raises:
        UsageError: its processes are forked, or only this process can use one of the two stores.
    """

    most_waiting: Final = MOST_WAITING * MOST_OBJECTS
    """See `Fetcher`."""

    def __init__(
        self,
        executor: Executor,
        source: Address | None,
        writer: Writer,
        ingest: Ingest,
        owner: int,
        fetcher: Fetcher,
    ) -> None:
        refuse_forks(executor)
        if source is None:
            raise UsageError("an executor's processes cannot open the store that is backed up")
        self._executor = executor
        self._source = source
        self._writer = writer
        self._order = writer.order()
        self._ingest = ingest
        self._owner = owner
        self._fetcher = fetcher
        self._open = _Batch()
        self._running = 0
        self._places: dict[Ticket, tuple[_Batch, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for batch, _ in self._places.values():
            if batch.running is not None:
                batch.running[1].cancel()

    @property
    def is_full(self) -> bool:
        """See `Fetcher.is_full`."""
        return self._running >= MOST_WAITING

    def begin(self, listed: Listed) -> Ticket:
        """See `Fetcher.begin`."""
        ticket = Ticket(listed)
        batch = _Batch() if listed.size >= SHARE else self._open
        self._places[ticket] = batch, len(batch.objects)
        batch.objects.append(listed)
        batch.size += listed.size
        if batch.size >= SHARE or len(batch.objects) >= MOST_OBJECTS:
            self._hand_over(batch)
        return ticket

    def store(self, ticket: Ticket, tell: Tell) -> Fetched:
        """See `Fetcher.store`."""
        batch, number = self._places[ticket]
        if batch.found is None:
            batch.found = self._found(*(batch.running or self._hand_over(batch)))
        del self._places[ticket]  # not before: an interrupt cancels what it was waiting for
        found = batch.found[number]
        if found is None:
            return self._fetcher.store(self._fetcher.begin(ticket.listed), tell)
        return found

    def _hand_over(self, batch: _Batch) -> tuple[Haul, Future[Hauled]]:
        cutting = self._ingest.params, self._ingest.seed
        haul = Haul(self._source, self._order, *cutting, self._owner, tuple(batch.objects))
        batch.running = haul, submit(self._executor, store_objects, haul)
        self._running += 1
        if batch is self._open:
            self._open = _Batch()
        return batch.running

    def _found(self, haul: Haul, future: Future[Hauled]) -> Sequence[Fetched | None]:
        """What has come of a task, when it is done."""
        hauled = outcome(future, store_objects, haul)
        self._running -= 1
        if self._writer.adopt(hauled.deposit):
            return hauled.found
        return [None] * len(haul.objects)
