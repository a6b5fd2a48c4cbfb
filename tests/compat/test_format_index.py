"""Removed packs, and index objects that replace others: F27, F53 and F56 of docs/format.md."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.compat import reader
from tests.compat.making import (
    assert_both_read,
    assert_both_refuse,
    commit,
    entry,
    new_store,
    noise,
    opened,
    page,
    reopened,
    save,
    told_by_reader,
)
from tests.unit.store.index_objects import told_by

import holdfast
from holdfast.backend import Buffer, Call, Faulty, LocalBackend, NoFault
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.ids import BlobId, PackName
from holdfast.store import Store, Writer
from holdfast.store.catalog import Catalog
from holdfast.store.consolidate import consolidate
from holdfast.store.index import decode_index, encode_index
from holdfast.store.keys import Keys

NAME = "index/" + "0" * 32
OTHER = PackName("1" * 64 + "-" + "2" * 8)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two snapshots of a file; all of the second is in packs of its own too."""
    place = tmp_path_factory.mktemp("repository")

    def make(writer: Writer) -> BlobId:
        return page(writer, 0, [entry(b"file", 1, save(writer, noise(700)), 700)])

    commit(new_store(place), make)
    (place / "index").rename(place / "hidden")
    commit(reopened(place), make)
    for path in (place / "hidden").iterdir():
        path.rename(place / "index" / path.name)
    (place / "hidden").rmdir()
    return place


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return shutil.copytree(original, tmp_path / "copy")


def packs_of(place: Path) -> dict[str, list[PackName]]:
    """The packs that each index object tells of."""
    keys = reopened(place).keys
    return {
        f"index/{path.name}": [
            row.name for row in decode_index(f"index/{path.name}", path.read_bytes(), keys).packs
        ]
        for path in sorted((place / "index").iterdir())
    }


def packs_of_sessions(place: Path) -> list[list[PackName]]:
    """The packs of each of the two sessions, however many index objects tell of them."""
    sessions: defaultdict[str, list[PackName]] = defaultdict(list)
    for names in packs_of(place).values():
        for name in names:
            sessions[name[-8:]].append(name)
    assert len(sessions) == 2
    return list(sessions.values())


def remove(place: Path, packs: list[PackName], name: str = NAME) -> None:
    (place / name).write_bytes(encode_index(name, [], reopened(place).keys, removed=packs))


@pytest.mark.format("F53")
@pytest.mark.parametrize("name", ["index/" + "0" * 32, "index/" + "f" * 32])
def test_nothing_is_read_from_removed_packs(place: Path, name: str) -> None:
    """Whether the removal is read before or after what tells of the packs."""
    expected = told_by_reader(place)
    first, second = packs_of_sessions(place)
    remove(place, [*first, OTHER], name)
    assert assert_both_read(place) == expected
    found = {row[1] for rows in opened(place).places.values() for row in rows}
    assert found == set(second)
    (place / name).unlink()
    remove(place, [*first, *second], name)
    assert opened(place).places == {}
    assert_both_refuse(place)


@pytest.mark.format("F53")
def test_what_is_removed_need_not_be_there(place: Path) -> None:
    expected = told_by_reader(place)
    first, _ = packs_of_sessions(place)
    remove(place, first)
    for pack in first:
        (place / "data" / pack[:2] / pack).unlink()
    assert assert_both_read(place) == expected


def head_of(data: bytes, name: str, keys: Keys) -> dict[object, object]:
    """The record of a head, opened by hand; the object ends with it."""
    aead = AESGCM(reader.keyed(reader.derive(keys.master, "object index"), data[16:48]))
    about = data[:52] + name.encode() + b"\0" + keys.repository
    assert 52 + int.from_bytes(data[48:52], "little") == len(data)
    record = codec.unpack(aead.decrypt(b"obj\0" + bytes(8), data[52:], about))
    assert isinstance(record, dict)
    return record


@pytest.mark.format("F27", "F53")
def test_an_object_of_removed_packs_byte_by_byte(place: Path) -> None:
    keys = reopened(place).keys
    data = encode_index(NAME, [], keys, removed=[OTHER])
    assert head_of(data, NAME, keys) == {
        "packs": (), "segments": b"", "pages": (), "removed": (OTHER,),
    }  # fmt: skip
    assert "removed" not in head_of(encode_index(NAME, [], keys), NAME, keys)
    (place / NAME).write_bytes(data)
    repository = opened(place)
    assert repository.index(NAME) == []
    assert repository.removed == {OTHER}


BAD = {
    "no array": "x",
    "nil": None,
    "a number": [1],
    "bytes": [OTHER.encode()],
    "an object's name": ["data/11/" + OTHER],
    "half a name": [OTHER[:64]],
}


def sealed(record: object, keys: Keys) -> bytes:
    """An index object with any head and no pages."""
    message = codec.pack(record)
    start = b"HFOBJECT" + bytes([1, 0, 48, 0, 0, 0, 0, 0]) + bytes(32)
    start += (len(message) + 16).to_bytes(4, "little")
    aead = AESGCM(reader.keyed(reader.derive(keys.master, "object index"), bytes(32)))
    about = start + NAME.encode() + b"\0" + keys.repository
    return start + aead.encrypt(b"obj\0" + bytes(8), message, about)


@pytest.mark.format("F53")
@pytest.mark.parametrize("removed", [[OTHER], *BAD.values()], ids=["nothing", *BAD])
def test_bad_names_of_removed_packs_are_refused(place: Path, removed: object) -> None:
    keys = reopened(place).keys
    data = sealed({"packs": [], "segments": b"", "pages": [], "removed": removed}, keys)
    (place / NAME).write_bytes(data)
    if removed == [OTHER]:
        assert decode_index(NAME, data, keys).removed == {OTHER}
        assert_both_read(place)
        return
    with pytest.raises(reader.RefusedError):
        opened(place).index(NAME)
    with pytest.raises(holdfast.DamagedRepository):
        decode_index(NAME, data, keys)


def many_objects(place: Path) -> Store:
    """Let there be ten index objects for each pack, and let all packs of a session be removed."""
    store = reopened(place)
    first, second = packs_of_sessions(place)
    names = first + second
    for number, pack in enumerate(names * 10):
        size = (place / "data" / pack[:2] / pack).stat().st_size
        name = f"index/{number:032x}"
        (place / name).write_bytes(encode_index(name, [store.read_trailer(pack, size)], store.keys))
    remove(place, first, "index/" + "e" * 32)
    return store


@pytest.mark.format("F56")
def test_replaced_index_objects_tell_the_same(place: Path) -> None:
    expected = told_by_reader(place)
    store = many_objects(place)
    before = opened(place)
    rows = {place_ for rows in before.places.values() for place_ in rows}
    sources = {path.name: path.read_bytes() for path in (place / "index").iterdir()}
    consolidate(LocalBackend(place), store.keys)
    (merged,) = (place / "index").iterdir()
    after = opened(place)
    assert {place_ for rows in after.places.values() for place_ in rows} == rows
    assert after.removed == before.removed
    assert assert_both_read(place) == expected
    # As long as only some of what it replaces is deleted, the same is told too.
    for name, data in sources.items():
        merged.with_name(name).write_bytes(data)
    for name in sources:
        assert told_by_reader(place) == expected
        merged.with_name(name).unlink()
    assert assert_both_read(place) == expected


@pytest.mark.format("F56")
def test_an_object_that_cannot_be_read_is_not_replaced(place: Path) -> None:
    store = many_objects(place)
    damaged = place / "index" / ("0" * 32)
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(data)
    consolidate(LocalBackend(place), store.keys)
    assert len(list((place / "index").iterdir())) == 2
    assert damaged.read_bytes() == data


@pytest.mark.format("F56")
def test_a_reader_lists_the_index_again_when_an_object_is_gone(place: Path) -> None:
    store = many_objects(place)
    before = told_by(Catalog(LocalBackend(place), store.keys, None).load())

    class Replacing(NoFault):
        """All that was listed is replaced just before it is read."""

        @override
        def before(self, call: Call, data: Buffer) -> Buffer:
            if call.verb == "get":
                consolidate(LocalBackend(place), store.keys)
            return data

    late = Faulty(LocalBackend(place), Replacing())
    assert told_by(Catalog(late, store.keys, None).load()) == before
    assert [call.verb for call in late.calls].count("list") > 1
    assert len(before) > 0
