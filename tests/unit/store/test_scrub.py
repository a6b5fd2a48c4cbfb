"""Scrubbing: every object that is not what it should be is named."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from holdfast.backend import Damage as Spoil
from holdfast.backend import Fail, Faulty, MemoryBackend, flipped, nth
from holdfast.errors import BackendError, DamagedRepository, ObjectNotFound
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.ids import PackName, SnapshotId
from holdfast.store import Damage, Store
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.pack import PACK_LIMIT
from holdfast.testing.repositories import copied, new_store, reopened

pytestmark = pytest.mark.usefixtures("cheap_passwords")

GROUP = ("small", 0)
SESSION = "sessions/" + "5" * 32


@pytest.fixture(scope="module")
def original() -> MemoryBackend:
    """A repository with one object of every kind."""
    backend = MemoryBackend()
    store = new_store(backend)
    with store.writer({}) as writer:
        writer.save_data(memoryview(b"blob"), GROUP)
        writer.save_tree(b"tree")
        writer.flush()
        assert writer.confirm()
        writer.commit(b"a snapshot")
    for name, type_ in (
        (SESSION, ObjectType.SESSION),
        (SESSION + ".1", ObjectType.SESSION),
        ("snapshots/" + "a" * 32, ObjectType.ABORTED),
    ):
        backend.put(name, seal_object(type_, store.keys, name, codec.pack({})))
    name = "gc/" + "9" * 32
    record = codec.pack({"packs": []})
    backend.put(name, seal_object(ObjectType.CONDEMNED, store.keys, name, record))
    store.put_forgotten(SnapshotId("b" * 32), b"a snapshot")
    store.put_label(SnapshotId("b" * 32), b"a label")
    return backend


def small_objects(backend: MemoryBackend) -> list[str]:
    return sorted(info.name for info in backend.list("") if not info.name.startswith("data/"))


def scrubbed(store: Store) -> list[Damage]:
    return list(store.scrub_objects())


def test_a_good_repository_has_nothing_to_tell(original: MemoryBackend) -> None:
    store = reopened(original)
    assert scrubbed(store) == []
    assert store.list_packs().strays == []
    packs = store.list_packs().packs
    assert len(packs) == 2
    for name, size in packs.items():
        assert store.scrub_pack(name) is None
        assert store.catalog.load().agrees(store.read_trailer(name, size))


@pytest.mark.parametrize("largest", [0, 1, 1 << 12, 1 << 20])
def test_a_reader_reads_packs_of_any_size_again_and_again(
    original: MemoryBackend, largest: int
) -> None:
    """Its memory still holds the pack before, which must not hide what the next one lacks."""
    backend = copied(original)
    store = reopened(backend)
    reader = store.pack_reader(largest)
    packs = list(store.list_packs().packs)
    assert [reader.damage(name) for name in packs * 2] == [None] * 2 * len(packs)
    where = store.pack_object(packs[0])
    data = bytearray(backend.get(where))
    data[-1] ^= 1
    backend.delete(where)
    backend.put(where, bytes(data))
    assert reader.damage(packs[1]) is None
    assert reader.damage(packs[0]) == Damage(where, "its bytes do not match its name")
    backend.delete(where)
    assert reader.damage(packs[0]) == Damage(where, "it is missing")


HOW: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut": lambda data: data[:-1],
    "behind": lambda data: data + b"\0",
    "zeros": lambda data: bytes(len(data)),
    "first": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "type": lambda data: data[:8] + bytes([data[8] ^ 1]) + data[9:],
    "mode": lambda data: data[:9] + bytes([data[9] ^ 1]) + data[10:],
    "epoch": lambda data: data[:12] + bytes([data[12] ^ 1]) + data[13:],
    "last": lambda data: data[:-1] + bytes([data[-1] ^ 0x80]),
}


@pytest.mark.parametrize("how", HOW)
def test_every_damaged_object_is_named_and_alone(original: MemoryBackend, how: str) -> None:
    for name in small_objects(original):
        backend = copied(original)
        store = reopened(backend)
        backend.put(name, HOW[how](backend.get(name)))
        (damage,) = scrubbed(store)
        assert damage.object == name
        assert damage.problem
        assert damage.harmless == name.startswith("sessions/")


def test_swapped_objects_are_both_named(original: MemoryBackend) -> None:
    names = [name for name in small_objects(original) if not name.startswith(("config/", "keys/"))]
    for first in names:
        for second in names:
            if first < second:
                backend = copied(original)
                store = reopened(backend)
                a, b = backend.get(first), backend.get(second)
                backend.put(first, b)
                backend.put(second, a)
                assert {damage.object for damage in scrubbed(store)} == {first, second}


def test_objects_of_another_repository_are_named(original: MemoryBackend) -> None:
    other = MemoryBackend()
    stranger = new_store(other)
    backend = copied(original)
    store = reopened(backend)
    (slot,) = (info.name for info in backend.list("keys/"))
    (foreign,) = (info.name for info in other.list("keys/"))
    backend.put(slot, other.get(foreign))
    backend.put("config/0", other.get("config/0"))
    backend.put(SESSION, seal_object(ObjectType.SESSION, stranger.keys, SESSION, b"\x80"))
    named = {damage.object for damage in scrubbed(store)}
    assert named == {slot, "config/0", SESSION}


def test_what_others_left_there_is_told_as_harmless(original: MemoryBackend) -> None:
    backend = copied(original)
    strays = ["index/README", "keys/" + "0" * 31, "gc/x/y", "snapshots/latest", "data/00/x"]
    for name in strays:
        backend.put(name, b"x")
    backend._objects["keys/.DS_Store"] = b"x"
    store = reopened(backend)
    found = [*scrubbed(store), *store.list_packs().strays]
    assert {damage.object for damage in found} == {*strays, "keys/.DS_Store"}
    assert all(damage.harmless for damage in found)
    assert len(store.list_packs().packs) == 2


def test_objects_that_are_too_large_are_not_read(original: MemoryBackend) -> None:
    backend = copied(original)
    store = reopened(backend)
    (slot,) = (info.name for info in backend.list("keys/"))
    backend.put(slot, bytes(1 << 20))
    backend.put("config/0", bytes(2 << 20))
    assert {damage.object for damage in scrubbed(store)} == {slot, "config/0"}
    assert all("more than" in damage.problem for damage in scrubbed(store))


def test_what_is_spoilt_once_is_not_damage(original: MemoryBackend) -> None:
    reads = len(small_objects(original)) * 2 + 10
    for number in range(1, reads):
        backend = Faulty(copied(original), Spoil(nth(number), flipped))
        assert scrubbed(reopened(backend)) == []


def test_a_storage_that_fails_is_no_damage(original: MemoryBackend) -> None:
    store = reopened(Faulty(original, Fail(lambda call: call.name == SESSION)))
    with pytest.raises(BackendError, match="planned"):
        scrubbed(store)


def test_what_goes_meanwhile_is_passed_over(original: MemoryBackend) -> None:
    store = reopened(Faulty(original, Fail(lambda call: call.name == SESSION, ObjectNotFound)))
    assert scrubbed(store) == []


# Packs


def packs_of(backend: MemoryBackend) -> dict[PackName, int]:
    return reopened(backend).list_packs().packs


@pytest.mark.parametrize("how", HOW)
def test_a_damaged_pack_is_named(original: MemoryBackend, how: str) -> None:
    for name in packs_of(original):
        backend = copied(original)
        where = f"data/{name[:2]}/{name}"
        backend.put(where, HOW[how](backend.get(where)))
        store = reopened(backend)
        damage = store.scrub_pack(name)
        assert damage is not None
        assert (damage.object, damage.harmless) == (where, False)


def test_every_byte_of_header_trailer_and_footer_counts(original: MemoryBackend) -> None:
    """Also when only these are read, and the size that a listing told."""
    store = reopened(original)
    for name, size in packs_of(original).items():
        info = store.read_trailer(name, size)
        end = max(segment.offset + segment.stored for segment in info.segments)
        where = f"data/{name[:2]}/{name}"
        data = original.get(where)
        backend = copied(original)
        damaged = reopened(backend)
        hurt = 0
        for place in [*range(100), *range(end, size)]:
            backend.put(where, data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            with suppress(DamagedRepository):
                damaged.read_trailer(name, size)
                continue
            hurt += 1
        assert hurt >= 100 + 40 + 60


def test_a_missing_pack_is_named(original: MemoryBackend) -> None:
    backend = copied(original)
    store = reopened(backend)
    for name in packs_of(original):
        where = f"data/{name[:2]}/{name}"
        backend.delete(where)
        assert store.scrub_pack(name) == Damage(where, "it is missing")


def test_swapped_packs_are_named(original: MemoryBackend) -> None:
    backend = copied(original)
    store = reopened(backend)
    first, second = (f"data/{name[:2]}/{name}" for name in packs_of(original))
    a, b = backend.get(first), backend.get(second)
    backend.put(first, b)
    backend.put(second, a)
    for name in packs_of(original):
        assert store.scrub_pack(name) is not None
        # One session's packs differ in their hash alone, so the index has to tell them apart.
        info = store.read_trailer(name, backend.stat(f"data/{name[:2]}/{name}"))
        assert not store.catalog.load().agrees(info)


@pytest.mark.parametrize("size", [0, 1, 140, PACK_LIMIT + 1, 1 << 50])
def test_a_pack_of_an_impossible_size_is_not_read(original: MemoryBackend, size: int) -> None:
    (name, *_) = packs_of(original)
    with pytest.raises(DamagedRepository, match="bytes"):
        reopened(original).read_trailer(name, size)


def test_a_huge_pack_is_not_read(original: MemoryBackend) -> None:
    (name, *_) = packs_of(original)
    where = f"data/{name[:2]}/{name}"

    class Huge(MemoryBackend):
        @override
        def stat(self, name: str) -> int:
            return 1 << 40 if name == where else super().stat(name)

        @override
        def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
            assert name != where
            return super().get(name, offset, length)

    backend = Huge()
    backend._objects = dict(original._objects)
    damage = reopened(backend).scrub_pack(name)
    assert damage is not None
    assert "more than" in damage.problem
