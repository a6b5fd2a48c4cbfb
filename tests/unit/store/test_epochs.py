"""Older keys: what opens with them, and what is said when they are not to be had."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.backend import MemoryBackend
from holdfast.errors import DamagedRepository
from holdfast.primitives import codec
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, SessionId
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.epochs import decode_epoch, encode_epoch, load_older
from holdfast.store.keys import Keys, NoMaster, epoch_object
from holdfast.store.objects import NewerKeys
from holdfast.store.pack import Codec, Kind, Payload, blob_key, build_pack
from holdfast.store.unpack import PackOpener, read_pack

OLD = Keys(bytes(16), 0, b"d" * 32, b"0" * 32)
NEW = Keys(bytes(16), 2, b"d" * 32, b"2" * 32, {1: b"1" * 32, 0: b"0" * 32})
NAME = "sessions/" + "0" * 32


def stored(keys: Keys = NEW) -> MemoryBackend:
    backend = MemoryBackend()
    for epoch in (1, 2):
        then = keys.at(epoch)
        backend.put(epoch_object(then), encode_epoch(then))
    return backend


def test_each_master_opens_the_one_before() -> None:
    assert load_older(stored(), replace(NEW, older={})) == NEW.older


@pytest.mark.parametrize("how", ["lost", "damaged", "swapped"])
def test_what_cannot_be_read_ends_the_chain_with_a_warning(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = stored()
    name, other = epoch_object(NEW.at(1)), epoch_object(NEW)
    if how == "lost":
        backend.delete(name)
    else:
        backend.put(name, b"damaged" if how == "damaged" else backend.get(other))
    assert load_older(backend, replace(NEW, older={})) == {1: b"1" * 32}
    assert name in caplog.text
    assert load_older(backend, NEW) == NEW.older


@pytest.mark.parametrize("epoch", [1, 2])
def test_whatever_byte_is_flipped_nobody_is_locked_out(epoch: int) -> None:
    whole = stored()
    name = epoch_object(NEW.at(epoch))
    good = whole.get(name)
    whole.put("config/7", b"")
    keys = replace(NEW, older={}, config=7)
    for at in range(len(good)):
        whole.put(name, good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        assert load_older(whole, keys) == ({} if epoch == 2 else {1: b"1" * 32}), at
        assert load_older(whole, replace(NEW, config=3)) == NEW.older, at


def test_nothing_is_read_at_the_first_epoch() -> None:
    assert load_older(MemoryBackend(), OLD) == {}


@pytest.mark.parametrize(
    "record",
    [None, {}, {"epoch": 0, "master": b"1" * 32}, {"epoch": 1, "master": b"1"}, {"epoch": 1}],
)
def test_a_record_that_makes_no_sense_is_damage(record: object) -> None:
    name = epoch_object(NEW)
    data = seal_object(ObjectType.EPOCH, NEW, name, codec.pack(record))
    with pytest.raises(DamagedRepository):
        decode_epoch(NEW, name, data)


def test_an_object_opens_with_the_keys_of_its_epoch() -> None:
    data = seal_object(ObjectType.SESSION, OLD, NAME, b"message")
    assert open_object(ObjectType.SESSION, NEW, NAME, data) == b"message"
    with pytest.raises(DamagedRepository, match="out of force"):
        open_object(ObjectType.SESSION, replace(NEW, oldest=1), NAME, data)
    with pytest.raises(DamagedRepository):
        open_object(
            ObjectType.SESSION, replace(NEW, older={1: b"1" * 32, 0: b"x" * 32}), NAME, data
        )


def test_a_missing_master_is_told_with_the_object_that_should_hold_it() -> None:
    data = seal_object(ObjectType.SESSION, OLD, NAME, b"message")
    keys = replace(NEW, older={1: b"1" * 32})
    with pytest.raises(DamagedRepository, match=epoch_object(NEW.at(1))) as caught:
        open_object(ObjectType.SESSION, keys, NAME, data)
    assert caught.value.object == NAME
    with pytest.raises(NoMaster, match=epoch_object(NEW)):
        replace(NEW, older={}).from_master("pack", 0)


def test_an_object_of_a_later_epoch_is_told_apart() -> None:
    data = seal_object(ObjectType.SESSION, NEW, NAME, b"message")
    with pytest.raises(NewerKeys, match="epoch 2"):
        open_object(ObjectType.SESSION, OLD, NAME, data)


def test_a_pack_opens_with_the_keys_of_its_epoch_and_no_others() -> None:
    payload = Payload(
        b"blob", Codec.RAW, 4, [BlobId(keyed(blob_key(OLD, Kind.DATA), b"blob"))], [4]
    )
    session = SessionId(bytes(16))
    info, pack = build_pack(Kind.DATA, [payload], OLD, session, bytes(32))
    assert [bytes(data) for _, data in read_pack(info.name, bytes(pack), NEW)] == [b"blob"]
    assert [bytes(data) for _, data in read_pack(info.name, bytes(pack), replace(NEW, oldest=2))]
    with pytest.raises(DamagedRepository, match=epoch_object(NEW.at(1))) as caught:
        PackOpener(info.name, info.header, replace(NEW, older={1: b"1" * 32}))
    assert caught.value.object.endswith(info.name)
    newer, _ = build_pack(Kind.DATA, [payload], NEW, session, bytes(32))
    with pytest.raises(NewerKeys, match="epoch 2"):
        PackOpener(newer.name, newer.header, OLD)


def test_keys_show_no_older_ones() -> None:
    assert "1111" not in repr(NEW)
    assert "older" not in repr(NEW)


def test_the_keys_of_then_know_nothing_of_later() -> None:
    then = NEW.at(1)
    assert (then.epoch, then.master, dict(then.older)) == (1, b"1" * 32, {0: b"0" * 32})
    assert NEW.known_down_to() == NEW.at(0)
    assert replace(NEW, older={0: b"0" * 32}).known_down_to().epoch == 2
