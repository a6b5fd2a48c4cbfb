"""Condemn, drain, remove, delete: what a reclaim does with the storage (F54 to F56, ADR 0010).

Which packs may go is decided by `holdfast.operations.prune`. Nothing here decides by a clock but
how long a silent session is waited for, and that can only fail a backup.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from holdfast.backend import Backend
from holdfast.errors import BackendError, DamagedRepository, ObjectExists, ObjectNotFound
from holdfast.primitives import codec
from holdfast.primitives.ids import PackName, SnapshotId, random_name
from holdfast.store.envelope import ObjectType, seal_object
from holdfast.store.index import encode_index
from holdfast.store.keys import Keys
from holdfast.store.objects import is_exclusive, objects, read_object
from holdfast.store.pack import object_name
from holdfast.store.session import WAITS, decode_condemned, is_aborted_marker
from holdfast.store.sessions import (
    SessionInfo,
    clear_session,
    decode_waits,
    expire_session,
    list_sessions,
)
from holdfast.store.sightings import Sightings

_log = logging.getLogger(__name__)

RECLAIM = "prune"
"""What the session of a reclaim says that it is; nobody waits for one."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How far reclaims in progress are.

    Attributes:
        ready: by object name, the packs that were condemned and that no session can build upon
            any more.
        waiting: the same for those that sessions may still build upon.
        sessions: these sessions.
        committed: sessions that were waited for and are over because their snapshots are there.
            They may be told again to commit, as long as nobody forbids it: so what is decided
            must rest on a list that has these snapshots.
    """

    ready: dict[str, frozenset[PackName]] = field(default_factory=dict)
    waiting: dict[str, frozenset[PackName]] = field(default_factory=dict)
    sessions: tuple[SessionInfo, ...] = ()
    committed: frozenset[SnapshotId] = frozenset()


class Reclaim:
    """One reclaim's work on the storage; it also carries on with what others have left."""

    def __init__(
        self,
        backend: Backend,
        keys: Keys,
        sightings: Sightings,
        about: Mapping[str, object],
        expire_after: float,
    ) -> None:
        """Begin; nothing is done yet.

        Args:
            backend: where the repository is.
            keys: of the repository.
            sightings: of other sessions.
            about: who reclaims, for markers of dead sessions.
            expire_after: seconds of silence after which a session is declared dead.
        """
        self._backend = backend
        self._keys = keys
        self._sightings = sightings
        self._about = dict(about)
        self._expire_after = expire_after
        self._own = self._guard = ""

    @contextlib.contextmanager
    def guarded(self, own: str) -> Iterator[None]:
        """See to it, while this lasts, that no list of sessions lacks any.

        A session that a list leaves out would be taken for ended, and what it builds upon deleted.
        So an object lies there that comes last in every list; without it a list is not believed.

        Args:
            own: id of the session of this reclaim, which is at work however silent it is.
        """
        self._own = own
        try:
            self._put_guard()
            yield
        finally:
            self._delete(self._guard)
            self._own = self._guard = ""

    def _put_guard(self) -> None:
        self._guard = f"sessions/{_LAST_OF_ALL}{random_name()[len(_LAST_OF_ALL) :]}"
        record = codec.pack({**self._about, "kind": RECLAIM})
        data = seal_object(ObjectType.SESSION, self._keys, self._guard, record)
        self._backend.put(self._guard, data)

    def _sessions(self) -> list[SessionInfo]:
        """All sessions but those of this reclaim.

        Raises:
            DamagedRepository: the list lacks what is there.
        """
        sessions = list_sessions(self._backend, self._keys)
        if self._guard and all(self._guard not in each.objects for each in sessions):
            try:
                self._backend.stat(self._guard)
            except ObjectNotFound:  # another reclaim took it for that of a dead one
                self._put_guard()
                sessions = list_sessions(self._backend, self._keys)
            _expect(any(self._guard in each.objects for each in sessions), self._guard)
        return [
            each for each in sessions if each.id != self._own and self._guard not in each.objects
        ]

    def condemned(self) -> dict[str, frozenset[PackName]]:
        """The packs that each reclaim in progress has condemned.

        Raises:
            DamagedRepository: an announcement cannot be read.
        """
        found = {}
        decode = partial(decode_condemned, self._keys)
        for info in objects(self._backend, "gc/"):
            if info.name.endswith(WAITS):
                continue
            with contextlib.suppress(ObjectNotFound):  # its reclaim has ended
                packs = read_object(self._backend, info.name, decode, size=info.size)
                found[info.name] = frozenset(packs)
        return found

    def condemn(self, packs: Collection[PackName]) -> str:
        """Announce, for ever, that these packs will be deleted; returns the object's name.

        Raises:
            DamagedRepository: the storage does not list what it has just stored.
        """
        name = f"gc/{random_name()}"
        record = codec.pack({"packs": sorted(packs)})
        self._backend.put(name, seal_object(ObjectType.CONDEMNED, self._keys, name, record))
        _expect(any(info.name == name for info in self._backend.list("gc/")), name)
        self._waits(name)
        return name

    def check_snapshots_listed(self) -> None:
        """Find out whether a list of the snapshots shows what was stored last, and comes last.

        A snapshot that a listing leaves out would be taken for forgotten, and its data deleted.

        Raises:
            DamagedRepository: it does not.
        """
        name = f"snapshots/{_LAST_OF_ALL}{random_name()[len(_LAST_OF_ALL) :]}"
        record = codec.pack(self._about)
        marker = seal_object(ObjectType.ABORTED, self._keys, name, record)
        try:
            self._backend.put(name, marker)
            _expect(any(info.name == name for info in self._backend.list("snapshots/")), name)
        finally:
            self._delete(name)

    def others(self) -> bool:
        """Whether any other session has objects in the storage."""
        return bool(self._sessions())

    def drain(self) -> Drain:
        """Look once which of the reclaims in progress wait for nobody any more.

        Sessions that have ended without clearing up are cleared away, silent ones expired.
        """
        condemned = self.condemned()
        waits = {name: self._waits(name) for name in condemned}
        alive, committed = self._alive()
        is_waiting = {name: bool(waits[name] & alive.keys()) for name in condemned}
        wanted = frozenset[str]().union(*waits.values())
        return Drain(
            ready={name: packs for name, packs in condemned.items() if not is_waiting[name]},
            waiting={name: packs for name, packs in condemned.items() if is_waiting[name]},
            sessions=tuple(alive[each] for each in sorted(wanted & alive.keys())),
            committed=frozenset(map(SnapshotId, wanted & committed)),
        )

    def _waits(self, name: str) -> frozenset[str]:
        """The sessions that a reclaim waits for; whoever sees first that nobody said so says it."""
        waits = name + WAITS
        try:
            return read_object(self._backend, waits, partial(decode_waits, self._keys))
        except ObjectNotFound:
            pass
        sessions = [
            each.id for each in self._sessions() if each.is_announced and each.kind != RECLAIM
        ]
        record = codec.pack({"waits": sorted(sessions)})
        data = seal_object(ObjectType.CONDEMNED, self._keys, waits, record)
        # Every list that is made after the announcement is right, so either of two may stay.
        if is_exclusive(self._backend):
            with contextlib.suppress(ObjectExists):
                self._backend.put_if_absent(waits, data)
        else:
            self._backend.put(waits, data)
        return frozenset(sessions)

    def _alive(self) -> tuple[dict[str, SessionInfo], set[str]]:
        """The sessions that may still commit, by id, and the ids of those that have committed.

        The first object of a session is deleted only where a marker forbids it to commit: one that
        has committed may be told to do so once more, when its snapshot is forgotten already.
        """
        sessions = self._sessions()
        names = {info.name for info in objects(self._backend, "snapshots/")}
        alive: dict[str, SessionInfo] = {}
        committed: set[str] = set()
        for session in sessions:
            silent = self._sightings.see(session.id, session.beats)
            if not session.is_announced:
                clear_session(self._backend, session)
            elif f"snapshots/{session.id}" in names and not self._is_aborted(session):
                committed.add(session.id)
                self._delete_beats(session)
            elif f"snapshots/{session.id}" not in names and silent < self._expire_after:
                alive[session.id] = session
            elif self._expire(session):
                clear_session(self._backend, session)
            else:
                committed.add(session.id)
        self._sightings.save(alive)
        return {name: each for name, each in alive.items() if each.kind != RECLAIM}, committed

    def _delete_beats(self, session: SessionInfo) -> None:
        """Delete the signs of life of a session that needs none any more."""
        for name in session.objects:
            if name != f"sessions/{session.id}":
                self._delete(name)

    def _is_aborted(self, session: SessionInfo) -> bool:
        """Whether what is at the name of a session's snapshot forbids it to commit."""
        try:
            return read_object(self._backend, f"snapshots/{session.id}", is_aborted_marker)
        except ObjectNotFound:
            return False

    def _expire(self, session: SessionInfo) -> bool:
        """Make sure that a silent session cannot commit any more; False when it has committed."""
        host = session.host or "unknown"
        _log.warning("session %s of host %s is silent: declared dead", session.id, host)
        return expire_session(self._backend, self._keys, session.id, self._about)

    def remove(self, packs: Iterable[PackName]) -> None:
        """Tell every reader, for ever, that nothing is to be read from these packs."""
        name = f"index/{random_name()}"
        self._backend.put(name, encode_index(name, [], self._keys, removed=sorted(packs)))

    def delete(self, packs: Iterable[PackName]) -> None:
        """Delete packs; those that are gone already are no matter."""
        for pack in sorted(packs):
            self._delete(object_name(pack))

    def finish(self, name: str) -> None:
        """End a reclaim all of whose packs are deleted; its announcement goes last."""
        self._delete(name + WAITS)
        self._delete(name)

    def forgotten(self) -> list[str]:
        """The ids of the forgotten snapshots that there are."""
        return [info.name.rpartition("/")[2] for info in objects(self._backend, "forgotten/")]

    def purge(self, forgotten: Iterable[str]) -> None:
        """Delete the records of forgotten snapshots, whose data has been reclaimed."""
        for snapshot in forgotten:
            self._delete(f"forgotten/{snapshot}")

    def sweep(self) -> None:
        """Delete what belongs to nothing any more: lists of sessions, and labels."""
        names = {info.name for info in objects(self._backend, "gc/")}
        for name in sorted(names):
            if name.endswith(WAITS) and name.removesuffix(WAITS) not in names:
                self._delete(name)
        # In this order: a label may be put before its snapshot, by a session that is there.
        labels = [info.name for info in objects(self._backend, "labels/")]
        owners = {
            info.name.split("/")[1].partition(".")[0]
            for folder in ("sessions/", "snapshots/", "forgotten/")
            for info in objects(self._backend, folder)
        }
        for name in labels:
            owner = name.split("/")[1]
            if owner not in owners and not self._is_anywhere(owner):
                self._delete(name)

    def _is_anywhere(self, id_: str) -> bool:
        """Whether there is a session, snapshot or forgotten snapshot, whatever listings say."""
        for folder in ("sessions", "snapshots", "forgotten"):
            try:
                self._backend.stat(f"{folder}/{id_}")
            except ObjectNotFound:
                continue
            return True
        return False

    def check_deletes(self, session: str) -> None:
        """Find out, before anything is condemned, whether this storage lets objects be deleted.

        Raises:
            BackendError: it does not.
        """
        # Where only those may delete who give space back: anybody who backs up may clear away a
        # session. If it stays, a later sweep takes it for the list of a reclaim that is over.
        name = f"gc/{session}{WAITS}"
        record = codec.pack({"waits": []})
        self._backend.put(name, seal_object(ObjectType.CONDEMNED, self._keys, name, record))
        try:
            self._delete(name)
        except BackendError as error:
            raise type(error)(
                error.object,
                f"{error.problem}; giving space back takes permission to delete, "
                "and nothing was changed",
            ) from None

    def _delete(self, name: str) -> None:
        with contextlib.suppress(ObjectNotFound):
            self._backend.delete(name)


_LAST_OF_ALL = "f" * 8
"""Begins the name of an object that sorts after all others, on the last page of a listing."""


def _expect(is_listed: bool, name: str) -> None:  # noqa: FBT001 - what is expected
    if not is_listed:
        raise DamagedRepository(
            name,
            "it was just stored, and a listing does not show it",
            "this storage's listings cannot be relied upon, so nothing is deleted",
        )
