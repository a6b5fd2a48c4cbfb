"""Who is at work on a repository, and which reclaims wait for whom."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from holdfast.overrides import override
from holdfast.present import Cell, Column, Kind, Row, Shown, Table, columns, table_of
from holdfast.primitives.ids import PackName
from holdfast.store import ReclaimInfo, SessionInfo, Store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SessionAtWork(Row):
    """A writer, at work or dead.

    Attributes:
        id: 32 hexadecimal digits; a snapshot that it makes has the same.
        kind: what it does, such as ``backup`` or ``prune``; "" when that cannot be read.
        host, user: where and by whom it was begun.
        process: the process there.
        program: name and version of the program.
        started: when, by its own clock; None when that cannot be read.
        last: its last sign of life, by its own clock; one comes every 5 minutes.
        age: seconds since then, by this machine's clock.
        problem: why not all of this is known; "" when it is.
    """

    id: str
    kind: str
    host: str
    user: str
    process: int
    program: str
    started: datetime | None
    last: datetime | None
    age: float | None
    problem: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        id=Kind.ID,
        kind=Kind.TEXT,
        host=Kind.TEXT,
        user=Kind.TEXT,
        process=Kind.NUMBER,
        program=Kind.TEXT,
        started=Kind.TIME,
        last=Kind.TIME,
        age=Kind.SECONDS,
        problem=Kind.TEXT,
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "id": self.id,
            "kind": self.kind,
            "host": self.host,
            "user": self.user,
            "process": self.process,
            "program": self.program,
            "started": self.started and self.started.isoformat(),
            "last": self.last and self.last.isoformat(),
            "age": self.age,
            "problem": self.problem,
        }


@dataclass(frozen=True, slots=True)
class ReclaimAtWork(Row):
    """A reclaim that is not done; if no prune is at work the next one carries on with it.

    Attributes:
        id: 32 hexadecimal digits.
        packs: how many packs it has condemned and are still there.
        bytes: how many bytes these have.
        waits: ids of the sessions at work that it waits for.
        problem: why not all of this is known; "" when it is.
    """

    id: str
    packs: int
    bytes: int
    waits: tuple[str, ...]
    problem: str

    _COLUMNS: ClassVar[tuple[Column, ...]] = columns(
        id=Kind.ID,
        packs=Kind.COUNT,
        bytes=Kind.BYTES,
        waits=Kind.TEXT,
        problem=Kind.TEXT,
    )

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "id": self.id,
            "packs": self.packs,
            "bytes": self.bytes,
            "waits": list(self.waits),
            "problem": self.problem,
        }

    @override
    def _row(self) -> tuple[Cell, ...]:
        waits = ", ".join(each[:8] for each in self.waits)
        return self.id, self.packs, self.bytes, waits, self.problem


@dataclass(frozen=True, slots=True)
class AtWork(Shown):
    """All that is going on.

    Attributes:
        sessions: the writers.
        reclaims: what prunes have begun and not ended.
    """

    sessions: tuple[SessionAtWork, ...]
    reclaims: tuple[ReclaimAtWork, ...]

    def dict(self) -> dict[str, object]:
        """Ready for JSON."""
        return {
            "sessions": [session.dict() for session in self.sessions],
            "reclaims": [reclaim.dict() for reclaim in self.reclaims],
        }

    @override
    def _table(self) -> Table:
        reclaims = table_of(ReclaimAtWork, self.reclaims, "Reclaims")
        parts = (reclaims,) if self.reclaims else ()
        return table_of(SessionAtWork, self.sessions, "Sessions at work", parts=parts)


def at_work(store: Store, now_ns: int) -> AtWork:
    """Who is at work.

    Args:
        store: the repository.
        now_ns: what time it is.

    Raises:
        BackendError: the storage fails.
    """
    sessions = store.sessions()
    reclaims = store.reclaims()
    packs = store.list_packs().packs if reclaims else {}
    ids = {session.id for session in sessions if session.is_announced}
    return AtWork(
        tuple(_session(each, now_ns) for each in sessions),
        tuple(_reclaim(each, packs, ids) for each in reclaims),
    )


def _session(info: SessionInfo, now_ns: int) -> SessionAtWork:
    return SessionAtWork(
        id=info.id,
        kind=info.kind,
        host=info.host,
        user=info.user,
        process=info.process,
        program=info.program,
        started=_moment(info.started_ns),
        last=_moment(info.last_ns),
        age=(now_ns - info.last_ns) / 1e9 if info.last_ns else None,
        problem=info.problem,
    )


def _reclaim(info: ReclaimInfo, packs: dict[PackName, int], sessions: set[str]) -> ReclaimAtWork:
    sizes = [packs[pack] for pack in info.packs if pack in packs]
    waits = tuple(sorted(info.waits & sessions))
    return ReclaimAtWork(info.id, len(sizes), sum(sizes), waits, info.problem)


def _moment(ns: int) -> datetime | None:
    """A time in UTC; None for one that is unknown, or that no calendar has."""
    try:
        return _EPOCH + timedelta(microseconds=ns // 1000) if ns else None
    except OverflowError:
        return None
