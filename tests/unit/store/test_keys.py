"""Key slots: the right password opens, and nothing else does or gets in the way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from holdfast.backend import Capabilities, MemoryBackend, ObjectInfo
from holdfast.clock import SYSTEM_CLOCK
from holdfast.errors import (
    DamagedRepository,
    HoldfastError,
    RepositoryExists,
    RepositoryNotFound,
    UnsupportedRepository,
    UsageError,
    WrongPassword,
)
from holdfast.overrides import override
from holdfast.primitives import codec
from holdfast.primitives.crypto import Domain, Sealer
from holdfast.primitives.kdf import KdfParams, stretch
from holdfast.store import open_store
from holdfast.store.keys import Keys, with_checksum, without_checksum
from holdfast.store.slots import (
    SLOT_LIMIT,
    Maker,
    UselessSlot,
    open_slot,
    read_card,
    seal_slot,
)
from holdfast.testing.repositories import PASSWORD, QUICK_KDF, copied, new_store, reopened

pytestmark = pytest.mark.usefixtures("cheap_passwords")

NAME = "keys/" + "0" * 32
OTHER = "keys/" + "f" * 32
KEYS = Keys(bytes(range(16)), 0, b"d" * 32, b"m" * 32)


@pytest.fixture(scope="module")
def slot() -> bytes:
    return seal_slot(NAME, KEYS, PASSWORD, QUICK_KDF, 1)


def slot_with(record: object, *, password: str = PASSWORD) -> bytes:
    """A slot as `seal_slot` makes it, around any record."""
    whole = seal_slot(NAME, KEYS, password, QUICK_KDF, 1)
    message = codec.pack(record)
    head = whole[:104] + (len(message) + 16).to_bytes(4, "little")
    key = stretch(password, head[40:72], QUICK_KDF, 64)[:32]
    return with_checksum(head + Sealer(key).seal(Domain.SLOT, message, head + NAME.encode()))


def test_the_password_opens_its_slot(slot: bytes) -> None:
    assert open_slot(NAME, slot, KEYS.repository, PASSWORD) == KEYS
    assert read_card(NAME, slot, KEYS) == (1, Maker(), QUICK_KDF)


def test_a_slot_says_who_made_it_to_all_who_have_the_keys() -> None:
    maker = Maker("host", "user", "lapt\udcffop")
    data = seal_slot(NAME, KEYS, "another", QUICK_KDF, 7, maker)
    assert read_card(NAME, data, KEYS) == (7, maker._replace(label="lapt\\udcffop"), QUICK_KDF)
    assert b"host" not in data


@pytest.mark.parametrize("password", ["", "x", PASSWORD + " ", PASSWORD.upper(), b"\xff"])
def test_another_password_does_not(slot: bytes, password: str | bytes) -> None:
    assert open_slot(NAME, slot, KEYS.repository, password) is None


def test_two_slots_of_one_password_have_nothing_in_common(slot: bytes) -> None:
    again = seal_slot(NAME, KEYS, PASSWORD, QUICK_KDF, 1)
    assert again[40:] != slot[40:]
    assert not set(zip(range(40, 104), again[40:104], strict=True)) >= set(
        zip(range(40, 104), slot[40:104], strict=True)
    )


def test_what_a_password_was_stretched_to_is_overwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bytearray] = []

    def remembered(*arguments: object) -> bytearray:
        used.append(stretch(*arguments))  # type: ignore[arg-type]  # as it was called
        return used[-1]

    monkeypatch.setattr("holdfast.store.slots.stretch", remembered)
    data = seal_slot(NAME, KEYS, PASSWORD, QUICK_KDF, 1)
    assert open_slot(NAME, data, KEYS.repository, PASSWORD) == KEYS
    assert open_slot(NAME, data, KEYS.repository, "another") is None
    assert used == [bytearray(64)] * 3


def test_keys_do_not_show_themselves() -> None:
    text = repr(KEYS)
    assert "dedup" not in text
    assert "master" not in text
    assert "mmmm" not in text


@pytest.mark.fault(7)
def test_every_changed_byte_is_damage(slot: bytes) -> None:
    for place in range(len(slot)):
        damaged = bytearray(slot)
        damaged[place] ^= 1
        with pytest.raises(DamagedRepository) as caught:
            read_card(NAME, bytes(damaged), KEYS)
        assert caught.value.object == NAME
        with pytest.raises(DamagedRepository):
            open_slot(NAME, bytes(damaged), KEYS.repository, PASSWORD)


@pytest.mark.fault(8)
def test_every_truncation_and_anything_behind_is_damage(slot: bytes) -> None:
    for size in range(len(slot)):
        with pytest.raises(DamagedRepository):
            read_card(NAME, slot[:size], KEYS)
    for rest in (b"\0", bytes(SLOT_LIMIT)):
        with pytest.raises(DamagedRepository):
            read_card(NAME, slot + rest, KEYS)


def test_a_slot_of_another_repository_is_not_tried(slot: bytes) -> None:
    assert open_slot(NAME, slot, bytes(16), PASSWORD) is None
    with pytest.raises(DamagedRepository, match="another repository"):
        read_card(NAME, slot, replace(KEYS, repository=bytes(16)))


def test_a_slot_under_another_name_is_damage(slot: bytes) -> None:
    with pytest.raises(DamagedRepository, match="although the password fits"):
        open_slot(OTHER, slot, KEYS.repository, PASSWORD)


def forged(slot: bytes, place: int, value: int, size: int = 4) -> bytes:
    """The slot with other numbers in its head, and a checksum that fits."""
    body = without_checksum(NAME, slot, SLOT_LIMIT)
    return with_checksum(body[:place] + value.to_bytes(size, "little") + body[place + size :])


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("place", "value"),
    [(12, 0), (12, (19 << 10) - 1), (12, 0xFFFFFFFF), (16, 0), (16, 33), (20, 0), (20, 17)],
)
def test_a_price_out_of_bounds_is_refused_before_it_is_paid(
    slot: bytes, place: int, value: int
) -> None:
    with pytest.raises(DamagedRepository, match="out of bounds"):
        open_slot(NAME, forged(slot, place, value), KEYS.repository, PASSWORD)


@pytest.mark.fault(51)
@pytest.mark.parametrize(("place", "size"), [(8, 2), (10, 1)])
def test_a_newer_slot_is_unsupported(slot: bytes, place: int, size: int) -> None:
    with pytest.raises(UnsupportedRepository):
        open_slot(NAME, forged(slot, place, 9, size), KEYS.repository, PASSWORD)


def test_a_lower_price_does_not_open() -> None:
    """Whoever lowers the price to guess faster gets another key, so the commitment differs."""
    dear = seal_slot(NAME, KEYS, PASSWORD, KdfParams(19 << 10, 2, 1), 1)
    assert open_slot(NAME, forged(dear, 16, 1), KEYS.repository, PASSWORD) is None


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        {},
        {"dedup": b"d" * 32, "epoch": 0},
        {"dedup": b"d" * 31, "epoch": 0, "master": b"m" * 32},
        {"dedup": b"d" * 32, "epoch": "0", "master": b"m" * 32},
        {"dedup": "d" * 32, "epoch": 0, "master": b"m" * 32},
    ],
)
def test_a_slot_without_keys_is_damage(record: object) -> None:
    with pytest.raises(DamagedRepository, match="does not hold the keys"):
        open_slot(NAME, slot_with(record), KEYS.repository, PASSWORD)


@pytest.mark.parametrize("epoch", [-1, 1 << 32])
def test_an_epoch_that_cannot_be_is_damage(epoch: int) -> None:
    data = slot_with({"created": 1, "dedup": b"d" * 32, "epoch": epoch, "master": b"m" * 32})
    with pytest.raises(DamagedRepository, match="does not hold the keys"):
        open_slot(NAME, data, KEYS.repository, PASSWORD)


def test_a_card_of_other_keys_says_that_the_slot_is_of_no_use(slot: bytes) -> None:
    later = Keys(KEYS.repository, 1, KEYS.dedup, b"M" * 32, {0: KEYS.master})
    for keys in (later, replace(KEYS, master=b"M" * 32)):
        with pytest.raises(UselessSlot) as caught:
            read_card(NAME, slot, keys)
        assert caught.value.epoch == 0


def test_a_card_goes_with_its_slot_only(slot: bytes) -> None:
    other = seal_slot(NAME, KEYS, "another", QUICK_KDF, 1)
    end = 108 + int.from_bytes(slot[104:108], "little")
    swapped = with_checksum(slot[:end] + other[end:-32])
    with pytest.raises(DamagedRepository, match="not that of this key slot"):
        read_card(NAME, swapped, KEYS)


def test_a_checksum_needs_something_to_check() -> None:
    assert without_checksum("x", with_checksum(b"a"), 100) == b"a"
    for data in (b"", with_checksum(b""), bytes(31), bytes(200)):
        with pytest.raises(DamagedRepository):
            without_checksum("x", data, 100)


# Several slots, in a repository


@pytest.fixture(scope="module")
def original() -> MemoryBackend:
    backend = MemoryBackend()
    new_store(backend)
    return backend


def add_slot(backend: MemoryBackend, name: str, password: str) -> bytes:
    data = seal_slot(name, reopened(backend).keys, password, QUICK_KDF, 1)
    backend.put(name, data)
    return data


def the_slot(backend: MemoryBackend) -> str:
    (info,) = backend.list("keys/")
    return info.name


def opened(backend: MemoryBackend, password: str = PASSWORD) -> Keys:
    return open_store(backend, password, SYSTEM_CLOCK, None).keys


@pytest.mark.fault(15)
def test_a_wrong_password_says_so(original: MemoryBackend) -> None:
    with pytest.raises(WrongPassword):
        opened(original, "another")


def test_each_password_opens_its_slot(original: MemoryBackend) -> None:
    backend = copied(original)
    for name in (NAME, OTHER):
        add_slot(backend, name, name)
    assert opened(backend) == opened(backend, NAME) == opened(backend, OTHER)
    with pytest.raises(WrongPassword):
        opened(backend, "another")


@pytest.mark.fault(7, 8)
@pytest.mark.parametrize("name", [NAME, OTHER])
@pytest.mark.parametrize("damage", ["flipped", "empty", "cut", "huge", "random"])
def test_a_damaged_slot_keeps_no_other_from_being_used(
    original: MemoryBackend, name: str, damage: str
) -> None:
    backend = copied(original)
    data = add_slot(backend, name, "second")
    backend.put(
        name,
        {
            "flipped": data[:60] + bytes([data[60] ^ 1]) + data[61:],
            "empty": b"",
            "cut": data[:-1],
            "huge": data + bytes(1 << 20),
            "random": bytes(300),
        }[damage],
    )
    assert opened(backend).repository == opened(original).repository
    with pytest.raises(DamagedRepository, match="no other key slot") as caught:
        opened(backend, "second")
    assert caught.value.object == name


def test_a_newer_slot_keeps_no_other_from_being_used(original: MemoryBackend) -> None:
    backend = copied(original)
    backend.put(NAME, forged(add_slot(backend, NAME, "second"), 8, 2, 2))
    assert opened(backend).repository == opened(original).repository
    with pytest.raises(UnsupportedRepository):
        opened(backend, "second")


def test_what_others_left_among_the_slots_is_ignored(original: MemoryBackend) -> None:
    backend = copied(original)
    backend._objects["keys/.DS_Store"] = b"x"
    backend._objects["keys/a copy of a slot"] = b"x"
    backend.put("keys/README", b"x")
    backend.put("keys/sub/" + "0" * 32, b"x")
    assert opened(backend).repository == opened(original).repository
    with pytest.raises(WrongPassword):
        opened(backend, "another")


def test_slots_of_another_repository_are_ignored(original: MemoryBackend) -> None:
    backend = copied(original)
    other = MemoryBackend()
    new_store(other)
    backend.put(the_slot(other), other.get(the_slot(other)))
    assert opened(backend).repository == opened(original).repository
    backend.delete(the_slot(original))
    with pytest.raises(WrongPassword):
        opened(backend)


def test_without_any_slot_nothing_opens(original: MemoryBackend) -> None:
    backend = copied(original)
    backend.delete(the_slot(backend))
    with pytest.raises(DamagedRepository, match="no key slot left"):
        opened(backend)


def test_a_slot_that_vanishes_meanwhile_is_passed_over(original: MemoryBackend) -> None:
    class Vanishing(MemoryBackend):
        @override
        def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
            if name == NAME:
                self._objects.pop(name, None)
            return super().get(name, offset, length)

    backend = Vanishing()
    for info in original.list(""):
        backend.put(info.name, original.get(info.name))
    add_slot(backend, NAME, "second")
    assert opened(backend).repository == opened(original).repository


# Making repositories


def test_nothing_is_no_repository() -> None:
    with pytest.raises(RepositoryNotFound, match="holdfast init"):
        opened(MemoryBackend())


def test_a_repository_is_made_once(original: MemoryBackend) -> None:
    before = {info.name: original.get(info.name) for info in original.list("")}
    with pytest.raises(RepositoryExists):
        new_store(original)
    assert {info.name: original.get(info.name) for info in original.list("")} == before


def test_a_listing_that_lacks_a_repository_does_not_have_it_replaced(
    original: MemoryBackend,
) -> None:
    class Plain(MemoryBackend):
        @override
        def capabilities(self) -> Capabilities:
            return Capabilities(put_if_absent=False, local=False)

        @override
        def list(self, prefix: str) -> Iterator[ObjectInfo]:
            return (info for info in super().list(prefix) if not prefix)

    backend = Plain()
    before = {info.name: original.get(info.name) for info in original.list("")}
    for name, data in before.items():
        backend.put(name, data)
    with pytest.raises(RepositoryExists):
        new_store(backend)
    assert dict(backend._objects) == before


@pytest.mark.fault(1)
def test_a_slot_of_a_crashed_init_is_no_repository_and_does_no_harm(
    original: MemoryBackend,
) -> None:
    backend = MemoryBackend()
    backend.put(the_slot(original), original.get(the_slot(original)))
    with pytest.raises(RepositoryNotFound):
        opened(backend)
    new_store(backend)
    assert opened(backend).repository != opened(original).repository


def test_a_restic_repository_is_named_as_one() -> None:
    backend = MemoryBackend()
    backend.put("config", b"restic's")
    backend.put("keys/" + "a" * 64, b"{}")
    for action in (new_store, opened):
        with pytest.raises(UnsupportedRepository, match="restic"):
            action(backend)


@pytest.mark.fault(14)
def test_a_lost_config_is_not_an_empty_place(original: MemoryBackend) -> None:
    backend = copied(original)
    backend.put("snapshots/" + "0" * 32, b"x")
    backend.delete("config/0")
    with pytest.raises(DamagedRepository) as caught:
        opened(backend)
    assert caught.value.object == "config/0"


def test_a_password_that_is_no_text_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no text"):
        open_slot(NAME, seal_slot(NAME, KEYS, "x", QUICK_KDF, 1), KEYS.repository, "\ud800")
    with pytest.raises(HoldfastError, match="no text"):
        seal_slot(NAME, KEYS, "\ud800", QUICK_KDF, 1)
