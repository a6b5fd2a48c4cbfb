"""Repair the index: from the packs, whose trailers say all that it says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from holdfast.errors import DamagedRepository
from holdfast.model.snapshot import Snapshot
from holdfast.operations.hurt import Hurt, Hurts
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Shown, Table, columns, table_of
from holdfast.primitives.ids import PackName
from holdfast.progress import Progress
from holdfast.store import BlobSet, Damage, PackInfo, Store


@dataclass(frozen=True, slots=True)
class LostPack(Row):
    """A missing pack that snapshots need.

    Attributes:
        pack: name of its object.
        hurts: these snapshots.
    """

    pack: str
    hurts: tuple[Hurt, ...]

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        pack=Kind.ID, snapshots=Kind.COUNT, paths=Kind.COUNT
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {"pack": self.pack, "hurts": [hurt.dict() for hurt in self.hurts]}

    @override
    def _row(self) -> tuple[Cell, ...]:
        return self.pack, len(self.hurts), sum(hurt.count for hurt in self.hurts)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRepair(Shown):
    """What a repair of the index did; of a dry run, what it would do.

    Attributes:
        dry_run: whether nothing was done.
        indexed: packs that no index object told of, and that one tells of now.
        unreadable: packs that no index object tells of and that cannot say what is in them.
        at_work: packs of sessions at work, which will tell the index themselves: left alone.
        deleted: index objects that could not be read, and that nobody needs any more.
        kept: index objects that cannot be read, and that may tell of packs that nothing else
            tells of.
        missing: packs that were told of and are not there; they are told of no more.
        lost: what is lost with them.
    """

    dry_run: bool
    indexed: tuple[str, ...] = ()
    unreadable: tuple[Damage, ...] = ()
    at_work: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    lost: tuple[LostPack, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return bool(self.indexed or self.deleted or self.missing)

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "dry_run": self.dry_run,
            "changed": self.changed,
            "indexed": list(self.indexed),
            "unreadable": [{"object": d.object, "problem": d.problem} for d in self.unreadable],
            "at_work": list(self.at_work),
            "deleted": list(self.deleted),
            "kept": list(self.kept),
            "missing": list(self.missing),
            "lost": [pack.dict() for pack in self.lost],
        }

    @override
    def _table(self) -> Table:
        found: dict[str, tuple[str, ...]] = {
            "indexed": self.indexed,
            "unreadable": tuple(each.object for each in self.unreadable),
            "at work": self.at_work,
            "deleted": self.deleted,
            "kept": self.kept,
            "missing": self.missing,
        }
        rows = [(name, object_) for name, objects in found.items() for object_ in objects]
        verb = "what would be done" if self.dry_run else "what was done"
        caption = f"Repair of the index: {verb if self.changed else 'nothing to do'}"
        parts = (table_of(LostPack, self.lost, "What is lost"),) if self.lost else ()
        return Table(columns(state=Kind.TEXT, object=Kind.PATH), rows, caption, parts=parts)


def repair_index(
    store: Store, snapshots: Sequence[Snapshot], progress: Progress, *, dry_run: bool
) -> IndexRepair:
    """Tell the index of all packs, and of nothing else.

    Args:
        store: the repository.
        snapshots: those whose losses are told.
        progress: told of every pack that is read.
        dry_run: only find out what would be done.

    Raises:
        DamagedRepository: the storage does not list what it holds; nothing was changed.
        BackendError: the storage fails, or refuses.
    """
    store.check_current()
    survey = store.survey_index()
    unindexed = survey.unindexed
    progress.expect(len(unindexed), 0)
    indexed: list[str] = []
    unreadable: list[Damage] = []

    def found() -> Iterator[PackInfo]:
        for info in store.read_trailers(unindexed.items()):
            progress.advance(1, 0)
            if isinstance(info, DamagedRepository):
                unreadable.append(Damage(info.object, info.problem))
            else:
                indexed.append(store.pack_object(info.name))
                yield info

    if dry_run:
        table = store.catalog.refresh()
        for info in found():
            table.add_pack(info)  # for this process to see what is lost all the same
    else:
        store.put_index(found())
    progress.finish()
    bad = tuple(sorted(survey.unreadable))
    is_covered = not unreadable and not survey.at_work
    lost = tuple(_lost(store, snapshots, survey.missing)) if survey.missing else ()
    if not dry_run:
        store.clear_index(bad if is_covered else (), survey.missing)
    return IndexRepair(
        dry_run=dry_run,
        indexed=tuple(indexed),
        unreadable=tuple(unreadable),
        at_work=tuple(map(store.pack_object, sorted(survey.at_work))),
        deleted=bad if is_covered else (),
        kept=() if is_covered else bad,
        missing=tuple(map(store.pack_object, sorted(survey.missing))),
        lost=lost,
    )


def _lost(
    store: Store, snapshots: Sequence[Snapshot], missing: frozenset[PackName]
) -> Iterator[LostPack]:
    """Whom the missing packs hurt, as long as the index tells what they held."""
    table = store.catalog.refresh()
    gone = {number for name in missing if (number := table.pack_number(name)) is not None}
    lost = {
        blob: store.pack_object(table.pack(at.pack).name)
        for blob, at in table.rows()
        if at.pack in gone and table.known(blob, gone) < 0
    }
    hurts: defaultdict[str, list[Hurt]] = defaultdict(list)
    with store.loader() as loader:
        finder = Hurts(lost, loader, BlobSet(table))
        for snapshot in snapshots:
            for where, hurt in finder.of(snapshot).items():
                hurts[where].append(hurt)
    return (LostPack(where, tuple(hurts[where])) for where in sorted(hurts))
