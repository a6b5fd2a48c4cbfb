"""Writers at work, as the storage shows them, and declaring one of them dead (F42, F43, F54)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository, ObjectExists, ObjectNotFound, StorageUnavailable
from holdfast.primitives import codec
from holdfast.primitives.ids import PackName
from holdfast.store.envelope import ObjectType, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.objects import holds, is_exclusive, objects, read_object
from holdfast.store.session import WAITS, decode_condemned, is_aborted_marker

_FOLDER = "sessions/"
_RECLAIMS = "gc/"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionInfo:
    """A session that has left objects in the storage.

    Attributes:
        id: 32 hexadecimal digits; a snapshot that it makes has the same.
        kind: what it is about, such as ``backup`` or ``prune``; "" when that cannot be read.
        host, user: where and by whom it was begun.
        process: the process there.
        program: name and version of the program.
        started_ns: when it began, by its own clock, in nanoseconds since the Unix epoch.
        beats: number of its newest sign of life, 0 when there is none.
        last_ns: the time in that, or `started_ns`; 0 when neither can be read.
        objects: names of its objects.
        problem: why not all of this is known; "" when it is.
    """

    id: str
    kind: str = ""
    host: str = ""
    user: str = ""
    process: int = 0
    program: str = ""
    started_ns: int = 0
    beats: int = 0
    last_ns: int = 0
    objects: tuple[str, ...] = ()
    problem: str = ""

    @property
    def is_announced(self) -> bool:
        """Whether it may still commit: without its first object it cannot (F46)."""
        return _FOLDER + self.id in self.objects


def list_sessions(backend: Backend, keys: Keys, *, details: bool = True) -> list[SessionInfo]:
    """Every session that has objects in the storage, by id.

    Args:
        backend: where the repository is.
        keys: of the repository.
        details: read what the sessions say of themselves; without it only ids, numbers of signs
            of life and names of objects are told.

    Raises:
        BackendError: the storage fails; an object that cannot be read is a session's `problem`.
    """
    found: defaultdict[str, list[int]] = defaultdict(list)
    for info in objects(backend, _FOLDER):
        id_, _, beat = info.name.removeprefix(_FOLDER).partition(".")
        found[id_].append(int(beat or 0))
    sessions = (_session(id_, sorted(beats)) for id_, beats in sorted(found.items()))
    if not details:
        return list(sessions)
    told = (_detailed(backend, keys, each) for each in sessions)
    return [each for each in told if each.objects]


def _session(id_: str, beats: list[int]) -> SessionInfo:
    names = tuple(f"{_FOLDER}{id_}.{beat}" if beat else _FOLDER + id_ for beat in beats)
    return SessionInfo(id=id_, beats=beats[-1], objects=names)


def _detailed(backend: Backend, keys: Keys, session: SessionInfo) -> SessionInfo:
    """The session with what it says of itself; without objects when it has ended meanwhile."""
    names = list(session.objects)
    about: dict[str, object] = {}
    last = 0
    problems = []
    for name in dict.fromkeys((_FOLDER + session.id, session.objects[-1])):
        try:
            record = read_object(backend, name, partial(_record, keys))
        except DamagedRepository as error:
            problems.append(f"{name}: {error.problem}")
        except ObjectNotFound:
            if name in names:
                names.remove(name)
            problems.append(f"{name}: it is missing")
        else:
            about = about or record
            last = _of(record, "time", int) or last
    started = _of(about, "started", int) or 0
    return SessionInfo(
        id=session.id,
        kind=_of(about, "kind", str) or "",
        host=_of(about, "host", str) or "",
        user=_of(about, "user", str) or "",
        process=_of(about, "process", int) or 0,
        program=_of(about, "program", str) or "",
        started_ns=started,
        beats=session.beats,
        last_ns=last or started,
        objects=tuple(names),
        problem="; ".join(problems),
    )


def _record(keys: Keys, name: str, data: bytes) -> dict[str, object]:
    try:
        record = codec.unpack(open_object(ObjectType.SESSION, keys, name, data))
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    if not isinstance(record, dict):
        raise DamagedRepository(name, "it does not say what session it is of")
    return record


def _of(record: dict[str, object], key: str, kind: type[_T]) -> _T | None:
    """A field that is of the type; these are for people to read, so nothing is insisted on."""
    value = record.get(key)
    return value if isinstance(value, kind) else None


def expire_session(backend: Backend, keys: Keys, id_: str, about: dict[str, object]) -> bool:
    """Declare a session dead: it can never commit after this.

    Where the storage has no put-if-absent, a session that is alive after all and commits at this
    very moment may lose its snapshot: whoever calls this there knows that it is dead.

    Args:
        backend: where the repository is.
        keys: of the repository.
        id_: of the session.
        about: who declares it, for the record.

    Returns:
        Whether it is dead, now or since before. False when it had committed: there is something
        else at the name of its snapshot, which stays as it is.

    Raises:
        BackendError: the storage fails, so it may or may not be dead.
    """
    name = f"snapshots/{id_}"
    marker = seal_object(ObjectType.ABORTED, keys, name, codec.pack(about))
    try:
        _put_marker(backend, name, marker)
    except ObjectExists:
        return _is_marker(backend, keys, name)
    except StorageUnavailable:
        # Only the answer may be lost. A local disk loses none: there it is not durable.
        if backend.capabilities().local or not holds(backend, name, marker):
            raise
    return True


def _put_marker(backend: Backend, name: str, marker: bytes) -> None:
    if is_exclusive(backend):
        backend.put_if_absent(name, marker)
        return
    try:
        backend.stat(name)
    except ObjectNotFound:
        backend.put(name, marker)
    else:
        raise ObjectExists(name, "exists already")


def _is_marker(backend: Backend, keys: Keys, name: str) -> bool:
    """Whether it is an aborted marker for certain."""

    def check(name: str, data: bytes) -> bool:
        if not is_aborted_marker(name, data):
            return False
        open_object(ObjectType.ABORTED, keys, name, data)
        return True

    try:
        return read_object(backend, name, check)
    except (DamagedRepository, ObjectNotFound):  # a snapshot may have been forgotten meanwhile
        return False


def clear_session(backend: Backend, session: SessionInfo) -> None:
    """Delete a session's objects, the first one last; those that are gone already are no matter.

    Raises:
        BackendError: the storage fails.
    """
    for name in reversed(session.objects):
        try:
            backend.delete(name)
        except ObjectNotFound:
            continue


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimInfo:
    """A reclaim in progress, or one that was interrupted and that the next prune carries on with.

    Attributes:
        id: 32 hexadecimal digits.
        packs: the packs that it has condemned.
        waits: ids of the sessions that it waits for; those that have ended meanwhile too.
        problem: why not all of this is known; "" when it is.
    """

    id: str
    packs: frozenset[PackName] = frozenset()
    waits: frozenset[str] = frozenset()
    problem: str = ""


def list_reclaims(backend: Backend, keys: Keys) -> list[ReclaimInfo]:
    """Every reclaim in progress, by id.

    Raises:
        BackendError: the storage fails; an object that cannot be read is a reclaim's `problem`.
    """
    names = sorted(info.name for info in objects(backend, _RECLAIMS))
    found = (_reclaim(backend, keys, name) for name in names if not name.endswith(WAITS))
    return [each for each in found if each is not None]


def _reclaim(backend: Backend, keys: Keys, name: str) -> ReclaimInfo | None:
    id_ = name.removeprefix(_RECLAIMS)
    try:
        packs = read_object(backend, name, partial(decode_condemned, keys))
    except ObjectNotFound:
        return None
    except DamagedRepository as error:
        return ReclaimInfo(id=id_, problem=f"{error.object}: {error.problem}")
    waits: frozenset[str] = frozenset()
    problem = ""
    try:
        waits = read_object(backend, name + WAITS, partial(decode_waits, keys))
    except ObjectNotFound:
        problem = "it has not said yet which sessions it waits for"
    except DamagedRepository as error:
        problem = f"{error.object}: {error.problem}"
    return ReclaimInfo(id=id_, packs=frozenset(packs), waits=waits, problem=problem)


def decode_waits(keys: Keys, name: str, data: bytes) -> frozenset[str]:
    """The ids of the sessions that the object ``gc/<id>.waits`` names.

    Raises:
        DamagedRepository: damaged, forged, or it does not name sessions.
    """
    try:
        record = codec.unpack(open_object(ObjectType.CONDEMNED, keys, name, data))
    except ValueError as error:
        raise DamagedRepository(name, str(error)) from None
    match record:
        case {"waits": tuple(sessions)} if all(isinstance(each, str) for each in sessions):
            return frozenset(map(str, sessions))
        case _:
            raise DamagedRepository(name, "it does not name sessions")
