"""Segments of packs: read with one ranged get, opened and decoded once, and kept for a while."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Self, TypeAlias, cast

from holdfast.backend import Backend, LocalBackend, until
from holdfast.closing import Closing
from holdfast.errors import BackendError, DamagedRepository, ObjectNotFound
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.buffers import BufferPool
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store.index import PackRow
from holdfast.store.keys import Keys, KeysRow
from holdfast.store.metadata import NO_METADATA, MetadataCache
from holdfast.store.objects import get_object_into
from holdfast.store.pack import SEGMENT_BUFFER, Kind, Segment, blob_key, object_name
from holdfast.store.table import Location
from holdfast.store.unpack import PackOpener

_log = logging.getLogger(__name__)

CACHE_BYTES = 24 << 20
"""Decoded segments that are kept; more of them saved nothing in restores of real trees."""

WORKERS = 2
REMOTE_WORKERS = 8
"""Threads that read from a storage that answers late: they wait, and decode while others do."""
AHEAD = 8
REMOTE_AHEAD = 16
AHEAD_BYTES = 16 << 20
"""Most segments that are read ahead of their use, and bytes from which on no more of them are."""

_LATER = 256
"""Segments that wait until they can be read ahead."""

_OPENERS = 512
_SMALL = SEGMENT_BUFFER // 4
"""Segments of fewer bytes get memory of their own, or many small ones would each hold much."""

_BAD = 1 << 16
"""Segments that are known to be bad and are not read again."""


class Wanted(NamedTuple):
    """What is wanted of a segment: of each blob its position in a sequence, offset and length."""

    segment: Location
    blobs: list[tuple[int, int, int]]


class Plan(NamedTuple):
    """Where the blobs of a sequence are.

    Attributes:
        wanted: the segments, each once.
        lost: positions of blobs whose place is not known.
        packs: number, name and header of each pack.
    """

    wanted: list[Wanted]
    lost: list[int]
    packs: list[tuple[int, str, bytes]]


class SegmentReader(Closing):
    """Reads segments, and blobs of which it is told where they are.

    Safe to use from several threads; a context manager.

    Args:
        backend: where packs are.
        keys: of the repository.
        pack_row: gives a pack by its number.
        metadata: copies of trees.
    """

    def __init__(
        self,
        backend: Backend,
        keys: Keys,
        pack_row: Callable[[int], PackRow],
        metadata: MetadataCache = NO_METADATA,
    ) -> None:
        self._stopped = threading.Event()
        self._backend = until(backend, self._stopped)
        self._keys = keys
        self._pack_row = pack_row
        self._metadata = metadata
        self._id_keys = {kind: blob_key(keys, kind) for kind in Kind}
        self._lock = threading.Lock()
        self._segments: OrderedDict[tuple[int, int], memoryview] = OrderedDict()
        self._held = 0
        self._buffers = BufferPool(SEGMENT_BUFFER)
        self._running: dict[tuple[int, int], Future[memoryview]] = {}
        self._openers: OrderedDict[int, PackOpener] = OrderedDict()
        self._bad: dict[tuple[int, int], tuple[str, str]] = {}
        self._waiting: set[tuple[int, int]] = set()
        self._ahead: dict[tuple[int, int], int] = {}  # bytes of what is read ahead and not used
        self._later: OrderedDict[tuple[int, int], Location] = OrderedDict()
        self._closed = False
        self._pool: ThreadPoolExecutor | None = None
        is_near = backend.capabilities().local
        self._workers = WORKERS if is_near else REMOTE_WORKERS
        self._most_ahead = AHEAD if is_near else REMOTE_AHEAD

    @override
    def close(self) -> None:
        """Stop reading ahead and let go of memory; nothing waits any more for what it reads."""
        self._stopped.set()
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for key in self._waiting:  # those that a thread has begun are ended by that thread
                self._running.pop(key).cancel()
            self._waiting.clear()
            self._later.clear()
            self._ahead.clear()
            self._segments.clear()
            self._held = 0

    def read(self, plan: Plan, blobs: Sequence[BlobId]) -> Iterator[tuple[int, memoryview | None]]:
        """Give (position, view of the blob or None) of these blobs, segment by segment.

        None is a blob that is not where the plan has it.
        """
        for segment, group in plan.wanted:
            try:
                data = self._segment(segment)
                key = self._id_keys[self._opener(segment.pack).kind]
            except (DamagedRepository, BackendError) as error:
                _log.debug("a segment cannot be read: %s", error)
                yield from ((position, None) for position, _, _ in group)
                continue
            for position, offset, length in group:
                content = data[offset : offset + length]
                is_good = len(content) == length and keyed(key, content) == blobs[position]
                yield position, content if is_good else None
        yield from ((position, None) for position in plan.lost)

    def read_soon(self, segments: Iterable[Location]) -> None:
        """Begin to read segments, in their order, when there is room."""
        with self._lock:
            for segment in segments:
                key = (segment.pack, segment.ordinal)
                if key not in self._segments and key not in self._running and key not in self._bad:
                    self._later[key] = segment
            if len(self._later) > _LATER:
                self._ahead.clear()  # nobody seems to want these
            while len(self._later) > _LATER:
                self._later.popitem(last=False)
            self._read_on()

    def leave(self, segments: Iterable[Location]) -> None:
        """Do not read these any more, or make no more of having read them, before they are used."""
        with self._lock:
            for segment in segments:
                key = (segment.pack, segment.ordinal)
                self._later.pop(key, None)
                self._ahead.pop(key, None)
            self._read_on()

    def _read_on(self) -> None:
        """Read ahead until there is enough that nobody has used yet; the lock is held.

        What is used makes room, so reading keeps ahead of its use by the same distance.
        """
        while self._later and not self._closed:
            if len(self._ahead) >= self._most_ahead or sum(self._ahead.values()) >= AHEAD_BYTES:
                return
            key, segment = self._later.popitem(last=False)
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="holdfast-loader")
            future: Future[memoryview] = Future()
            self._pool.submit(self._read_ahead, segment, future)
            self._running[key] = future
            self._waiting.add(key)
            self._ahead[key] = segment.segment.raw

    def _used(self, key: tuple[int, int]) -> None:
        """A segment need not be read ahead any more; the lock is held."""
        self._later.pop(key, None)
        if self._ahead.pop(key, None) is not None:
            self._read_on()

    def _read_ahead(self, location: Location, future: Future[memoryview]) -> None:
        key = (location.pack, location.ordinal)
        with self._lock:
            self._waiting.discard(key)
        try:
            self._fill(location, future)
        except (DamagedRepository, BackendError) as error:
            _log.debug("read ahead failed, the read itself will tell: %s", error)
            with self._lock:
                self._used(key)

    def _segment(self, location: Location) -> memoryview:
        key = (location.pack, location.ordinal)
        with self._lock:
            self._used(key)
            data = self._segments.get(key)
            if data is not None:
                self._segments.move_to_end(key)
                return data
            if (bad := self._bad.get(key)) is not None:
                raise DamagedRepository(*bad)
            own: Future[memoryview] = Future()
            running = self._running.setdefault(key, own)
        try:
            return self._fill(location, own) if running is own else self._shared(running, location)
        except DamagedRepository as error:
            with self._lock:
                if len(self._bad) < _BAD:
                    self._bad[key] = error.object, error.problem
            raise

    def _shared(self, running: Future[memoryview], location: Location) -> memoryview:
        """What another thread reads; if it fails, one's own read."""
        try:
            return running.result()
        except CancelledError:  # the other reader failed, or was not begun
            return self._read(location)

    def _fill(self, location: Location, future: Future[memoryview]) -> memoryview:
        key = (location.pack, location.ordinal)
        try:
            data = self._read(location)
        except BaseException:
            with self._lock:
                self._running.pop(key, None)
            future.cancel()  # the error itself would keep all buffers of its frames
            raise
        with self._lock:
            self._running.pop(key, None)
            if not self._closed:
                self._segments[key] = data
                self._held += len(data)
            while self._held > CACHE_BYTES and len(self._segments) > 1:
                self._drop_one()
        future.set_result(data)
        return data

    def _drop_one(self) -> None:
        """Forget what was not used for longest, except what was read ahead; the lock is held."""
        used = (key for key in self._segments if key not in self._ahead)
        key = next(used, None) or next(iter(self._segments))
        self._held -= len(self._segments.pop(key))
        self._ahead.pop(key, None)

    def _read(self, location: Location) -> memoryview:
        opener = self._opener(location.pack)
        name = object_name(opener.name)
        is_kept = opener.kind is Kind.TREE and self._metadata.is_on
        copy = self._copy(location, opener, name) if is_kept else None
        if copy is not None:
            return copy
        try:
            try:
                return self._stored(location, opener, name, keep=is_kept)
            except DamagedRepository as error:
                # A cache or a wire may have spoilt it once; now we see what is stored.
                _log.debug("%s is read again: %s", name, error)
            return self._stored(location, opener, name, keep=is_kept)
        except ObjectNotFound:
            raise DamagedRepository(name, "it is missing") from None

    def _copy(self, location: Location, opener: PackOpener, name: str) -> memoryview | None:
        segment = location.segment
        return self._metadata.read_part(
            name,
            segment.offset,
            self._buffers.take(segment.stored),
            partial(self._opened, location, opener),
        )

    def _stored(
        self, location: Location, opener: PackOpener, name: str, *, keep: bool
    ) -> memoryview:
        segment = location.segment
        sealed = self._buffers.take(segment.stored)
        get_object_into(self._backend, name, segment.offset, sealed)
        data = self._opened(location, opener, sealed)
        if keep:
            self._metadata.put(name, segment.offset, sealed)
        return data

    def _opened(self, location: Location, opener: PackOpener, sealed: memoryview) -> memoryview:
        segment = location.segment
        buffers = self._buffers if segment.raw >= _SMALL else None
        return opener.segment(location.ordinal, segment, sealed, buffers)

    def _opener(self, pack: int) -> PackOpener:
        with self._lock:
            opener = self._openers.get(pack)
            if opener is not None:
                self._openers.move_to_end(pack)
                return opener
        row = self._pack_row(pack)
        opener = PackOpener(row.name, row.header, self._keys)
        with self._lock:
            self._openers[pack] = opener
            if len(self._openers) > _OPENERS:
                self._openers.popitem(last=False)
        return opener


# Another process

_LocationRow: TypeAlias = tuple[int, int, tuple[int, int, int, int], int, int]
_WantedRow: TypeAlias = tuple[_LocationRow, list[tuple[int, int, int]]]


def pack_access(backend: Backend, keys: Keys) -> bytes | None:
    """What another process of this machine needs to read packs: keys, so it is a secret.

    Returns:
        What `PlanReader` takes; None when only this process can use the storage.
    """
    if not isinstance(backend, LocalBackend):
        return None
    return codec.pack((os.fsencode(backend.path), keys.row()))


class PlanReader:
    """Reads blobs in a process that has no index: by plans that were made elsewhere.

    Args:
        backend: where packs are.
        keys: of the repository.
        ahead: read segments before they are used, in threads; to be closed then.
    """

    def __init__(self, backend: Backend, keys: Keys, *, ahead: bool = False) -> None:
        self._ahead = ahead
        self._packs: dict[int, PackRow] = {}
        self._reader = SegmentReader(backend, keys, self._packs.__getitem__)

    def close(self) -> None:
        """Stop reading ahead."""
        self._reader.close()

    @classmethod
    def of_access(cls, access: bytes) -> Self:
        """The reader for what `pack_access` gave."""
        path, secrets = cast("tuple[bytes, KeysRow]", codec.unpack_rows(access))
        return cls(LocalBackend(os.fsdecode(path)), Keys.of_row(secrets))

    def read(
        self, plan: object, blobs: Sequence[BlobId]
    ) -> Iterator[tuple[int, memoryview | None]]:
        """See `SegmentReader.read`; the plan is as `codec.unpack_rows` gives it."""
        wanted, lost, packs = cast(
            "tuple[list[_WantedRow], list[int], list[tuple[int, str, bytes]]]", plan
        )
        self._packs.clear()
        self._packs.update(
            (number, PackRow(PackName(name), header, 0)) for number, name, header in packs
        )
        rows = [
            Wanted(Location(pack, ordinal, Segment(*segment), offset, length), group)
            for (pack, ordinal, segment, offset, length), group in wanted
        ]
        if self._ahead:
            self._reader.read_soon(row.segment for row in rows[:_LATER])
        return self._reader.read(Plan(rows, lost, packs), blobs)
