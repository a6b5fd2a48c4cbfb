"""Repaired packs: what is damaged goes, what only lacks keys stays, and all copies count."""

from __future__ import annotations

import pytest

from holdfast.backend import MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.primitives.crypto import random_bytes
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, PackName, new_session_id
from holdfast.store import Store, create_store
from holdfast.store.pack import (
    HEADER_SIZE,
    Codec,
    Kind,
    PackInfo,
    Payload,
    blob_key,
    build_pack,
    object_name,
)
from holdfast.store.reindex import put_index
from holdfast.store.rotation import begin_rotation, finish_rotation
from holdfast.store.slots import Maker
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, SETTINGS, new_store, reopened

GOOD = b"right content" * 50
WRONG = b"wrong content" * 50
OTHER = b"other content" * 50
ABOUT = {"kind": "test"}


def id_of(store: Store, content: bytes) -> BlobId:
    return BlobId(keyed(blob_key(store.keys, Kind.DATA), content))


def payload(*blobs: tuple[BlobId, bytes]) -> Payload:
    data = b"".join(content for _, content in blobs)
    ids, lengths = [id_ for id_, _ in blobs], [len(content) for _, content in blobs]
    return Payload(data, Codec.RAW, len(data), ids, lengths)


def stored(
    store: Store, *blobs: tuple[BlobId, bytes], told: bool = True, apart: bool = False
) -> PackInfo:
    """A pack that says of each of these that it is the blob of that id; in one segment or apart."""
    payloads = [payload(each) for each in blobs] if apart else [payload(*blobs)]
    info, raw = build_pack(Kind.DATA, payloads, store.keys, new_session_id(), random_bytes(32))
    store.backend.put(object_name(info.name), bytes(raw))
    if told:
        put_index(store.backend, store.keys, [info])
    return info


def damaged(backend: MemoryBackend, pack: PackName, at: int = HEADER_SIZE + 3) -> None:
    data = bytearray(backend.get(object_name(pack)))
    data[at] ^= 1
    backend.put(object_name(pack), bytes(data))


def rotated(store: Store) -> Store:
    begun = begin_rotation(store, [PASSWORD], QUICK_KDF, Maker(), drop_others=True)
    done = finish_rotation(begun, ABOUT, wait=False, expire_after=1e9)
    assert done.finished
    return done.store


def opened(backend: MemoryBackend) -> Repository:
    return Repository(reopened(backend), SYSTEM_CLOCK)


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.mark.parametrize("told", [True, False])
def test_a_pack_for_which_keys_are_missing_is_not_condemned(
    backend: MemoryBackend,
    told: bool,
) -> None:
    store = new_store(backend)
    pack = stored(store, (id_of(store, GOOD), GOOD), told=told)
    rotated(store)
    (epoch,) = backend.list("epochs/")
    master = backend.get(epoch.name)
    backend.delete(epoch.name)
    damaged(backend, pack.name)  # what is left of it is worth having all the same
    (repair,) = opened(backend).repair_packs([pack.name], dry_run=False).packs
    assert (repair.blobs, repair.lost) == ((1, 1) if told else (0, 0))
    assert reopened(backend).condemned() == set()
    backend.put(epoch.name, master)
    opened(backend).repair_packs([pack.name], dry_run=False)
    assert reopened(backend).condemned() == {pack.name}


def test_a_pack_of_which_nothing_is_known_and_that_is_as_stored_is_not_condemned(
    backend: MemoryBackend,
) -> None:
    store = new_store(backend)
    other = new_store()
    pack = stored(other, (id_of(other, GOOD), GOOD), told=False)
    backend.put(object_name(pack.name), other.backend.get(object_name(pack.name)))
    (repair,) = opened(backend).repair_packs([pack.name], dry_run=False).packs
    assert repair.blobs == 0
    assert store.condemned() == set()


def test_a_pack_with_a_blob_that_does_not_match_its_id_is_condemned(
    backend: MemoryBackend,
) -> None:
    store = new_store(backend)
    right, other = id_of(store, GOOD), id_of(store, OTHER)
    alone = stored(store, (right, WRONG))
    among = stored(store, (right, WRONG), (other, OTHER))
    repaired = opened(backend).repair_packs(dry_run=False)
    counts = {each.pack: (each.salvaged, each.lost) for each in repaired.packs}
    assert counts == {object_name(alone.name): (0, 1), object_name(among.name): (1, 1)}
    assert store.condemned() == {alone.name, among.name}
    again = reopened(backend)
    with again.writer(ABOUT) as writer:
        assert not writer.has([right])
        assert writer.has([other])


def test_what_is_readable_in_a_condemned_pack_is_not_lost(backend: MemoryBackend) -> None:
    store = new_store(backend)
    right, other = id_of(store, GOOD), id_of(store, OTHER)
    bad = stored(store, (right, GOOD), (other, OTHER))
    condemned = stored(store, (right, GOOD))
    store.reclaim(ABOUT, 1800.0).condemn([condemned.name])
    damaged(backend, bad.name)
    repaired = opened(backend).repair_packs([bad.name], dry_run=False)
    (repair,) = repaired.packs
    assert (repair.salvaged, repair.elsewhere, repair.lost) == (0, 1, 1)
    with reopened(backend).writer(ABOUT) as writer:
        assert writer.has([right])
    backend.delete(object_name(condemned.name))
    with reopened(backend).loader() as loader:
        assert loader.load(right) == GOOD


def test_a_bad_copy_of_what_only_a_pack_itself_tells_of_is_not_relied_upon(
    backend: MemoryBackend,
) -> None:
    store = new_store(backend)
    right, other = id_of(store, GOOD), id_of(store, OTHER)
    half = stored(store, (right, GOOD), (other, OTHER), told=False, apart=True)
    damaged(backend, half.name, half.segments[1].offset + 3)
    bad = stored(store, (right, WRONG))
    repaired = opened(backend).repair_packs([half.name], dry_run=False)
    counts = {each.pack: (each.salvaged, each.lost) for each in repaired.packs}
    assert counts == {object_name(half.name): (1, 1), object_name(bad.name): (1, 0)}
    for pack in store.condemned():
        backend.delete(object_name(pack))
    with reopened(backend).loader() as loader:
        assert loader.load(right) == GOOD


def test_supplied_blobs_share_a_segment_only_with_those_they_did_before(
    backend: MemoryBackend,
) -> None:
    store = new_store(backend)
    other = create_store(
        MemoryBackend(), PASSWORD, SETTINGS, QUICK_KDF, SYSTEM_CLOCK, None, like=store
    )
    contents = [bytes([number]) * 500 for number in range(4)]
    for each in (store, other):
        with each.writer(ABOUT) as writer:
            for number, content in enumerate(contents):
                writer.save_data(memoryview(content), ("small", number % 2))
            writer.flush()
    (pack,) = store.list_packs().packs
    backend.delete(object_name(pack))
    repaired = opened(backend).repair_packs(
        [pack], source=Repository(other, SYSTEM_CLOCK), dry_run=False
    )
    (repair,) = repaired.packs
    assert repair.supplied == len(contents)
    table = reopened(backend).catalog.refresh()
    listed = store.list_packs().packs
    segments = []
    for content in contents:
        (at,) = [
            at for at in table.locate(id_of(store, content)) if table.pack(at.pack).name in listed
        ]
        segments.append((at.pack, at.ordinal))
    assert segments[0] == segments[2]
    assert segments[1] == segments[3]
    assert segments[0] != segments[1]
