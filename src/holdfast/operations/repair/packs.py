"""Repair packs: what can still be read of damaged packs is stored anew, and they are condemned.

Nothing is changed or deleted here. A condemned pack may still be read, is built upon by nobody,
and goes with the next prune, which first makes sure that all that is needed of it is elsewhere
(docs/format.md, F54 and F55). So a repair may end at any point, and be run again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from holdfast.errors import DamagedRepository
from holdfast.model.roles import BlobLoader
from holdfast.model.snapshot import Snapshot
from holdfast.operations.confirm import confirmed
from holdfast.operations.hurt import Hurt, Hurts
from holdfast.overrides import override
from holdfast.present import Column, Row, Shown, Table, columns, count, record_of, size, table_of
from holdfast.present import Kind as As
from holdfast.primitives.ids import BlobId, PackName
from holdfast.progress import Progress
from holdfast.store import (
    Account,
    BlobSet,
    Group,
    Kind,
    Loader,
    Rehearsal,
    Store,
    Writer,
    indexed,
)

_log = logging.getLogger(__name__)

_BATCH = 16
"""Packs whose rows are held in memory at a time."""


@dataclass(frozen=True, slots=True)
class PackRepair(Row):
    """What became of what a damaged or missing pack held.

    Attributes:
        pack: name of its object.
        problem: what is wrong with it.
        blobs: how many it held.
        salvaged: those that could be read from damaged packs.
        elsewhere: those of which another pack has a good copy.
        supplied: those that the other repository gave.
        lost: those that could not be had anywhere.
    """

    pack: str
    problem: str
    blobs: int
    salvaged: int
    elsewhere: int
    supplied: int
    lost: int

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(
            pack=As.ID,
            problem=As.TEXT,
            blobs=As.COUNT,
            salvaged=As.COUNT,
            elsewhere=As.COUNT,
            supplied=As.COUNT,
            lost=As.COUNT,
        ),
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return record_of(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRepairs(Shown):
    """What a repair of packs did; of a dry run, what it would do.

    Attributes:
        dry_run: whether nothing was done.
        packs: the damaged and missing packs.
        stored: bytes of the packs that were written.
        hurts: what is lost for good, unless a backup of the same data brings it back.
    """

    dry_run: bool
    packs: tuple[PackRepair, ...] = ()
    stored: int = 0
    hurts: tuple[Hurt, ...] = ()

    @property
    def lost(self) -> int:
        """How many blobs are lost."""
        return sum(pack.lost for pack in self.packs)

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "dry_run": self.dry_run,
            "packs": [pack.dict() for pack in self.packs],
            "stored": self.stored,
            "lost": self.lost,
            "hurts": [hurt.dict() for hurt in self.hurts],
        }

    @override
    def _table(self) -> Table:
        verb = "would be mended" if self.dry_run else "mended"
        caption = f"Repair of packs: {count(len(self.packs), 'pack')} {verb}"
        told = f"{count(self.lost, 'blob')} lost; {size(self.stored)} stored anew"
        parts = (table_of(Hurt, self.hurts, "What is lost for good"),) if self.hurts else ()
        return table_of(PackRepair, self.packs, caption, (told,), parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackRepairOptions:
    """How packs are repaired.

    Attributes:
        about: what the session says of itself.
        dry_run: only find out what would be done.
        source: where else blobs may be had: of a repository with the same dedup secret.
    """

    about: dict[str, object]
    dry_run: bool = True
    source: BlobLoader | None = None


def repair_packs(
    store: Store,
    problems: Mapping[PackName, str],
    snapshots: Sequence[Snapshot],
    options: PackRepairOptions,
    progress: Progress,
) -> PackRepairs:
    """Store anew what damaged packs held, and condemn them.

    Args:
        store: the repository.
        problems: the packs that are damaged or missing, and what is wrong with each.
        snapshots: those whose losses are told.
        options: how.
        progress: told of every pack.

    Raises:
        DamagedRepository: packs keep vanishing while they are built upon, or an announcement of a
            reclaim cannot be read.
        BackendError: the storage fails, or refuses; nothing is taken for lost because of that.
    """
    store.check_current()
    if not problems:
        return PackRepairs(dry_run=options.dry_run)
    with store.loader() as loader:
        return _Repair(store, problems, loader, options, progress).run(snapshots)


class _Repair:
    def __init__(
        self,
        store: Store,
        problems: Mapping[PackName, str],
        loader: Loader,
        options: PackRepairOptions,
        progress: Progress,
    ) -> None:
        self._store = store
        self._problems = dict(problems)
        self._loader = loader
        self._options = options
        self._progress = progress
        self._table = store.catalog.refresh()
        self._condemned = store.condemned()
        self._listed = store.list_packs().packs
        self._salvaged = BlobSet(self._table)
        self._kept: set[PackName] = set()
        self._lost: dict[BlobId, str] = {}

    def run(self, snapshots: Sequence[Snapshot]) -> PackRepairs:
        self._find_bad_copies()
        keeper: Writer | Rehearsal
        if self._options.dry_run:
            with self._store.rehearsal() as keeper:
                keeper.avoid(self._problems)
                packs = self._store_anew(keeper)
                stored = 0
        else:
            with self._store.writer(self._options.about, avoid=self._problems) as keeper:
                packs = confirmed(keeper, lambda: self._store_anew(keeper))
                stored = keeper.stored
                self._condemn(packs, keeper.id)
        self._progress.finish()
        hurts = tuple(self._hurts(snapshots)) if self._lost else ()
        return PackRepairs(
            dry_run=self._options.dry_run, packs=tuple(packs), stored=stored, hurts=hurts
        )

    def _accounts(self) -> Iterator[tuple[PackName, list[Account]]]:
        """Each of the packs, with what the index and it itself say of it."""
        packs = sorted(self._problems)
        for start in range(0, len(packs), _BATCH):
            batch = packs[start : start + _BATCH]
            told = indexed(self._table, batch)
            for pack in batch:
                own = self._store.own_account(pack)
                yield pack, [each for each in (told.get(pack), own) if each is not None]

    # What else is damaged

    def _find_bad_copies(self) -> None:
        """See to it that a copy which is relied upon is good: a bad one's pack is damaged too."""
        avoid = {
            number
            for number, row in enumerate(self._table.pack_rows())
            if row.name in self._problems
            or row.name in self._condemned
            or self._listed.get(row.name) != row.size
        }
        looked_at: set[PackName] = set()
        while looked_at != self._problems.keys():
            for pack, accounts in self._accounts():
                if pack not in looked_at:
                    looked_at.add(pack)
                    for blob in _blobs(accounts):
                        self._look_at_copies(blob, avoid)

    def _look_at_copies(self, blob: BlobId, avoid: set[int]) -> None:
        while any(at.pack not in avoid for at in self._table.locate(blob)):
            try:
                self._loader.load_outside(blob, avoid)
            except DamagedRepository as error:
                name = PackName(error.object.rpartition("/")[2])
                number = self._table.pack_number(name)
                if number is None or number in avoid:
                    return
                _log.warning("%s", error)
                avoid.add(number)
                self._problems[name] = error.problem
            else:
                return

    # Storing

    def _store_anew(self, keeper: Writer | Rehearsal) -> list[PackRepair]:
        self._progress.expect(len(self._problems), 0)
        for pack, accounts in self._accounts():
            for found in self._store.salvage(pack, accounts):
                # What shared a segment because of its owner still does.
                _save(_Held(found.kind, (pack, found.segment)), found.content, keeper)
                self._salvaged.add(found.id)
            self._progress.advance(1, 0, pack)
        self._lost.clear()
        return [self._complete(pack, accounts, keeper) for pack, accounts in self._accounts()]

    def _complete(
        self, pack: PackName, accounts: Sequence[Account], keeper: Writer | Rehearsal
    ) -> PackRepair:
        """Look elsewhere for what could not be salvaged of a pack, and count."""
        where = self._store.pack_object(pack)
        salvaged = elsewhere = supplied = lost = 0
        blobs = _blobs(accounts)
        for blob, held in blobs.items():
            if blob in self._salvaged:
                salvaged += 1
            # A condemned pack that has it is built upon by nobody, but may still be read.
            elif keeper.has((blob,)) or _take(blob, held, self._loader, keeper):
                elsewhere += 1
            elif _take(blob, held, self._options.source, keeper):
                supplied += 1
            else:
                lost += 1
                self._lost[blob] = where
        is_unknown = not blobs and self._store.is_as_stored(pack)
        if is_unknown or self._store.lacks_keys(pack, accounts):
            self._kept.add(pack)
        problem = self._problems[pack]
        return PackRepair(where, problem, len(blobs), salvaged, elsewhere, supplied, lost)

    def _condemn(self, packs: Iterable[PackRepair], own: str) -> None:
        """Let nobody build upon the damaged packs any more, and the next prune delete them.

        A missing pack is left alone: somebody may put it back. So is one for which keys are
        missing, for they may turn up.
        """
        names = []
        for repair in packs:
            name = PackName(repair.pack.rpartition("/")[2])
            if name not in self._listed or name in self._condemned:
                continue
            if name in self._kept:
                _log.error("%s: it is keys that are missing, so it stays", repair.pack)
                continue
            names.append(name)
        if names:
            reclaim = self._store.reclaim(self._options.about, math.inf)
            with reclaim.guarded(own):
                reclaim.condemn(names)

    # What is lost

    def _hurts(self, snapshots: Sequence[Snapshot]) -> Iterator[Hurt]:
        table = self._store.catalog.refresh()
        loader = _WithSource(self._loader, self._options.source)
        finder = Hurts(self._lost, loader, BlobSet(table))
        for snapshot in snapshots:
            yield from finder.of(snapshot).values()


class _Held(NamedTuple):
    """What a blob is, and what it shared a segment with: with that it may share one again."""

    kind: Kind
    group: Group


def _blobs(accounts: Iterable[Account]) -> dict[BlobId, _Held]:
    return {
        blob: _Held(account.kind, (account.name, ordinal))
        for account in accounts
        for ordinal, blob in account.blobs()
    }


def _take(blob: BlobId, held: _Held, source: BlobLoader | None, keeper: Writer | Rehearsal) -> bool:
    """Store a blob anew from where it can be read; returns False when it cannot."""
    if source is None:
        return False
    try:
        content = source.load(blob)
    except DamagedRepository as error:
        _log.info("%s", error)
        return False
    _save(held, memoryview(content), keeper)
    return True


def _save(held: _Held, content: memoryview, keeper: Writer | Rehearsal) -> None:
    if held.kind is Kind.TREE:
        keeper.save_tree(bytes(content))
    else:
        keeper.save_data(content, held.group)


class _WithSource:
    """Reads what a repository lacks from another."""

    def __init__(self, loader: BlobLoader, source: BlobLoader | None) -> None:
        self._loader = loader
        self._source = source

    def load(self, blob: BlobId) -> bytes:
        """See `BlobLoader.load`."""
        try:
            return self._loader.load(blob)
        except DamagedRepository:
            if self._source is None:
                raise
            return self._source.load(blob)

    def prefetch(self, blobs: Iterable[BlobId]) -> None:
        """See `BlobLoader.prefetch`."""
        self._loader.prefetch(blobs)
