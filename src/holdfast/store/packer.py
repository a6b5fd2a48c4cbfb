"""The writing pipeline: segments in, sealed, verified and stored packs out.

The thread that reads files hands over whole segments. Worker threads compress them, and the
worker that fills a pack seals it, opens and decodes it again, compares every blob with its id,
and only then stores it. The number of segments in flight is bounded, and so is memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from holdfast.backend import Backend, until
from holdfast.primitives.buffers import BufferPool
from holdfast.primitives.compression import Compressor
from holdfast.primitives.crypto import random_bytes
from holdfast.primitives.ids import BlobId, SessionId
from holdfast.store.keys import Keys
from holdfast.store.pack import (
    PACK_MARGIN,
    SEGMENT_BUFFER,
    TRAILER_BLOB_SIZE,
    Codec,
    Kind,
    PackInfo,
    Payload,
    build_pack,
    object_name,
)
from holdfast.store.verifier import Verifier

SEGMENT_SIZE = 2 << 20
"""Bytes of blobs at which a segment is handed over, unless packs are smaller."""

WORKERS = 2
REMOTE_WORKERS = 5
"""Threads for a storage that answers late: while some send packs, two at least go on."""
IN_FLIGHT = 6
"""Segments that wait for a worker or are worked on."""
REMOTE_IN_FLIGHT = 10

_LONG = SEGMENT_BUFFER // 4
"""Bytes of a raw segment that keeps its buffer while its pack fills: many short ones would each
hold a whole one."""

PACK_ROWS = 1 << 17
"""Blobs at which a pack is closed however small they are, so that its trailer can be read."""


@dataclass(slots=True)
class _OpenPack:
    payloads: list[Payload] = field(default_factory=list)
    size: int = 0
    rows: int = 0


class Packer:
    """Compresses segments and stores packs, in threads of its own.

    Attributes:
        segment_size: bytes of blobs at which a segment is to be handed over.
        stopped: set when it is closed: nothing waits then for what it has begun.
    """

    def __init__(
        self,
        backend: Backend,
        keys: Keys,
        session: SessionId,
        compressor: Compressor,
        pack_size: int,
        on_stored: Callable[[PackInfo, memoryview], None],
    ) -> None:
        """Start.

        Args:
            backend: where packs go.
            keys: of the repository.
            session: the writer's.
            compressor: for the segments.
            pack_size: bytes at which a pack is closed.
            on_stored: called from a worker when a pack is durable, also with its bytes.
        """
        self.stopped = threading.Event()
        self._backend = until(backend, self.stopped)
        self._keys = keys
        self._session = session
        self._compressor = compressor
        self._pack_size = pack_size
        self._on_stored = on_stored
        self._open = {kind: _OpenPack() for kind in Kind}
        self._lock = threading.Lock()
        self._segments = BufferPool(SEGMENT_BUFFER)
        self.segment_size = min(SEGMENT_SIZE, pack_size)
        self._packs = BufferPool(pack_size + PACK_MARGIN)
        self._verifier = Verifier(keys, self._segments)
        self._in_flight: list[Future[None]] = []
        self._closing = threading.Lock()
        self._is_closed = False
        self._failure: BaseException | None = None
        is_near = backend.capabilities().local
        self._most_in_flight = IN_FLIGHT if is_near else REMOTE_IN_FLIGHT
        workers = WORKERS if is_near else REMOTE_WORKERS
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="holdfast-packer")

    def buffer(self, size: int | None = None) -> memoryview:
        """A buffer of so many bytes, or for a segment, to fill; with anything in it."""
        return self._segments.take(self.segment_size if size is None else size)

    def submit(
        self,
        kind: Kind,
        buffer: memoryview,
        length: int,
        ids: list[BlobId],
        lengths: list[int],
    ) -> None:
        """Hand over a segment; waits while too many are in flight.

        Args:
            kind: what its blobs are.
            buffer: from `buffer`; holds them one after another. Not to be touched afterwards.
            length: how much of it is filled.
            ids: of the blobs, in order.
            lengths: of the blobs, in order.

        Raises:
            HoldfastError: what a worker ran into, here or at a later call; `flush` raises it at
                the latest, and again whenever it is called.
        """
        while len(self._in_flight) >= self._most_in_flight:
            self._wait()
        self._in_flight.append(self._pool.submit(self._work, kind, buffer, length, ids, lengths))

    def flush(self) -> None:
        """Store all that was handed over, the last packs included."""
        self._drain()
        with self._closing:  # `store_open` may be at work on the last packs
            for kind in Kind:
                self._in_flight.append(self._pool.submit(self._store, kind, self._taken(kind)))
            self._drain()
        if self._failure is not None:
            raise self._failure

    def store_open(self) -> None:
        """Store the packs that are not full yet; what fails is raised by every later `flush`."""
        with self._closing:
            if self._is_closed:
                return
            for kind in Kind:
                try:
                    self._store(kind, self._taken(kind))
                except BaseException as error:  # noqa: BLE001 - raised where the backup is at work
                    self._failure = error

    def _taken(self, kind: Kind) -> list[Payload]:
        """What is in the open pack of a kind, which is empty afterwards."""
        with self._lock:
            pack, self._open[kind] = self._open[kind], _OpenPack()
        return pack.payloads

    def _drain(self) -> None:
        while self._in_flight:
            self._wait()

    def _wait(self) -> None:
        """Wait for any segment; one that failed stays, so that nothing follows it.

        Not for the oldest: that one's worker may be storing a pack while others wait for work.
        """
        done, others = wait(self._in_flight, return_when=FIRST_COMPLETED)
        for future in self._in_flight:
            if future in done:
                future.result()
        self._in_flight = [future for future in self._in_flight if future in others]

    def close(self) -> None:
        """Stop the workers; what was not flushed is dropped."""
        self.stopped.set()
        with self._closing:  # `store_open` may be at work, and starts nothing afterwards
            self._is_closed = True
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._verifier.close()

    def _work(
        self, kind: Kind, buffer: memoryview, length: int, ids: list[BlobId], lengths: list[int]
    ) -> None:
        raw = buffer[:length]
        frame = self._compressor.compress(raw)
        payload = (
            Payload(raw if length >= _LONG else bytes(raw), Codec.RAW, length, ids, lengths)
            if frame is None
            else Payload(frame, Codec.ZSTD, length, ids, lengths)
        )
        with self._lock:
            pack = self._open[kind]
            pack.payloads.append(payload)
            pack.size += len(payload.data) + len(ids) * TRAILER_BLOB_SIZE
            pack.rows += len(ids)
            if pack.size < self._pack_size and pack.rows < PACK_ROWS:
                return
            self._open[kind] = _OpenPack()
        self._store(kind, pack.payloads)

    def _store(self, kind: Kind, payloads: list[Payload]) -> None:
        if not payloads:
            return
        info, pack = build_pack(
            kind,
            payloads,
            self._keys,
            self._session,
            random_bytes(32),
            self._compressor.level,
            self._packs,
        )
        payloads.clear()
        self._verifier.verify(info, pack)
        self._backend.put(object_name(info.name), pack)
        self._on_stored(info, pack)
