"""What objects there are, for those who look at a repository's insides."""

from __future__ import annotations

import pytest

from holdfast.backend import MemoryBackend
from holdfast.errors import DamagedRepository
from holdfast.store import describe, find_objects
from holdfast.store.config import CONFIG_LIMIT
from holdfast.store.slots import SLOT_LIMIT
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, new_store


def test_objects_are_found_by_how_the_last_part_of_their_name_begins() -> None:
    backend = MemoryBackend()
    first, second, third = (f"{beginning:0<32}" for beginning in ("ab1", "abc", "cab"))
    for name in (f"snapshots/{second}", f"snapshots/{third}", f"snapshots/{first}"):
        backend.put(name, b"")
    backend.put(f"index/{first}", b"")
    found = {
        beginning: [info.name for info in find_objects(backend, "snapshots/", beginning)]
        for beginning in ("", "ab", "abc", "abd")
    }
    assert found == {
        "": [f"snapshots/{first}", f"snapshots/{second}", f"snapshots/{third}"],
        "ab": [f"snapshots/{first}", f"snapshots/{second}"],
        "abc": [f"snapshots/{second}"],
        "abd": [],
    }


def test_packs_are_found_without_their_folder() -> None:
    backend = MemoryBackend()
    name = f"data/cd/{'cd':0<64}-00000000"
    backend.put(name, b"")
    assert [info.name for info in find_objects(backend, "data/", "cd0")] == [name]
    assert find_objects(backend, "data/", "cd/") == []


def test_what_a_config_says_and_no_secret_of_it() -> None:
    store = new_store()
    said = describe(store.backend, store.keys, "config/0")
    assert said["repository"] == store.keys.repository.hex()
    assert (said["pack_size"], said["sealed_in_epoch"]) == (store.settings.pack_size, 0)
    assert said["chunker"] == {"name": "pyfastcdc", "min": 256, "avg": 1024, "max": 4096}
    assert "plain" not in said
    for secret in (store.keys.master, store.keys.dedup):
        assert secret.hex() not in str(said)


def test_what_a_key_slot_says_and_no_secret_of_it() -> None:
    store = new_store()
    (slot,) = [info.name for info in store.backend.list("keys/")]
    said = describe(store.backend, store.keys, slot)
    assert said["memory"] == QUICK_KDF.memory
    assert (said["passes"], said["lanes"]) == (1, 1)
    assert said["master"] == said["dedup"] == "(secret)"
    assert {"created", "host", "user", "label"} < said.keys()
    assert PASSWORD not in str(said)


def test_what_an_index_object_says() -> None:
    store = new_store()
    with store.writer({}) as writer:
        writer.save_data(memoryview(b"text"), ("small", 0))
        writer.flush()
    (name,) = [info.name for info in store.backend.list("index/")]
    packs = [{"name": name, "size": size} for name, size in store.list_packs().packs.items()]
    said = describe(store.backend, store.keys, name)
    assert said == {"epoch": 0, "packs": packs, "blobs": 1, "removed": []}


@pytest.mark.parametrize(("name", "limit"), [("config/0", CONFIG_LIMIT), ("keys/a", SLOT_LIMIT)])
def test_what_is_too_large_is_not_read(name: str, limit: int) -> None:
    store = new_store()
    store.backend.put(name, bytes(limit + 1))
    with pytest.raises(DamagedRepository, match=f"{limit + 1} bytes, more than {limit}"):
        describe(store.backend, store.keys, name)
