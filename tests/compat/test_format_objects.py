"""Objects, keys and the config: statements F1 to F15 of docs/format.md."""

from __future__ import annotations

import secrets
import shutil
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from tests.compat import reader
from tests.compat.making import (
    KDF,
    PASSWORD,
    assert_both_read,
    assert_both_refuse,
    commit,
    entry,
    flip,
    names,
    new_repository,
    new_store,
    objects,
    opened,
    page,
    reopened,
    save,
    told_by_holdfast,
    told_by_reader,
    with_checksum,
)

import holdfast
from holdfast.backend import Fail, Faulty, LocalBackend, NoFault
from holdfast.clock import SYSTEM_CLOCK
from holdfast.model.snapshot import decode_snapshot, encode_snapshot
from holdfast.primitives import codec, hashing
from holdfast.primitives.ids import SnapshotId
from holdfast.primitives.kdf import KdfParams
from holdfast.store import Store, open_store
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.pack import Kind, blob_key
from holdfast.store.slots import seal_slot
from holdfast.testing.layouts import snapshot_of

OTHER_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One snapshot with one file."""
    place = tmp_path_factory.mktemp("repository")
    store = new_store(place)
    commit(store, lambda w: page(w, 0, [entry(b"file", 1, save(w, b"content"), 7)]))
    return place


@pytest.fixture
def place(original: Path, tmp_path: Path) -> Path:
    """A copy of it to be damaged."""
    return shutil.copytree(original, tmp_path / "copy")


def slot_of(place: Path) -> tuple[str, bytes]:
    (name,) = names(place, "keys")
    return name, (place / name).read_bytes()


def write(place: Path, name: str, data: bytes) -> None:
    (place / name).parent.mkdir(exist_ok=True)
    (place / name).write_bytes(data)


# Objects


@pytest.mark.format("F1")
def test_no_name_is_used_twice_and_no_object_changes(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/file").write_bytes(b"first")
    storage = Faulty(LocalBackend(tmp_path / "repo"), NoFault())
    repository = new_repository(storage)
    repository.backup(tmp_path / "source")
    before = objects(tmp_path / "repo")
    (tmp_path / "source/file").write_bytes(b"second")
    repository.backup(tmp_path / "source")
    puts = [call.name for call in storage.calls if call.verb.startswith("put")]
    assert len(puts) == len(set(puts))
    assert set(puts) - set(objects(tmp_path / "repo")) == {
        name for name in puts if name.startswith("sessions/")
    }
    assert before.items() <= objects(tmp_path / "repo").items()


STRAYS = [
    "README",
    "config/1.bak",
    "config/01",
    "config/-1",
    "keys/spare",
    f"keys/{OTHER_ID.upper()}",
    "data/notes",
    "data/00/notes",
    f"data/00/{'11' * 32}-00000000",
    f"data/0/{'0' * 64}-00000000",
    f"data/00/.tmp-{OTHER_ID}",
    "index/copy",
    f"index/{OTHER_ID}.bak",
    "snapshots/latest",
    f"snapshots/{OTHER_ID}.json",
    f"snapshots/.tmp-{OTHER_ID}",
    "sessions/lock",
    "gc/notes",
    "others/file",
]


@pytest.mark.format("F2")
def test_other_names_are_ignored_and_left_alone(place: Path, tmp_path: Path) -> None:
    expected = told_by_reader(place)
    for stray in STRAYS:
        write(place, stray, stray.encode())
    assert assert_both_read(place) == expected
    (tmp_path / "source").write_bytes(b"content")
    repository = holdfast.open(place, password=PASSWORD, cache=False)
    repository.backup(tmp_path / "source")
    assert len(assert_both_read(place)) == 2
    assert {stray: stray.encode() for stray in STRAYS}.items() <= objects(place).items()


@pytest.mark.format("F3")
def test_the_config_is_written_last_and_only_if_absent(tmp_path: Path) -> None:
    storage = Faulty(LocalBackend(tmp_path), NoFault())
    new_store(storage)
    puts = [(call.verb, call.name) for call in storage.calls if call.verb.startswith("put")]
    assert puts[-1] == ("put_if_absent", "config/0")
    assert [verb for verb, _ in puts].count("put_if_absent") == 1
    with pytest.raises(holdfast.RepositoryExists):
        new_store(tmp_path)


@pytest.mark.fault(1)
@pytest.mark.format("F3", "F7")
def test_a_crash_before_the_config_leaves_no_repository(tmp_path: Path) -> None:
    plan = Fail(lambda call: call.verb == "put_if_absent", KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        new_store(Faulty(LocalBackend(tmp_path), plan))
    (left,) = names(tmp_path, "keys")
    with pytest.raises(reader.RefusedError, match="no repository"):
        opened(tmp_path)
    with pytest.raises(holdfast.RepositoryNotFound):
        reopened(tmp_path)
    new_store(tmp_path)
    # The slot of the crash opens with the same password, and would give other keys.
    for _ in range(3):
        assert_both_read(tmp_path)
        shutil.copyfile(tmp_path / left, tmp_path / "keys" / ("0" * 32))
    assert reopened(tmp_path).keys.repository == opened(tmp_path).id


# Keys


@pytest.mark.format("F4", "F5")
def test_the_ids_of_blobs_are_keyed(place: Path) -> None:
    keys = reopened(place).keys
    for kind, purpose in ((Kind.DATA, "data id"), (Kind.TREE, "tree id")):
        assert blob_key(keys, kind) == reader.derive(keys.dedup, purpose)
    ((_, (found, content)),) = told_by_reader(place).popitem()[1].items()
    assert found["payload"] == hashing.keyed(reader.derive(keys.dedup, "data id"), content)


@pytest.mark.fault(15)
@pytest.mark.format("F6")
def test_a_password_is_nfc_and_bytes_are_as_they_are(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    name, _ = slot_of(tmp_path)
    composed = unicodedata.normalize("NFC", "Amélie ﬁ Å")
    decomposed = unicodedata.normalize("NFD", composed)
    assert composed.encode() != decomposed.encode()
    write(tmp_path, name, seal_slot(name, store.keys, decomposed, KDF, 1))
    for password in (composed, decomposed, composed.encode()):
        reader.Repository(tmp_path, password)
        open_store(LocalBackend(tmp_path), password, SYSTEM_CLOCK, None)
    with pytest.raises(reader.RefusedError, match="no key slot"):
        reader.Repository(tmp_path, decomposed.encode())
    with pytest.raises(holdfast.WrongPassword):
        open_store(LocalBackend(tmp_path), decomposed.encode(), SYSTEM_CLOCK, None)


@pytest.mark.format("F6", "F7", "F8")
def test_a_slot_byte_by_byte(place: Path) -> None:
    keys = reopened(place).keys
    name, slot = slot_of(place)
    assert slot[:12] == b"HFKEYSLT" + bytes([1, 0, 1, 0])
    assert [int.from_bytes(slot[at : at + 4], "little") for at in (12, 16, 20)] == [19 << 10, 1, 1]
    assert slot[24:40] == keys.repository
    kdf = Argon2id(salt=slot[40:72], length=64, iterations=1, lanes=1, memory_cost=19 << 10)
    both = kdf.derive(PASSWORD.encode())
    assert slot[72:104] == both[32:]
    nonce = b"slot" + bytes(8)
    end = 108 + int.from_bytes(slot[104:108], "little")
    record = AESGCM(both[:32]).decrypt(nonce, slot[108:end], slot[:108] + name.encode())
    assert slot[-32:] == hashing.digest(slot[:-32])
    secrets_ = codec.unpack(record)
    assert isinstance(secrets_, dict)
    assert isinstance(secrets_.pop("created"), int)
    assert secrets_ == {"dedup": keys.dedup, "master": keys.master, "epoch": 0}
    card = codec.unpack(open_object(ObjectType.SLOT, keys, name, slot[end:-32]))
    assert isinstance(card, dict)
    assert isinstance(card.pop("created"), int)
    assert card == {"slot": hashing.digest(slot[:end]), "host": "", "user": "", "label": ""}


@pytest.mark.format("F7")
def test_a_slot_with_another_commitment_is_another_passwords(place: Path) -> None:
    name, slot = slot_of(place)
    forged = slot[:72] + bytes([slot[72] ^ 1]) + slot[73:-32]
    write(place, name, with_checksum(forged))
    with pytest.raises(reader.RefusedError, match="no key slot"):
        opened(place)
    with pytest.raises(holdfast.WrongPassword):
        reopened(place)


@pytest.mark.format("F7")
def test_the_commitment_is_compared_even_if_the_rest_would_open(place: Path) -> None:
    name, _ = slot_of(place)
    write(place, name, sealed_slot(name, reopened(place).keys, commitment=bytes(32)))
    with pytest.raises(reader.RefusedError, match="no key slot"):
        opened(place)
    with pytest.raises(holdfast.WrongPassword):
        reopened(place)


@pytest.mark.format("F7")
def test_a_slot_of_another_repository_is_ignored(place: Path) -> None:
    # One of an interrupted init, for example: the same password, and other secrets.
    twin = Keys(bytes(16), 0, bytes(32), bytes(32))
    first = "keys/" + "0" * 32
    write(place, first, sealed_slot(first, twin))
    assert_both_read(place)
    (place / slot_of_other(place, first)).unlink()
    with pytest.raises(reader.RefusedError, match="no key slot"):
        opened(place)
    with pytest.raises(holdfast.WrongPassword):
        reopened(place)


def slot_of_other(place: Path, but: str) -> str:
    (name,) = set(names(place, "keys")) - {but}
    return name


BAD_SECRETS: dict[str, dict[str, object]] = {
    "epoch": {"epoch": 1},
    "a short secret": {"dedup": bytes(31)},
    "a long master": {"master": bytes(33)},
    "no master": {"master": None},
    "a secret of text": {"dedup": "a" * 32},
}


@pytest.mark.format("F8")
@pytest.mark.parametrize("case", BAD_SECRETS)
def test_a_slot_of_bad_secrets_is_refused(place: Path, case: str) -> None:
    name, slot = slot_of(place)
    keys = reopened(place).keys
    (place / name).unlink()
    bad = "keys/" + "0" * 32
    write(place, bad, sealed_slot(bad, keys, record=BAD_SECRETS[case]))
    assert_both_refuse(place)
    write(place, name, slot)
    assert_both_read(place)


@pytest.mark.format("F8")
def test_a_slot_is_bound_to_its_name(place: Path) -> None:
    name, _ = slot_of(place)
    (place / name).rename(place / "keys" / OTHER_ID)
    assert_both_refuse(place)


def sealed_slot(
    name: str,
    keys: Keys,
    changes: dict[int, int] | None = None,
    record: dict[str, object] | None = None,
    commitment: bytes | None = None,
) -> bytes:
    """A slot with other numbers at some places or another record, and sound but for those."""
    head = bytearray(b"HFKEYSLT" + bytes([1, 0, 1, 0]) + bytes(12) + keys.repository + bytes(32))
    for at, value in ({12: 19 << 10, 16: 1, 20: 1} | (changes or {})).items():
        head[at : at + 4] = value.to_bytes(4, "little")
    memory, passes, lanes = (int.from_bytes(head[at : at + 4], "little") for at in (12, 16, 20))
    payable = memory <= 20 << 10 and passes > 0 and lanes > 0
    both = bytes(64)
    if payable:
        kdf = Argon2id(
            salt=bytes(32), length=64, iterations=passes, lanes=lanes, memory_cost=memory
        )
        both = kdf.derive(PASSWORD.encode())
    usual = {"dedup": keys.dedup, "master": keys.master, "epoch": 0, "created": 1}
    message = codec.pack(usual | (record or {}))
    start = bytes(head) + (both[32:] if commitment is None else commitment)
    start += (len(message) + 16).to_bytes(4, "little")
    sealed = AESGCM(both[:32]).encrypt(b"slot" + bytes(8), message, start + name.encode())
    return with_checksum(start + sealed)


BAD_COSTS = {
    "memory below": {12: (19 << 10) - 1},
    "memory above": {12: (4 << 20) + 1},
    "no pass": {16: 0},
    "passes above": {16: 33},
    "no lane": {20: 0},
    "lanes above": {20: 17},
    "version": {8: 2 | 1 << 16},
    "derivation": {8: 1 | 2 << 16},
    "what is 0": {8: 1 | 1 << 16 | 1 << 24},
}


@pytest.mark.format("F6", "F8", "F9")
@pytest.mark.parametrize("case", ["nothing", *BAD_COSTS])
def test_a_slot_out_of_bounds_is_refused_and_keeps_nobody_out(place: Path, case: str) -> None:
    name, slot = slot_of(place)
    keys = reopened(place).keys
    (place / name).unlink()
    bad = "keys/" + "0" * 32
    write(place, bad, sealed_slot(bad, keys, BAD_COSTS.get(case)))
    if case == "nothing":
        assert_both_read(place)
        return
    with pytest.raises(reader.RefusedError, match="no key slot"):
        opened(place)
    with pytest.raises((holdfast.DamagedRepository, holdfast.UnsupportedRepository)):
        reopened(place)
    write(place, name, slot)  # after the bad one in the order of names
    assert_both_read(place)


@pytest.mark.format("F9")
@pytest.mark.parametrize("at", [0, 41, 80, 110, -1])
def test_a_damaged_slot_is_told_from_a_wrong_password(place: Path, at: int) -> None:
    name, slot = slot_of(place)
    shutil.copyfile(place / name, place / "keys" / ("f" * 32))
    flip(place, name, at)
    flip(place, "keys/" + "f" * 32, at)
    with pytest.raises(holdfast.DamagedRepository, match="checksum"):
        reopened(place)
    with pytest.raises(reader.RefusedError):
        opened(place)
    write(place, name, slot)
    assert_both_read(place)


@pytest.mark.format("F9")
def test_the_highest_price_is_accepted(place: Path) -> None:
    KdfParams(memory=4 << 20, passes=32, lanes=16)  # nobody has the time to pay it in a test
    keys = reopened(place).keys
    name, _ = slot_of(place)
    write(place, name, seal_slot(name, keys, PASSWORD, replace(KDF, passes=32, lanes=16), 1))
    opened(place)


def test_a_slot_that_is_larger_than_64_kib_is_refused(place: Path) -> None:
    name, slot = slot_of(place)
    write(place, name, slot + bytes(1 << 16))
    assert_both_refuse(place)


# Small objects


def snapshot_name(place: Path) -> str:
    return names(place, "snapshots")[0]


@pytest.mark.format("F10")
def test_a_small_object_byte_by_byte(place: Path) -> None:
    keys = reopened(place).keys
    name = snapshot_name(place)
    data = (place / name).read_bytes()
    assert data[:16] == b"HFOBJECT" + bytes([2, 0, 48, 0, 0, 0, 0, 0])
    key = reader.keyed(reader.derive(keys.master, "object snapshot"), data[16:48])
    about = data[:48] + name.encode() + b"\0" + keys.repository
    record = AESGCM(key).decrypt(b"obj\0" + bytes(8), data[48:], about)
    assert open_object(ObjectType.SNAPSHOT, keys, name, data) == record
    decode_snapshot(SnapshotId(name[10:]), record)


BAD_HEADERS = {
    "nothing": (0, ord("H")),
    "magic": (7, 0),
    "type": (8, 3),
    "mode": (9, 1),
    "length": (10, 47),
    "epoch": (12, 1),
}


@pytest.mark.format("F10")
@pytest.mark.parametrize("case", BAD_HEADERS)
def test_an_object_with_another_header_is_refused_though_it_would_open(
    place: Path, case: str
) -> None:
    keys = reopened(place).keys
    name = snapshot_name(place)
    record = open_object(ObjectType.SNAPSHOT, keys, name, (place / name).read_bytes())
    header = bytearray(b"HFOBJECT" + bytes([2, 0, 48, 0, 0, 0, 0, 0]) + bytes(32))
    header[BAD_HEADERS[case][0]] = BAD_HEADERS[case][1]
    aead = AESGCM(reader.keyed(reader.derive(keys.master, "object snapshot"), bytes(32)))
    about = bytes(header) + name.encode() + b"\0" + keys.repository
    write(place, name, bytes(header) + aead.encrypt(b"obj\0" + bytes(8), record, about))
    if case == "nothing":
        assert_both_read(place)
    else:
        assert_both_refuse(place)


@pytest.mark.format("F11")
def test_the_salts_of_objects_differ_even_with_the_same_random_bytes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = reopened(place).keys
    twice = [seal_object(ObjectType.SNAPSHOT, keys, "snapshots/0", b"one") for _ in range(2)]
    assert twice[0][16:48] != twice[1][16:48]
    # Two copies of one virtual machine draw the same bytes.
    monkeypatch.setattr(secrets, "token_bytes", bytes)
    salts = {
        seal_object(ObjectType.SNAPSHOT, keys, "snapshots/0", message)[16:48]
        for message in (b"one", b"two", b"", b"one\0")
    }
    assert len(salts) == 4


@pytest.mark.format("F11", "F20")
def test_no_salt_occurs_twice_in_a_repository(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    repository = new_repository(tmp_path / "repo")
    for number in range(4):
        (tmp_path / "source/file").write_bytes(b"%d" % number)
        repository.backup(tmp_path / "source")
    salts: list[bytes] = []
    for name, data in objects(tmp_path / "repo").items():
        if name.startswith("data/"):
            salts.append(data[36:68])
        elif name.startswith("keys/"):
            salts.append(data[40:72])
        else:
            start = data.index(b"HFOBJECT") + 16
            salts.append(data[start : start + 32])
    assert len(salts) >= 1 + 1 + 4 * 4
    assert len(set(salts)) == len(salts)


@pytest.mark.fault(13)
@pytest.mark.format("F12")
@pytest.mark.parametrize("folder", ["snapshots", "index"])
def test_an_object_under_another_name_does_not_open(place: Path, folder: str) -> None:
    name = names(place, folder)[0]
    (place / name).rename(place / folder / OTHER_ID)
    assert_both_refuse(place)


@pytest.mark.format("F12")
@pytest.mark.parametrize("position", [0, 8, 9, 10, 12, 16, 48, -1])
def test_an_object_that_was_changed_does_not_open(place: Path, position: int) -> None:
    flip(place, snapshot_name(place), position)
    with pytest.raises(reader.RefusedError):
        told_by_reader(place)
    with pytest.raises((holdfast.DamagedRepository, holdfast.UnsupportedRepository)):
        told_by_holdfast(place)


@pytest.mark.format("F12")
@pytest.mark.parametrize("folder", ["snapshots", "index", "config", "keys", "data"])
@pytest.mark.parametrize("length", [0, 1, 20, 47, 48, 51, 60, 100, 139])
def test_what_is_left_of_an_object_is_refused(place: Path, folder: str, length: int) -> None:
    for name in names(place, folder):
        write(place, name, (place / name).read_bytes()[:length])
    assert_both_refuse(place)


@pytest.mark.format("F12")
@pytest.mark.parametrize("type_", set(ObjectType) - {ObjectType.SNAPSHOT, ObjectType.ABORTED})
def test_an_object_of_another_type_does_not_open(place: Path, type_: ObjectType) -> None:
    store = reopened(place)
    name = snapshot_name(place)
    record = open_object(ObjectType.SNAPSHOT, store.keys, name, (place / name).read_bytes())
    write(place, name, seal_object(type_, store.keys, name, record))
    assert_both_refuse(place)


@pytest.mark.fault(13)
@pytest.mark.format("F12")
def test_an_object_of_another_repository_does_not_open(place: Path) -> None:
    keys = reopened(place).keys
    name = snapshot_name(place)
    record = open_object(ObjectType.SNAPSHOT, keys, name, (place / name).read_bytes())
    twin = replace(keys, repository=bytes(16))  # even one that has the same secrets
    write(place, name, seal_object(ObjectType.SNAPSHOT, twin, name, record))
    assert_both_refuse(place)


@pytest.mark.format("F13")
@pytest.mark.parametrize("folder", ["snapshots", "index"])
def test_an_object_of_more_than_64_mib_is_refused(place: Path, folder: str) -> None:
    with (place / names(place, folder)[0]).open("r+b") as file:
        file.truncate((64 << 20) + 1)
    with pytest.raises(reader.RefusedError, match="too large"):
        told_by_reader(place)
    store = reopened(place)
    (problem,) = [damage.problem for damage in store.scrub_objects()]
    assert problem == "an object of 67108865 bytes, more than 67108864"


def nested(levels: int) -> object:
    value: object = 0
    for level in range(levels):
        value = [value] if level % 2 else {"in": value}
    return value


@pytest.mark.format("F13")
@pytest.mark.parametrize(("levels", "fits"), [(31, True), (32, False)])
def test_the_depth_of_records(place: Path, levels: int, fits: bool) -> None:
    store = reopened(place)
    name = snapshot_name(place)
    tree = decode_snapshot(SnapshotId(name[10:]), store.snapshot(SnapshotId(name[10:])) or b"").tree
    record = codec.unpack(encode_snapshot(snapshot_of(tree)))
    assert isinstance(record, dict)
    data = codec.pack(record | {"later": nested(levels)})
    write(place, name, seal_object(ObjectType.SNAPSHOT, store.keys, name, data))
    if fits:
        assert_both_read(place)
    else:
        assert_both_refuse(place)


@pytest.mark.format("F13", "F37")
@pytest.mark.parametrize(("levels", "fits"), [(31, True), (32, False)])
def test_the_depth_of_extra(tmp_path: Path, levels: int, fits: bool) -> None:
    row = entry(b"file")
    row[14] = {"later": nested(levels)}
    commit(new_store(tmp_path), lambda w: page(w, 0, [row]))
    if fits:
        assert_both_read(tmp_path)
    else:
        assert_both_refuse(tmp_path)


BAD_RECORDS: dict[str, Callable[[bytes], bytes]] = {
    "an array": lambda _: codec.pack([]),
    "nothing": lambda _: b"",
    "less than a record": lambda record: record[:-1],
    "more than a record": lambda record: record + b"\0",
    "a byte that means nothing": lambda _: b"\xc1",
    "a key twice": lambda record: with_pair(record, b"\xa5start\x00"),
    "a key that is a number": lambda record: with_pair(record, b"\x00\x00"),
    "a key that is bytes": lambda record: with_pair(record, b"\xc4\x01a\x00"),
    "a key that is not UTF-8": lambda record: with_pair(record, b"\xa1\xff\x00"),
    "text that is not UTF-8": lambda record: with_pair(record, b"\xa1a\xa1\xff"),
    "an extension type": lambda record: with_pair(record, b"\xa1a\xd4\x05\x00"),
}


def with_pair(record: bytes, pair: bytes) -> bytes:
    """A packed map of 16 to 65,535 pairs with one more."""
    assert record[0] == 0xDE
    count = int.from_bytes(record[1:3], "big") + 1
    return b"\xde" + count.to_bytes(2, "big") + record[3:] + pair


@pytest.mark.format("F13", "F39")
@pytest.mark.parametrize("case", ["a new key", *BAD_RECORDS])
def test_what_is_no_record_is_refused(place: Path, case: str) -> None:
    store = reopened(place)
    name = snapshot_name(place)
    record = store.snapshot(SnapshotId(name[10:]))
    assert record is not None
    change = BAD_RECORDS.get(case)
    data = change(record) if change else with_pair(record, b"\xa3new\x00")
    write(place, name, seal_object(ObjectType.SNAPSHOT, store.keys, name, data))
    if case == "a new key":
        assert_both_read(place)
    else:
        assert_both_refuse(place)


# Config


def new_config(
    store: Store,
    plain: dict[str, object],
    sealed: dict[str, object] | None = None,
    number: int = 1,
) -> bytes:
    """A config of these fields; those that are not given are as usual."""
    part = codec.pack(
        {"version": 1, "repository": store.keys.repository, "compatible": [], "write": []}
        | {"read": []}
        | plain
    )
    record = {
        "chunker": {"name": "pyfastcdc", "min": 65536, "avg": 262144, "max": 2097152},
        "pack_size": 1 << 20,
        "compression": 3,
        "created": 1,
        "oldest": 0,
        "predecessor": None,
        "plain": part,
    } | (sealed or {})
    message = codec.pack(record)
    body = seal_object(ObjectType.CONFIG, store.keys, f"config/{number}", message)
    return with_checksum(b"HFCONFIG" + len(part).to_bytes(4, "little") + part + body)


@pytest.mark.format("F14", "F15")
def test_a_config_byte_by_byte(place: Path) -> None:
    keys = reopened(place).keys
    data = (place / "config/0").read_bytes()
    end = 12 + int.from_bytes(data[8:12], "little")
    assert data[:8] == b"HFCONFIG"
    assert data[-32:] == hashing.digest(data[:-32])
    assert codec.unpack(data[12:end]) == {
        "version": 1,
        "repository": keys.repository,
        "compatible": (),
        "write": (),
        "read": (),
    }
    record = codec.unpack(open_object(ObjectType.CONFIG, keys, "config/0", data[end:-32]))
    assert isinstance(record, dict)
    assert isinstance(record.pop("created"), int)
    assert record == {
        "chunker": {"name": "pyfastcdc", "min": 65536, "avg": 262144, "max": 2097152},
        "pack_size": 1 << 20,
        "compression": 3,
        "oldest": 0,
        "predecessor": None,
        "plain": data[12:end],
    }


@pytest.mark.fault(51)
@pytest.mark.format("F14")
@pytest.mark.parametrize("plain", [{"version": 2}, {"version": 0}, {"read": ["parity"]}])
def test_another_version_and_unknown_features_are_refused(
    place: Path, plain: dict[str, object]
) -> None:
    write(place, "config/1", new_config(reopened(place), plain))
    with pytest.raises(reader.RefusedError, match="another version or feature"):
        opened(place)
    with pytest.raises(holdfast.UnsupportedRepository):
        reopened(place)


@pytest.mark.fault(51)
@pytest.mark.format("F14")
def test_compatible_features_are_ignored_and_unknown_ones_of_writers_make_it_read_only(
    place: Path,
) -> None:
    write(place, "config/9", new_config(reopened(place), {"compatible": ["parity"]}, number=9))
    assert_both_read(place)
    with reopened(place).writer({}):
        pass
    # 10 is above 9, though not in the order of text
    write(place, "config/10", new_config(reopened(place), {"write": ["regions"]}, number=10))
    assert_both_read(place)
    before = objects(place)
    with pytest.raises(holdfast.UnsupportedRepository, match="regions"):
        reopened(place).writer({})
    assert objects(place) == before


BAD_SETTINGS: dict[str, dict[str, object]] = {
    "plain": {"plain": b"another"},
    "a small pack": {"pack_size": (1 << 20) - 1},
    "a large pack": {"pack_size": (96 << 20) + 1},
    "compression": {"compression": 23},
    "less compression": {"compression": -1},
    "type": {"compression": "3"},
    "oldest": {"oldest": 1},
    "an epoch below 0": {"oldest": -1},
    "no oldest": {"oldest": None},
}


@pytest.mark.format("F15")
@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_settings_out_of_bounds_are_refused(place: Path, case: str) -> None:
    write(place, "config/1", new_config(reopened(place), {}, BAD_SETTINGS[case]))
    assert_both_refuse(place)


@pytest.mark.format("F15")
@pytest.mark.parametrize(
    "sealed",
    [
        {"pack_size": 96 << 20, "compression": 22},
        {"compression": 0, "predecessor": bytes(32), "later": 1},
    ],
)
def test_settings_within_bounds_are_accepted(place: Path, sealed: dict[str, object]) -> None:
    write(place, "config/1", new_config(reopened(place), {}, sealed))
    assert_both_read(place)


@pytest.mark.format("F12", "F15")
@pytest.mark.parametrize("position", [0, 8, 40, 150, -40, -1])
def test_a_config_that_was_changed_is_refused(place: Path, position: int) -> None:
    flip(place, "config/0", position)
    assert_both_refuse(place)
    data = (place / "config/0").read_bytes()[:-32]
    write(place, "config/0", with_checksum(data))  # whoever changes it can mend the checksum
    if position != -1:
        assert_both_refuse(place)


@pytest.mark.format("F12", "F15")
def test_a_config_under_another_name_is_refused(place: Path) -> None:
    shutil.copyfile(place / "config/0", place / "config/1")
    assert_both_refuse(place)


def test_a_config_of_more_than_1_mib_is_refused(place: Path) -> None:
    write(place, "config/1", new_config(reopened(place), {}, {"later": bytes(1 << 20)}))
    assert_both_refuse(place)
