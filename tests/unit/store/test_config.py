"""The config: what it says cannot be changed, and what is too new is refused."""

from __future__ import annotations

import struct

import pytest

from holdfast.backend import MemoryBackend
from holdfast.errors import DamagedRepository, RepositoryNotFound, UnsupportedRepository
from holdfast.primitives import codec
from holdfast.primitives.chunker import CHUNKERS, PROFILES, ChunkerParams
from holdfast.store import MAX_PACK_SIZE, MIN_PACK_SIZE, Settings
from holdfast.store.config import (
    CONFIG_LIMIT,
    decode_plain,
    decode_sealed,
    encode_config,
)
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys, with_checksum
from holdfast.store.objects import config_number
from holdfast.testing.repositories import SETTINGS, copied, new_store, reopened

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
NAME = "config/0"
PLAIN: dict[str, object] = {
    "compatible": [],
    "read": [],
    "repository": KEYS.repository,
    "version": 1,
    "write": [],
}
SEALED: dict[str, object] = {
    "chunker": {"avg": 1024, "max": 4096, "min": 256, "name": "pyfastcdc"},
    "compression": 3,
    "created": 1,
    "oldest": 0,
    "pack_size": 1 << 20,
    "predecessor": None,
}


def config(
    plain: object = None, sealed: object = None, *, name: str = NAME, keys: Keys = KEYS
) -> bytes:
    """A config of any records."""
    first = codec.pack(PLAIN if plain is None else plain)
    record = {**SEALED, "plain": first} if sealed is None else sealed
    body = seal_object(ObjectType.CONFIG, keys, name, codec.pack(record))
    return with_checksum(b"HFCONFIG" + struct.pack("<I", len(first)) + first + body)


def decoded(data: bytes, name: str = NAME) -> Settings:
    return decode_sealed(name, decode_plain(name, data), KEYS).settings


def test_what_is_sealed_in_a_config() -> None:
    for predecessor in (None, b"p" * 32):
        plain = decode_plain(NAME, encode_config(0, KEYS, SETTINGS, 5, predecessor))
        record = codec.unpack(open_object(ObjectType.CONFIG, KEYS, NAME, plain.sealed))
        assert record == {
            **SEALED,
            "created": 5,
            "plain": plain.raw,
            "predecessor": predecessor,
        }


@pytest.mark.parametrize("params", PROFILES.values())
@pytest.mark.parametrize("pack_size", [MIN_PACK_SIZE, MAX_PACK_SIZE])
@pytest.mark.parametrize("level", [0, 22])
def test_settings_come_back(params: ChunkerParams, pack_size: int, level: int) -> None:
    settings = Settings(params, pack_size, level)
    data = encode_config(7, KEYS, settings, 1, b"p" * 32)
    plain = decode_plain("config/7", data)
    assert plain.repository == KEYS.repository
    assert plain.write == ()
    assert decode_sealed("config/7", plain, KEYS) == (settings, 0)


def test_every_changed_byte_is_damage() -> None:
    data = bytearray(encode_config(0, KEYS, SETTINGS, 1, None))
    for place in range(len(data)):
        data[place] ^= 0x10
        with pytest.raises(DamagedRepository) as caught:
            decoded(bytes(data))
        assert caught.value.object == NAME
        data[place] ^= 0x10
    assert decoded(bytes(data)) == SETTINGS


def test_every_changed_byte_is_damage_even_with_a_checksum_that_fits() -> None:
    """A checksum takes no key; what it covers is sealed or compared with what is."""
    data = encode_config(0, KEYS, SETTINGS, 1, None)[:-32]
    for place in range(len(data)):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises((DamagedRepository, UnsupportedRepository)):
            decoded(with_checksum(changed))


@pytest.mark.fault(8)
def test_every_truncation_is_damage() -> None:
    data = encode_config(0, KEYS, SETTINGS, 1, None)
    for size in range(len(data)):
        with pytest.raises(DamagedRepository):
            decode_plain(NAME, data[:size])
    for size in range(len(data) - 32):
        with pytest.raises(DamagedRepository):
            decoded(with_checksum(data[:size]))
    with pytest.raises(DamagedRepository):
        decode_plain(NAME, data + bytes(CONFIG_LIMIT))


def test_a_config_is_bound_to_its_name_and_keys() -> None:
    data = encode_config(0, KEYS, SETTINGS, 1, None)
    with pytest.raises(DamagedRepository):
        decoded(data, "config/1")
    other = Keys(KEYS.repository, 0, b"d" * 32, b"x" * 32)
    with pytest.raises(DamagedRepository):
        decode_sealed(NAME, decode_plain(NAME, data), other)


def test_the_plain_part_must_be_the_sealed_one() -> None:
    whole = encode_config(0, KEYS, SETTINGS, 1, None)
    plain = decode_plain(NAME, whole)
    changed = codec.pack({**PLAIN, "compatible": ["something"]})
    forged = with_checksum(b"HFCONFIG" + struct.pack("<I", len(changed)) + changed + plain.sealed)
    with pytest.raises(DamagedRepository, match="plain part was changed"):
        decoded(forged)


@pytest.mark.fault(51)
@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_version_is_refused(version: int) -> None:
    with pytest.raises(UnsupportedRepository, match=f"version {version}"):
        decode_plain(NAME, config({**PLAIN, "version": version}))


@pytest.mark.fault(51)
def test_a_feature_that_reading_needs_is_named() -> None:
    with pytest.raises(UnsupportedRepository, match="signatures"):
        decode_plain(NAME, config({**PLAIN, "read": ["signatures"]}))


def test_features_that_nobody_sealed_are_told_as_any_terminal_can_show_them() -> None:
    odd = ["\x1b[2J", "a\nb"]
    with pytest.raises(UnsupportedRepository) as caught:
        decode_plain(NAME, config({**PLAIN, "read": odd}))
    assert str(caught.value).isprintable()
    assert all(
        each.isprintable() for each in decode_plain(NAME, config({**PLAIN, "write": odd})).write
    )


def test_compatible_features_and_unknown_fields_are_ignored() -> None:
    data = config({**PLAIN, "compatible": ["parity"], "later": 1})
    assert decoded(data) == SETTINGS


@pytest.mark.fault(51)
def test_a_feature_that_writing_needs_makes_it_read_only() -> None:
    backend = MemoryBackend()
    keys = new_store(backend).keys
    plain = {**PLAIN, "repository": keys.repository, "write": ["parity"]}
    backend.put(NAME, config(plain, keys=keys))
    store = reopened(backend)
    assert store.snapshot_ids() == []
    with pytest.raises(UnsupportedRepository, match="parity"):
        store.writer({})
    assert not list(backend.list("sessions/"))


@pytest.mark.parametrize(
    "plain",
    [
        [],
        {},
        {**PLAIN, "version": "1"},
        {**PLAIN, "repository": b"short"},
        {**PLAIN, "read": "x"},
        {**PLAIN, "write": None},
        {key: value for key, value in PLAIN.items() if key != "read"},
    ],
)
def test_a_malformed_plain_part_is_damage(plain: object) -> None:
    with pytest.raises(DamagedRepository):
        decode_plain(NAME, config(plain))


@pytest.mark.parametrize(
    "change",
    [
        {"compression": 23},
        {"compression": -1},
        {"compression": "3"},
        {"pack_size": MIN_PACK_SIZE - 1},
        {"pack_size": MAX_PACK_SIZE + 1},
        {"pack_size": 1 << 60},
        {"chunker": {"avg": 1024, "max": 4096, "min": 256}},
        {"chunker": None},
        {"oldest": 1},
        {"oldest": -1},
        {"oldest": None},
        {"plain": "text"},
    ],
)
def test_settings_out_of_bounds_are_damage(change: dict[str, object]) -> None:
    record = {**SEALED, "plain": codec.pack(PLAIN), **change}
    with pytest.raises(DamagedRepository):
        decoded(config(sealed=record))


@pytest.mark.parametrize(
    "chunker",
    [
        {"avg": 1024, "max": 4096, "min": 256, "name": "rabin"},
        {"avg": 0, "max": 0, "min": 0, "name": CHUNKERS[0]},
        {"avg": 1 << 40, "max": 1 << 41, "min": 256, "name": CHUNKERS[0]},
    ],
)
def test_a_chunker_that_we_do_not_have_is_unsupported(chunker: dict[str, object]) -> None:
    record = {**SEALED, "plain": codec.pack(PLAIN), "chunker": chunker}
    with pytest.raises(UnsupportedRepository):
        decoded(config(sealed=record))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("config/0", 0),
        ("config/17", 17),
        ("config/999999999", 999_999_999),
        ("config/00", None),
        ("config/01", None),
        ("config/-1", None),
        ("config/1x", None),
        ("config/", None),
        ("config/1000000000", None),
        ("config/\u0661", None),
        ("xconfig/1", None),
    ],
)
def test_names_of_configs(name: str, number: int | None) -> None:
    assert config_number(name) == number


def test_the_highest_number_is_in_force() -> None:
    backend = MemoryBackend()
    keys = new_store(backend).keys
    newer = Settings(SETTINGS.chunker, 2 << 20, 5)
    backend.put("config/10", encode_config(10, keys, newer, 1, None))
    backend.put("config/9", encode_config(9, keys, SETTINGS, 1, None))
    backend.put("config/notes", b"x")
    assert reopened(backend).settings == newer


def test_a_huge_config_is_refused_before_it_is_read() -> None:
    backend = MemoryBackend()
    new_store(backend)
    backend.put(NAME, bytes(CONFIG_LIMIT + 1))
    with pytest.raises(DamagedRepository, match="more than") as caught:
        reopened(backend)
    assert caught.value.object == NAME


def test_a_config_of_another_repository_does_not_open_ours() -> None:
    first, second = MemoryBackend(), MemoryBackend()
    new_store(first)
    new_store(second)
    swapped = copied(first)
    swapped.put(NAME, second.get(NAME))
    with pytest.raises((DamagedRepository, RepositoryNotFound, Exception)) as caught:
        reopened(swapped)
    assert type(caught.value).__module__ == "holdfast.errors"
