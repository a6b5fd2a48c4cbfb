"""Removing snapshots, in a way that they can be brought back until their data is reclaimed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from operator import attrgetter
from typing import ClassVar

from holdfast.errors import BackendError, DamagedRepository, UsageError
from holdfast.model.record import Record
from holdfast.model.retention import RetentionDecision, RetentionGroup, RetentionPolicy
from holdfast.model.select import GroupKey, group_of, ordered
from holdfast.model.snapshot import Snapshot
from holdfast.operations.labels import with_own_labels
from holdfast.operations.reachable import mark
from holdfast.overrides import override
from holdfast.present import Column, Kind, Row, Shown, columns, count, size, table_of
from holdfast.present import Table as ShownTable
from holdfast.primitives.ids import ID_SIZE, BlobId, SnapshotId
from holdfast.progress import Progress
from holdfast.store import Group, Loader, Marks, Store, Table

_log = logging.getLogger(__name__)

_TREES: Group = ("trees", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetOptions:
    """How it is decided what goes.

    Attributes:
        now: later snapshots are dated in the future.
        group_by: what the snapshots of a group have in common.
        timezone: the zone that a policy's periods are counted in; None is that of each snapshot.
        force: remove the last snapshot of a group too.
    """

    now: datetime
    group_by: Sequence[GroupKey]
    timezone: tzinfo | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class PassedOver(Row):
    """A snapshot that was to be judged or removed, and was not.

    Attributes:
        snapshot: its id.
        reason: why.
    """

    snapshot: SnapshotId
    reason: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(snapshot=Kind.ID, reason=Kind.TEXT)

    def dict(self) -> Record:
        """Ready for JSON."""
        return {"snapshot": self.snapshot, "reason": self.reason}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetResult(Shown):
    """What was forgotten, or in a dry run would be.

    Attributes:
        dry_run: whether nothing was done.
        groups: every snapshot that was looked at, with why it stays or that it goes.
        removed: what was removed (in a dry run: what would be), the oldest first.
        lost: those among them that were damaged, so that they cannot be brought back.
        passed_over: damaged snapshots, which no policy judges, and those that somebody began to
            hold just now.
        bytes: how much of what is stored only the removed ones need, and so would come back;
            None when that was not asked for or cannot be told.
    """

    dry_run: bool
    groups: tuple[RetentionGroup, ...]
    removed: tuple[SnapshotId, ...]
    lost: tuple[SnapshotId, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    bytes: int | None = None

    def dict(self) -> Record:
        """Ready for JSON."""
        return {
            "dry_run": self.dry_run,
            "groups": [group.dict() for group in self.groups],
            "removed": list(self.removed),
            "lost": list(self.lost),
            "passed_over": [each.dict() for each in self.passed_over],
            "bytes": self.bytes,
        }

    @override
    def _table(self) -> ShownTable:
        decisions = [each for group in self.groups for each in group.decisions]
        verb = "would go" if self.dry_run else "went"
        known = len({each.snapshot.id for each in decisions} | {*self.removed})
        caption = f"Forget: {len(self.removed):,} of {count(known, 'snapshot')} {verb}"
        notes = []
        if self.bytes is not None:
            notes.append(f"a prune would give back {size(self.bytes)}")
        if self.lost:
            lost = ", ".join(each[:8] for each in self.lost)
            notes.append(f"damaged, so that they cannot be brought back: {lost}")
        passed_over = self.passed_over
        parts = (table_of(PassedOver, passed_over, "Passed over"),) if passed_over else ()
        return table_of(RetentionDecision, decisions, caption, tuple(notes), parts)


def judge(
    snapshots: Iterable[Snapshot], policy: RetentionPolicy, options: ForgetOptions
) -> list[RetentionGroup]:
    """What a policy says of snapshots; those that are held stay.

    Raises:
        UsageError: the policy is refused, see `RetentionPolicy.apply`.
    """
    return policy.apply(
        snapshots,
        now=options.now,
        group_by=options.group_by,
        timezone=options.timezone,
    )


def pick(
    chosen: Iterable[Snapshot], known: Iterable[Snapshot], options: ForgetOptions
) -> list[RetentionGroup]:
    """Decide that these go, but for those that are held.

    Args:
        chosen: those that were named.
        known: all there are.
        options: whether they may be the last ones of their groups.

    Raises:
        UsageError: that would leave nothing of a group.
    """
    decisions = [
        RetentionDecision(each, tuple(filter(None, (each.protection,))))
        for each in ordered(chosen)[::-1]
    ]
    goes = {each.snapshot.id for each in decisions if not each.keep}
    groups: dict[tuple[object, ...], list[RetentionDecision]] = {}
    for each in decisions:
        groups.setdefault(_group(each.snapshot, options), []).append(each)
    found = [RetentionGroup.of(members, options.group_by) for members in groups.values()]
    if not options.force:
        _check_left(found, [each for each in known if each.id not in goes], options)
    return sorted(found, key=attrgetter("sort_key"))


def _group(snapshot: Snapshot, options: ForgetOptions) -> tuple[object, ...]:
    return group_of(snapshot.host, snapshot.paths, snapshot.tags, options.group_by)


def _check_left(
    groups: Iterable[RetentionGroup], left: Sequence[Snapshot], options: ForgetOptions
) -> None:
    """Refuse to leave nothing of a group; one dated in the future may be a fake, or a mistake."""
    kept = {_group(each, options) for each in left if each.time <= options.now.astimezone()}
    for group in groups:
        goes = [each.snapshot for each in group.decisions if not each.keep]
        if goes and _group(goes[0], options) not in kept:
            raise UsageError(
                f"that would remove the last snapshot of a group ({group}), so nothing is removed; "
                "force it if that is meant (--force)"
            )


@dataclass(frozen=True, slots=True)
class ForgetPlan:
    """What is to be removed.

    Attributes:
        groups: the decisions.
        damaged: snapshots that cannot be read and are to be removed all the same.
        passed_over: snapshots that were not judged.
    """

    groups: tuple[RetentionGroup, ...]
    damaged: tuple[SnapshotId, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def going(self) -> list[Snapshot]:
        """Those that were decided to go, the oldest first."""
        return ordered(
            each.snapshot for group in self.groups for each in group.decisions if not each.keep
        )


def forget(store: Store, plan: ForgetPlan, now_ns: int) -> ForgetResult:
    """Remove what was decided to go, the oldest first.

    A snapshot is put among the forgotten before it is removed, so at every moment it is there or
    can be brought back; when this is run again after it failed, it goes on where it was. Only
    damaged ones are gone for good.

    Args:
        store: the repository.
        plan: the decisions.
        now_ns: what time it is: holds that are over by then are none.

    Raises:
        BackendError: the storage fails.
        DamagedRepository: a damaged one marks a dead session, and has to stay.
        UnsupportedRepository: the settings or keys were changed since the repository was opened.
    """
    store.check_current()
    aside = [each for each in plan.going if _put_aside(store, each.id)]
    if aside:
        _confirm(store, [each.id for each in aside])
    removed = []
    passed_over = list(plan.passed_over)
    for each in [*aside, *map(_unknown, plan.damaged)]:
        if protection := with_own_labels(store, each, now_ns).protection:
            passed_over.append(PassedOver(each.id, protection))
        else:
            store.delete_snapshot(each.id)
            removed.append(each.id)
    return ForgetResult(
        dry_run=False,
        groups=plan.groups,
        removed=tuple(removed),
        lost=tuple(id_ for id_ in plan.damaged if id_ in removed),
        passed_over=tuple(passed_over),
    )


def _unknown(id_: SnapshotId) -> Snapshot:
    """A snapshot of which nothing but the id is known, to ask for its labels."""
    return Snapshot(id=id_, tree=BlobId(bytes(ID_SIZE)), time_ns=0, end_ns=0)


def _put_aside(store: Store, id_: SnapshotId) -> bool:
    """Put a snapshot among the forgotten; returns False when it is gone already."""
    record = store.snapshot(id_)
    if record is None:
        return False
    try:
        kept = store.forgotten(id_)
    except DamagedRepository:
        store.put_forgotten(id_, record, replace=True)
    else:
        if kept is None:
            store.put_forgotten(id_, record)
    return True


def _confirm(store: Store, ids: Iterable[SnapshotId]) -> None:
    """Make sure that what was just put is listed, and would be accepted by whoever reads it.

    A listing that leaves things out may have left out holds.
    """
    missing = set(ids).difference(store.forgotten_ids())
    if missing:
        raise BackendError(
            f"forgotten/{min(missing)}",
            "it was just stored and is not listed, so nothing is removed: check the storage",
        )
    store.check_current()


def rehearse(
    store: Store,
    known: Iterable[Snapshot],
    plan: ForgetPlan,
    loader: Loader,
    progress: Progress,
) -> ForgetResult:
    """Find out what would be removed, and how much would come back.

    Args:
        store: the repository.
        known: all snapshots that can be read.
        plan: the decisions.
        loader: reads trees.
        progress: told of every directory entry.
    """
    going = plan.going
    gone = {each.id for each in going}
    marks = _Measured(store.catalog.refresh())
    total: int | None = None
    try:
        mark((each for each in known if each.id not in gone), loader, marks, progress)
        marks.stored = 0
        mark(going, loader, marks, progress)
        total = marks.stored
    except DamagedRepository as error:
        _log.warning("how much would come back cannot be told: %s", error)
    return ForgetResult(
        dry_run=True,
        groups=plan.groups,
        removed=(*(each.id for each in going), *plan.damaged),
        lost=plan.damaged,
        passed_over=plan.passed_over,
        bytes=total,
    )


class _Measured(Marks):
    """Adds up how much is stored for what is marked.

    Attributes:
        stored: bytes.
    """

    def __init__(self, table: Table) -> None:
        super().__init__(table)
        self.stored = 0
        self._table = table

    @override
    def add(self, blob: bytes, group: Group = _TREES) -> bool:
        """See `Marks.add`."""
        is_new = super().add(blob, group)
        if is_new:
            self.stored += (self._table.sizes(BlobId(blob)) or (0, 0))[1]
        return is_new
