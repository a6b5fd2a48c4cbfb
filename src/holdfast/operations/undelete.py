"""Bringing back a forgotten snapshot: a new one with the same content."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from holdfast.errors import BackendError, DamagedRepository
from holdfast.model.labels import labelled
from holdfast.model.record import Record
from holdfast.model.select import ordered
from holdfast.model.snapshot import Snapshot, decode_snapshot, encode_snapshot
from holdfast.operations.carry import carry
from holdfast.operations.confirm import confirmed
from holdfast.operations.labels import carry_labels, with_labels
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, columns
from holdfast.primitives.ids import SnapshotId
from holdfast.progress import Progress
from holdfast.store import BlobSet, Store

_log = logging.getLogger(__name__)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ForgottenSnapshot(Row):
    """A snapshot that was forgotten.

    Attributes:
        snapshot: as it was, with its labels.
        time_ns: when it was forgotten, in nanoseconds since the Unix epoch.
    """

    snapshot: Snapshot
    time_ns: int

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        id=Kind.ID,
        forgotten=Kind.TIME,
        time=Kind.TIME,
        host=Kind.TEXT,
        paths=Kind.PATH,
        tags=Kind.TEXT,
        files=Kind.COUNT,
        bytes_processed=Kind.BYTES,
    )

    @property
    def time(self) -> datetime:
        """When it was forgotten, in UTC."""
        return _EPOCH + timedelta(microseconds=self.time_ns // 1000)

    def dict(self) -> Record:
        """Ready for JSON."""
        return {"snapshot": self.snapshot.dict(), "forgotten": self.time.isoformat()}

    @override
    def _row(self) -> tuple[Cell, ...]:
        was = self.snapshot
        return (
            was.id,
            self.time,
            was.time,
            was.host,
            ", ".join(was.paths),
            ", ".join(was.tags),
            was.summary.files,
            was.summary.bytes_processed,
        )


def list_forgotten(store: Store, now_ns: int) -> list[ForgottenSnapshot]:
    """The snapshots that were forgotten and may still be brought back, oldest first.

    A damaged one is left out and logged.

    Args:
        store: the repository.
        now_ns: what time it is; holds that are over by then are left out.
    """
    known: list[Snapshot] = []
    times: dict[SnapshotId, int] = {}
    ids = store.forgotten_ids()
    names = set(store.snapshot_ids())
    for id_ in ids:
        if id_ in names and _is_there(store, id_):
            continue  # whoever began to forget it did not come to the end
        try:
            kept = store.forgotten(id_)
            if kept is not None:
                known.append(decode_snapshot(id_, kept.record))
                times[id_] = kept.time_ns
        except DamagedRepository as error:
            _log.warning("%s", error)
    found = ordered(with_labels(store, known, now_ns))
    return [ForgottenSnapshot(each, times[each.id]) for each in found]


def _is_there(store: Store, id_: SnapshotId) -> bool:
    """Whether it is a snapshot, and not a marker or damaged."""
    try:
        return store.snapshot(id_) is not None
    except DamagedRepository:
        return False


def undelete(
    store: Store, old: Snapshot, about: Mapping[str, object], progress: Progress
) -> Snapshot:
    """Make a new snapshot of a forgotten one, which then is no longer among the forgotten.

    Args:
        store: the repository.
        old: the forgotten one, with its labels applied.
        about: what the session says of itself.
        progress: told of every file.

    Raises:
        DamagedRepository: some of its data is gone; nothing was made.
    """
    with store.writer(about) as writer, store.loader() as loader:

        def carry_all() -> None:
            try:
                carry(old.tree, loader, writer, BlobSet(store.catalog.load()), progress)
            except DamagedRepository as error:
                raise _gone(old.id, error) from error

        confirmed(writer, carry_all)
        new = replace(old, id=writer.id, original=old.id)
        labels = carry_labels(writer, old, about)
        now_ns = writer.now_ns()
        writer.commit(encode_snapshot(new))
    try:
        store.delete_forgotten(old.id)
    except BackendError as error:
        _log.warning("%s stays among the forgotten until a prune: %s", old.short_id, error)
    return labelled(replace(new, holds=(), notes=()), labels, now_ns)


def _gone(id_: SnapshotId, error: DamagedRepository) -> DamagedRepository:
    return DamagedRepository(
        f"forgotten/{id_}",
        f"its data was reclaimed already, or is damaged: {error.object}: {error.problem}",
        "it cannot be brought back",
    )
