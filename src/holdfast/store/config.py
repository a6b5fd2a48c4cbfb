"""The repository's settings: a plain part that any version can read, and a sealed rest."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import NamedTuple

from holdfast.errors import DamagedRepository, UnsupportedRepository, UsageError
from holdfast.primitives import codec
from holdfast.primitives.chunker import ChunkerParams
from holdfast.primitives.compression import MAX_LEVEL, MIN_LEVEL
from holdfast.store.envelope import ObjectType, object_epoch, open_object, seal_object
from holdfast.store.keys import REPOSITORY_ID_SIZE, Keys, with_checksum, without_checksum
from holdfast.store.objects import NewerKeys

FORMAT_VERSION = 1
CONFIG_LIMIT = 1 << 20
MIN_PACK_SIZE, MAX_PACK_SIZE = 1 << 20, 96 << 20

_MAGIC = b"HFCONFIG"
_HEADER = struct.Struct("<8sI")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is fixed for all writers of a repository.

    Attributes:
        chunker: how files are cut.
        pack_size: bytes at which a pack is closed.
        compression: zstd level; 0 stores raw.
    """

    chunker: ChunkerParams
    pack_size: int
    compression: int


@dataclass(frozen=True, slots=True)
class PlainConfig:
    """The part of the config that needs no key.

    Attributes:
        repository: id, 16 bytes.
        write: features that a writer must know, and this version does not: it may only read.
        raw: this part as it is stored.
        sealed: the part that needs a key.
    """

    repository: bytes
    write: tuple[str, ...]
    raw: bytes = field(repr=False)
    sealed: bytes = field(repr=False)


class Sealed(NamedTuple):
    """What the sealed part of a config says.

    Attributes:
        settings: what is fixed for all writers.
        oldest: the oldest epoch of which small objects are accepted.
    """

    settings: Settings
    oldest: int


def encode_plain(repository: bytes) -> bytes:
    """The plain part of a config, without any feature."""
    return codec.pack(
        {
            "compatible": [],
            "read": [],
            "repository": repository,
            "version": FORMAT_VERSION,
            "write": [],
        }
    )


def encode_config(
    number: int,
    keys: Keys,
    settings: Settings,
    created: int,
    predecessor: bytes | None,
    plain: bytes | None = None,
) -> bytes:
    """The object ``config/<number>``.

    Args:
        number: 0 for a new repository.
        keys: seal the settings, and say which epochs are accepted.
        settings: what is fixed for all writers.
        created: wall time, nanoseconds since the epoch.
        predecessor: BLAKE3 of the config before this one, None when there is none.
        plain: the plain part, as the config before has it; one without features when None.
    """
    plain = encode_plain(keys.repository) if plain is None else plain
    chunker = settings.chunker
    message = codec.pack(
        {
            "chunker": {
                "avg": chunker.avg_size,
                "max": chunker.max_size,
                "min": chunker.min_size,
                "name": chunker.name,
            },
            "compression": settings.compression,
            "created": created,
            "oldest": keys.oldest,
            "pack_size": settings.pack_size,
            "plain": plain,
            "predecessor": predecessor,
        }
    )
    sealed = seal_object(ObjectType.CONFIG, keys, f"config/{number}", message)
    return with_checksum(_HEADER.pack(_MAGIC, len(plain)) + plain + sealed)


def decode_plain(name: str, data: bytes) -> PlainConfig:
    """The part of a config that needs no key.

    Raises:
        DamagedRepository: damaged.
        UnsupportedRepository: of a newer version, or with features that reading needs.
    """
    try:
        body = without_checksum(name, data, CONFIG_LIMIT)
    except DamagedRepository as error:
        raise _damaged(name, error.problem) from None
    if len(body) < _HEADER.size:
        raise _damaged(name, "too short")
    magic, size = _HEADER.unpack_from(body)
    if magic != _MAGIC or len(body) < _HEADER.size + size:
        raise _damaged(name, "not a holdfast config")
    plain, sealed = body[_HEADER.size :][:size], body[_HEADER.size + size :]
    try:
        record = codec.unpack(plain)
    except ValueError as error:
        raise _damaged(name, str(error)) from None
    match record:
        case {
            "version": int(version),
            "repository": bytes(repository),
            "read": tuple(read),
            "write": tuple(write),
        } if len(repository) == REPOSITORY_ID_SIZE:
            pass
        case _:
            raise _damaged(name, "fields are missing")
    if version != FORMAT_VERSION:
        raise UnsupportedRepository(
            f"this repository has format version {version} and this holdfast knows version "
            f"{FORMAT_VERSION}: use a newer holdfast"
        )
    if read:
        raise UnsupportedRepository(
            f"this repository uses {', '.join(map(_shown, read))}, which this holdfast does not "
            "know: use a newer holdfast"
        )
    return PlainConfig(repository, tuple(map(_shown, write)), plain, sealed)


def _shown(feature: object) -> str:
    """The name of a feature, which nobody has sealed, as any terminal can be told it."""
    text = str(feature)
    return text if text.isprintable() else ascii(text)


def config_epoch(name: str, config: PlainConfig) -> int:
    """The epoch whose master opens the sealed part, as it says before anything is verified."""
    return object_epoch(name, config.sealed)


def decode_sealed(name: str, config: PlainConfig, keys: Keys) -> Sealed:
    """What the sealed part of a config says.

    Raises:
        DamagedRepository: damaged, forged, or the plain part is not the one it was sealed with.
    """
    try:
        record = codec.unpack(open_object(ObjectType.CONFIG, keys, name, config.sealed))
    except NewerKeys:
        raise
    except DamagedRepository as error:
        raise _damaged(name, error.problem) from None
    except ValueError as error:
        raise _damaged(name, str(error)) from None
    match record:
        case {
            "chunker": {"name": str(chunker), "min": int(low), "avg": int(avg), "max": int(high)},
            "compression": int(level),
            "oldest": int(oldest),
            "pack_size": int(pack_size),
            "plain": bytes(plain),
        } if (
            MIN_LEVEL <= level <= MAX_LEVEL
            and MIN_PACK_SIZE <= pack_size <= MAX_PACK_SIZE
            and 0 <= oldest <= config_epoch(name, config)
        ):
            pass
        case _:
            raise _damaged(name, "settings are missing or out of bounds")
    if plain != config.raw:
        raise _damaged(name, "the plain part was changed")
    try:
        params = ChunkerParams(chunker, low, avg, high)
    except UsageError as error:
        raise UnsupportedRepository(f"{name}: {error}") from None
    return Sealed(Settings(params, pack_size, level), oldest)


def _damaged(name: str, problem: str) -> DamagedRepository:
    return DamagedRepository(
        name, problem, "put back a copy of it, or open the repository with its recovery key"
    )
