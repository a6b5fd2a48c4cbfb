"""Reading labels: what snapshots are labelled with now."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from holdfast.errors import DamagedRepository
from holdfast.model.labels import Label, carried, decode_label, encode_label, labelled
from holdfast.model.snapshot import Snapshot
from holdfast.primitives.ids import SnapshotId
from holdfast.store import Store, Writer

_log = logging.getLogger(__name__)


def read_labels(store: Store, snapshot: SnapshotId) -> dict[str, Label | None]:
    """The labels that a snapshot has now, by their names; None for one that cannot be read."""
    return _read(store, snapshot, store.labels(snapshot).get(snapshot, {}))


def with_labels(store: Store, snapshots: Iterable[Snapshot], now_ns: int) -> list[Snapshot]:
    """Snapshots with their labels applied, for the price of one listing where there are none.

    They were listed before, so that no hold is missed that was put before its snapshot.

    Args:
        store: the repository.
        snapshots: as their records have them.
        now_ns: holds that are over by then are left out.
    """
    listed = store.labels()
    return [
        labelled(each, _read(store, each.id, listed[each.id]), now_ns)
        if each.id in listed
        else each
        for each in snapshots
    ]


def with_own_labels(store: Store, snapshot: Snapshot, now_ns: int) -> Snapshot:
    """The same for one snapshot."""
    return labelled(snapshot, read_labels(store, snapshot.id), now_ns)


def carry_labels(
    writer: Writer, snapshot: Snapshot, about: Mapping[str, object]
) -> dict[str, Label]:
    """Give a session's snapshot the holds and notes of the one that it is made from.

    Args:
        writer: the session, which has not committed yet.
        snapshot: the other one, with its labels applied.
        about: what the session says of itself.

    Returns:
        The new labels by their names.
    """
    host, user = str(about.get("host", "")), str(about.get("user", ""))
    return {
        writer.put_label(encode_label(label)): label
        for label in carried(snapshot, writer.now_ns(), host, user)
    }


def _read(store: Store, snapshot: SnapshotId, listed: Mapping[str, int]) -> dict[str, Label | None]:
    found: dict[str, Label | None] = {}
    for name, size in listed.items():
        try:
            data = store.label(snapshot, name, size)
            if data is not None:  # else a reclaim was done with its snapshot
                found[name] = decode_label(store.label_object(snapshot, name), data)
        except DamagedRepository as error:
            _log.warning("%s", error)
            found[name] = None
    return found
