"""The reading pipeline: from a blob's id to its verified bytes.

A segment is read with one ranged get, opened and decoded once, and kept for a while, because
what was stored together is mostly wanted together. Every blob is hashed again as it is read. If
one copy of a blob is bad the next is tried, and the index is read again before giving up.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Self

from holdfast.backend import Backend
from holdfast.errors import BackendError, DamagedRepository, ObjectNotFound
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId
from holdfast.store.catalog import Catalog
from holdfast.store.keys import Keys
from holdfast.store.objects import get_object
from holdfast.store.pack import Kind, blob_key, object_name
from holdfast.store.table import Location
from holdfast.store.unpack import PackOpener

_log = logging.getLogger(__name__)

CACHE_BYTES = 48 << 20
"""Decoded segments that are kept."""

WORKERS = 2
AHEAD = 8
"""Segments that are read ahead of their use."""

_OPENERS = 512
_NOWHERE = -1
_BAD = 1 << 16
"""Segments that are known to be bad and are not read again."""


class Loader:
    """Reads blobs. Safe to use from several threads; a context manager."""

    def __init__(self, backend: Backend, keys: Keys, catalog: Catalog) -> None:
        self._backend = backend
        self._keys = keys
        self._catalog = catalog
        self._id_keys = {kind: blob_key(keys, kind) for kind in Kind}
        self._lock = threading.Lock()
        self._segments: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._held = 0
        self._running: dict[tuple[int, int], Future[bytes]] = {}
        self._openers: OrderedDict[int, PackOpener] = OrderedDict()
        self._given_up: set[int] = set()
        self._bad: dict[tuple[int, int], DamagedRepository] = {}
        self._waiting: set[tuple[int, int]] = set()
        self._closed = False
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading ahead and let go of memory."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for key in self._waiting:  # those that a thread has begun are ended by that thread
                self._running.pop(key).cancel()
            self._waiting.clear()
            self._segments.clear()
            self._held = 0

    def load_outside(self, blob: BlobId, avoid: Container[int]) -> bytes:
        """The same from packs whose numbers are not among these.

        Raises:
            DamagedRepository: no good copy can be read there.
            BackendError: the storage fails.
        """
        failed: dict[Location, DamagedRepository | BackendError] = {}
        places = self._catalog.load().locate(blob)
        data = self._any_of((at for at in places if at.pack not in avoid), blob, failed)
        if data is None:
            raise _failure(blob, failed)
        return data

    def load(self, blob: BlobId) -> bytes:
        """The plaintext of a blob, verified against its id.

        Raises:
            DamagedRepository: no good copy can be read.
            BackendError: the storage fails.
        """
        failed: dict[Location, DamagedRepository | BackendError] = {}
        data = self._any_of(self._catalog.load().locate(blob), blob, failed)
        while data is None and self._may_have_moved(failed):  # and moved once more by another
            data = self._any_of(self._catalog.refresh().locate(blob), blob, failed)
        if data is None:
            raise _failure(blob, failed)
        return data

    def _any_of(
        self,
        locations: Iterable[Location],
        blob: BlobId,
        failed: dict[Location, DamagedRepository | BackendError],
    ) -> bytes | None:
        """The blob from the first good one of these places; the others are added to `failed`."""
        for location in locations:
            if location in failed:
                continue
            try:
                return self._verified(blob, location)
            except (DamagedRepository, BackendError) as error:
                failed[location] = error
        return None

    def _may_have_moved(self, failed: Iterable[Location]) -> bool:
        """Whether the index is worth reading again: a reclaim may have moved a blob.

        Once for every pack that fails, and once for all blobs that the index does not know, or a
        lost object that thousands of blobs need would cost as many lists.
        """
        packs = {location.pack for location in failed} or {_NOWHERE}
        with self._lock:
            news = packs - self._given_up
            self._given_up |= packs
        return bool(news)

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        """Begin to read the segments of these blobs, as far as there is room."""
        table = self._catalog.load()
        for blob in blobs:
            locations = table.locate(blob)
            if not locations:
                continue
            location = locations[0]
            key = (location.pack, location.ordinal)
            with self._lock:
                if key in self._segments or key in self._running or key in self._bad:
                    continue
                if self._closed or len(self._waiting) >= AHEAD:
                    return
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="holdfast-loader")
                future: Future[bytes] = Future()
                self._pool.submit(self._read_ahead, location, future)
                self._running[key] = future
                self._waiting.add(key)

    def _read_ahead(self, location: Location, future: Future[bytes]) -> None:
        with self._lock:
            self._waiting.discard((location.pack, location.ordinal))
        try:
            self._fill(location, future)
        except (DamagedRepository, BackendError) as error:
            _log.debug("read ahead failed, the read itself will tell: %s", error)

    def _verified(self, blob: BlobId, location: Location) -> bytes:
        data = self._segment(location)
        content = data[location.offset : location.offset + location.length]
        opener = self._opener(location.pack)
        if len(content) != location.length or keyed(self._id_keys[opener.kind], content) != blob:
            raise DamagedRepository(
                object_name(opener.name), f"blob {blob.hex()} does not match its id"
            )
        return content

    def _segment(self, location: Location) -> bytes:
        key = (location.pack, location.ordinal)
        with self._lock:
            data = self._segments.get(key)
            if data is not None:
                self._segments.move_to_end(key)
                return data
            if (bad := self._bad.get(key)) is not None:
                raise DamagedRepository(bad.object, bad.problem)
            own: Future[bytes] = Future()
            running = self._running.setdefault(key, own)
        try:
            return self._fill(location, own) if running is own else self._shared(running, location)
        except DamagedRepository as error:
            with self._lock:
                if len(self._bad) < _BAD:
                    self._bad[key] = error
            raise

    def _shared(self, running: Future[bytes], location: Location) -> bytes:
        """What another thread reads; if it fails, one's own read."""
        try:
            return running.result()
        except (DamagedRepository, BackendError, CancelledError) as error:
            _log.debug("another reader of the segment failed, so it is read here: %s", error)
            return self._read(location)

    def _fill(self, location: Location, future: Future[bytes]) -> bytes:
        key = (location.pack, location.ordinal)
        try:
            data = self._read(location)
        except BaseException as error:
            with self._lock:
                self._running.pop(key, None)
            future.set_exception(error)
            raise
        with self._lock:
            self._running.pop(key, None)
            if not self._closed:
                self._segments[key] = data
                self._held += len(data)
            while self._held > CACHE_BYTES and len(self._segments) > 1:
                self._held -= len(self._segments.popitem(last=False)[1])
        future.set_result(data)
        return data

    def _read(self, location: Location) -> bytes:
        opener = self._opener(location.pack)
        segment = location.segment
        name = object_name(opener.name)
        try:
            try:
                sealed = get_object(self._backend, name, segment.offset, segment.stored)
                return opener.segment(location.ordinal, segment, sealed)
            except DamagedRepository as error:
                # A cache or a wire may have spoilt it once; now we see what is stored.
                _log.debug("%s is read again: %s", name, error)
            sealed = get_object(self._backend, name, segment.offset, segment.stored)
        except ObjectNotFound:
            raise DamagedRepository(name, "it is missing") from None
        return opener.segment(location.ordinal, segment, sealed)

    def _opener(self, pack: int) -> PackOpener:
        with self._lock:
            opener = self._openers.get(pack)
            if opener is not None:
                self._openers.move_to_end(pack)
                return opener
        row = self._catalog.table.pack(pack)
        opener = PackOpener(row.name, row.header, self._keys)
        with self._lock:
            self._openers[pack] = opener
            if len(self._openers) > _OPENERS:
                self._openers.popitem(last=False)
        return opener


def _failure(
    blob: BlobId, failed: Mapping[Location, DamagedRepository | BackendError]
) -> DamagedRepository | BackendError:
    """What is to be said of a blob that none of the places in `failed` could give."""
    if not failed:
        return DamagedRepository(f"blob {blob.hex()}", "the index does not know it")
    for error in failed.values():
        if isinstance(error, BackendError):
            return error  # what the storage would give another time is not known to be lost
    return DamagedRepository(error.object, f"{error.problem} (needed for blob {blob.hex()})")
