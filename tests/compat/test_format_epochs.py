"""Rotated keys: statements F49 and F50 of docs/format.md."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.compat import reader
from tests.compat.making import (
    KDF,
    PASSWORD,
    assert_both_read,
    assert_both_refuse,
    commit,
    entry,
    names,
    new_store,
    objects,
    opened,
    page,
    reopened,
    save,
    told_by_holdfast,
    told_by_reader,
)

import holdfast
from holdfast.primitives import codec, hashing
from holdfast.store import Maker, Store, begin_rotation, finish_rotation
from holdfast.store.config import encode_config
from holdfast.store.envelope import ObjectType, object_epoch, open_object, seal_object
from holdfast.store.keys import Keys


def back_up(store: Store, content: bytes) -> None:
    commit(
        store,
        lambda writer: page(
            writer, 0, [entry(b"file", 1, save(writer, content), len(content))]
        ),
    )  # fmt: skip


def begin(store: Store) -> Store:
    return begin_rotation(store, (PASSWORD,), KDF, Maker(), drop_others=True)


def rotate(store: Store) -> Store:
    done = finish_rotation(begin(store), {}, wait=False, expire_after=1.0)
    assert done.finished
    return done.store


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """One snapshot, two rotations, and one more."""
    store = new_store(tmp_path / "repo")
    back_up(store, b"before")
    back_up(rotate(rotate(store)), b"after")
    return tmp_path / "repo"


def epoch_of(place: Path, name: str) -> int:
    data = (place / name).read_bytes()
    start = 16 if name.startswith("data/") else 12
    return int.from_bytes(data[start : start + 4], "little")


@pytest.mark.format("F49", "F50")
def test_a_rotated_repository_is_read_with_the_packs_of_before(place: Path) -> None:
    told = assert_both_read(place)
    assert sorted(files[b"file"][1] for files in told.values()) == [b"after", b"before"]
    assert {epoch_of(place, name) for name in names(place, "index")} == {2}
    assert {epoch_of(place, name) for name in names(place, "snapshots")} == {2}
    packs = [name for name in objects(place) if name.startswith("data/")]
    assert sorted(epoch_of(place, name) for name in packs) == [0, 0, 2, 2]


@pytest.mark.format("F49")
def test_an_object_of_an_epoch_byte_by_byte(place: Path) -> None:
    keys = reopened(place).keys
    assert sorted(keys.older) == [0, 1]
    for before, after in ((1, keys.master), (0, keys.older[1])):
        digits = reader.derive(after, "epoch name")[:8].hex()
        name = f"epochs/{before}-{digits}"
        data = (place / name).read_bytes()
        assert data[:16] == b"HFOBJECT" + bytes([9, 0, 48, 0, before + 1, 0, 0, 0])
        key = reader.keyed(reader.derive(after, "object epoch"), data[16:48])
        about = data[:48] + name.encode() + b"\0" + keys.repository
        record = codec.unpack(AESGCM(key).decrypt(b"obj\0" + bytes(8), data[48:], about))
        assert record == {"epoch": before, "master": keys.older[before]}
    assert len(names(place, "epochs")) == 2


@pytest.mark.format("F49")
def test_configs_say_which_epochs_are_accepted(place: Path) -> None:
    keys = reopened(place).keys
    told = []
    before = None
    for number in range(5):
        name = f"config/{number}"
        data = (place / name).read_bytes()
        sealed = data[12 + int.from_bytes(data[8:12], "little") : -32]
        epoch = object_epoch(name, sealed)
        record = codec.unpack(open_object(ObjectType.CONFIG, keys.at(epoch), name, sealed))
        assert isinstance(record, dict)
        assert record["predecessor"] == before
        before = hashing.digest(data)
        told.append((epoch, record["oldest"]))
    assert told == [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)]
    assert not (place / "config/5").exists()


@pytest.mark.format("F49")
def test_until_the_second_config_older_objects_are_accepted(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    back_up(store, b"before")
    back_up(begin(store), b"after")
    assert {epoch_of(tmp_path, name) for name in names(tmp_path, "snapshots")} == {0, 1}
    assert len(assert_both_read(tmp_path)) == 2


@pytest.mark.format("F49")
@pytest.mark.parametrize("folder", ["snapshots", "index"])
def test_an_older_object_is_refused_afterwards(tmp_path: Path, folder: str) -> None:
    store = new_store(tmp_path)
    back_up(store, b"before")
    (name,) = names(tmp_path, folder)
    old = (tmp_path / name).read_bytes()
    rotate(store)
    assert (tmp_path / name).read_bytes() != old
    assert_both_read(tmp_path)
    (tmp_path / name).write_bytes(old)
    with pytest.raises(reader.RefusedError, match="not accepted"):
        told_by_reader(tmp_path)
    with pytest.raises(holdfast.DamagedRepository):
        told_by_holdfast(tmp_path)


@pytest.mark.format("F49")
def test_what_an_interrupted_rotation_left_is_not_used(place: Path) -> None:
    expected = told_by_reader(place)
    store = reopened(place)
    left = Keys(store.keys.repository, 3, store.keys.dedup, bytes(32), {2: b"x" * 32}, 2)
    digits = left.from_master("epoch name")[:8].hex()
    name = f"epochs/2-{digits}"
    record = codec.pack({"epoch": 2, "master": b"x" * 32})
    (place / name).write_bytes(seal_object(ObjectType.EPOCH, left, name, record))
    assert assert_both_read(place) == expected


@pytest.mark.format("F49")
@pytest.mark.parametrize("oldest", [3, -1])
def test_an_oldest_epoch_that_cannot_be_is_refused(place: Path, oldest: int) -> None:
    store = reopened(place)
    keys = store.keys
    wrong = Keys(keys.repository, keys.epoch, keys.dedup, keys.master, keys.older, oldest)
    (place / "config/5").write_bytes(encode_config(5, wrong, store.settings, 1, None))
    assert_both_refuse(place)


@pytest.mark.format("F50")
def test_without_its_epoch_a_pack_cannot_be_read_and_all_else_can(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    master = reopened(place).keys.older[1]
    lost = f"epochs/0-{reader.derive(master, 'epoch name')[:8].hex()}"
    (place / lost).unlink()
    with pytest.raises(reader.RefusedError, match="no good place"):
        told_by_reader(place)
    with pytest.raises(holdfast.DamagedRepository, match=lost):
        told_by_holdfast(place)
    assert lost in caplog.text
    store = reopened(place)
    damage = [each.object for each in store.scrub_objects()]
    assert damage == [lost]
    hurt = [pack for pack in store.list_packs().packs if store.scrub_pack(pack)]
    assert len(hurt) == 2
    assert len(opened(place).snapshots()) == 2
