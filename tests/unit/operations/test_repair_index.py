"""A repaired index tells of no pack that might lie, and nothing is put with keys that are over."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from holdfast.backend import Backend, Buffer, MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.errors import UnsupportedRepository
from holdfast.model.snapshot import Snapshot, encode_snapshot
from holdfast.operations.tag import TagOptions, tag
from holdfast.overrides import override
from holdfast.primitives.crypto import random_bytes
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, new_session_id
from holdfast.store import Store
from holdfast.store.config import encode_config
from holdfast.store.pack import Codec, Kind, Payload, blob_key, build_pack, object_name
from holdfast.store.rotation import begin_rotation, finish_rotation
from holdfast.store.slots import Maker
from holdfast.testing.repositories import (
    PASSWORD,
    QUICK_KDF,
    SETTINGS,
    attached,
    copied,
    new_store,
    reopened,
)

GOOD = b"right content" * 50
WRONG = b"wrong content" * 50


def stored(store: Store, content: bytes) -> str:
    """A pack that no index object tells of, and that says that `content` is GOOD."""
    id_ = BlobId(keyed(blob_key(store.keys, Kind.DATA), GOOD))
    payload = Payload(content, Codec.RAW, len(content), [id_], [len(content)])
    info, raw = build_pack(Kind.DATA, [payload], store.keys, new_session_id(), random_bytes(32))
    store.backend.put(object_name(info.name), bytes(raw))
    return object_name(info.name)


class _Changed(MemoryBackend):
    """Something happens right before the first object of a folder is put."""

    def __init__(self, backend: Backend, folder: str, change: Callable[[Backend], None]) -> None:
        super().__init__()
        for info in backend.list(""):
            super().put(info.name, backend.get(info.name))
        self._folder = folder
        self._change = change
        self._is_done = False

    @override
    def put(self, name: str, data: Buffer) -> None:
        """See `Backend.put`."""
        if name.startswith(self._folder) and not self._is_done:
            self._is_done = True
            self._change(self)
        super().put(name, data)


def names(backend: Backend, folder: str) -> list[str]:
    return sorted(info.name for info in backend.list(folder))


@pytest.fixture
def store() -> Store:
    return new_store()


def new_config(store: Store) -> Callable[[Backend], None]:
    data = encode_config(1, store.keys, SETTINGS, 0, None)
    return lambda backend: backend.put("config/1", data)


def test_a_pack_of_older_keys_is_read_before_the_index_is_told_of_it(store: Store) -> None:
    good = stored(store, GOOD)
    begun = begin_rotation(store, [PASSWORD], QUICK_KDF, Maker(), drop_others=True)
    assert finish_rotation(begun, {}, wait=False, expire_after=1e9).finished
    forged = stored(store, WRONG)  # by somebody who had the old keys
    opened = Repository(reopened(store.backend), SYSTEM_CLOCK)
    result = opened.repair_index(dry_run=False)
    assert result.indexed == (good,)
    assert [damage.object for damage in result.unreadable] == [forged]
    assert "does not match its id" in result.unreadable[0].problem


def test_an_index_object_is_taken_back_when_the_keys_were_rotated(store: Store) -> None:
    stored(store, GOOD)
    backend = _Changed(store.backend, "index/", new_config(store))
    with pytest.raises(UnsupportedRepository, match="open it again"):
        Repository(attached(store, backend), SYSTEM_CLOCK).repair_index(dry_run=False)
    assert names(backend, "index/") == []


def test_nothing_is_cleared_when_the_keys_were_rotated(store: Store) -> None:
    backend = copied(store.backend)
    backend.put("index/" + "0" * 32, b"damaged")
    opened = attached(store, backend)
    new_config(store)(backend)
    with pytest.raises(UnsupportedRepository, match="open it again"):
        opened.clear_index(["index/" + "0" * 32], ())
    assert names(backend, "index/") == ["index/" + "0" * 32]


def test_a_label_is_taken_back_when_the_keys_were_rotated(store: Store) -> None:
    with store.writer({}) as writer:
        record = encode_snapshot(
            Snapshot(id=writer.id, tree=BlobId(bytes(32)), time_ns=1, end_ns=2)
        )
        assert writer.confirm()
        id_ = writer.commit(record)
    backend = _Changed(store.backend, "labels/", new_config(store))
    options = TagOptions(host="h", user="u", now_ns=3, add=("new",))
    with pytest.raises(UnsupportedRepository, match="open it again"):
        tag(attached(store, backend), [id_], options)
    assert names(backend, "labels/") == []
