"""What is stored, what is needed of it, and whether both can be believed.

The order of the reads is the protocol's: packs, sessions, snapshots, index (F54 and before).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.model.snapshot import Snapshot
from holdfast.operations.reachable import mark
from holdfast.primitives.ids import ID_SIZE, BlobId, PackName, SnapshotId
from holdfast.progress import Progress
from holdfast.store import Kind, Loader, Location, Marks, PackRow, Reclaim, Store, Table

LoadSnapshots: TypeAlias = Callable[[], tuple[list[Snapshot], list[DamagedRepository]]]
"""Lists and reads all snapshots: those that can be read, and what is wrong with the others."""

_log = logging.getLogger(__name__)

ATTEMPTS = 3

_REFUSED = "nothing is deleted while that is so: see `holdfast validate` and `holdfast repair`"


@dataclass(slots=True)
class PackUse:
    """A pack that is listed and indexed, and what of it is needed.

    Attributes:
        row: as the index knows it.
        kind: what its blobs are.
        epoch: of the master that it is sealed under.
        stored: bytes of all its blobs, as they are stored.
        used: bytes of those that are needed and that this pack is to keep: of several copies of
            a blob one counts.
    """

    row: PackRow
    kind: Kind
    epoch: int
    stored: int = 0
    used: int = 0

    @property
    def unused(self) -> int:
        """Bytes of blobs that nobody needs, or that are elsewhere too."""
        return self.stored - self.used


@dataclass(slots=True)
class Survey:
    """What a prune goes by.

    Attributes:
        table: the index.
        marks: what the snapshots need.
        snapshots: those that there were.
        listed: the packs that are stored, with their sizes.
        condemned: packs that reclaims in progress will delete.
        live: the first 8 digits of the sessions that there are: their packs are let alone.
        uses: packs that are listed, indexed and not condemned, by their number in the table.
        leftovers: packs that no index object tells of, or that were removed, with their sizes.
        duplicates: ids of needed blobs of which there are several copies, one after another.
        strays: the same for needed blobs that are in left-overs too.
    """

    table: Table
    marks: Marks
    snapshots: dict[SnapshotId, Snapshot]
    listed: dict[PackName, int]
    condemned: frozenset[PackName]
    live: frozenset[str]
    uses: dict[int, PackUse] = field(default_factory=dict)
    leftovers: dict[PackName, int] = field(default_factory=dict)
    duplicates: bytearray = field(default_factory=bytearray)
    strays: bytearray = field(default_factory=bytearray)


def survey(
    store: Store, reclaim: Reclaim, load: LoadSnapshots, loader: Loader, progress: Progress
) -> Survey:
    """Find out what is stored and what is needed.

    Raises:
        DamagedRepository: something cannot be read, or is not where it should be, so that nobody
            can say what is needed.
    """
    for attempt in range(ATTEMPTS):
        listed = store.list_packs().packs
        live = frozenset(session.id[:8] for session in store.sessions(details=False))
        snapshots = readable_snapshots(load)
        table = store.catalog.refresh()
        refuse_problems(store)
        marks = Marks(table)
        try:
            mark(snapshots.values(), loader, marks, progress)
        except DamagedRepository as error:
            # It may have been forgotten and reclaimed by another client while we looked.
            if attempt + 1 < ATTEMPTS and readable_snapshots(load).keys() != snapshots.keys():
                continue
            raise refused(error) from error
        condemned = frozenset[PackName]().union(*reclaim.condemned().values())
        found = Survey(table, marks, snapshots, listed, condemned, live)
        _count(store, found)
        return found
    raise AssertionError  # pragma: no cover - the last attempt returns or raises


def readable_snapshots(load: LoadSnapshots) -> dict[SnapshotId, Snapshot]:
    """All snapshots, of which every one can be read."""
    snapshots, damaged = load()
    if damaged:
        raise refused(damaged[0])
    return {snapshot.id: snapshot for snapshot in snapshots}


def refuse_problems(store: Store) -> None:
    """Refuse to go on when an index object cannot be read: nobody knows what it tells of."""
    for problem in store.catalog.problems.values():
        raise refused(problem)


def refused(error: DamagedRepository) -> DamagedRepository:
    """The same error, saying that this is why nothing is deleted."""
    return DamagedRepository(error.object, error.problem, _REFUSED)


def unusable(
    table: Table, listed: Mapping[PackName, int], condemned: Collection[PackName]
) -> set[int]:
    """Numbers of the packs that are condemned, or not listed as the index knows them."""
    return {
        number
        for number, row in enumerate(table.pack_rows())
        if row.name in condemned or listed.get(row.name) != row.size
    }


def _count(store: Store, found: Survey) -> None:
    """Add up, pack by pack, what is needed."""
    table = found.table
    _check_listing(store, found)
    _begin(store, found)
    packs, stored, raw = table.segment_columns()
    uses = list(map(found.uses.get, packs))
    for blob, rows in groupby(table.columns(), key=itemgetter(0)):
        shares = [
            (use, _share(stored[segment], raw[segment], length))
            for _, segment, length in rows
            if (use := uses[segment]) is not None
        ]
        for use, share in shares:
            use.stored += share
        if blob not in found.marks:
            continue
        if len(shares) == 1:
            use, share = shares[0]
            use.used += share
        elif shares:
            found.duplicates += blob
        else:
            _refuse_lost(table.locate(blob), store, found)
    for blob in found.marks.unknown():
        if table.known(blob, ()) < 0:
            raise refused(DamagedRepository(f"blob {blob.hex()}", "the index does not know it"))
    _share_out(found)
    _look_at_leftovers(store, found)


def _begin(store: Store, found: Survey) -> None:
    """A `PackUse` for every pack that can be used, of which nothing is needed yet."""
    leave = unusable(found.table, found.listed, found.condemned)
    for number, row in enumerate(found.table.pack_rows()):
        if number not in leave and not found.table.is_removed(number):
            header = store.pack_header(row)
            found.uses[number] = PackUse(row, header.kind, header.epoch)


def _refuse_lost(places: Sequence[Location], store: Store, found: Survey) -> None:
    """Refuse to go on without a needed blob that is in no pack; condemned ones still have it."""
    names = [found.table.pack(at.pack).name for at in places]
    if not found.condemned.intersection(names):
        problem = "it is missing, and snapshots need what it held"
        raise refused(DamagedRepository(store.pack_object(names[0]), problem))


def _share_out(found: Survey) -> None:
    """Of several copies of a blob let that one count which is in the pack that is used most.

    It stays anyway, and so whole packs become free.
    """
    for blob in blobs_in(found.duplicates):
        places = (at for at in found.table.locate(blob) if at.pack in found.uses)
        best = max(places, key=lambda at: (found.uses[at.pack].used, at.pack))
        segment = best.segment
        found.uses[best.pack].used += _share(segment.stored, segment.raw, best.length)


def blobs_in(ids: bytearray) -> Iterator[BlobId]:
    """The ids that stand one after another."""
    return (BlobId(bytes(ids[at : at + ID_SIZE])) for at in range(0, len(ids), ID_SIZE))


def _look_at_leftovers(store: Store, found: Survey) -> None:
    """Find the packs that nothing tells of, and which needed blobs they hold all the same.

    What cannot be read stays: nobody knows what is in it. So does a pack whose size is not that
    of the index: it is damaged, and what can be read of it may be all that is left of a blob.
    """
    numbers = {name: found.table.pack_number(name) for name in found.listed}
    for name, number in numbers.items():
        if number is not None and found.table.is_removed(number):
            found.leftovers[name] = found.listed[name]
        elif number is None and name not in found.condemned and session_of(name) not in found.live:
            try:
                info = store.read_trailer(name, found.listed[name])
            except (DamagedRepository, ObjectNotFound) as error:
                _log.warning("a pack that nothing tells of is left alone: %s", error)
                continue
            found.leftovers[name] = found.listed[name]
            for placed in info.blobs:
                if placed.id in found.marks:
                    found.strays += placed.id


def session_of(pack: PackName) -> str:
    """The first digits of the session that a pack is of."""
    return pack.rpartition("-")[2]


def _check_listing(store: Store, found: Survey) -> None:
    """Refuse to trust a storage that does not list what it holds.

    Such listings have emptied repositories elsewhere (restic 1246).
    """
    table = found.table
    absent = [
        row
        for number, row in enumerate(table.pack_rows())
        if row.name not in found.listed and not table.is_removed(number)
    ]
    if not absent:
        return
    now = store.list_packs().packs  # a backup may have added some meanwhile
    for row in absent:
        if row.name in now:
            found.listed[row.name] = now[row.name]
            continue
        where = store.pack_object(row.name)
        try:
            store.backend.stat(where)
        except ObjectNotFound:
            continue  # really gone: it matters only if something needs it
        raise DamagedRepository(
            where,
            "the storage holds it and does not list it",
            "its listings cannot be relied upon, so nothing is deleted",
        )


def _share(stored: int, raw: int, length: int) -> int:
    """The bytes that a blob of a segment takes, of all that the segment does."""
    return -(-stored * length // max(raw, 1))
