"""Salvage: all that matches its id comes out of a damaged pack, and nothing else."""

from __future__ import annotations

import random

import pytest

from holdfast.backend import Damage, Fail, Faulty, MemoryBackend, flipped
from holdfast.errors import AccessDenied, ObjectUnreadable
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store import Kind, Store, indexed
from holdfast.store.pack import object_name
from holdfast.store.salvage import is_as_stored, own_account, salvage
from holdfast.testing.repositories import new_store

GROUPS = 6


def repository() -> tuple[MemoryBackend, Store, PackName, dict[BlobId, bytes]]:
    """One pack of several segments, and what is in it."""
    numbers = random.Random(1)  # noqa: S311 - the same in every run
    backend = MemoryBackend()
    store = new_store(backend)
    contents = {}
    with store.writer({}) as writer:
        for group in range(GROUPS):
            for _ in range(3):
                content = numbers.randbytes(2000)
                contents[writer.save_data(memoryview(content), ("small", group))] = content
        writer.flush()
    (pack,) = store.list_packs().packs
    return backend, store, pack, contents


def salvaged(store: Store, backend: Faulty | MemoryBackend, pack: PackName) -> dict[BlobId, bytes]:
    told = indexed(store.catalog.refresh(), [pack])
    own = own_account(backend, store.keys, pack)
    accounts = [each for each in (told.get(pack), own) if each is not None]
    found = list(salvage(backend, store.keys, pack, accounts))
    assert all(each.kind is Kind.DATA for each in found)
    assert len({each.id for each in found}) == len(found)
    return {each.id: bytes(each.content) for each in found}


def test_a_good_pack_gives_all() -> None:
    backend, store, pack, contents = repository()
    assert salvaged(store, backend, pack) == contents
    assert is_as_stored(backend, pack)


def test_without_an_index_its_own_trailer_says_what_is_in_it() -> None:
    backend, store, pack, contents = repository()
    for info in list(backend.list("index/")):
        backend.delete(info.name)
    store = Store(
        backend, store.keys, store.settings, ("config/0", store._config), store._clock, None
    )
    assert salvaged(store, backend, pack) == contents


@pytest.mark.parametrize("place", [0, 9, 30, 60, 99, -1, -30, -60, -400])
def test_header_trailer_and_footer_may_be_damaged(place: int) -> None:
    backend, store, pack, contents = repository()
    data = bytearray(backend.get(object_name(pack)))
    data[place] ^= 1
    backend.put(object_name(pack), bytes(data))
    assert not is_as_stored(backend, pack)
    assert salvaged(store, backend, pack) == contents


def test_a_damaged_segment_takes_only_its_own_blobs_along() -> None:
    backend, store, pack, contents = repository()
    good = backend.get(object_name(pack))
    lost: set[frozenset[BlobId]] = set()
    for place in range(100, len(good), 997):
        data = bytearray(good)
        data[place] ^= 1
        backend.put(object_name(pack), bytes(data))
        found = salvaged(store, backend, pack)
        assert found.items() <= contents.items()
        assert len(contents) - len(found) in {0, 3}
        lost.add(frozenset(contents.keys() - found.keys()))
    assert len(lost - {frozenset()}) == GROUPS


def test_of_a_truncated_pack_what_is_before_the_end_is_there() -> None:
    backend, store, pack, contents = repository()
    good = backend.get(object_name(pack))
    counts = []
    for size in range(0, len(good), 1500):
        backend.put(object_name(pack), good[:size])
        found = salvaged(store, backend, pack)
        assert found.items() <= contents.items()
        counts.append(len(found))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(contents))
    assert len(set(counts)) == GROUPS + 1


def test_a_missing_pack_gives_nothing() -> None:
    backend, store, pack, _ = repository()
    backend.delete(object_name(pack))
    assert salvaged(store, backend, pack) == {}
    assert not is_as_stored(backend, pack)


def test_what_the_wire_spoils_once_is_read_again() -> None:
    backend, store, pack, contents = repository()
    seen: set[str] = set()

    def first(name: str) -> bool:
        before = len(seen)
        seen.add(name)
        return len(seen) > before

    spoilt = Faulty(backend, Damage(lambda call: call.verb == "get" and first(call.name), flipped))
    assert salvaged(store, spoilt, pack) == contents


def test_a_bad_sector_is_damage_and_a_refusal_is_not() -> None:
    backend, store, pack, _ = repository()
    accounts = [indexed(store.catalog.refresh(), [pack])[pack]]
    for error, place in ((ObjectUnreadable, 0), (AccessDenied, 1)):
        failing = Faulty(backend, Fail(lambda call: call.verb == "get", error))
        if place:
            with pytest.raises(AccessDenied):
                list(salvage(failing, store.keys, pack, accounts))
        else:
            assert list(salvage(failing, store.keys, pack, accounts)) == []
