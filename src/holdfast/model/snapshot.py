"""A snapshot: one backup, complete in itself, and how it came to be.

Wire form: a msgpack map with these keys, all of them always there; keys that a later version adds
are kept when the record is written again. Strings are UTF-8, times are nanoseconds since the Unix
epoch in UTC and fit in 64 bits with a sign, ids of snapshots are 32 hexadecimal digits as str.

================ =====================================================================
``version``      1
``start``, ``end`` when the backup began and ended
``utc_offset``   seconds east of UTC where the backup was made
``host``, ``user``, ``os``  where, by whom and on what system it was made
``paths``        array of bin: what was backed up
``tags``         array of str
``label``, ``description``  str, empty when there is none
``tree``         bin 32: id of the root directory, whose entries are those of ``/``
``parent``       the snapshot that unchanged files were compared with, or nil
``group``        str common to the snapshots of one run to several repositories, or nil
``original``     the snapshot that this one was copied or made from, or nil
``replaces``     the snapshot that this one takes the place of, or nil
``program``      name and version of the program, such as ``holdfast 1.0``
``how``          map: how it was made; ``kind`` is ``local``, ``objects``, ``stream`` or
                 ``command``
``excluded``     array of str: the patterns of what was left out
``problems``     array of [path (bin), operation, message]: items that could not be read,
                 at most 10,000
``problem_count`` how many there were
``summary``      map of integers, see `Summary`
================ =====================================================================
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from holdfast.errors import DamagedRepository
from holdfast.model.record import FIRST_TIME, LAST_TIME, Fields, Record
from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, columns
from holdfast.primitives import codec
from holdfast.primitives.ids import ID_SIZE, SESSION_SIZE, BlobId, SnapshotId

VERSION = 1

MAX_PROBLEMS = 10_000
"""Most items that could not be read whose paths a snapshot keeps."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = 86_400
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Problem(Row):
    """An item of the source that could not be read.

    Attributes:
        path: where it is; bytes that are no text are surrogates, as `os.fsdecode` has them.
        operation: what was tried, such as ``open``.
        message: why it failed.
    """

    path: str
    operation: str
    message: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        path=Kind.PATH, operation=Kind.TEXT, message=Kind.TEXT
    )


@dataclass(frozen=True, slots=True)
class Summary(Row):
    """What a backup did, in numbers.

    Attributes:
        files_new, files_changed, files_unmodified: regular files, compared with the parent.
        directories: directories.
        others: links, fifos, sockets and devices.
        bytes_processed: bytes of all files, unmodified ones and holes among them.
        data_added: bytes of the blobs that the repository did not have, as they were.
        data_stored: bytes that they took in the repository.
        extra: numbers added by later versions.
    """

    files_new: int = 0
    files_changed: int = 0
    files_unmodified: int = 0
    directories: int = 0
    others: int = 0
    bytes_processed: int = 0
    data_added: int = 0
    data_stored: int = 0
    extra: Record = field(default_factory=dict, hash=False)

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        files_new=Kind.COUNT,
        files_changed=Kind.COUNT,
        files_unmodified=Kind.COUNT,
        directories=Kind.COUNT,
        others=Kind.COUNT,
        bytes_processed=Kind.BYTES,
        data_added=Kind.BYTES,
        data_stored=Kind.BYTES,
    )

    @property
    def files(self) -> int:
        """How many regular files the snapshot has."""
        return self.files_new + self.files_changed + self.files_unmodified

    def dict(self) -> Record:
        """The numbers by name, ready for JSON; what a later version added may be no number."""
        numbers = {name: each for name, each in self.extra.items() if isinstance(each, int)}
        return _known(self) | numbers


_NUMBERS = tuple(each.name for each in fields(Summary) if each.name != "extra")


def _known(summary: Summary) -> Record:
    return {name: getattr(summary, name) for name in _NUMBERS}


@dataclass(frozen=True, slots=True)
class Hold(Row):
    """What keeps a snapshot from being removed.

    Attributes:
        reason: why; "" when nothing was said.
        until_ns: until when, in nanoseconds since the Unix epoch; None is until it is released.
        id: names the label that says so: 32 hexadecimal digits, "" before that is stored.
    """

    reason: str = ""
    until_ns: int | None = None
    id: str = ""

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(reason=Kind.TEXT, until=Kind.TIME, id=Kind.ID)

    @property
    def until(self) -> datetime | None:
        """Until when, in UTC."""
        if self.until_ns is None:
            return None
        return _EPOCH + timedelta(microseconds=self.until_ns // 1000)

    @override
    def __str__(self) -> str:
        until = "" if self.until is None else f"until {self.until:%Y-%m-%d %H:%M} UTC"
        return ", ".join(filter(None, (self.reason, until)))

    def dict(self) -> Record:
        """Ready for JSON."""
        until = self.until
        return {"reason": self.reason, "until": until and until.isoformat(), "id": self.id}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Row):
    """One backup.

    Attributes:
        id: 32 hexadecimal digits.
        tree: the root directory.
        time_ns: when the backup began, in nanoseconds since the Unix epoch.
        end_ns: when it ended.
        utc_offset: seconds east of UTC where it was made.
        host, user, os: where, by whom and on what system it was made.
        paths: what was backed up, as `os.fsdecode` has it.
        tags: words to find it by.
        label, description: a name and a note, or "".
        parent: the snapshot that unchanged files were compared with.
        group: common to the snapshots of one run to several repositories.
        original: the snapshot that this one was copied or made from.
        replaces: the snapshot that this one takes the place of.
        program: name and version of the program that made it.
        how: how it was made, such as ``{"kind": "local"}``.
        excluded: patterns of what was left out.
        problems: items that could not be read, at most `MAX_PROBLEMS` of them.
        problem_count: how many could not be read.
        summary: what the backup did.
        extra: fields added by later versions.
        holds: what keeps it from being removed, as of when it was loaded.
        notes: what was noted on it later.

    The record does not have the last two, nor tags that came or went later: they follow from its
    labels, see `holdfast.model.labels`.
    """

    id: SnapshotId
    tree: BlobId
    time_ns: int
    end_ns: int
    utc_offset: int = 0
    host: str = ""
    user: str = ""
    os: str = ""
    paths: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    label: str = ""
    description: str = ""
    parent: SnapshotId | None = None
    group: str | None = None
    original: SnapshotId | None = None
    replaces: SnapshotId | None = None
    program: str = ""
    how: Record = field(default_factory=dict, hash=False)
    excluded: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    summary: Summary = Summary()
    extra: Record = field(default_factory=dict, hash=False)
    holds: tuple[Hold, ...] = ()
    notes: tuple[str, ...] = ()

    _COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("id", Kind.ID),
        Column("time", Kind.TIME),
        Column("host"),
        Column("paths", Kind.PATH),
        Column("tags"),
        Column("label"),
        Column("description", is_detail=True),
        Column("files", Kind.COUNT),
        Column("bytes_processed", Kind.BYTES),
        Column("data_added", Kind.BYTES, is_detail=True),
        Column("data_stored", Kind.BYTES),
        Column("duration", Kind.SECONDS, is_detail=True),
        Column("problem_count", Kind.COUNT),
        Column("protection"),
    )

    @property
    def short_id(self) -> str:
        """The first 8 digits of the id."""
        return self.id[:_SHORT]

    @property
    def time(self) -> datetime:
        """When the backup began, in UTC."""
        return _EPOCH + timedelta(microseconds=self.time_ns // 1000)

    @property
    def end(self) -> datetime:
        """When the backup ended, in UTC."""
        return _EPOCH + timedelta(microseconds=self.end_ns // 1000)

    @property
    def protection(self) -> str:
        """That and why it is kept from being removed, ready to be shown; "" when it is not."""
        reasons = "; ".join(filter(None, map(str, self.holds)))
        return f"protected: {reasons}" if reasons else "protected" * bool(self.holds)

    @property
    def duration(self) -> float:
        """How many seconds the backup took, whatever time the snapshot was told to bear."""
        started = self.how.get("started")
        return (self.end_ns - (started if isinstance(started, int) else self.time_ns)) / 1e9

    def reference(self) -> Record:
        """Which one it is, for results about it, ready for JSON."""
        return {
            "snapshot": self.id,
            "time": self.time.isoformat(),
            "host": self.host,
            "paths": list(self.paths),
        }

    def dict(self) -> Record:
        """What there is to show, ready for JSON."""
        return {
            "id": self.id,
            "short_id": self.short_id,
            "time": self.time.isoformat(),
            "end": self.end.isoformat(),
            "host": self.host,
            "user": self.user,
            "os": self.os,
            "paths": list(self.paths),
            "tags": list(self.tags),
            "label": self.label,
            "description": self.description,
            "tree": self.tree.hex(),
            "parent": self.parent,
            "group": self.group,
            "original": self.original,
            "replaces": self.replaces,
            "program": self.program,
            "how": {key: how for key, how in self.how.items() if isinstance(how, str | int)},
            "duration": self.duration,
            "problem_count": self.problem_count,
            "summary": self.summary.dict(),
            "holds": [hold.dict() for hold in self.holds],
            "notes": list(self.notes),
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        summary = self.summary
        return (
            self.id,
            self.time,
            self.host,
            ", ".join(self.paths),
            ", ".join(self.tags),
            self.label,
            self.description,
            summary.files,
            summary.bytes_processed,
            summary.data_added,
            summary.data_stored,
            self.duration,
            self.problem_count,
            self.protection,
        )

    @override
    def _caption(self) -> str:
        return "Snapshot"

    @override
    def _notes(self) -> tuple[str, ...]:
        return self.notes


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot's record; its id is the name under which that is stored.

    Text that is not valid UTF-8 is written with the odd bytes escaped; paths keep their bytes.

    Raises:
        ValueError: the snapshot is malformed, and would not be read back.
    """
    record: Record = {
        "version": VERSION,
        "start": snapshot.time_ns,
        "end": snapshot.end_ns,
        "utc_offset": snapshot.utc_offset,
        "host": snapshot.host,
        "user": snapshot.user,
        "os": snapshot.os,
        "paths": [os.fsencode(path) for path in snapshot.paths],
        "tags": snapshot.tags,
        "label": snapshot.label,
        "description": snapshot.description,
        "tree": snapshot.tree,
        "parent": snapshot.parent,
        "group": snapshot.group,
        "original": snapshot.original,
        "replaces": snapshot.replaces,
        "program": snapshot.program,
        "how": snapshot.how,
        "excluded": snapshot.excluded,
        "problems": [
            [os.fsencode(problem.path), problem.operation, problem.message]
            for problem in snapshot.problems[:MAX_PROBLEMS]
        ],
        "problem_count": max(snapshot.problem_count, len(snapshot.problems)),
        "summary": _known(snapshot.summary) | snapshot.summary.extra,
    }
    data = codec.pack({**snapshot.extra, **record})
    _decode(snapshot.id, data)
    return data


def decode_snapshot(snapshot: SnapshotId, data: bytes) -> Snapshot:
    """The snapshot of that id from its record.

    Raises:
        DamagedRepository: the record is not well-formed.
    """
    try:
        return _decode(snapshot, data)
    except ValueError as error:
        raise DamagedRepository(f"snapshots/{snapshot}", str(error)) from None


def _decode(snapshot: SnapshotId, data: bytes) -> Snapshot:
    record = _Fields(codec.unpack(data))
    if record.number("version", 0, 1 << 32) != VERSION:
        raise ValueError("a version that this program does not know")
    problems = record.problems()
    return Snapshot(
        id=snapshot,
        time_ns=record.number("start", FIRST_TIME, LAST_TIME),
        end_ns=record.number("end", FIRST_TIME, LAST_TIME),
        utc_offset=record.number("utc_offset", -_DAY, _DAY),
        host=record.text("host"),
        user=record.text("user"),
        os=record.text("os"),
        paths=tuple(os.fsdecode(path) for path in record.many("paths", bytes)),
        tags=record.many("tags", str),
        label=record.text("label"),
        description=record.text("description"),
        tree=record.tree(),
        parent=record.snapshot("parent"),
        group=record.optional_text("group"),
        original=record.snapshot("original"),
        replaces=record.snapshot("replaces"),
        program=record.text("program"),
        how=record.map("how"),
        excluded=record.many("excluded", str),
        problems=problems,
        problem_count=record.number("problem_count", len(problems), 1 << 63),
        summary=_decode_summary(record.map("summary")),
        extra=record.rest,
    )


def _decode_summary(numbers: Record) -> Summary:
    record = _Fields(numbers)
    known = {name: record.number(name, 0, (1 << 64) - 1) for name in _NUMBERS}
    return Summary(**known, extra=record.rest)


class _Fields(Fields):
    """The fields of a snapshot's record."""

    def snapshot(self, key: str) -> SnapshotId | None:
        value = self.optional_text(key)
        if value is not None and not is_snapshot_id(value):
            raise ValueError(f"`{key}` is no id of a snapshot")
        return None if value is None else SnapshotId(value)

    def tree(self) -> BlobId:
        value = self.take("tree")
        if not isinstance(value, bytes) or len(value) != ID_SIZE:
            raise ValueError("`tree` is no id of a blob")
        return BlobId(value)

    def problems(self) -> tuple[Problem, ...]:
        rows = self.many("problems", tuple)
        if len(rows) > MAX_PROBLEMS or any(
            list(map(type, row)) != [bytes, str, str] for row in rows
        ):
            raise ValueError("`problems` is no array of paths, operations and messages")
        return tuple(Problem(os.fsdecode(path), action, message) for path, action, message in rows)


def is_snapshot_id(text: str) -> bool:
    """Whether that is 32 lower-case hexadecimal digits."""
    return len(text) == 2 * SESSION_SIZE and set(text) <= set("0123456789abcdef")
