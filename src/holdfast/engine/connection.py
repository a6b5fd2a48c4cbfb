"""What all verbs share: the open store, and finding the snapshot that a name means."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from holdfast.clock import Clock
from holdfast.closing import Closing
from holdfast.errors import DamagedRepository, SnapshotNotFound
from holdfast.model.select import Filter, ordered, parse_spec, resolve
from holdfast.model.snapshot import Snapshot, decode_snapshot, is_snapshot_id
from holdfast.operations.labels import with_labels, with_own_labels
from holdfast.overrides import override
from holdfast.present import Rows, rows_of
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.progress import Progress
from holdfast.store import Store

if TYPE_CHECKING:
    from holdfast.operations.check import CheckOptions, CheckReport

_log = logging.getLogger(__name__)

PathLike: TypeAlias = str | bytes | os.PathLike[str]
Words: TypeAlias = str | Sequence[str]
"""One or several; a single string is one."""


EXPIRE_AFTER = 1800.0
"""Seconds without a sign of life after which a session is declared dead."""


class Connection(Closing):
    """An open store, and its snapshots."""

    def __init__(self, store: Store, clock: Clock) -> None:
        """Take an open store; `holdfast.open` and `holdfast.init` make it."""
        self._store = store
        self._clock = clock

    @override
    def __repr__(self) -> str:
        return f"<holdfast.Repository {self.location}>"

    @override
    def close(self) -> None:
        """Let go of the storage, after all work in other threads has ended."""
        self._store.close()

    @property
    def location(self) -> str:
        """Where the repository is."""
        return self._store.backend.location

    @property
    def id(self) -> str:
        """The repository's id: 32 hexadecimal digits."""
        return self._store.keys.repository.hex()

    def snapshots(
        self,
        host: str | None = None,
        tags: Words | None = None,
        paths: Words | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Rows[Snapshot]:
        """The snapshots, oldest first.

        A snapshot that is damaged is left out and logged; `check` names it.

        Args:
            host: only those of this host.
            tags: only those with all of these tags.
            paths: only backups of all of these paths.
            since: only those begun then or later; in the local zone unless it is aware.
            until: only those begun then or earlier; likewise.
        """
        wanted = Filter(
            host=host,
            tags=words(tags or ()),
            paths=words(paths or ()),
            since=since and since.astimezone(),
            until=until and until.astimezone(),
        )
        known, _ = self._load_snapshots()
        return rows_of(Snapshot, ordered(known, wanted), f"Snapshots in {self.location}")

    def snapshot(self, name: str) -> Snapshot:
        """One snapshot by its name (see the class).

        Raises:
            SnapshotNotFound: there is none of that name.
            AmbiguousSnapshot: several ids begin so.
            DamagedRepository: which one is meant cannot be said, because one is damaged.
        """
        return self._found(name, self._store)

    def _found(self, name: str, store: Store) -> Snapshot:
        if is_snapshot_id(name):
            data = store.snapshot(SnapshotId(name))
            if data is not None:
                found = decode_snapshot(SnapshotId(name), data)
                return with_own_labels(store, found, self._clock.now_ns())
        return resolved(name, *self._load_snapshots(store))

    def _load_snapshots(
        self, store: Store | None = None
    ) -> tuple[list[Snapshot], list[DamagedRepository]]:
        """All snapshots with their labels, and those that are damaged.

        Args:
            store: to read them from, such as `Store.afresh`; the usual one when None.
        """
        store = store or self._store
        known: list[Snapshot] = []
        damaged: list[DamagedRepository] = []
        for id_, size in store.snapshot_sizes().items():
            try:
                data = store.snapshot(id_, size)
                if data is not None:
                    known.append(decode_snapshot(id_, data))
            except DamagedRepository as error:
                _log.warning("%s", error)
                damaged.append(error)
        return with_labels(store, known, self._clock.now_ns()), damaged

    def _chosen(self, names: Sequence[str] | None, store: Store | None = None) -> list[Snapshot]:
        if names is None:
            return ordered(self._load_snapshots(store)[0], Filter())
        found = [self._found(name, store or self._store) for name in names]
        return list({each.id: each for each in found}.values())  # each once, whatever its names

    def _checked(
        self, names: Sequence[str] | None, options: CheckOptions, progress: Progress
    ) -> CheckReport:
        """Check what snapshots need, all of them when none is named; see `Repository.check`.

        Snapshots may be forgotten and their data reclaimed while they are looked at. That is no
        damage: when something is found, and some have gone, the others are looked at once more.
        What is found again has another cause, however many go on being forgotten.
        """
        from holdfast.operations.check import check

        chosen: list[Snapshot] | None = None
        found: set[tuple[str, str]] = set()
        while True:
            store = self._store.afresh()
            damaged: list[DamagedRepository] = []
            if names is None:
                chosen, damaged = self._load_snapshots(store)
            elif not chosen:
                chosen = self._chosen(names, store)  # which says so, if all of them have gone
            report = check(store, chosen, damaged, options, progress)
            there = set() if report.valid else store.snapshot_sizes().keys()
            left = [snapshot for snapshot in chosen if snapshot.id in there]
            before, found = found, {(each.kind, each.object) for each in report.errors}
            if report.valid or found == before or len(left) == len(chosen):
                return report
            chosen = left

    def _named(self, name: str) -> tuple[Snapshot, bytes]:
        spec, path = parse_spec(name)
        return self.snapshot(spec), os.fsencode(path)

    def _place(self, name: str, path: PathLike) -> tuple[BlobId, bytes]:
        found, base = self._named(name)
        inner = os.path.normpath(b"/" + base + b"/" + os.fsencode(path))
        return found.tree, b"/" + inner.lstrip(b"/")


def words(given: Words) -> tuple[str, ...]:
    """One or several words, as a tuple."""
    return (given,) if isinstance(given, str) else tuple(given)


def resolved(
    name: str, known: Sequence[Snapshot], damaged: Sequence[DamagedRepository]
) -> Snapshot:
    """The snapshot that a name means; see `Connection.snapshot`."""
    try:
        found = resolve(known, name)
    except SnapshotNotFound:
        meant = [error for error in damaged if error.object.startswith(f"snapshots/{name}")]
        if meant:
            raise meant[0] from None
        raise
    if damaged and not found.id.startswith(name.lower()):
        raise DamagedRepository(
            damaged[0].object,
            f"{damaged[0].problem}, and it may be the one that {name!r} means",
            "name a snapshot by its id, or give the damaged one up: `holdfast forget --force "
            f"{damaged[0].object.rpartition('/')[2]}`",
        )
    return found
