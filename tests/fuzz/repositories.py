"""Target: repositories, forged by somebody who has the keys, and every verb that reads them."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.faults.hostile import VERBS, Trial
from tests.fuzz.engine import Attempt, Target
from tests.fuzz.forging import NotForged, checked, record_of
from tests.fuzz.mutate import Words, mutate_msgpack, mutate_tree
from tests.fuzz.objects import SNAPSHOT
from tests.fuzz.trees import tree_seeds, tree_values

from holdfast import HoldfastError
from holdfast.backend import Backend, MemoryBackend
from holdfast.clock import SYSTEM_CLOCK
from holdfast.engine.repository import Repository
from holdfast.errors import DamagedRepository, PathNotFound
from holdfast.model.node import NodeType
from holdfast.model.snapshot import encode_snapshot
from holdfast.model.tree import save_directory
from holdfast.primitives import codec
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, SessionId
from holdfast.store import Store
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.index import encode_index
from holdfast.store.pack import Codec, Kind, Payload, blob_key, build_pack, object_name
from holdfast.testing.layouts import node
from holdfast.testing.repositories import attached, copied, new_store

FORGED, SOUND = "f" * 32, "0" * 32
SLOW = frozenset({"backup"})
"""Verbs that do much besides."""


def forge(store: Store, backend: Backend, data: bytes) -> None:
    """Put a snapshot of a tree into a repository, both as the input has them (NotForged)."""
    match record_of(data):
        case {"snapshot": dict(snapshot), "blobs": bytes(packed)}:
            blobs = tree_values(packed)
        case _:
            raise NotForged
    ids: dict[int, BlobId] = {}
    for number in reversed(range(len(blobs))):
        blob = blobs[number]
        for later, id_ in ids.items():  # what an input names by its number
            blob = blob.replace(later.to_bytes(32, "big"), id_)
        ids[number] = _save(store, backend, number, blob)
    record = {**snapshot, "tree": ids.get(0, bytes(32)), **snapshot}
    _seal(store, backend, f"snapshots/{FORGED}", codec.pack(record))


def _save(store: Store, backend: Backend, number: int, blob: bytes) -> BlobId:
    """Store a blob in a pack of its own; what may be a directory or a list as such."""
    kind = Kind.DATA
    with suppress(ValueError):
        kind = Kind.TREE if isinstance(codec.unpack(blob), tuple) else kind
    id_ = BlobId(keyed(blob_key(store.keys, kind), blob))
    payload = Payload(blob, Codec.RAW, len(blob), [id_], [len(blob)])
    session = SessionId(number.to_bytes(16, "big"))
    info, pack = build_pack(kind, [payload], store.keys, session, bytes(32))
    backend.put(object_name(info.name), pack)
    index = f"index/{number:032x}"
    backend.put(index, encode_index(index, [info], store.keys))
    return id_


def _seal(store: Store, backend: Backend, name: str, record: bytes) -> None:
    backend.put(name, seal_object(ObjectType.SNAPSHOT, store.keys, name, record))


def prepare(folder: Path) -> Attempt:
    """Makes a repository with one sound snapshot, of which every input gets a copy."""
    base = MemoryBackend()
    store = new_store(base)
    with store.writer({}) as writer:
        blob = writer.save_data(memoryview(b"good"), ("", 0))
        tree = save_directory([node(b"good", NodeType.FILE, blob, 4)], writer)
        writer.flush()
    sound = codec.unpack(encode_snapshot(SNAPSHOT))
    assert isinstance(sound, dict)
    _seal(store, base, f"snapshots/{SOUND}", codec.pack({**sound, "tree": tree}))

    def attempt(data: bytes) -> None:
        backend = copied(base)
        forge(store, backend, data)
        with (
            tempfile.TemporaryDirectory(dir=folder) as scratch,
            Repository(attached(store, backend), SYSTEM_CLOCK) as repo,
        ):
            tell(Trial(repo, FORGED, SOUND, Path(scratch)))

    return attempt


def tell(trial: Trial) -> None:
    """Do all that there is to do; the sound snapshot stays readable (the last refusal)."""
    refusal: HoldfastError | None = None
    for name, verb in VERBS.items():
        if name in SLOW:
            continue
        try:
            with suppress(PathNotFound):  # it need not have what is looked for
                verb(trial)
        except DamagedRepository as error:
            refusal = checked(error)
        except HoldfastError as error:
            refusal = error
        with trial.repo.open_file(trial.sound, "/good") as stream:
            assert stream.read() == b"good"
    if refusal is not None:
        raise refusal


def seeds() -> list[bytes]:
    record = codec.unpack(encode_snapshot(SNAPSHOT))
    assert isinstance(record, dict)
    del record["tree"]
    return [codec.pack({"snapshot": record, "blobs": packed}) for packed in tree_seeds()]


def mutate_repository(data: bytes, other: bytes, words: Words, draw: Random) -> bytes:
    """Change the snapshot, or something in the blobs, which are a record in the record."""
    record, others = codec.unpack(data), codec.unpack(other)
    assert isinstance(record, dict)
    assert isinstance(others, dict)
    part = draw.choice(("snapshot", "blobs", "blobs", "blobs"))
    one, two = record[part], others[part]
    if part == "blobs":
        assert isinstance(one, bytes)
        assert isinstance(two, bytes)
        return codec.pack({**record, part: mutate_tree(one, two, words, draw)})
    changed = mutate_msgpack(codec.pack(one), codec.pack(two), words, draw)
    with suppress(ValueError):
        return codec.pack({**record, part: codec.unpack(changed)})
    return data


TARGETS = (Target("repository", prepare, seeds, mutate_repository, (NotForged,), share=5),)
