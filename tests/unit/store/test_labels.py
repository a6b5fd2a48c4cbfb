"""Labels as objects: their names, and what a listing of them costs."""

from __future__ import annotations

import pytest

from holdfast.backend import Faulty, MemoryBackend, NoFault, flipped
from holdfast.errors import DamagedRepository
from holdfast.primitives.ids import SnapshotId
from holdfast.testing.repositories import new_store

A, B = SnapshotId("a" * 32), SnapshotId("b" * 32)


def test_a_label_comes_back_under_its_name() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    name = store.put_label(A, b"record")
    size = backend.stat(store.label_object(A, name))
    assert store.labels() == {A: {name: size}}
    assert store.label(A, name) == store.label(A, name, size) == b"record"
    assert store.label(B, name) is None


def test_all_labels_are_listed_at_once_and_those_of_a_snapshot_alone() -> None:
    counted = Faulty(MemoryBackend(), NoFault())
    store = new_store(counted)
    names = sorted(store.put_label(A, b"%d" % number) for number in range(3))
    other = store.put_label(B, b"")
    counted.calls.clear()
    assert [(id_, list(found)) for id_, found in store.labels().items()] == [
        (A, names),
        (B, [other]),
    ]
    assert list(store.labels(B)[B]) == [other]
    assert store.labels(SnapshotId("c" * 32)) == {}
    assert [call.verb for call in counted.calls] == ["list"] * 3


def test_what_others_left_there_is_ignored() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    for stray in (f"labels/{A}", f"labels/{A}/x", f"labels/{A}/{B}/x", f"labels/x/{A}"):
        backend.put(stray, b"x")
    assert store.labels() == {}


@pytest.mark.parametrize("how", [flipped, lambda data: data[:20], lambda _: b""])
def test_a_damaged_label_is_refused_by_its_name(how: type[bytes]) -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    name = store.put_label(A, b"record")
    where = store.label_object(A, name)
    backend.put(where, how(backend.get(where)))
    with pytest.raises(DamagedRepository) as caught:
        store.label(A, name)
    assert caught.value.object == where == f"labels/{A}/{name}"


def test_a_label_is_deleted_once_or_twice() -> None:
    store = new_store()
    name = store.put_label(A, b"record")
    store.delete_label(A, name)
    store.delete_label(A, name)
    assert store.labels() == {}


def test_a_writer_labels_the_snapshot_that_it_will_make() -> None:
    store = new_store()
    with store.writer({}) as writer:
        name = writer.put_label(b"record")
        assert store.label(writer.id, name) == b"record"
    with store.rehearsal() as rehearsal:
        assert len(rehearsal.put_label(b"record")) == 32
        assert store.labels(rehearsal.id) == {}
