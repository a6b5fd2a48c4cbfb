"""Anchors of audit trails as objects."""

from __future__ import annotations

import pytest

from holdfast.backend import MemoryBackend
from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.store.anchors import (
    AuditAnchor,
    anchor_names,
    decode_anchor,
    delete_anchor,
    put_anchor,
    read_anchor,
)
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.testing.repositories import new_store

TRAIL = "a" * 32
NAME = f"audit/{TRAIL}/7-{'0' * 16}"
RECORD: dict[str, object] = {
    "digest": b"d" * 32, "time": 5, "host": "h", "user": "u", "place": "/p",
}  # fmt: skip


@pytest.mark.format("F57", "F58")
def test_what_is_put_comes_back_until_it_is_deleted() -> None:
    store = new_store()
    said = AuditAnchor("", TRAIL, 7, "d" * 64, 5, "h", "u", "/p")
    first = put_anchor(store.backend, store.keys, said)
    assert read_anchor(store.backend, store.keys, first.name) == first
    assert first == AuditAnchor(first.name, TRAIL, 7, "d" * 64, 5, "h", "u", "/p")
    later = AuditAnchor("", TRAIL, 10, "e" * 64, 6, "h", "u", "/p")
    later = put_anchor(store.backend, store.keys, later)
    assert anchor_names(store.backend, TRAIL) == [later.name, first.name]
    for _ in range(2):
        delete_anchor(store.backend, first.name)
        assert anchor_names(store.backend) == [later.name]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("digest", b"d" * 31), ("digest", b"d" * 33), ("digest", "d"), ("time", True),
        ("time", "5"), ("host", 1), ("user", b"u"), ("place", None),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_damage(field: str, value: object) -> None:
    keys = new_store(MemoryBackend()).keys

    def sealed(record: object) -> bytes:
        return seal_object(ObjectType.ANCHOR, keys, NAME, codec.pack(record))

    assert decode_anchor(keys, NAME, sealed(RECORD)).sequence == 7
    with pytest.raises(DamagedRepository, match="how far a trail had come"):
        decode_anchor(keys, NAME, sealed({**RECORD, field: value}))
