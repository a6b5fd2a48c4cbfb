"""Repositories for the tests of the format, quick to open, and the two ways to read them.

`told_by_reader` and `told_by_holdfast` read all of a repository and give it in the same form, so
that a test can compare them, and can ask of a damaged repository that both refuse it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.compat import reader

import holdfast
from holdfast.backend import Backend, LocalBackend
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.engine.repository import Repository
from holdfast.model.file import SnapshotFile
from holdfast.model.node import Node, NodeType
from holdfast.model.snapshot import decode_snapshot, encode_snapshot
from holdfast.model.tree import load_directory
from holdfast.primitives import codec, hashing
from holdfast.primitives.chunker import PROFILES, ChunkerParams
from holdfast.primitives.ids import BlobId, SnapshotId
from holdfast.primitives.kdf import KdfParams
from holdfast.store import Loader, Settings, Store, Writer, create_store, open_store
from holdfast.testing.layouts import snapshot_of

PASSWORD = "a long password"
KDF = KdfParams(memory=19 << 10, passes=1, lanes=1)
"""The weakest that the format allows."""

GROUP = ("small", 0)

Told: TypeAlias = dict[str, dict[bytes, tuple[reader.Record, bytes]]]
"""Of every snapshot every path: its entry, and the bytes of a file."""


def new_store(
    place: Path | Backend,
    *,
    chunker: ChunkerParams = PROFILES["default"],
    pack_size: int = 1 << 20,
    compression: int = 3,
    clock: Clock = SYSTEM_CLOCK,
) -> Store:
    backend = LocalBackend(place) if isinstance(place, Path) else place
    settings = Settings(chunker, pack_size, compression)
    return create_store(backend, PASSWORD, settings, KDF, clock, None)


def reopened(place: Path, password: str | bytes = PASSWORD) -> Store:
    return open_store(LocalBackend(place), password, SYSTEM_CLOCK, None)


def new_repository(
    place: Path | Backend,
    *,
    chunker: ChunkerParams = PROFILES["default"],
    pack_size: int = 1 << 20,
) -> Repository:
    return Repository(new_store(place, chunker=chunker, pack_size=pack_size), SYSTEM_CLOCK)


def opened(place: Path, password: str | bytes = PASSWORD) -> reader.Repository:
    return reader.Repository(place, password)


def finish(writer: Writer, tree: BlobId) -> SnapshotId:
    """Commit a snapshot of a tree that was saved."""
    writer.flush()
    assert writer.confirm()
    return writer.commit(encode_snapshot(replace(snapshot_of(tree), id=writer.id)))


def commit(store: Store, make: Callable[[Writer], BlobId]) -> SnapshotId:
    """Make a snapshot of the tree that a function saves."""
    with store.writer({}) as writer:
        return finish(writer, make(writer))


def save(writer: Writer, data: bytes) -> BlobId:
    """Save a blob of a small file."""
    return writer.save_data(memoryview(data), GROUP)


def noise(size: int, seed: bytes = b"") -> bytes:
    """Bytes that look random, the same in every run."""
    return hashing.keyed_stream(hashing.digest(seed), b"noise", size)


# Entries and pages as they are on the wire, also such as holdfast never writes


def entry(name: bytes, kind: int = 1, payload: object = None, size: int = 0) -> list[object]:
    times = [1_700_000_000_000_000_001, 1_700_000_000_000_000_002]
    return [name, kind, 0o644, 0, 0, None, None, *times, 7, size, payload, None, [], None]


def changed(position: int, value: object) -> list[object]:
    """An entry of an empty file with another value of one field."""
    row = entry(b"name")
    row[position] = value
    return row


def page(writer: Writer, level: int, rows: Sequence[object]) -> BlobId:
    return writer.save_tree(codec.pack([level, rows]))


# Reading


def walk(
    repository: reader.Repository, tree: reader.Value
) -> Iterator[tuple[bytes, reader.Record]]:
    """Every path below a tree, and its entry, as the independent reader has them."""
    for found in repository.directory(tree):
        name = found["name"]
        assert isinstance(name, bytes)
        yield name, found
        if found["type"] == NodeType.DIRECTORY:
            for path, below in walk(repository, found["payload"]):
                yield name + b"/" + path, below


def content_of(repository: reader.Repository, found: reader.Record) -> bytes:
    return b"".join(repository.content(found)) if found["type"] == NodeType.FILE else b""


def told_by_reader(place: Path, password: str | bytes = PASSWORD) -> Told:
    repository = opened(place, password)
    return {
        id_: {
            path: (found, content_of(repository, found))
            for path, found in walk(repository, record["tree"])
        }
        for id_, record in repository.snapshots().items()
    }


def told_by_holdfast(place: Path, password: str | bytes = PASSWORD) -> Told:
    store = reopened(place, password)
    told: Told = {}
    with store.loader() as loader:
        for id_ in store.snapshot_ids():
            data = store.snapshot(id_)
            if data is not None:
                tree = decode_snapshot(id_, data).tree
                told[id_] = dict(_walk_nodes(b"", tree, loader))
    return told


def _walk_nodes(
    path: bytes, tree: BlobId, loader: Loader
) -> Iterator[tuple[bytes, tuple[reader.Record, bytes]]]:
    for node in load_directory(tree, loader):
        yield path + node.name, (as_record(node), _bytes_of(node, loader))
        if node.type == NodeType.DIRECTORY:
            assert isinstance(node.payload, bytes)
            yield from _walk_nodes(path + node.name + b"/", BlobId(node.payload), loader)


def _bytes_of(node: Node, loader: Loader) -> bytes:
    return SnapshotFile(node, loader).readall() or b"" if node.type == NodeType.FILE else b""


def as_record(node: Node) -> reader.Record:
    """A node in the form that the reader gives it: the fields by name, arrays as lists."""
    return {name: _plain(value) for name, value in zip(Node._fields, node, strict=True)}


def _plain(value: object) -> reader.Value:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    assert value is None or isinstance(value, int | float | str | bytes)
    return value


def assert_both_read(place: Path) -> Told:
    """Read all by both and compare; returns what they tell."""
    told = told_by_reader(place)
    assert told == told_by_holdfast(place)
    return told


def described(told: Told) -> dict[str, dict[str, list[object]]]:
    """What is told, short enough to be kept: of each path the type, the size and two digests."""
    return {
        id_: {
            path.decode("ascii", "backslashreplace"): [
                found["type"],
                found["size"],
                hashing.digest(repr(sorted(found.items())).encode()).hex(),
                hashing.digest(content).hex(),
            ]
            for path, (found, content) in paths.items()
            if not path.startswith(b"many/") or path.endswith(b"00")
        }
        for id_, paths in told.items()
    }


def assert_both_refuse(place: Path) -> None:
    """Neither reads the repository to its end."""
    with pytest.raises(reader.RefusedError):
        told_by_reader(place)
    with pytest.raises(holdfast.RepositoryError):
        told_by_holdfast(place)


# Objects on the disk


def objects(place: Path) -> dict[str, bytes]:
    """Every file of a repository."""
    files = (path for path in sorted(place.rglob("*")) if path.is_file())
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}


def names(place: Path, folder: str) -> list[str]:
    return [name for name in objects(place) if name.startswith(folder + "/")]


def flip(place: Path, name: str, position: int) -> None:
    """Flip one bit of an object."""
    data = bytearray((place / name).read_bytes())
    data[position] ^= 1
    (place / name).write_bytes(data)


def with_checksum(data: bytes) -> bytes:
    return data + hashing.digest(data)
