"""The reading pipeline: from a blob's id to its verified bytes.

A segment is read with one ranged get, opened and decoded once, and kept for a while, because
what was stored together is mostly wanted together. Every blob is hashed again as it is read. If
one copy of a blob is bad the next is tried, and the index is read again before giving up.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from holdfast.backend import Backend
from holdfast.errors import BackendError, DamagedRepository, ObjectNotFound, ObjectTruncated
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId
from holdfast.store.catalog import Catalog
from holdfast.store.keys import Keys
from holdfast.store.pack import Kind, PackOpener, blob_key, object_name
from holdfast.store.table import Location

_log = logging.getLogger(__name__)

CACHE_BYTES = 48 << 20
"""Decoded segments that are kept."""

WORKERS = 2
AHEAD = 8
"""Segments that are read ahead of their use."""

_OPENERS = 512


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
        self._ahead = 0
        self._pool: ThreadPoolExecutor | None = None

    def __enter__(self) -> Loader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading ahead and let go of memory."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        with self._lock:
            for future in self._running.values():
                future.cancel()
            self._running.clear()
            self._segments.clear()
            self._held = 0

    def load(self, blob: BlobId) -> bytes:
        """The plaintext of a blob, verified against its id.

        Raises:
            DamagedRepository: no good copy can be read.
            BackendError: the storage fails.
        """
        tried: list[tuple[str, str]] = []
        for table in (self._catalog.load, self._catalog.refresh):
            for location in table().locate(blob):
                pack = object_name(self._catalog.table.pack(location.pack).name)
                try:
                    return self._verified(blob, location)
                except DamagedRepository as error:
                    tried.append((error.object, error.problem))
                except ObjectNotFound:
                    tried.append((pack, "it is missing"))
        if not tried:
            raise DamagedRepository(f"blob {blob.hex()}", "the index does not know it")
        name, problem = tried[0]
        raise DamagedRepository(name, f"{problem} (needed for blob {blob.hex()})")

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
                if key in self._segments or key in self._running:
                    continue
                if self._ahead >= AHEAD:
                    return
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="holdfast-loader")
                self._ahead += 1
                self._running[key] = future = Future()
                self._pool.submit(self._read_ahead, location, future)

    def _read_ahead(self, location: Location, future: Future[bytes]) -> None:
        try:
            self._fill(location, future)
        except (DamagedRepository, BackendError) as error:
            _log.debug("read ahead failed, the read itself will tell: %s", error)
        finally:
            with self._lock:
                self._ahead -= 1

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
            future = self._running.get(key)
            mine = future is None
            if future is None:
                future = self._running[key] = Future()
        if mine:
            return self._fill(location, future)
        return future.result()

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
            sealed = self._backend.get(name, segment.offset, segment.stored)
            return opener.segment(location.ordinal, segment, sealed)
        except (DamagedRepository, ObjectTruncated):
            # A cache or a wire may have spoilt it once; the second time shows what is stored.
            pass
        try:
            sealed = self._backend.get(name, segment.offset, segment.stored)
        except ObjectTruncated as error:
            raise DamagedRepository(name, error.problem) from None
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
