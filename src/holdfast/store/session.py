"""A writer at work, and the one moment at which a backup comes to be (docs/format.md, "Writers").

The order matters and is checked by a model: announce the session, read what is condemned, read
the index, write packs and index objects, confirm everything that was built upon, commit.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Self

from holdfast.backend import Backend, brief, put_probing, until
from holdfast.clock import Clock
from holdfast.errors import (
    BackendError,
    DamagedRepository,
    ObjectExists,
    ObjectNotFound,
    SessionLost,
    StorageUnavailable,
)
from holdfast.primitives import codec
from holdfast.primitives.ids import PackName, SessionId, SnapshotId, new_session_id
from holdfast.store.envelope import ObjectType, object_type, open_object, seal_object
from holdfast.store.keys import Keys
from holdfast.store.objects import NewerKeys, holds, is_exclusive, is_pack, objects, read_object

_log = logging.getLogger(__name__)

TICK = 15.0
"""Seconds between two ticks of a session."""

HEARTBEAT = 300.0
"""Seconds between two signs of life; after 30 minutes without one a session may be expired."""

_PATIENCE = 10.0
"""Seconds for which the end of a session waits for its thread."""

WAITS = ".waits"
"""Ends the name of the object that says which sessions a reclaim waits for."""

_ADVICE = (
    'nobody can know what it condemns: see "A damaged announcement" in the guide\'s "After damage"'
)
_LOST = (
    "session {} was declared dead by another client because it gave no sign of life for too long; "
    "nothing is lost: run the backup again"
)


def condemned_packs(backend: Backend, keys: Keys) -> set[PackName]:
    """The packs that a reclaim in progress will delete.

    Raises:
        DamagedRepository: an announcement cannot be read. Whoever does not know what is
            condemned must not build upon anything that is stored.
    """
    packs: set[PackName] = set()
    for info in objects(backend, "gc/"):
        if info.name.endswith(WAITS):
            continue
        with contextlib.suppress(ObjectNotFound):  # its reclaim has ended: all is deleted
            packs |= read_object(
                backend, info.name, partial(decode_condemned, keys), size=info.size
            )
    return packs


def decode_condemned(keys: Keys, name: str, data: bytes) -> set[PackName]:
    """The packs that the object ``gc/<id>`` condemns.

    Raises:
        NewerKeys: the keys were rotated, or it is damaged.
        DamagedRepository: damaged, forged, or it does not name packs.
    """
    try:
        record = codec.unpack(open_object(ObjectType.CONDEMNED, keys, name, data))
    except NewerKeys:
        raise
    except DamagedRepository as error:
        raise DamagedRepository(name, error.problem, _ADVICE) from None
    except ValueError as error:
        raise DamagedRepository(name, str(error), _ADVICE) from None
    match record:
        case {"packs": tuple(names)} if all(isinstance(n, str) and is_pack(n) for n in names):
            return {PackName(pack) for pack in names}
        case _:
            raise DamagedRepository(name, "it does not name its packs", _ADVICE)


class Session:
    """One run of one writer, from its announcement to its commit. A context manager.

    Attributes:
        id: names the session, and the snapshot that it makes.
        on_tick: called every `TICK` seconds from a thread of the session; it must not raise.
        on_commit: called with the name and the bytes of the snapshot when it is there.
    """

    def __init__(
        self,
        backend: Backend,
        keys: Keys,
        clock: Clock,
        about: Mapping[str, object],
    ) -> None:
        """Announce the session.

        Args:
            backend: where the repository is.
            keys: of the repository.
            clock: for signs of life.
            about: what `holdfast sessions` will show: host, user, kind of work.
        """
        self.id: SessionId = new_session_id()
        self._backend = backend
        self._keys = keys
        self._clock = clock
        self._name = f"sessions/{self.id.hex()}"
        self._beats = 0
        self._in_doubt = False
        self.on_tick: Callable[[], None] = _nothing
        self.on_commit: Callable[[str, bytes], None] = _nothing
        self._stop = threading.Event()
        record = codec.pack({**about, "started": clock.now_ns()})
        announcement = seal_object(ObjectType.SESSION, keys, self._name, record)
        self._thread = threading.Thread(
            target=self._beat, name=f"holdfast-session-{self.id.hex()[:8]}", daemon=True
        )
        try:
            # Nothing relies on what the storage can do before this has shown it.
            put_probing(backend, self._name, announcement)
            self._thread.start()
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _beat(self) -> None:
        last = self._clock.monotonic()
        while not self._clock.wait(self._stop, TICK):
            self.on_tick()
            now = self._clock.monotonic()
            if now - last < HEARTBEAT:
                continue
            last = now
            self._beats += 1
            name = f"{self._name}.{self._beats}"
            record = codec.pack({"time": self._clock.now_ns()})
            sealed = seal_object(ObjectType.SESSION, self._keys, name, record)
            try:
                until(self._backend, self._stop).put(name, sealed)
            except BackendError as error:
                # Silence only makes it likelier that the session is expired, which is safe.
                level = logging.INFO if self._stop.is_set() else logging.WARNING
                _log.log(level, "sign of life %s could not be written: %s", name, error)

    def still_announced(self) -> bool:
        """Whether nobody has cleared this session away."""
        try:
            self._backend.stat(self._name)
        except ObjectNotFound:
            return False
        return True

    def commit(self, snapshot: bytes) -> SnapshotId:
        """Make the snapshot: all that came before is invisible without it.

        Args:
            snapshot: the encoded snapshot.

        Raises:
            SessionLost: the session was declared dead meanwhile, so there is no snapshot.
        """
        id_ = SnapshotId(self.id.hex())
        name = f"snapshots/{id_}"
        data = seal_object(ObjectType.SNAPSHOT, self._keys, name, snapshot)
        if is_exclusive(self._backend):
            self._commit_guarded(id_, name, data)
        else:
            self._commit_unguarded(id_, name, data)
        self.on_commit(name, data)
        return id_

    def _commit_guarded(self, id_: SnapshotId, name: str, data: bytes) -> None:
        try:
            self._put_snapshot(self._backend.put_if_absent, name, data)
        except ObjectExists:
            # A repeated request finds the object of the first one, which got through.
            if self._backend.get(name) != data:
                raise SessionLost(_LOST.format(id_[:8])) from None

    def _commit_unguarded(self, id_: SnapshotId, name: str, data: bytes) -> None:
        """Commit where nothing is put-if-absent: whoever reclaims there sees to it alone."""
        try:
            self._backend.stat(name)
        except ObjectNotFound:
            self._put_snapshot(self._backend.put, name, data)
            return
        raise SessionLost(_LOST.format(id_[:8]))

    def _put_snapshot(self, put: Callable[[str, bytes], None], name: str, data: bytes) -> None:
        # Over a network a request may get through whatever ends the wait for its answer, be it
        # the refusal of its repetition or a Ctrl-C: the session must be there to be fenced off.
        self._in_doubt = not self._backend.capabilities().local
        try:
            put(name, data)
        except ObjectExists:
            self._in_doubt = False
            raise
        except StorageUnavailable:
            # Only the answer may be lost. A local disk loses none, and what fails with any other
            # error may be there without being durable.
            if not self._in_doubt or not holds(self._backend, name, data):
                raise
        self._in_doubt = False

    def end(self) -> None:
        """Clear the session away, within seconds; what cannot be cleared a later prune will."""
        try:
            self._clear_away()
        except BaseException:
            # A Ctrl-C in the midst of it: others would wait for what stays. A second one ends it.
            self._clear_away()
            raise

    def _clear_away(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            # A sign of life that is on its way and comes too late is left for a prune, too.
            self._thread.join(_PATIENCE)
        if self._in_doubt:
            _log.warning("session %s stays, as its commit may still get through", self.id.hex())
            return
        names = [f"{self._name}.{beat}" for beat in range(1, self._beats + 1)] + [self._name]
        for name in names:
            if not self._delete(name):
                return

    def _delete(self, name: str) -> bool:
        """Delete an object if it may be; False when the storage is out of reach."""
        try:
            brief(self._backend).delete(name)
        except ObjectNotFound:
            return True
        except BackendError as error:
            _log.info("%s stays for a later prune to clear away: %s", name, error)
            return not isinstance(error, StorageUnavailable)
        return True


def _nothing(*_: object) -> None:
    """There is nothing to do yet."""


def is_aborted_marker(name: str, data: bytes) -> bool:
    """Whether the object at a snapshot's name only says that its session was declared dead."""
    return object_type(name, data) == ObjectType.ABORTED
