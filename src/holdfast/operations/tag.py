"""Labelling snapshots that are there: tags, holds and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from holdfast.errors import SnapshotNotFound, UsageError
from holdfast.model.labels import Label, encode_label, labelled, next_counter
from holdfast.model.record import Record
from holdfast.model.snapshot import Hold, Snapshot, decode_snapshot
from holdfast.operations.labels import read_labels
from holdfast.overrides import override
from holdfast.present import Column, Kind, Shown, Table, count, table_of
from holdfast.primitives.ids import SnapshotId
from holdfast.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TagOptions:
    """What snapshots are to be labelled with.

    Attributes:
        host, user: who labels them.
        now_ns: what time it is.
        add: tags that they get.
        remove: tags that they lose.
        only: all the tags that they have afterwards; None leaves the others.
        hold: keeps them from being removed.
        release: end the holds that there are.
        note: a text to add.
    """

    host: str
    user: str
    now_ns: int
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    hold: Hold | None = None
    release: bool = False
    note: str | None = None

    def check(self) -> None:
        """Refuse what makes no sense (UsageError)."""
        if self.only is not None and (self.add or self.remove):
            raise UsageError("give either all tags, or those to add and to remove")
        both = [tag for tag in self.add if tag in self.remove]
        if both:
            raise UsageError(f"the tag {both[0]!r} cannot be added and removed at once")
        if "" in (*self.add, *self.remove, *(self.only or ())):
            raise UsageError("a tag cannot be empty")
        given = (self.only, self.hold, self.note)
        if given == (None, None, None) and not (self.add or self.remove or self.release):
            raise UsageError("nothing says how to label: give a tag, a hold, a release or a note")


@dataclass(frozen=True, slots=True)
class TagResult(Shown):
    """What became of labelling.

    Attributes:
        snapshots: those that were named, as they are now.
        changed: which of them got a label; the others were as they should be.
    """

    snapshots: tuple[Snapshot, ...]
    changed: tuple[SnapshotId, ...]

    def dict(self) -> Record:
        """Ready for JSON."""
        return {
            "snapshots": [snapshot.dict() for snapshot in self.snapshots],
            "changed": list(self.changed),
        }

    @override
    def _table(self) -> Table:
        changed = count(len(self.changed), "snapshot")
        table = table_of(Snapshot, self.snapshots, f"Labels: {changed} changed")
        return replace(table, columns=tuple(map(_without_numbers, table.columns)))


def _without_numbers(column: Column) -> Column:
    """A column of snapshots for a list of what they are labelled with."""
    is_number = column.kind in {Kind.COUNT, Kind.BYTES}
    return column._replace(is_detail=column.is_detail or is_number)


def tag(store: Store, snapshots: Iterable[SnapshotId], options: TagOptions) -> TagResult:
    """Give each snapshot the label that makes it what it should be, unless it is that already.

    Args:
        store: the repository.
        snapshots: their ids.
        options: what they are to be labelled with.

    Raises:
        UsageError: the options make no sense; nothing was done.
        SnapshotNotFound: one was forgotten meanwhile; those before it are done.
    """
    options.check()
    store.check_current()
    found = []
    changed = []
    for id_ in snapshots:
        data = store.snapshot(id_)
        if data is None:
            raise SnapshotNotFound(f"snapshot {id_} was forgotten meanwhile")
        record = decode_snapshot(id_, data)
        labels = read_labels(store, id_)
        label = _label(labelled(record, labels, options.now_ns), labels, options)
        if label is not None:
            labels[store.put_label(id_, encode_label(label))] = label
            changed.append(id_)
        found.append(labelled(record, labels, options.now_ns))
    return TagResult(tuple(found), tuple(changed))


def _label(
    snapshot: Snapshot, labels: Mapping[str, Label | None], options: TagOptions
) -> Label | None:
    """What the snapshot lacks; None when it lacks nothing."""
    add, remove = options.add, options.remove
    if options.only is not None:
        add = options.only
        remove = tuple(tag for tag in snapshot.tags if tag not in options.only)
    label = Label(
        time_ns=options.now_ns,
        host=options.host,
        user=options.user,
        counter=next_counter(labels),
        add=tuple(tag for tag in dict.fromkeys(add) if tag not in snapshot.tags),
        remove=tuple(tag for tag in dict.fromkeys(remove) if tag in snapshot.tags),
        hold=options.hold,
        release=tuple(hold.id for hold in snapshot.holds) if options.release else (),
        note=options.note,
    )
    is_any = label.add or label.remove or label.hold or label.release or label.note is not None
    return label if is_any else None
