from __future__ import annotations

from holdfast.backend import MemoryBackend
from holdfast.testing.repositories import attached, copied, new_store


def test_equal_blobs_have_equal_ids_where_the_keys_say_so() -> None:
    backend = MemoryBackend()
    store = new_store(backend)
    assert store.names_blobs_as(attached(store, copied(backend)))
    assert not store.names_blobs_as(new_store())
