"""One entry of an audit trail: its fields, its one way to be written, its hash."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import ClassVar, TypeAlias

from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Tone, columns
from holdfast.primitives.hashing import DIGEST_SIZE, digest

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
"""What JSON can say."""

BEGINNING = "0" * (2 * DIGEST_SIZE)
"""What stands in place of the hash of the entry before the first."""

TRAIL = "trail"
"""The event of the first entry, whose details hold the trail's id."""

TORN = "torn"
"""The event of an entry that says what before it was set aside, because it never got whole."""

RESULTS = ("ok", "partial", "failed", "denied")

_TONES: Mapping[Cell, Tone] = {
    "ok": Tone.GOOD,
    "partial": Tone.NOTABLE,
    "failed": Tone.BAD,
    "denied": Tone.BAD,
}


@dataclass(frozen=True)
class AuditEntry(Row):
    """Who did what, when, with what result.

    Attributes:
        sequence: its place in the trail, from 0.
        time: ISO 8601 with microseconds, UTC.
        event: what was done, such as ``backup``.
        result: ``ok``, ``partial``, ``failed`` or ``denied``.
        user: login name of who did it, also where `sudo` changed the user since.
        uid: user id that the process had.
        host: name of the machine.
        program: name and version.
        repository: id of the repository, or "".
        snapshot: id of the snapshot, or "".
        details: what else is known, without secrets.
        previous: `hash` of the entry before.
        hash: BLAKE3 of the entry without it, as it is written; hexadecimal.
    """

    sequence: int
    time: str
    event: str
    result: str
    user: str
    uid: int
    host: str
    program: str
    repository: str
    snapshot: str
    details: Mapping[str, JSON]
    previous: str
    hash: str = ""

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        *columns(sequence=Kind.NUMBER, time=Kind.TIME, event=Kind.TEXT),
        Column("result", Kind.TEXT, _TONES),
        *columns(
            user=Kind.TEXT,
            host=Kind.TEXT,
            repository=Kind.ID,
            snapshot=Kind.ID,
            details=Kind.TEXT,
        ),
    )

    @property
    def when(self) -> datetime:
        """The time, aware."""
        return datetime.fromisoformat(self.time)

    def dict(self) -> dict[str, JSON]:
        """All fields, ready for JSON."""
        return asdict(self)

    @override
    def _row(self) -> tuple[Cell, ...]:
        details = json.dumps(dict(self.details)) if self.details else ""
        return (
            self.sequence,
            self.when,
            self.event,
            self.result,
            self.user,
            self.host,
            self.repository,
            self.snapshot,
            details,
        )


_TYPES: Mapping[str, type] = {
    **{field.name: str for field in fields(AuditEntry)},
    "sequence": int,
    "uid": int,
    "details": dict,
}


class BadEntry(ValueError):  # noqa: N818 - named for what is wrong; it never leaves the trail
    """A line is no entry, or was changed."""


def hashed(entry: AuditEntry) -> str:
    """What the hash of an entry must be."""
    record = entry.dict()
    del record["hash"]
    return digest(canonical(record)).hex()


def canonical(value: JSON) -> bytes:
    """The only way in which a value is written: sorted keys, no spaces, ASCII (RFC 8785 alike)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def encode(entry: AuditEntry) -> bytes:
    """The line of an entry, without its end."""
    return canonical(entry.dict())


def decode(line: bytes) -> AuditEntry:
    """The entry of a line without its end, whose hash is right.

    Raises:
        BadEntry: see `parse`; or its hash does not match.
    """
    entry = parse(line)
    if hashed(entry) != entry.hash:
        raise BadEntry("it was changed: its hash does not match")
    return entry


def parse(line: bytes) -> AuditEntry:
    """The entry of a line, whatever its hash.

    Raises:
        BadEntry: it is none, or is written in another way than entries are.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise BadEntry("it is no JSON") from None
    if not isinstance(record, dict) or record.keys() != _TYPES.keys():
        raise BadEntry("it has not the fields of an entry")
    for name, type_ in _TYPES.items():
        if type(record[name]) is not type_:
            raise BadEntry(f"its field {name} is of a wrong type")
    entry = AuditEntry(**record)
    try:
        is_canonical = encode(entry) == line
    except (RecursionError, ValueError):  # reading goes deeper than writing, and knows NaN
        raise BadEntry("it is nested too deeply, or has numbers that are none") from None
    if not is_canonical:
        raise BadEntry("it is not written as entries are")
    if not _is_time(entry.time):
        raise BadEntry("its time is none")
    return entry


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).utcoffset() is not None
    except ValueError:
        return False


def iso(when_ns: int) -> str:
    """A wall time in nanoseconds as entries have it."""
    seconds, rest = divmod(when_ns, 1_000_000_000)
    when = datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)
    return when.isoformat(timespec="microseconds")
