"""Forgotten snapshots as objects."""

from __future__ import annotations

import pytest

from holdfast.backend import Capabilities, Faulty, MemoryBackend, NoFault, flipped
from holdfast.errors import DamagedRepository, UnsupportedRepository, UsageError
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.ids import SnapshotId
from holdfast.store import Forgotten
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.testing.repositories import ManualClock, new_store, reopened

A, B = SnapshotId("a" * 32), SnapshotId("b" * 32)


def test_a_forgotten_snapshot_comes_back() -> None:
    clock = ManualClock()
    store = new_store(clock=clock)
    assert store.forgotten_ids() == []
    assert store.forgotten(A) is None
    store.put_forgotten(B, b"other")
    store.put_forgotten(A, b"record")
    assert store.forgotten_ids() == [A, B]
    assert store.forgotten(A) == Forgotten(b"record", clock.now_ns())
    store.delete_forgotten(A)
    store.delete_forgotten(A)
    assert store.forgotten_ids() == [B]


def test_what_is_there_is_left_as_it_is_unless_it_is_damaged() -> None:
    backend = MemoryBackend()
    clock = ManualClock()
    store = new_store(backend, clock=clock)
    store.put_forgotten(A, b"record")
    before = backend.get(f"forgotten/{A}")
    clock.advance(60)
    store.put_forgotten(A, b"record")
    assert backend.get(f"forgotten/{A}") == before
    backend.put(f"forgotten/{A}", flipped(before))
    with pytest.raises(DamagedRepository):
        store.put_forgotten(A, b"record")
    store.put_forgotten(A, b"record", replace=True)
    assert store.forgotten(A) == Forgotten(b"record", clock.now_ns())


class Plain(MemoryBackend):
    """A storage that cannot put if absent."""

    @override
    def capabilities(self) -> Capabilities:
        return Capabilities(put_if_absent=False, local=False)


def test_a_storage_without_put_if_absent_will_do() -> None:
    backend = Plain()
    store = new_store(backend)
    store.put_forgotten(A, b"record")
    kept = store.forgotten(A)
    assert kept is not None
    assert kept.record == b"record"


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"snapshot": b""},
        {"snapshot": "text", "forgotten": 1},
        {"snapshot": b"", "forgotten": True},
        {"snapshot": b"", "forgotten": None},
        [b"", 1],
    ],
)
def test_a_malformed_record_is_refused(record: object) -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    name = f"forgotten/{A}"
    sealed = seal_object(ObjectType.FORGOTTEN, store.keys, name, codec.pack(record))
    backend.put(name, sealed)
    with pytest.raises(DamagedRepository) as caught:
        store.forgotten(A)
    assert caught.value.object == name


def test_what_is_no_record_is_refused() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    name = f"forgotten/{A}"
    backend.put(name, seal_object(ObjectType.FORGOTTEN, store.keys, name, b"\xc1"))
    with pytest.raises(DamagedRepository):
        store.forgotten(A)
    # A snapshot's own object does not pass for a forgotten one.
    backend.put(name, seal_object(ObjectType.SNAPSHOT, store.keys, name, b"\x80"))
    with pytest.raises(DamagedRepository):
        store.forgotten(A)


def test_a_snapshot_is_deleted_but_no_marker_of_a_dead_session() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    store.delete_snapshot(A)
    name = f"snapshots/{A}"
    for data in (b"", b"short", seal_object(ObjectType.SNAPSHOT, store.keys, name, b"\x80")):
        backend.put(name, data)
        store.delete_snapshot(A)
        assert store.snapshot_ids() == []
    marker = seal_object(ObjectType.ABORTED, store.keys, name, b"\x80")
    backend.put(name, marker)
    with pytest.raises(DamagedRepository, match="dead session"):
        store.delete_snapshot(A)
    assert backend.get(name) == marker
    for data in (flipped(marker), marker[:48]):  # without any, the session might commit after all
        backend.put(name, data)
        store.delete_snapshot(A)
        assert store.snapshot_ids() == [A]
        assert store.snapshot(A) is None


def test_a_store_whose_settings_were_changed_is_not_current() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    store.check_current()
    backend.put("config/1", backend.get("config/0"))
    with pytest.raises(UnsupportedRepository, match="open it again"):
        store.check_current()
    counted = Faulty(MemoryBackend(), NoFault())
    other = new_store(counted)
    other.check_current()
    again = reopened(counted)
    again.close()
    with pytest.raises(UsageError, match="closed"):
        again.check_current()
