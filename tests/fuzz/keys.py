"""Targets: key slots, settings and recovery keys; and every object as bytes that nobody sealed."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TypeAlias

from tests.fuzz.engine import Attempt, Target
from tests.fuzz.forging import (
    KDF,
    KEYS,
    NAME,
    PASSWORD,
    SETTINGS,
    TIME,
    NotForged,
    checked,
    message_of,
    record_of,
)
from tests.fuzz.mutate import mutate_bytes, mutate_msgpack, mutate_text
from tests.fuzz.objects import NAMES
from tests.fuzz.packs import sound_pack

from holdfast.errors import DamagedRepository, HoldfastError
from holdfast.primitives import codec
from holdfast.primitives.crypto import TAG_SIZE, Domain, Sealer
from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import SessionId
from holdfast.primitives.kdf import KdfParams, stretch
from holdfast.store.config import (
    _HEADER,
    config_epoch,
    decode_plain,
    decode_sealed,
    encode_config,
    encode_plain,
)
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.epochs import decode_epoch, encode_epoch
from holdfast.store.index import decode_index, encode_index
from holdfast.store.keys import epoch_object, with_checksum
from holdfast.store.pack import pack_name
from holdfast.store.recovery import RecoveryKey, decode_recovery, encode_recovery
from holdfast.store.slots import _HEAD, Maker, open_slot, read_card, seal_slot
from holdfast.store.unpack import read_pack

Decode: TypeAlias = Callable[[str, bytes], object]

SLOT = f"keys/{NAME}"
CHEAP = 64 << 10
"""KiB of memory, times passes, above which a slot is not opened: as much as it asks for it gets."""


# As bytes: nobody gets past the seals


@cache
def _sound() -> dict[str, tuple[Decode, bytes]]:
    """By kind: what reads an object, and a sound one."""

    def opened(type_: ObjectType) -> Decode:
        return lambda _, data: open_object(type_, KEYS, NAMES[type_], data)

    kinds: dict[str, tuple[Decode, bytes]] = {
        type_.name: (opened(type_), seal_object(type_, KEYS, name, b"\x80"))
        for type_, name in NAMES.items()
    }
    info, pack = sound_pack()
    slot = seal_slot(SLOT, KEYS, PASSWORD, KDF, TIME, Maker("h", "u", "l"))
    return kinds | {
        "index": (
            lambda _, data: decode_index(f"index/{NAME}", data, KEYS),
            encode_index(f"index/{NAME}", [info], KEYS),
        ),
        "epoch": (
            lambda _, data: decode_epoch(KEYS, epoch_object(KEYS), data),
            encode_epoch(KEYS),
        ),
        "slot": (lambda _, data: read_card(SLOT, data, KEYS), slot),
        "config": (_read_config, encode_config(0, KEYS, SETTINGS, TIME, None)),
        "pack": (_read_whole_pack, bytes(pack)),
    }


def _read_config(_: str, data: bytes) -> object:
    return decode_sealed("config/0", decode_plain("config/0", data), KEYS)


def _read_whole_pack(_: str, data: bytes) -> object:
    name = pack_name(data, SessionId(data[24:40].ljust(16)))  # as a storage can name it
    return [(placed, bytes(blob)) for placed, blob in read_pack(name, data, KEYS)]


def prepare_raw(_: Path) -> Attempt:
    """Tries bytes as every object, with a checksum that fits too."""
    kinds = _sound()
    sound = {data for _, data in kinds.values()}

    def attempt(data: bytes) -> None:
        refusal: HoldfastError | None = None
        for kind, (decode, _) in kinds.items():
            for each in (data, with_checksum(data)):
                try:
                    found = decode(kind, each)
                except HoldfastError as error:
                    refusal = checked(error)
                else:
                    assert each in sound or kind == "pack", f"{kind}: {found}"
                    return
        assert refusal is not None
        raise refusal

    return attempt


def raw_seeds() -> list[bytes]:
    """Sound objects, with and without their last 32 bytes, which may be a checksum."""
    return [part for _, data in _sound().values() for part in (data, data[:-32])]


# Key slots


def slot_seeds() -> list[bytes]:
    """What a slot is made of, as `forged_slot` takes it."""
    head = [b"HFKEYSLT", 1, 1, 0, KDF.memory, KDF.passes, KDF.lanes, KEYS.repository, None, None]
    secrets = {"created": TIME, "dedup": KEYS.dedup, "epoch": 2, "master": KEYS.master}
    card = {"created": TIME, "host": "h", "user": "u", "label": "l"}
    return [codec.pack({"head": head, "secrets": secrets, "card": card})]


def forged_slot(data: bytes) -> bytes:
    """A slot of any fields, keys and card, sealed properly (NotForged)."""
    match record_of(data):
        case {"head": (*fields, commitment, length), "secrets": secrets, "card": card}:
            pass
        case _:
            raise NotForged
    said, salt = message_of(secrets), digest(data)
    params = KDF if (given := _params(fields)) is None or _cost(given) > CHEAP else given
    key = _stretched(salt, params)
    fields += [salt, key[32:] if commitment is None else commitment]
    fields.append(len(said) + TAG_SIZE if length is None else length)
    try:
        head = _HEAD.pack(*fields)
    except (struct.error, TypeError, OverflowError) as error:
        raise NotForged from error
    front = head + Sealer(key[:32]).seal(Domain.SLOT, said, head + SLOT.encode())
    if isinstance(card, dict):
        card = {"slot": digest(front), **card}
    return with_checksum(front + seal_object(ObjectType.SLOT, KEYS, SLOT, message_of(card)))


def _params(fields: Sequence[object]) -> KdfParams | None:
    match fields:
        case (_, _, _, _, int(memory), int(passes), int(lanes), _):
            try:
                return KdfParams(memory, passes, lanes)
            except ValueError:
                return None
        case _:
            return None


def _cost(params: KdfParams) -> int:
    return params.memory * params.passes


@lru_cache(maxsize=100)
def _stretched(salt: bytes, params: KdfParams) -> bytes:
    return bytes(stretch(PASSWORD, salt, params, 64))


def try_slot(data: bytes) -> None:
    """A slot: what it says of itself, and the keys that it opens."""
    slot = forged_slot(data)
    try:
        card = read_card(SLOT, slot, KEYS)
        assert str(card)
        if _cost(card.params) <= CHEAP:
            keys = open_slot(SLOT, slot, KEYS.repository, PASSWORD)
            assert keys is None or len(keys.master) == len(keys.dedup) == 32
    except DamagedRepository as error:
        raise checked(error) from None


# Settings


def config_seeds() -> list[bytes]:
    """What a config is made of, as `forged_config` takes it."""
    chunker = SETTINGS.chunker
    sealed = {
        "chunker": {
            "avg": chunker.avg_size,
            "max": chunker.max_size,
            "min": chunker.min_size,
            "name": chunker.name,
        },
        "compression": SETTINGS.compression,
        "created": TIME,
        "oldest": 1,
        "pack_size": SETTINGS.pack_size,
        "predecessor": None,
    }
    return [codec.pack({"plain": codec.unpack(encode_plain(KEYS.repository)), "sealed": sealed})]


def forged_config(data: bytes) -> bytes:
    """A config of any two parts, sealed properly (NotForged)."""
    match record_of(data):
        case {"plain": plain, "sealed": sealed}:
            front = message_of(plain)
        case _:
            raise NotForged
    if isinstance(sealed, dict):
        sealed = {"plain": front, **sealed}
    back = seal_object(ObjectType.CONFIG, KEYS, "config/0", message_of(sealed))
    return with_checksum(_HEADER.pack(b"HFCONFIG", len(front)) + front + back)


def try_config(data: bytes) -> None:
    """A config: what it says without a key, and with one."""
    try:
        plain = decode_plain("config/0", forged_config(data))
        assert config_epoch("config/0", plain) == KEYS.epoch
        found = decode_sealed("config/0", plain, KEYS)
    except HoldfastError as error:
        raise checked(error) from None
    assert found.oldest <= KEYS.epoch
    again = encode_config(0, KEYS, found.settings, TIME, None, plain.raw)
    assert (
        decode_sealed("config/0", decode_plain("config/0", again), KEYS).settings == found.settings
    )


# Recovery keys


def recovery_key() -> str:
    return encode_recovery(RecoveryKey(KEYS, SETTINGS, TIME))


def try_recovery(data: bytes) -> None:
    """Text as a recovery key."""
    found = decode_recovery(data.decode("utf-8", "surrogateescape"))
    assert decode_recovery(encode_recovery(found)) == found


TARGETS = (
    Target("raw", prepare_raw, raw_seeds, mutate_bytes),
    Target("slot", lambda _: try_slot, slot_seeds, mutate_msgpack, (NotForged,), share=20),
    Target("config", lambda _: try_config, config_seeds, mutate_msgpack, (NotForged,)),
    Target("recovery", lambda _: try_recovery, lambda: [recovery_key().encode()], mutate_text),
)
