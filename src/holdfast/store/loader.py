"""The reading pipeline: from a blob's id to its verified bytes.

A segment is read with one ranged get, opened and decoded once, and kept for a while, because
what was stored together is mostly wanted together. Every blob is hashed again as it is read. If
one copy of a blob is bad the next is tried, and the index is read again before giving up.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from holdfast.backend import Backend
from holdfast.errors import BackendError, DamagedRepository
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId
from holdfast.store.catalog import Catalog
from holdfast.store.index import PackRow
from holdfast.store.keys import Keys
from holdfast.store.metadata import NO_METADATA, MetadataCache
from holdfast.store.pack import object_name
from holdfast.store.segments import Plan, SegmentReader, Wanted, pack_access
from holdfast.store.table import Location
from holdfast.store.tasks import StoreAccess, store_access

_NOWHERE = -1


class Loader(SegmentReader):
    """Reads blobs by their ids. Safe to use from several threads; a context manager."""

    def __init__(
        self,
        backend: Backend,
        keys: Keys,
        catalog: Catalog,
        metadata: MetadataCache = NO_METADATA,
    ) -> None:
        def pack_row(number: int) -> PackRow:
            return catalog.table.pack(number)  # the table may be another one by then

        super().__init__(backend, keys, pack_row, metadata)
        self._catalog = catalog
        self._given_up: set[int] = set()

    def load_outside(self, blob: BlobId, avoid: Container[int]) -> bytes:
        """As `load`, but from packs whose numbers are not among these.

        Raises:
            DamagedRepository: no good copy can be read there.
            BackendError: the storage fails.
        """
        failed: dict[Location, DamagedRepository | BackendError] = {}
        places = self._catalog.load().locate(blob)
        data = self._any_of((at for at in places if at.pack not in avoid), blob, failed)
        if data is None:
            raise _failure(blob, failed)
        return bytes(data)

    def load(self, blob: BlobId) -> bytes:
        """The plaintext of a blob, verified against its id.

        Raises:
            DamagedRepository: no good copy can be read.
            BackendError: the storage fails.
        """
        return bytes(self.view(blob))

    def view(self, blob: BlobId) -> memoryview:
        """As `load`, without copying: the bytes stay as they are as long as the view is held.

        It keeps its whole segment in memory.
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
    ) -> memoryview | None:
        """The blob from the first good one of these places; the others are added to `failed`."""
        for location in locations:
            if location in failed:
                continue
            try:
                return self._verified(blob, location)
            except (DamagedRepository, BackendError) as error:
                # Its frames refer to `failed`, and hold the buffers that were read into.
                error.__context__ = None
                failed[location] = error.with_traceback(None)
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

    def views(self, blobs: Sequence[BlobId]) -> Iterator[tuple[int, memoryview | None]]:
        """Begin to read many blobs; the iterator gives them segment by segment.

        Returns:
            An iterator of (position in `blobs`, view of the blob or None). None is a blob that
            the first place that the index knows does not give: `view` looks further.
        """
        plan = self.plan(blobs)
        self.read_soon(segment for segment, _ in plan.wanted)
        return self.read(plan, blobs)

    def plan(self, blobs: Sequence[BlobId]) -> Plan:
        """Look up where many blobs are."""
        table = self._catalog.load()
        groups: dict[int, list[tuple[int, int, int]]] = {}
        plan = Plan([], [], [])
        for position, blob in enumerate(blobs):
            place = table.place(blob)
            if place is None:
                plan.lost.append(position)
            else:
                number, offset, length = place
                groups.setdefault(number, []).append((position, offset, length))
        for number, group in groups.items():
            segment = table.segment(number)
            if segment is None:
                plan.lost.extend(position for position, _, _ in group)
            else:
                plan.wanted.append(Wanted(segment, group))
        for pack in {segment.pack for segment, _ in plan.wanted}:
            row = table.pack(pack)
            plan.packs.append((pack, row.name, row.header))
        return plan

    def access(self) -> bytes | None:
        """See `pack_access`."""
        return pack_access(self._backend, self._keys)

    def store_access(self) -> StoreAccess:
        """See `holdfast.store.tasks.store_access`."""
        return store_access(self._backend, self._keys)

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        """Begin to read the segments of these blobs; in their order, when there is room."""
        self.read_soon(self._segments_of(blobs))

    def leave_out(self, blobs: Iterable[BlobId]) -> None:
        """Begin no more to read these, which were given to `prefetch` and are not wanted now."""
        self.leave(self._segments_of(blobs))

    def try_again(self) -> None:
        """Read again what was bad or not found: it may have come back, or have been mended."""
        with self._lock:
            self._bad.clear()
            self._given_up.clear()

    def _segments_of(self, blobs: Iterable[BlobId]) -> Iterator[Location]:
        table = self._catalog.load()
        places = (table.place(blob) for blob in blobs)
        numbers = dict.fromkeys(place[0] for place in places if place is not None)
        segments = (table.segment(number) for number in numbers)
        return (segment for segment in segments if segment is not None)

    def _verified(self, blob: BlobId, location: Location) -> memoryview:
        data = self._segment(location)
        content = data[location.offset : location.offset + location.length]
        opener = self._opener(location.pack)
        if len(content) != location.length or keyed(self._id_keys[opener.kind], content) != blob:
            raise DamagedRepository(
                object_name(opener.name), f"blob {blob.hex()} does not match its id"
            )
        return content


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
