"""What a backup writes through: knows what is stored, stores the rest, and commits."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from holdfast.backend import Backend, ObjectInfo, brief, until
from holdfast.clock import Clock
from holdfast.errors import DamagedRepository, HoldfastError, SessionLost, UnsupportedRepository
from holdfast.primitives.compression import Compressor
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, PackName, SnapshotId, random_name
from holdfast.store.catalog import Catalog
from holdfast.store.config import Settings
from holdfast.store.filler import TREES, Filler, Group
from holdfast.store.index import OBJECT_ROWS, encode_index
from holdfast.store.keys import Keys
from holdfast.store.labels import put_label
from holdfast.store.metadata import MetadataCache
from holdfast.store.objects import newest_config
from holdfast.store.outpost import Deposit, Order, withdraw
from holdfast.store.pack import Kind, PackInfo, blob_key, object_name
from holdfast.store.packer import Packer
from holdfast.store.session import Session, condemned_packs
from holdfast.store.table import Table
from holdfast.store.tasks import store_access

_log = logging.getLogger(__name__)

INDEX_INTERVAL = 30.0
"""Most seconds between two index objects of a running backup, while there are new packs."""

_FIRST_INDEX = 0.25


@dataclass(frozen=True, slots=True)
class Repository:
    """The parts of an open repository that a writer needs."""

    backend: Backend
    keys: Keys
    settings: Settings
    config: str
    catalog: Catalog
    metadata: MetadataCache
    clock: Clock


class Writer:
    """One session's writes. Used by one thread; a context manager.

    Leaving it without a commit leaves no snapshot; packs that the index tells of are found and
    re-used by the next backup.

    Attributes:
        compression: zstd level.
        added: bytes of blobs that were not stored before.
        packed: bytes of the packs that were written.
        stored: the same with the index objects that tell of them.
        blobs: number of blobs that were not stored before.
    """

    def __init__(
        self,
        repository: Repository,
        about: Mapping[str, object],
        *,
        compression: int,
        pack_size: int,
    ) -> None:
        """Announce the session and learn what is stored, in the order that reclaim relies on."""
        self._backend = repository.backend
        self._keys = repository.keys
        self._clock = repository.clock
        self._catalog = repository.catalog
        self._metadata = repository.metadata
        self._config = repository.config
        self.compression = compression
        self._pack_size = pack_size
        self.added = self.packed = self.stored = self.blobs = 0
        self._id_keys = {kind: blob_key(self._keys, kind) for kind in Kind}
        self.page_key = self._keys.from_dedup("tree pages")
        self._pending: set[bytes] = set()
        self._own = Table()
        self._own_gone: set[int] = set()
        self._own_packs: list[ObjectInfo] = []
        self._used: set[int] = set()
        self._excluded: set[int] = set()
        self._lock = threading.Lock()
        self._indexing = threading.Lock()
        self._unindexed: list[PackInfo] = []
        self._start = self._indexed_at = self._stored_at = self._clock.monotonic()
        self._session = Session(self._backend, self._keys, self._clock, about)
        try:
            condemned = condemned_packs(self._backend, self._keys)
            self._check_config(self._backend)
            self._table = self._catalog.refresh()
            self._excluded = self._unusable(range(len(self._table.packs)), condemned)
            self._packer = Packer(
                self._backend,
                self._keys,
                self._session.id,
                Compressor(compression),
                pack_size,
                self._on_stored,
            )
            self._filler = Filler(self._packer)
            self._session.on_tick = self._on_tick
            self._session.on_commit = self._keep
        except BaseException:
            self._session.end()
            raise

    def avoid(self, packs: Collection[PackName]) -> None:
        """From now on, build upon nothing that is in these packs, as if they were condemned."""
        numbers = (self._table.pack_number(name) for name in packs)
        self._excluded |= {number for number in numbers if number is not None}

    @property
    def id(self) -> SnapshotId:
        """The id of the snapshot that a commit will make."""
        return SnapshotId(self._session.id.hex())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._packer.close()
            if kind is not None:
                self.save_progress(at_end=True)
        finally:
            try:
                withdraw(self._session.id)
            finally:
                self._session.end()

    def save_progress(self, *, at_end: bool = False) -> None:
        """Tell the index of what an interrupted backup has stored, for the next to build upon.

        Args:
            at_end: the session ends, and is not to be kept waiting.
        """
        try:
            self._write_index(at_end=at_end)
        except HoldfastError as error:
            _log.warning("what this backup had stored already is not in the index: %s", error)

    # What is stored

    def save_data(self, content: memoryview, group: Group) -> BlobId:
        """Store a blob of a file unless it is stored already.

        Args:
            content: the plaintext, copied if it must be kept.
            group: what may share a segment with it.
        """
        return self._save(Kind.DATA, content, group)

    def save_known(self, blob: BlobId, content: memoryview, group: Group) -> None:
        """As `save_data`, when another writer that names blobs alike has said what its id is."""
        if blob not in self._pending and not self._is_stored(blob):
            self._add(Kind.DATA, blob, content, group)

    def save_tree(self, data: bytes) -> BlobId:
        """Store a blob of metadata unless it is stored already."""
        return self._save(Kind.TREE, memoryview(data), TREES)

    def move(self, kind: Kind, blob: BlobId, content: memoryview, group: Group) -> None:
        """Store a blob anew, wherever else it is, unless this session has stored it.

        Args:
            kind: what it is.
            blob: its id, which the content was just verified against.
            content: the plaintext, copied if it must be kept.
            group: what may share a segment with it.
        """
        if blob not in self._pending and not self._is_own(blob):
            self._add(kind, blob, content, group)

    def has(self, blobs: Iterable[BlobId]) -> bool:
        """Whether all these blobs are stored where this backup may build upon them."""
        missing = self._table.missing(list(blobs), self._excluded, self._used)
        return all(blob in self._pending or self._is_own(blob) for blob in missing)

    def _is_own(self, blob: BlobId) -> bool:
        """Whether this session has stored a blob, in a pack that still counts."""
        return bool(self._own_packs) and self._own.known(blob, self._own_gone) >= 0

    def _is_stored(self, blob: BlobId) -> bool:
        if self._is_own(blob):
            return True
        pack = self._table.known(blob, self._excluded)
        if pack < 0:
            return False
        self._used.add(pack)
        return True

    def _save(self, kind: Kind, content: memoryview, group: Group) -> BlobId:
        blob = BlobId(keyed(self._id_keys[kind], content))
        if blob not in self._pending and not self._is_stored(blob):
            self._add(kind, blob, content, group)
        return blob

    def _add(self, kind: Kind, blob: BlobId, content: memoryview, group: Group) -> None:
        self._pending.add(blob)
        self.added += len(content)
        self.blobs += 1
        self._filler.add(kind, blob, content, group)

    # What outposts store

    def order(self) -> Order:
        """What outposts of this session work by until its next `confirm`.

        Raises:
            UsageError: only this process can use the storage.
        """
        with self._lock:
            avoid = {self._own.pack(number).name for number in self._own_gone}
        avoid |= {
            self._table.pack(number).name
            for number in self._excluded
            if not self._table.is_removed(number)
        }
        access = store_access(self._backend, self._keys)
        session, level = self._session.id, self.compression
        return Order(access, session, level, self._pack_size, frozenset(avoid))

    def adopt(self, deposit: Deposit) -> bool:
        """Take over what an outpost of this session has stored, as if it were stored here.

        Returns:
            False when the outpost has built upon packs that this session may not build upon, so
            not all that it saved is stored. What it has stored is taken over all the same.
        """
        for info in deposit.packs:
            news = [blob.length for blob in info.blobs if not self._is_own(blob.id)]
            self.blobs += len(news)
            self.added += sum(news)
            self._take_over(info)
        return self._may_use(deposit.used)

    def _may_use(self, packs: Collection[PackName]) -> bool:
        """Build upon packs too, unless any is not to be built upon: they will be confirmed."""
        with self._lock:
            own = {name: self._own.pack_number(name) for name in packs}
        others = [name for name, number in own.items() if number is None]
        if any(number in self._own_gone for number in own.values()):
            return False
        if any(self._table.pack_number(name) is None for name in others):
            self._catalog.refresh()  # the outpost has read the index later
        numbers = {self._table.pack_number(name) for name in others}
        usable = {
            number
            for number in numbers
            if number is not None
            and number not in self._excluded
            and not self._table.is_removed(number)
        }
        if len(usable) < len(others):
            return False
        self._used |= usable
        return True

    # Packs and index objects

    def _on_stored(self, info: PackInfo, pack: memoryview) -> None:
        self._metadata.put_trees(info, pack)
        self._take_over(info)

    def _take_over(self, info: PackInfo) -> None:
        """Take in a pack that was stored, and tell the index of it when that is due."""
        with self._lock:
            self._own.add_pack(info)
            self._own_packs.append(ObjectInfo(object_name(info.name), info.size))
            self._pending.difference_update(blob.id for blob in info.blobs)
            self.packed += info.size
            self.stored += info.size
            self._unindexed.append(info)
            self._stored_at = now = self._clock.monotonic()
            elapsed, since = now - self._start, now - self._indexed_at
            # Often at first, so that little is lost when a short backup is interrupted, then
            # ever more rarely, so that a long one does not leave thousands of index objects.
            if since < min(max(_FIRST_INDEX, elapsed / 3), INDEX_INTERVAL):
                return
        self._write_index()

    def _on_tick(self) -> None:
        """Let nothing that is stored, or waits to be, stay unknown for longer than the interval."""
        now = self._clock.monotonic()
        if now - self._stored_at >= INDEX_INTERVAL / 2:
            self._packer.store_open()
        if now - self._indexed_at >= INDEX_INTERVAL / 2:
            try:
                self._write_index()
            except HoldfastError as error:
                _log.warning("the index could not be written and will be later: %s", error)

    def _write_index(self, *, at_end: bool = False) -> None:
        """Tell the index of all packs that it does not know; those that fail stay for later.

        One at a time: whoever comes back from here knows that nothing is still on its way.
        """
        backend = brief(self._backend) if at_end else until(self._backend, self._packer.stopped)
        with self._indexing:
            if self._packer.stopped.is_set() and not at_end:
                return  # the end sees to it, and after that nothing may come
            with self._lock:
                packs = list(self._unindexed)
                self._indexed_at = self._clock.monotonic()
            if packs:  # else one that was taken for dead would write what nobody accepts any more
                self._check_config(backend)
            for group in _groups(packs):
                name = f"index/{random_name()}"
                data = encode_index(name, group, self._keys)
                backend.put(name, data)
                self._keep(name, data)
                with self._lock:
                    self.stored += len(data)
                    del self._unindexed[: len(group)]

    def _keep(self, name: str, data: bytes) -> None:
        self._metadata.put(name, 0, data)

    # The commit

    def flush(self) -> None:
        """Make everything durable that was saved, and tell the index of it."""
        self._filler.flush()
        self._packer.flush()
        self._write_index()

    def confirm(self) -> bool:
        """Check, after `flush` and with fresh eyes, that all this backup builds upon is there.

        Returns:
            True when it may be committed. False when packs have gone: they are no longer used,
            and after saving everything again it may be.

        Raises:
            SessionLost: this session was declared dead.
            UnsupportedRepository: the repository's settings were changed meanwhile.
        """
        if not self._session.still_announced():
            raise SessionLost(
                "this backup's session was cleared away by another client; nothing is lost: "
                "run the backup again"
            )
        condemned = condemned_packs(self._backend, self._keys)
        self._check_config(self._backend)
        gone = self._unusable(self._used, condemned)
        own_gone = self._condemned_own(condemned)
        if not gone and not own_gone:
            return True
        count = len(gone | own_gone)
        _log.warning("%d packs that this backup built upon have gone: storing anew", count)
        self._excluded |= gone
        self._own_gone |= own_gone
        self._used -= gone
        return False

    def now_ns(self) -> int:
        """What time it is, in nanoseconds since the Unix epoch."""
        return self._clock.now_ns()

    def put_label(self, record: bytes) -> str:
        """Store a label of the snapshot that a commit will make; returns its name."""
        return put_label(self._backend, self._keys, self.id, record)

    def commit(self, snapshot: bytes) -> SnapshotId:
        """Make the snapshot; only right after `confirm` returned True.

        Raises:
            SessionLost: this session was declared dead.
        """
        return self._session.commit(snapshot)

    def _unusable(self, numbers: Iterable[int], condemned: set[PackName]) -> set[int]:
        """Which of these packs are condemned, absent or of a wrong size.

        Raises:
            DamagedRepository: a pack that this session stored is not there as it was stored.
        """
        wanted: dict[str, tuple[int, int]] = {}
        gone: set[int] = set()
        for number in numbers:
            row = self._table.pack(number)
            if row.name in condemned:
                gone.add(number)
            else:
                wanted[object_name(row.name)] = (number, row.size)
        own = dict(self._own_packs)
        for info in self._backend.list("data/"):
            # One may be both: others may have read the index objects of this session already.
            if wanted.get(info.name, (0, -1))[1] == info.size:
                del wanted[info.name]
            if own.get(info.name) == info.size:
                del own[info.name]
        for name in own:
            raise DamagedRepository(
                name, "was stored a moment ago and has vanished", "check the storage"
            )
        return gone | {number for number, _ in wanted.values()}

    def _condemned_own(self, condemned: set[PackName]) -> set[int]:
        """Packs of this session that somebody who thought it dead will delete; now forgotten."""
        if not condemned:
            return set()
        gone = {n for n, row in enumerate(self._own.pack_rows()) if row.name in condemned}
        names = {object_name(self._own.pack(number).name) for number in gone}
        self._own_packs = [pack for pack in self._own_packs if pack.name not in names]
        return gone - self._own_gone

    def _check_config(self, backend: Backend) -> None:
        if f"config/{newest_config(backend)}" != self._config:
            raise UnsupportedRepository(
                "the repository's settings were changed since it was opened, so there is no "
                "snapshot: open the repository again and run the backup again"
            )


def _groups(packs: list[PackInfo]) -> Iterable[list[PackInfo]]:
    group: list[PackInfo] = []
    rows = 0
    for pack in packs:
        if group and rows + len(pack.blobs) > OBJECT_ROWS:
            yield group
            group, rows = [], 0
        group.append(pack)
        rows += len(pack.blobs)
    if group:
        yield group
