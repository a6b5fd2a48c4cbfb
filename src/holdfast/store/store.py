"""An open repository as a store of blobs: opening, creating, and the way to its parts."""

from __future__ import annotations

import contextlib
import copy
import os
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from holdfast.backend import Backend
from holdfast.clock import Clock
from holdfast.errors import (
    DamagedRepository,
    ObjectNotFound,
    UnsupportedRepository,
    UsageError,
)
from holdfast.primitives.ids import PackName, SnapshotId
from holdfast.store import forgotten, labels, snapshots
from holdfast.store.cache import IndexCache
from holdfast.store.catalog import Catalog
from holdfast.store.config import PlainConfig, Settings
from holdfast.store.consolidate import ConsolidateResult, consolidate
from holdfast.store.forgotten import Forgotten
from holdfast.store.index import PackRow
from holdfast.store.keys import Keys
from holdfast.store.loader import Loader
from holdfast.store.metadata import NO_METADATA, CacheFolder, MetadataCache
from holdfast.store.objects import newest_config, objects
from holdfast.store.pack import PackHeader, PackInfo, object_name, parse_header
from holdfast.store.reclaim import Reclaim
from holdfast.store.rehearsal import Rehearsal
from holdfast.store.reindex import (
    IndexSurvey,
    clear_index,
    put_index,
    read_trailers,
    survey_index,
)
from holdfast.store.salvage import Account, Salvaged, is_as_stored, lacks_keys, own_account, salvage
from holdfast.store.scrub import (
    Damage,
    Listed,
    PackReader,
    list_packs,
    read_trailer,
    scrub_objects,
)
from holdfast.store.session import Session, condemned_packs
from holdfast.store.sessions import (
    ReclaimInfo,
    SessionInfo,
    clear_session,
    expire_session,
    list_reclaims,
    list_sessions,
)
from holdfast.store.sightings import Sightings
from holdfast.store.writer import Repository, Writer


class Store:
    """The content-addressed store of an open repository. Safe to use from several threads."""

    def __init__(  # noqa: PLR0913 - the parts of a store
        self,
        backend: Backend,
        keys: Keys,
        settings: Settings,
        config: tuple[str, PlainConfig],
        clock: Clock,
        cache: CacheFolder | None,
        *,
        slot: str | None = None,
    ) -> None:
        """Take the parts; the functions of `holdfast.store.opening` make them.

        Args:
            backend: where the repository is.
            keys: of the repository.
            settings: what is fixed for all writers.
            config: the config in force, by name; "" when it is lost, and then nothing is written.
            clock: for times.
            cache: where copies are kept on this machine; None for nowhere.
            slot: the key slot that opened it; None when it was the recovery key.
        """
        self.backend = backend
        self.keys = keys
        self.settings = settings
        self.slot = slot
        self._config_name, self._config = config
        self._clock = clock
        self._cache = cache
        self._pid = os.getpid()
        self._is_closed = False
        self._metadata = MetadataCache.of(cache, keys.repository, backend)
        index = IndexCache(cache.path, keys) if cache else None
        self.catalog = Catalog(backend, keys, index, self._metadata)

    def close(self) -> None:
        """Let go of the storage, after all work in other threads has ended."""
        self._is_closed = True
        self.backend.close()

    def check_usable(self) -> None:
        """Refuse to work after `close`, and in a forked child, which lacks threads (UsageError)."""
        if self._is_closed:
            raise UsageError("this repository was closed: open it again")
        if os.getpid() != self._pid:
            raise UsageError(
                "this repository was opened before the process forked: open it again in the child"
            )

    def check_current(self) -> None:
        """Refuse to write what others might not accept.

        Raises:
            UnsupportedRepository: this version cannot write here, or the settings or keys were
                changed since the repository was opened.
        """
        self.check_writable()
        if f"config/{newest_config(self.backend)}" != self._config_name:
            raise UnsupportedRepository(
                "the repository's settings were changed since it was opened: open it again"
            )

    @property
    def has_config(self) -> bool:
        """Whether the config is there, which it need not be with a recovery key."""
        return bool(self._config_name)

    @property
    def plain_config(self) -> bytes:
        """The plain part of the config."""
        return self._config.raw

    def with_config(self, keys: Keys, config: tuple[str, PlainConfig]) -> Store:
        """The same repository with other keys and the config that they are from."""
        return Store(
            self.backend, keys, self.settings, config, self._clock, self._cache, slot=self.slot
        )

    def afresh(self) -> Store:
        """The same repository read from the storage only, as a check has to see it."""
        store = copy.copy(self)
        store._metadata = NO_METADATA  # noqa: SLF001 - one of ours
        return store

    def now_ns(self) -> int:
        """Wall time in nanoseconds since the Unix epoch."""
        return self._clock.now_ns()

    def sightings(self) -> Sightings:
        """How long other sessions have been silent."""
        return Sightings(self._cache and self._cache.path, self.keys, self._clock)

    def announce(self, about: Mapping[str, object]) -> Session:
        """A session that writes neither packs nor a snapshot, begun."""
        self.check_writable()
        return Session(self.backend, self.keys, self._clock, about)

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self._clock.wait(threading.Event(), seconds)

    def check_writable(self) -> None:
        """Refuse to write what this version cannot (UnsupportedRepository); asks for nothing."""
        self.check_usable()
        if not self._config_name:
            raise UnsupportedRepository(
                "this repository has lost its config and can only be read: put it back with "
                "`holdfast key recovery --restore FILE`"
            )
        if self._config.write:
            raise UnsupportedRepository(
                f"writing to this repository takes {', '.join(self._config.write)}, which this "
                "holdfast does not know: use a newer version"
            )

    def loader(self) -> Loader:
        """A reader of blobs, to be closed after use."""
        self.check_usable()
        return Loader(self.backend, self.keys, self.catalog, self._metadata)

    def writer(
        self,
        about: Mapping[str, object],
        *,
        compression: int | None = None,
        pack_size: int | None = None,
        avoid: Collection[PackName] = (),
    ) -> Writer:
        """A writer's session, begun.

        Args:
            about: who writes, for others to see.
            compression: zstd level; the repository's own when None.
            pack_size: bytes; the repository's own when None.
            avoid: packs that nothing is to be built upon.

        Raises:
            UnsupportedRepository: it uses something that this version cannot write.
            AccessDenied: the storage is read-only.
        """
        self.check_writable()
        repository = Repository(
            self.backend,
            self.keys,
            self.settings,
            self._config_name,
            self.catalog,
            self._metadata,
            self._clock,
        )
        writer = Writer(
            repository,
            about,
            compression=self.settings.compression if compression is None else compression,
            pack_size=pack_size or self.settings.pack_size,
        )
        writer.avoid(avoid)
        return writer

    def reclaim(self, about: Mapping[str, object], expire_after: float) -> Reclaim:
        """What giving space back does with the storage; see `Reclaim` for the arguments."""
        self.check_usable()
        return Reclaim(self.backend, self.keys, self.sightings(), about, expire_after)

    def consolidate(self) -> ConsolidateResult:
        """Merge small index objects, and leave out what tells of removed packs."""
        self.check_usable()
        return consolidate(self.backend, self.keys)

    def sessions(self, *, details: bool = True) -> list[SessionInfo]:
        """Every session that has objects in the storage; see `list_sessions`."""
        self.check_usable()
        return list_sessions(self.backend, self.keys, details=details)

    def names_blobs_as(self, other: Store) -> bool:
        """Whether equal blobs have equal ids in both, as they have after `init --like`."""
        return self.keys.dedup == other.keys.dedup

    def is_reclaimed(self) -> bool:
        """Whether a reclaim has condemned packs and has not ended yet."""
        return any(True for _ in objects(self.backend, "gc/"))

    def reclaims(self) -> list[ReclaimInfo]:
        """Every reclaim in progress; see `list_reclaims`."""
        self.check_usable()
        return list_reclaims(self.backend, self.keys)

    def expire_session(self, session: SessionInfo, about: Mapping[str, object]) -> bool:
        """Declare a session dead and clear it away; False when it had committed."""
        self.check_current()
        is_dead = expire_session(self.backend, self.keys, session.id, dict(about))
        clear_session(self.backend, session)
        return is_dead

    def chunker_seed(self) -> bytes:
        """The secret that moves the cut points of this repository's files."""
        return self.keys.from_dedup("chunker seed")

    def scrub_objects(self) -> Iterator[Damage]:
        """Everything that is wrong with the objects that are no packs."""
        return scrub_objects(self.backend, self.keys)

    def list_packs(self) -> Listed:
        """The packs that are stored."""
        return list_packs(self.backend)

    def scrub_pack(self, pack: PackName) -> Damage | None:
        """Read a whole pack and verify everything in it; what is wrong, or None."""
        return self.pack_reader().damage(pack)

    def pack_reader(self, largest: int = 0) -> PackReader:
        """A reader of whole packs, of at most so many bytes for the most part."""
        return PackReader(self.backend, self.keys, largest)

    def read_trailer(self, pack: PackName, size: int) -> PackInfo:
        """What a stored pack of so many bytes says is in it; see `holdfast.store.scrub`."""
        return read_trailer(self.backend, self.keys, pack, size)

    def own_account(self, pack: PackName) -> Account | None:
        """What a pack says of itself; see `holdfast.store.salvage`."""
        return own_account(self.backend, self.keys, pack)

    def salvage(self, pack: PackName, accounts: Sequence[Account]) -> Iterator[Salvaged]:
        """Every blob of a damaged pack that can still be read; see `holdfast.store.salvage`."""
        return salvage(self.backend, self.keys, pack, accounts)

    def is_as_stored(self, pack: PackName) -> bool:
        """Whether the bytes of a pack match its name."""
        return is_as_stored(self.backend, pack)

    def lacks_keys(self, pack: PackName, accounts: Sequence[Account]) -> bool:
        """Whether it takes a master that is not known to open a pack; see `lacks_keys`."""
        return lacks_keys(self.backend, self.keys, pack, accounts)

    def survey_index(self) -> IndexSurvey:
        """What the index tells of, compared with what is there; see `survey_index`."""
        return survey_index(self.backend, self.keys)

    def read_trailers(
        self, packs: Iterable[tuple[PackName, int]]
    ) -> Iterator[PackInfo | DamagedRepository]:
        """What packs say is in them; see `holdfast.store.reindex`."""
        return read_trailers(self.backend, self.keys, packs)

    def put_index(self, packs: Iterable[PackInfo]) -> None:
        """Tell the index of packs."""
        put_index(self.backend, self.keys, packs)

    def clear_index(self, unreadable: Iterable[str], missing: Collection[PackName]) -> None:
        """Delete what nobody can read of the index, and what it tells of missing packs."""
        self.check_current()
        clear_index(self.backend, self.keys, unreadable, missing)

    def condemned(self) -> set[PackName]:
        """The packs that reclaims in progress will delete; see `condemned_packs`."""
        self.check_usable()
        return condemned_packs(self.backend, self.keys)

    def has_pack(self, pack: PackName) -> bool:
        """Whether a pack is there, whatever a list of the packs says."""
        try:
            self.backend.stat(object_name(pack))
        except ObjectNotFound:
            return False
        return True

    @staticmethod
    def pack_header(row: PackRow) -> PackHeader:
        """What the header of a pack says."""
        return parse_header(row.header, row.name)

    @staticmethod
    def pack_object(pack: PackName) -> str:
        """The name of the object that holds a pack."""
        return object_name(pack)

    def rehearsal(self) -> Rehearsal:
        """A writer that stores nothing."""
        self.check_usable()
        return Rehearsal(self.backend, self.keys, self.catalog, self.settings.compression)

    def snapshot_ids(self) -> list[SnapshotId]:
        """The ids at which there are snapshots, or markers of sessions that were declared dead."""
        return list(self.snapshot_sizes())

    def snapshot_sizes(self) -> dict[SnapshotId, int]:
        """The same ids in order, each with the size of the object in bytes."""
        self.check_usable()
        return snapshots.list_snapshots(self.backend)

    def snapshot(self, id_: SnapshotId, size: int | None = None) -> bytes | None:
        """An encoded snapshot; None when it is gone or only marks a dead session.

        Args:
            id_: its id.
            size: of the object, if `snapshot_sizes` has just told it.

        Raises:
            DamagedRepository: damaged or forged.
        """
        try:
            return snapshots.read_snapshot(self.backend, self.keys, id_, size, self._metadata)
        except ObjectNotFound:
            return None

    def delete_snapshot(self, id_: SnapshotId) -> None:
        """Remove a snapshot, which was put among the forgotten or is damaged; it may be gone.

        Where there is a damaged marker of a dead session, a good one is put in its place: without
        any, that session might commit after all.

        Raises:
            DamagedRepository: what is there marks a dead session, and has to stay.
        """
        snapshots.delete_snapshot(self.backend, self.keys, id_)

    def forgotten_ids(self) -> list[SnapshotId]:
        """The ids of forgotten snapshots; one that is a snapshot as well is just that."""
        self.check_usable()
        names = {info.name for info in objects(self.backend, forgotten.FOLDER)}
        return sorted(SnapshotId(name.removeprefix(forgotten.FOLDER)) for name in names)

    def forgotten(self, id_: SnapshotId) -> Forgotten | None:
        """A forgotten snapshot; None when it is gone.

        Raises:
            DamagedRepository: damaged or forged.
        """
        try:
            return forgotten.read_forgotten(self.backend, self.keys, id_)
        except ObjectNotFound:
            return None

    def put_forgotten(self, id_: SnapshotId, record: bytes, *, replace: bool = False) -> None:
        """Put a snapshot among the forgotten (`replace`: what is there is damaged).

        Only then may it be removed.
        """
        kept = Forgotten(record, self._clock.now_ns())
        forgotten.put_forgotten(self.backend, self.keys, id_, kept, replace=replace)

    def delete_forgotten(self, id_: SnapshotId) -> None:
        """Forget a snapshot for good; it may be gone already."""
        with contextlib.suppress(ObjectNotFound):
            self.backend.delete(forgotten.FOLDER + id_)

    def labels(self, snapshot: SnapshotId | None = None) -> dict[SnapshotId, dict[str, int]]:
        """The labels of one snapshot or of all, for each that has any: their names and sizes."""
        self.check_usable()
        return labels.list_labels(self.backend, snapshot)

    def label(self, snapshot: SnapshotId, name: str, size: int | None = None) -> bytes | None:
        """The record of a snapshot's label; None when it is gone.

        Args:
            snapshot: its id.
            name: of the label.
            size: of the object in bytes, if `labels` has just told it.

        Raises:
            DamagedRepository: damaged or forged.
        """
        where = self.label_object(snapshot, name)
        try:
            return labels.read_label(self.backend, self.keys, where, size, self._metadata)
        except ObjectNotFound:
            return None

    def put_label(self, snapshot: SnapshotId, record: bytes) -> str:
        """Store a label of a snapshot; returns its name."""
        return labels.put_label(self.backend, self.keys, snapshot, record)

    def delete_label(self, snapshot: SnapshotId, name: str) -> None:
        """Remove a label of a snapshot that is no more; it may be gone already."""
        with contextlib.suppress(ObjectNotFound):
            self.backend.delete(self.label_object(snapshot, name))

    @staticmethod
    def label_object(snapshot: SnapshotId, name: str) -> str:
        """The name of the object that is a snapshot's label."""
        return labels.label_object(snapshot, name)
