"""Targets: the small objects of a repository, with any message that is sealed properly.

What somebody sealed who has the keys is refused, or is the same once it is written and read again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from tests.fuzz.engine import Target
from tests.fuzz.forging import KEYS, NAME, PACK, TIME, checked
from tests.fuzz.mutate import mutate_msgpack

from holdfast.errors import DamagedRepository
from holdfast.model.labels import Label, decode_label, encode_label
from holdfast.model.snapshot import Problem, decode_snapshot, encode_snapshot
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.store.anchors import decode_anchor
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.epochs import decode_epoch
from holdfast.store.forgotten import decode_forgotten
from holdfast.store.keys import epoch_object
from holdfast.store.session import decode_condemned
from holdfast.store.sessions import decode_waits
from holdfast.testing.layouts import snapshot_of

Decode: TypeAlias = Callable[[str, bytes], object]

NAMES: dict[ObjectType, str] = {
    ObjectType.SNAPSHOT: f"snapshots/{NAME}",
    ObjectType.ABORTED: f"snapshots/{NAME}",
    ObjectType.SESSION: f"sessions/{NAME}",
    ObjectType.CONDEMNED: f"gc/{NAME}",
    ObjectType.FORGOTTEN: f"forgotten/{NAME}",
    ObjectType.LABEL: f"labels/{NAME}/{NAME}",
    ObjectType.EPOCH: epoch_object(KEYS),
    ObjectType.ANCHOR: f"audit/{NAME}/7-0123456789abcdef",
}

SNAPSHOT = replace(
    snapshot_of(BlobId(b"t" * 32)),
    id=SnapshotId(NAME),
    tags=("daily", "safety"),
    label="label",
    parent=SnapshotId(NAME),
    how={"kind": "local", "started": TIME},
    excluded=("*.tmp",),
    problems=(Problem("/odd\udc80", "read", "no"),),
    problem_count=3,
)

LABEL = Label(
    time_ns=TIME,
    host="host",
    user="user",
    counter=2,
    add=("a",),
    remove=("b",),
    release=(NAME,),
    note="note",
)


SMALL: Sequence[tuple[ObjectType, Decode, bytes]] = (
    (
        ObjectType.CONDEMNED,
        lambda name, data: decode_condemned(KEYS, name, data),
        codec.pack({"packs": [PACK]}),
    ),
    (
        ObjectType.CONDEMNED,
        lambda name, data: decode_waits(KEYS, name, data),
        codec.pack({"waits": [NAME]}),
    ),
    (
        ObjectType.FORGOTTEN,
        lambda name, data: decode_forgotten(KEYS, name, data),
        codec.pack({"snapshot": b"record", "forgotten": TIME}),
    ),
    (
        ObjectType.EPOCH,
        lambda name, data: decode_epoch(KEYS, name, data),
        codec.pack({"epoch": 1, "master": b"1" * 32}),
    ),
    (
        ObjectType.ANCHOR,
        lambda name, data: str(decode_anchor(KEYS, name, data).time),
        codec.pack({"digest": bytes(32), "time": TIME, "host": "", "user": "", "place": ""}),
    ),
)


def try_small(message: bytes) -> None:
    """A message as an object of every type."""
    refusal: DamagedRepository | None = None
    for type_, decode, _ in SMALL:
        name = NAMES[type_]
        try:
            decode(name, seal_object(type_, KEYS, name, message))
        except DamagedRepository as error:
            refusal = checked(error)
        else:
            return
    assert refusal is not None
    raise refusal


def sealed_with(type_: ObjectType, message: bytes) -> bytes:
    """The message as it comes out of an object; that it does is tried on the way."""
    name = NAMES[type_]
    opened = open_object(type_, KEYS, name, seal_object(type_, KEYS, name, message))
    assert opened == message
    return opened


def try_snapshot(message: bytes) -> None:
    """A snapshot's record: what it is taken for can be shown, and is the same once written."""
    try:
        found = decode_snapshot(SnapshotId(NAME), sealed_with(ObjectType.SNAPSHOT, message))
    except DamagedRepository as error:
        raise checked(error) from None
    json.dumps(found.dict())
    assert str(found)
    assert found._row()
    assert found.end.tzinfo is not None
    again = decode_snapshot(found.id, encode_snapshot(found))
    # As text, because NaN in what later versions add differs from itself.
    assert repr(again) == repr(found), "it is another once it is written and read"


def try_label(message: bytes) -> None:
    """A label's record."""
    try:
        found = decode_label("labels/x", sealed_with(ObjectType.LABEL, message))
    except DamagedRepository as error:
        raise checked(error) from None
    assert decode_label("labels/x", encode_label(found)) == found


TARGETS = (
    Target("snapshot", lambda _: try_snapshot, lambda: [encode_snapshot(SNAPSHOT)], mutate_msgpack),
    Target("label", lambda _: try_label, lambda: [encode_label(LABEL)], mutate_msgpack),
    Target("object", lambda _: try_small, lambda: [seed for *_, seed in SMALL], mutate_msgpack),
)
