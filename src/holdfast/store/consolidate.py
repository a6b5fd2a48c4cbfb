"""Few index objects instead of many, without the rows of packs that are gone (F53, F56).

The merged object is put and read back before what it replaces is deleted, so at every moment all
rows are readable. Several may do this at once: each deletes only what it has read and stored
again, so at worst a row is told twice, until the next time. Whoever finds that another has begun
to delete the same objects takes its own back: an old one that slept for days would only tell
again of packs that were removed meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from holdfast.backend import Backend, ObjectInfo
from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.primitives.ids import PackName, random_name
from holdfast.store.index import (
    OBJECT_ROWS,
    SEGMENT_ROW,
    IndexObject,
    decode_index,
    encode_object,
    read_head,
)
from holdfast.store.keys import Keys
from holdfast.store.objects import (
    OBJECT_LIMIT,
    KeysRotated,
    is_object,
    newest_config,
    objects,
    read_object,
)
from holdfast.store.table import Table

_log = logging.getLogger(__name__)

RECORDS_KEPT = 1 << 14
"""Removed packs that are remembered although nothing tells of them; 75 bytes each."""

SMALL_KEPT = 8
"""Small index objects that are not worth merging."""

_ROUNDS = 5
"""How often the list is read again when it shows new names."""


@dataclass(frozen=True, slots=True)
class ConsolidateResult:
    """What was done to the index.

    Attributes:
        objects_before, objects_after: number of index objects, damaged ones too.
        packs_dropped: packs that no index object tells of any more.
        records_dropped: removed packs that are not remembered any more.
        damaged: index objects that cannot be read, by name, and were left alone.
    """

    objects_before: int
    objects_after: int
    packs_dropped: int
    records_dropped: int
    damaged: Mapping[str, DamagedRepository]


@dataclass(frozen=True, slots=True)
class Summary:
    """What an index object tells of, without its rows.

    Attributes:
        name: of the object.
        size: bytes.
        rows: number of blobs, counted once for each place.
        packs: the packs that it tells of.
        removed: the packs that it says are removed.
    """

    name: str
    size: int
    rows: int
    packs: tuple[PackName, ...] = field(repr=False)
    removed: frozenset[PackName] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Overview:
    """All index objects.

    Attributes:
        objects: those that are readable.
        damaged: by name, what is wrong with the others.
        is_complete: whether the last listing showed nothing that was not read.
    """

    objects: Sequence[Summary]
    damaged: Mapping[str, DamagedRepository]
    is_complete: bool

    def removed(self) -> set[PackName]:
        """All packs that were removed."""
        return set[PackName]().union(*(each.removed for each in self.objects))


def read_heads(backend: Backend, keys: Keys) -> Overview:
    """Read the heads of all index objects.

    Raises:
        BackendError: the storage fails.
    """
    found: dict[str, Summary] = {}
    damaged: dict[str, DamagedRepository] = {}
    for _ in range(_ROUNDS):
        listed = {info.name: info for info in objects(backend, "index/")}
        news = listed.keys() - found.keys() - damaged.keys()
        for name in sorted(news):
            try:
                found[name] = _summary(backend, listed[name], keys)
            except DamagedRepository as error:
                damaged[name] = error.with_traceback(None)
            except ObjectNotFound:
                continue  # merged into another object, which the next list shows
        if not news:
            return Overview([found[name] for name in sorted(found)], damaged, is_complete=True)
    return Overview([found[name] for name in sorted(found)], damaged, is_complete=False)


def _summary(backend: Backend, info: ObjectInfo, keys: Keys) -> Summary:
    if info.size <= OBJECT_LIMIT:
        with contextlib.suppress(DamagedRepository):
            head = read_head(backend, info.name, info.size, keys)
            packs = tuple(row.name for row in head.packs)
            return Summary(info.name, info.size, head.rows, packs, head.removed)
    index = read_object(backend, info.name, partial(_decode, keys), size=info.size)
    packs = tuple(row.name for row in index.packs)
    return Summary(info.name, info.size, index.rows, packs, index.removed)


def consolidate(
    backend: Backend, keys: Keys, *, gone: Collection[PackName] = ()
) -> ConsolidateResult:
    """Merge small index objects, and leave out what tells of removed packs.

    An object that cannot be read is never deleted. Interrupted at any point it leaves an index
    that tells of the same.

    Args:
        backend: where the repository is.
        keys: of the repository.
        gone: packs whose rows are left out too: the index told of them, and a listing that was
            made later lacked them.

    Raises:
        DamagedRepository: what was just stored cannot be read back; nothing it was to replace
            was deleted.
        KeysRotated: the keys were rotated meanwhile.
        BackendError: the storage fails.
    """
    overview = read_heads(backend, keys)
    plan = _Plan(overview, gone, _forgettable(backend, overview))
    work = _Work(backend, keys, plan)
    for batch in plan.batches():
        work.replace(batch)
    before = len(overview.objects) + len(overview.damaged)
    return ConsolidateResult(
        objects_before=before,
        objects_after=before - work.deleted + work.stored,
        packs_dropped=len(work.packs_dropped),
        records_dropped=len(work.records_dropped),
        damaged=overview.damaged,
    )


def _forgettable(backend: Backend, overview: Overview) -> set[PackName]:
    """The removed packs that need not be remembered: when there are many, those gone for good.

    A sleeping client may still bring rows of them back. Nothing is ever read from packs that are
    not there, but a check would call them missing; so some are remembered for its sake.
    """
    removed = overview.removed()
    if len(removed) <= RECORDS_KEPT or overview.damaged or not overview.is_complete:
        return set()
    # A session that sleeps may yet put a pack of that name once more, and tell the index of it.
    sessions = {
        info.name.rpartition("/")[2][:8]
        for folder in ("sessions/", "snapshots/")
        for info in objects(backend, folder)
    }
    removed = {pack for pack in removed if pack.rpartition("-")[2] not in sessions}
    removed.difference_update(*(each.packs for each in overview.objects))
    for info in backend.list("data/"):
        if is_object(info.name):
            removed.discard(PackName(info.name.rpartition("/")[2]))
    return removed


class _Plan:
    """Which objects are to be replaced, and which of them by one."""

    def __init__(
        self, overview: Overview, gone: Iterable[PackName], forgettable: Collection[PackName]
    ) -> None:
        self._objects = overview.objects
        self.dropped = overview.removed().union(gone)
        self.forgettable = forgettable
        times = Counter(pack for each in self._objects for pack in each.packs)
        self._repeated = {pack for pack, told in times.items() if told > 1}
        small = [each for each in self._objects if _is_small(each)]
        fewest = sum(each.rows for each in small) // OBJECT_ROWS + 1
        self._merges_small = len(small) > max(SMALL_KEPT, 2 * fewest)

    def batches(self) -> list[list[Summary]]:
        """The objects to replace, in groups that fit into one object each."""
        batches: list[list[Summary]] = []
        place: dict[PackName, int] = {}
        wanted = [each for each in self._objects if self._is_wanted(each)]
        for each in sorted(wanted, key=lambda each: (-each.rows, each.name)):
            # Objects that tell of the same packs belong together, others beside the last one.
            at = next((place[pack] for pack in each.packs if pack in place), len(batches) - 1)
            if at < 0 or not _fits(batches[at], each):
                at = len(batches)
                batches.append([])
            batches[at].append(each)
            for pack in each.packs:
                place.setdefault(pack, at)
        return [batch for batch in batches if self.is_worthwhile(batch)]

    def _is_wanted(self, each: Summary) -> bool:
        return (
            (self._merges_small and _is_small(each))
            or self._lessens(each)
            or not self._repeated.isdisjoint(each.packs)
        )

    def _lessens(self, each: Summary) -> bool:
        """Whether the object becomes shorter by itself."""
        return not self.dropped.isdisjoint(each.packs) or not each.removed.isdisjoint(
            self.forgettable
        )

    def is_worthwhile(self, batch: Sequence[Summary]) -> bool:
        """Whether it is better to replace these than to leave them alone."""
        times = Counter(pack for each in batch for pack in each.packs)
        return (
            any(self._lessens(each) for each in batch)
            or any(told > 1 for told in times.values())
            or (self._merges_small and sum(_is_small(each) for each in batch) > 1)
        )


def _is_small(each: Summary) -> bool:
    return each.rows < OBJECT_ROWS // 2


def _fits(batch: Sequence[Summary], more: Summary) -> bool:
    told = {pack for each in batch for pack in each.packs}
    new = sum(pack not in told for pack in more.packs)
    rows = sum(each.rows for each in batch) + more.rows * new // max(len(more.packs), 1)
    size = sum(each.size for each in batch) + more.size
    return rows <= OBJECT_ROWS and size <= OBJECT_LIMIT // 2


class _Work:
    """Replaces objects, one group at a time."""

    def __init__(self, backend: Backend, keys: Keys, plan: _Plan) -> None:
        self._backend = backend
        self._keys = keys
        self._plan = plan
        self.stored = self.deleted = 0
        self.packs_dropped: set[PackName] = set()
        self.records_dropped: set[PackName] = set()

    def replace(self, batch: Sequence[Summary]) -> None:
        """Put one object for all of a group, then delete those."""
        sources = {each.name: index for each in batch if (index := self._read(each)) is not None}
        found = [each for each in batch if each.name in sources]
        if not found or not self._plan.is_worthwhile(found):
            return
        merged = merged_object(sources.values(), self._plan.dropped, self._plan.forgettable)
        name = f"index/{random_name()}"
        if (merged.packs or merged.removed) and not self._store(name, merged):
            return
        self._check_keys(name)
        if not self._are_all_there(sources):
            self._delete(name)
            return
        self.stored += bool(merged.packs or merged.removed)
        for source in sources:
            self._delete(source)
            self.deleted += 1
        for index in sources.values():
            self.packs_dropped |= self._plan.dropped.intersection(row.name for row in index.packs)
            self.records_dropped |= index.removed - merged.removed

    def _read(self, each: Summary) -> IndexObject | None:
        decode = partial(_decode, self._keys)
        try:
            return read_object(self._backend, each.name, decode, size=each.size)
        except ObjectNotFound:
            return None  # replaced by another client
        except DamagedRepository as error:
            _log.warning("%s", error)
            return None

    def _store(self, name: str, index: IndexObject) -> bool:
        """Store an object and read it back; returns False when it was replaced already."""
        self._backend.put(name, encode_object(name, index, self._keys))
        try:
            found = read_object(self._backend, name, partial(_decode, self._keys))
        except ObjectNotFound:
            return False
        except DamagedRepository:
            self._delete(name)
            raise
        if found != index:
            self._delete(name)
            raise DamagedRepository(name, "it does not tell what was just stored in it")
        return True

    def _check_keys(self, name: str) -> None:
        """Take back what is sealed with keys that may soon not be accepted any more."""
        if (newest_config(self._backend) or 0) > self._keys.config:
            self._delete(name)
            raise KeysRotated(
                f"the settings or keys of {self._backend.location} were changed since it was "
                "opened: open it again"
            )

    def _are_all_there(self, names: Iterable[str]) -> bool:
        try:
            for name in names:
                self._backend.stat(name)
        except ObjectNotFound:
            return False
        return True

    def _delete(self, name: str) -> None:
        with contextlib.suppress(ObjectNotFound):
            self._backend.delete(name)


def _decode(keys: Keys, name: str, data: bytes) -> IndexObject:
    return decode_index(name, data, keys)


def merged_object(
    sources: Collection[IndexObject],
    dropped: Container[PackName],
    forgotten: Collection[PackName] = (),
) -> IndexObject:
    """One object that tells what several do.

    Args:
        sources: these.
        dropped: packs that it does not tell of.
        forgotten: removed packs that it does not remember.
    """
    table = Table()
    table.remove(row.name for each in sources for row in each.packs if row.name in dropped)
    table.add_objects(list(sources))
    table.flatten()
    kept = [number for number in range(len(table.packs)) if not table.is_removed(number)]
    numbers = {number: at for at, number in enumerate(kept)}
    run = table.base
    return IndexObject(
        packs=[table.pack(number) for number in kept],
        segments=b"".join(
            SEGMENT_ROW.pack(numbers[pack], *rest)
            for pack, *rest in table.segments.unpacked(SEGMENT_ROW)
        ),
        ids=bytearray(run.id_bytes(0, run.rows)),
        places=bytearray(run.places),
        removed=frozenset[PackName]()
        .union(*(each.removed for each in sources))
        .difference(forgotten),
    )
