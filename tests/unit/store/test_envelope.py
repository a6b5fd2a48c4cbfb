"""Small objects: each is bound to its bytes, type, name and repository."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import DamagedRepository
from holdfast.store import envelope
from holdfast.store.envelope import (
    HEADER_SIZE,
    ObjectType,
    new_sealer,
    object_type,
    open_object,
    seal_object,
)
from holdfast.store.keys import Keys
from holdfast.store.objects import OBJECT_LIMIT

KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)
NAME = "sessions/" + "0" * 32
TYPES = st.sampled_from([type_ for type_ in ObjectType if type_ != ObjectType.INDEX])


@given(TYPES, st.text("abc/0", min_size=1, max_size=20), st.binary(max_size=2000))
def test_what_is_sealed_opens(type_: ObjectType, name: str, message: bytes) -> None:
    data = seal_object(type_, KEYS, name, message)
    assert open_object(type_, KEYS, name, data) == message
    assert object_type(name, data) == type_
    assert len(data) == HEADER_SIZE + len(message) + 16


@pytest.mark.fault(7)
def test_every_bit_counts() -> None:
    data = bytearray(seal_object(ObjectType.SNAPSHOT, KEYS, NAME, b"message"))
    for place, bit in product(range(len(data)), range(8)):
        data[place] ^= 1 << bit
        with pytest.raises(DamagedRepository) as caught:
            open_object(ObjectType.SNAPSHOT, KEYS, NAME, bytes(data))
        assert caught.value.object == NAME
        data[place] ^= 1 << bit
    assert open_object(ObjectType.SNAPSHOT, KEYS, NAME, bytes(data)) == b"message"


@pytest.mark.fault(8)
def test_every_length_but_its_own_is_damage() -> None:
    data = seal_object(ObjectType.SESSION, KEYS, NAME, b"message")
    for size in range(len(data)):
        with pytest.raises(DamagedRepository):
            open_object(ObjectType.SESSION, KEYS, NAME, data[:size])
    for rest in (b"\0", data, bytes(1000)):
        with pytest.raises(DamagedRepository):
            open_object(ObjectType.SESSION, KEYS, NAME, data + rest)


@pytest.mark.parametrize(("sealed", "opened"), list(product(ObjectType, ObjectType)))
def test_types_are_told_apart(sealed: ObjectType, opened: ObjectType) -> None:
    data = seal_object(sealed, KEYS, NAME, b"message")
    if sealed == opened:
        assert open_object(opened, KEYS, NAME, data) == b"message"
        return
    relabelled = data[:8] + bytes([opened]) + data[9:]
    for each in (data, relabelled):
        with pytest.raises(DamagedRepository):
            open_object(opened, KEYS, NAME, each)


@pytest.mark.parametrize(
    "name", ["sessions/" + "0" * 31 + "1", "snapshots/" + "0" * 32, NAME + ".1", "", "s"]
)
def test_an_object_opens_under_its_own_name_only(name: str) -> None:
    data = seal_object(ObjectType.SESSION, KEYS, NAME, b"message")
    with pytest.raises(DamagedRepository) as caught:
        open_object(ObjectType.SESSION, KEYS, name, data)
    assert caught.value.object == name


@pytest.mark.parametrize(
    "keys",
    [
        Keys(bytes(16), 0, b"d" * 32, b"m" * 32),
        Keys(bytes(range(16)), 0, b"d" * 32, b"M" * 32),
        Keys(bytes(range(16)), 1, b"d" * 32, b"m" * 32),
    ],
)
def test_an_object_of_another_repository_or_key_does_not_open(keys: Keys) -> None:
    data = seal_object(ObjectType.SESSION, KEYS, NAME, b"message")
    with pytest.raises(DamagedRepository):
        open_object(ObjectType.SESSION, keys, NAME, data)


def test_no_name_can_run_into_the_repository_id() -> None:
    """The bytes that bind are name, zero, id: no other pair gives the same ones."""
    short = Keys(b"a" + b"\0" * 15, 0, b"d" * 32, b"m" * 32)
    data = seal_object(ObjectType.SESSION, short, "n", b"message")
    longer = Keys(b"\0" * 16, 0, b"d" * 32, b"m" * 32)
    with pytest.raises(DamagedRepository):
        open_object(ObjectType.SESSION, longer, "n\0a", data)


def test_the_same_message_twice_gives_other_salts_and_bytes() -> None:
    first, second = (seal_object(ObjectType.SESSION, KEYS, NAME, b"message") for _ in range(2))
    assert first[16:48] != second[16:48]
    assert first[48:] != second[48:]


def test_a_repeated_random_number_gives_no_repeated_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies of one virtual machine may draw the same numbers."""
    monkeypatch.setattr("holdfast.store.envelope.random_bytes", bytes)
    salts = {
        new_sealer(ObjectType.SESSION, KEYS, message)[0][16:] for message in (b"a", b"b", b"ab")
    }
    assert len(salts) == 3


def test_a_huge_object_is_refused() -> None:
    data = seal_object(ObjectType.SESSION, KEYS, NAME, b"")
    with pytest.raises(DamagedRepository, match="more than"):
        open_object(ObjectType.SESSION, KEYS, NAME, data + bytes(OBJECT_LIMIT))


def test_a_type_needs_a_header() -> None:
    with pytest.raises(DamagedRepository):
        object_type(NAME, bytes(HEADER_SIZE - 1))


def test_the_salt_takes_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two copies of one machine may draw the same random bytes."""
    monkeypatch.setattr(envelope, "random_bytes", bytes)
    names = (NAME, NAME.replace("0", "1"), NAME)
    salts = {seal_object(ObjectType.SESSION, KEYS, each, b"x")[16:48] for each in names}
    assert len(salts) == 2


@pytest.mark.format("F10")
def test_the_names_of_the_types() -> None:
    """A key is of a name; two types of one number would be one."""
    assert [type_.name for type_ in ObjectType] == [
        "INDEX",
        "SNAPSHOT",
        "SESSION",
        "CONDEMNED",
        "ABORTED",
        "CONFIG",
        "FORGOTTEN",
        "LABEL",
        "EPOCH",
        "SLOT",
        "ANCHOR",
    ]
