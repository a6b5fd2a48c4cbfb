"""Anchors: objects that pin how far an audit trail had come (docs/format.md, F57 and F58)."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository, ObjectNotFound, UsageError
from holdfast.present import Column, Kind, Row, columns
from holdfast.primitives import codec
from holdfast.primitives.crypto import random_bytes
from holdfast.primitives.hashing import DIGEST_SIZE
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.objects import is_object, objects, put_current, read_object

FOLDER = "audit/"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DIGEST = re.compile(f"[0-9a-f]{{{2 * DIGEST_SIZE}}}")


@dataclass(frozen=True)
class AuditAnchor(Row):
    """How far an audit trail had come at some time, as somebody who has the keys said then.

    Attributes:
        name: of the object.
        trail: the trail's id, 32 hexadecimal digits.
        sequence: number of its last entry.
        digest: hash of that entry, 64 hexadecimal digits.
        time_ns: when it was said, in nanoseconds since the Unix epoch.
        host, user: by whom.
        place: where the trail was kept on that host.
    """

    name: str
    trail: str
    sequence: int
    digest: str
    time_ns: int
    host: str
    user: str
    place: str

    @property
    def time(self) -> datetime:
        """When it was said, in UTC."""
        return _EPOCH + timedelta(microseconds=self.time_ns // 1000)

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        trail=Kind.ID,
        sequence=Kind.NUMBER,
        digest=Kind.ID,
        time=Kind.TIME,
        host=Kind.TEXT,
        user=Kind.TEXT,
        place=Kind.PATH,
    )


def anchor_names(backend: Backend, trail: str | None = None) -> list[str]:
    """The names of the anchors of a trail or of all, those of the latest entries first."""
    folder = FOLDER if trail is None else f"{FOLDER}{trail}/"
    names = [info.name for info in objects(backend, folder)]
    return sorted(names, key=lambda name: (-_parts(name)[1], name))


def read_anchor(backend: Backend, keys: Keys, name: str) -> AuditAnchor:
    """An anchor.

    Raises:
        ObjectNotFound: it is gone.
        DamagedRepository: damaged or forged.
    """
    return read_object(backend, name, partial(decode_anchor, keys))


def decode_anchor(keys: Keys, name: str, data: bytes) -> AuditAnchor:
    """What an object of that name says (DamagedRepository: damaged or forged)."""
    message = open_object(ObjectType.ANCHOR, keys, name, data)
    try:
        record = codec.unpack(message)
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    match record:
        case {
            "digest": bytes(digest),
            "time": int(time),
            "host": str(host),
            "user": str(user),
            "place": str(place),
        } if len(digest) == DIGEST_SIZE and type(time) is int:
            trail, sequence = _parts(name)
            return AuditAnchor(name, trail, sequence, digest.hex(), time, host, user, place)
        case _:
            raise DamagedRepository(name, "it does not say how far a trail had come")


def put_anchor(backend: Backend, keys: Keys, anchor: AuditAnchor) -> AuditAnchor:
    """Store an anchor under a new name; returns it with that.

    Raises:
        UsageError: there cannot be such a trail, entry or hash.
        KeysRotated: the settings or keys were changed meanwhile.
    """
    name = f"{FOLDER}{anchor.trail}/{anchor.sequence}-{random_bytes(8).hex()}"
    if not is_object(name) or _DIGEST.fullmatch(anchor.digest) is None:
        raise UsageError(f"no audit trail {anchor.trail!r} with an entry {anchor.sequence}")
    record = codec.pack(
        {
            "digest": bytes.fromhex(anchor.digest),
            "time": anchor.time_ns,
            "host": anchor.host,
            "user": anchor.user,
            "place": anchor.place,
        }
    )
    put_current(backend, name, seal_object(ObjectType.ANCHOR, keys, name, record), keys.config)
    return replace(anchor, name=name)


def delete_anchor(backend: Backend, name: str) -> None:
    """Remove an anchor; it may be gone already."""
    with contextlib.suppress(ObjectNotFound):
        backend.delete(name)


def _parts(name: str) -> tuple[str, int]:
    """The trail and the number of the entry that an anchor's name tells."""
    _, trail, rest = name.split("/")
    return trail, int(rest.partition("-")[0])
