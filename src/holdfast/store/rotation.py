"""Rotating the keys: a new master for all that is sealed from now on (F49, F50, ADR 4).

A config that is sealed under the new master is the moment at which it is in force. Whoever wrote
with the old one before that moment is waited for, then all small objects are sealed anew, and a
second config says that nothing of the old epoch is accepted any more. Every step can be repeated,
so an interrupted rotation is finished by whoever comes next. Packs stay as they are.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from holdfast.backend import Backend
from holdfast.errors import (
    DamagedRepository,
    ObjectNotFound,
    SessionLost,
    UnsupportedRepository,
    UsageError,
)
from holdfast.primitives.crypto import random_bytes
from holdfast.primitives.hashing import digest
from holdfast.primitives.kdf import KdfParams
from holdfast.store.envelope import (
    HEADER_SIZE,
    ObjectType,
    object_epoch,
    open_object,
)
from holdfast.store.epochs import decode_epoch, encode_epoch
from holdfast.store.keyring import FOLDER, Keyring, Slot, put_config, put_slot
from holdfast.store.keys import EPOCH_LIMIT, Keys, Password, epoch_object
from holdfast.store.objects import get_object, is_exclusive, objects, read_object
from holdfast.store.reseal import is_same, sealed_anew
from holdfast.store.session import Session
from holdfast.store.sessions import (
    SessionInfo,
    clear_session,
    expire_session,
    list_sessions,
)
from holdfast.store.slots import SLOT_LIMIT, Maker, UselessSlot, open_slot, read_card
from holdfast.store.store import Store

_log = logging.getLogger(__name__)

POLL = 5.0
"""Seconds between two looks at the sessions that are waited for."""

_RESEALED = {
    "index/": {ObjectType.INDEX},
    "snapshots/": {ObjectType.SNAPSHOT, ObjectType.ABORTED},
    "forgotten/": {ObjectType.FORGOTTEN},
    "labels/": {ObjectType.LABEL},
    "audit/": {ObjectType.ANCHOR},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """How far a rotation has come.

    Attributes:
        store: what to go on with.
        finished: whether nothing of older epochs is accepted any more, packs excepted.
        sessions: writers with the old keys that are waited for.
        reclaims: names of objects that announce reclaims, which have to end first.
        damaged: small objects of older epochs that cannot be opened and are in the way.
        resealed: number of small objects that were sealed anew.
        removed: ids of key slots of older keys that were removed.
    """

    store: Store
    finished: bool
    sessions: tuple[SessionInfo, ...] = ()
    reclaims: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    resealed: int = 0
    removed: tuple[str, ...] = ()


def begin_rotation(
    store: Store,
    passwords: Sequence[Password],
    params: KdfParams | None,
    maker: Maker,
    *,
    drop_others: bool,
) -> Store:
    """Put a new master into force; returns the store to go on with, `finish_rotation` first.

    Args:
        store: an open repository, no rotation of which is unfinished.
        passwords: those that open the repository from now on.
        params: the price of a guess; that of the slot in use when None.
        maker: who rotates.
        drop_others: whether other passwords may stop to open it.

    Raises:
        UsageError: other passwords would stop to open it, and they may not.
        UnsupportedRepository: another client has rotated the keys at the same time.
    """
    store.check_current()
    keys = store.keys
    if keys.epoch + 1 >= EPOCH_LIMIT:
        raise UsageError("the keys of this repository were rotated too often")
    ring = Keyring(store, maker)
    price = params or ring.usual_price()
    _refuse_others(ring, store, passwords, allowed=drop_others)
    new = Keys(
        keys.repository,
        keys.epoch + 1,
        keys.dedup,
        random_bytes(32),
        {**keys.older, keys.epoch: keys.master},
        keys.oldest,
        keys.config,
    )
    slots = [put_slot(store, new, each, price, maker) for each in passwords]
    kept = {name: get_object(store.backend, name) for name in slots}
    holder = epoch_object(new)
    store.backend.put(holder, encode_epoch(new))
    if read_object(store.backend, holder, lambda n, d: decode_epoch(new, n, d)) != keys.master:
        raise DamagedRepository(holder, "it reads back differently from what was just stored")
    before = digest(get_object(store.backend, f"config/{keys.config}"))
    try:
        rotated = put_config(store, new, keys.config + 1, before)
    except UnsupportedRepository:
        for name in (*slots, holder):
            with contextlib.suppress(ObjectNotFound):
                store.backend.delete(name)
        raise
    for name, data in kept.items():
        _put_back(store.backend, name, data)
    rotated.slot = slots[0]
    return rotated


def _put_back(backend: Backend, name: str, data: bytes) -> None:
    """Put a new slot back that another client took for one that opens nothing."""
    with contextlib.suppress(DamagedRepository, ObjectNotFound):
        if get_object(backend, name) == data:
            return
    _log.warning("%s was removed or damaged by another client; put back", name)
    backend.put(name, data)


def _refuse_others(
    ring: Keyring, store: Store, passwords: Sequence[Password], *, allowed: bool
) -> None:
    """Refuse to put passwords out of use that are neither given nor the one in use."""
    if allowed:
        return
    others = [
        slot for slot in ring.slots()
        if slot.card and slot.name != store.slot and not _opens(store, slot, passwords)
    ]  # fmt: skip
    if others:
        names = ", ".join(
            f"{each.id[:8]} ({label})" if (label := each.card and each.card.maker.label)
            else each.id[:8]
            for each in others
        )  # fmt: skip
        raise UsageError(
            f"a rotation puts other passwords out of use: keys {names}; give all passwords, or let "
            "the others be dropped (--drop-others)"
        )


def _opens(store: Store, slot: Slot, passwords: Sequence[Password]) -> bool:
    try:
        data = get_object(store.backend, slot.name)
        return any(open_slot(slot.name, data, store.keys.repository, each) for each in passwords)
    except (DamagedRepository, UnsupportedRepository, ObjectNotFound) as error:
        _log.debug("%s", error)
        return False


def finish_rotation(
    store: Store, about: Mapping[str, object], *, wait: bool, expire_after: float
) -> Rotated:
    """Go on with a rotation that has begun, as far as others let it.

    Args:
        store: an open repository.
        about: who rotates.
        wait: until the writers of older epochs are over.
        expire_after: seconds without a sign of life after which one is declared dead.

    Raises:
        SessionLost: another client thought that this one had died.
    """
    return _Finish(store, about).run(wait=wait, expire_after=expire_after)


class _Finish:
    """The second half of a rotation."""

    def __init__(self, store: Store, about: Mapping[str, object]) -> None:
        self._store = store
        self._backend = store.backend
        self._keys = store.keys
        self._about = dict(about)
        self._sightings = store.sightings()

    def run(self, *, wait: bool, expire_after: float) -> Rotated:
        store = self._store
        store.check_current()
        if not self._keys.epoch:
            return Rotated(store=store, finished=True)
        removed = tuple(self._remove_useless_slots())
        self._remove_useless_epochs()
        if self._keys.oldest == self._keys.epoch:
            return Rotated(store=store, finished=True, removed=removed)
        while True:
            # It is announced before it looks, so that a reclaim that comes later waits for it;
            # and not while it waits, or the two could wait for each other.
            with store.announce({**self._about, "kind": "rotate"}) as session:
                done = self._once(session, expire_after)
            if not (done.sessions and wait):
                return replace(done, removed=removed)
            store.pause(POLL)

    def _once(self, session: Session, expire_after: float) -> Rotated:
        """Go on as far as it goes without waiting."""
        store = self._store
        self._require_good_slot()
        sessions = self._alive(session, expire_after)
        reclaims = tuple(sorted(info.name for info in objects(self._backend, "gc/")))
        if sessions or reclaims:
            return Rotated(store=store, finished=False, sessions=tuple(sessions), reclaims=reclaims)
        store.reclaim(self._about, expire_after).check_snapshots_listed()
        resealed, damaged = _Resealing(self._backend, self._keys, session).run()
        if not damaged:
            self._require_good_slot()
            store = self._accept_nothing_older()
        return Rotated(store=store, finished=not damaged, damaged=tuple(damaged), resealed=resealed)

    # Key slots and masters that are of no use any more

    def _remove_useless_slots(self) -> Iterator[str]:
        """Delete slots of older keys, and those that an interrupted rotation left."""
        good, useless = self._slots()
        if not good:
            _log.warning("no key slot opens with the new keys, so the old ones stay: add one")
            return
        for name in useless:
            with contextlib.suppress(ObjectNotFound):
                self._backend.delete(name)
                yield name.removeprefix(FOLDER)

    def _require_good_slot(self) -> None:
        """Refuse to put the old keys out of force when nobody could open the repository."""
        if not self._slots()[0]:
            raise DamagedRepository(
                FOLDER,
                "no key slot opens with the new keys, so the rotation stays unfinished",
                "add a password with this process or the recovery key, and finish it again",
            )

    def _slots(self) -> tuple[bool, list[str]]:
        """Whether a slot opens the keys in force, and the names of those of earlier keys."""
        useless = []
        good = False
        for info in objects(self._backend, FOLDER):
            try:
                read_object(self._backend, info.name, self._card, limit=SLOT_LIMIT)
            except UselessSlot as error:
                if error.epoch <= self._keys.epoch:
                    useless.append(info.name)
            except (DamagedRepository, UnsupportedRepository, ObjectNotFound) as error:
                _log.debug("%s", error)
            else:
                good = True
        return good, useless

    def _card(self, name: str, data: bytes) -> None:
        read_card(name, data, self._keys)

    def _remove_useless_epochs(self) -> None:
        """Delete what interrupted rotations to epochs that are in force now have left."""
        keep = {
            before: epoch_object(self._keys.at(before + 1)) for before in self._keys.older
        }  # fmt: skip
        for info in list(objects(self._backend, "epochs/")):
            before = int(info.name.removeprefix("epochs/").split("-")[0])
            if before in keep and info.name != keep[before]:
                with contextlib.suppress(ObjectNotFound):
                    self._backend.delete(info.name)

    # Writers that began with the old keys

    def _alive(self, own: Session, expire_after: float) -> list[SessionInfo]:
        """The writers that began with older keys and may still commit; the silent are expired."""
        sessions = list_sessions(self._backend, self._keys)
        if own.id.hex() not in {session.id for session in sessions}:
            _require_announced(own)
            raise DamagedRepository(
                f"sessions/{own.id.hex()}",
                "it is missing in the list though it was just stored, so others may be as well",
                "check the storage, and finish the rotation again",
            )
        committed = {info.name for info in objects(self._backend, "snapshots/")}
        expires = is_exclusive(self._backend)
        alive = []
        for session in sessions:
            if not session.is_announced or self._is_of_now(session.id):
                continue
            silent = self._sightings.see(session.id, session.beats)
            if f"snapshots/{session.id}" not in committed:
                if silent < expire_after or not expires:
                    alive.append(session)
                    continue
                host = session.host or "unknown"
                _log.warning("session %s of host %s is silent: declared dead", session.id, host)
                expire_session(self._backend, self._keys, session.id, self._about)
            clear_session(self._backend, session)
        self._sightings.save({session.id: session for session in sessions})
        return alive

    def _is_of_now(self, session: str) -> bool:
        """Whether a session began with the keys that are in force, or has just ended."""
        now = self._keys.at(self._keys.epoch)
        name = f"sessions/{session}"
        try:
            read_object(
                self._backend, name, lambda n, d: open_object(ObjectType.SESSION, now, n, d)
            )
        except ObjectNotFound:
            return True
        except DamagedRepository:
            return False
        return True

    def _accept_nothing_older(self) -> Store:
        keys = replace(self._keys, oldest=self._keys.epoch)
        before = digest(get_object(self._backend, f"config/{keys.config}"))
        return put_config(self._store, keys, keys.config + 1, before)


def _require_announced(session: Session) -> None:
    if not session.still_announced():
        raise SessionLost("this rotation was declared dead by another client: run it again")


class _Resealing:
    """Seals every small object of an older epoch anew.

    A listing may leave out what was stored lately. So all is listed again until nothing is left
    to do; what a listing shows and a later one hides, though it is there, is an error.
    """

    def __init__(self, backend: Backend, keys: Keys, session: Session) -> None:
        self._backend = backend
        self._keys = keys
        self._now = keys.at(keys.epoch)
        self._session = session
        self._good: set[str] = set()
        self._damaged: list[str] = []

    def run(self) -> tuple[int, list[str]]:
        """Returns how many were sealed anew, and the names of those that cannot be."""
        done, _ = self._pass()
        before = set(self._good)
        while not self._damaged:
            count, names = self._pass()
            self._check_listed(before - names)
            if not count:
                break
            done += count
            before = names
        return done, self._damaged

    def _check_listed(self, hidden: set[str]) -> None:
        for name in sorted(hidden):
            with contextlib.suppress(ObjectNotFound):  # merged or forgotten beside us
                self._backend.stat(name)
                raise DamagedRepository(
                    name,
                    "it is missing in a list though it is there, so others may be as well",
                    "check the storage, and finish the rotation again",
                )

    def _pass(self) -> tuple[int, set[str]]:
        """Do all that a listing shows; returns how many were sealed anew, and what it shows."""
        count = 0
        names = set()
        for folder, types in _RESEALED.items():
            for info in list(objects(self._backend, folder)):
                try:
                    count += self._reseal(info.name, types)
                except ObjectNotFound:
                    continue  # merged or forgotten beside us
                except DamagedRepository as error:
                    _log.warning("%s", error)
                    self._damaged.append(info.name)
                else:
                    self._good.add(info.name)
                names.add(info.name)
        return count, names

    def _reseal(self, name: str, types: set[ObjectType]) -> bool:
        if name in self._good:
            header = get_object(self._backend, name, 0, HEADER_SIZE)
            if object_epoch(name, header) == self._keys.epoch:
                return False
        new = read_object(
            self._backend, name, lambda n, d: sealed_anew(n, d, types, self._keys, self._now)
        )
        if new is None:
            return False
        _require_announced(self._session)
        # The one replacement of an object that there is: the same record under the same name.
        self._backend.put(name, new)
        if is_same(name, new, get_object(self._backend, name), self._now):
            return True
        # What was there before is never put back: the keys that open it may be out of force by
        # now, if another client has finished this rotation.
        self._backend.put(name, new)
        raise DamagedRepository(name, "it reads back differently from what was just stored")
