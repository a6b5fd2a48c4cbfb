"""Managing the key slots of an open repository, so that at least one always opens it."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, replace

from holdfast.errors import (
    DamagedRepository,
    ObjectNotFound,
    UnsupportedRepository,
    UsageError,
)
from holdfast.primitives.hashing import digest
from holdfast.primitives.ids import random_name
from holdfast.primitives.kdf import KDF_PROFILES, KdfParams
from holdfast.store.config import (
    CONFIG_LIMIT,
    decode_plain,
    decode_sealed,
    encode_config,
)
from holdfast.store.epochs import decode_epoch, encode_epoch
from holdfast.store.keys import Keys, Password, epoch_object
from holdfast.store.objects import get_object, newest_config, objects, put_new, read_object
from holdfast.store.slots import (
    LABEL_LIMIT,
    SLOT_LIMIT,
    Card,
    Maker,
    UselessSlot,
    open_slot,
    read_card,
    seal_slot,
)
from holdfast.store.store import Store

_log = logging.getLogger(__name__)

FOLDER = "keys/"


@dataclass(frozen=True, slots=True)
class Slot:
    """A key slot that is stored.

    Attributes:
        id: 32 hexadecimal digits.
        card: what it says of itself; None when it opens nothing.
        problem: why it opens nothing; "" when it is good.
        epoch: of the keys that it opens, when those are not in force.
    """

    id: str
    card: Card | None
    problem: str = ""
    epoch: int | None = None

    @property
    def name(self) -> str:
        """The name of its object."""
        return FOLDER + self.id


class Keyring:
    """The key slots of an open repository."""

    def __init__(self, store: Store, maker: Maker) -> None:
        """Take an open repository, and who makes new slots."""
        self._store = store
        self._backend = store.backend
        self._keys = store.keys
        self._maker = maker

    def slots(self) -> list[Slot]:
        """All slots, by a fresh listing, by id; those that open nothing have a `problem`."""
        return [self._slot(info.name) for info in sorted(objects(self._backend, FOLDER))]

    def _slot(self, name: str) -> Slot:
        def read(name: str, data: bytes) -> Card:
            return read_card(name, data, self._keys)

        id_ = name.removeprefix(FOLDER)
        try:
            return Slot(id_, read_object(self._backend, name, read, limit=SLOT_LIMIT))
        except UselessSlot as error:
            return Slot(id_, None, error.problem, error.epoch)
        except DamagedRepository as error:
            return Slot(id_, None, error.problem)
        except UnsupportedRepository as error:
            return Slot(id_, None, str(error))
        except ObjectNotFound:
            return Slot(id_, None, "it has just been removed")

    def _good(self) -> list[Slot]:
        return [slot for slot in self.slots() if slot.card]

    def add(self, password: Password, params: KdfParams | None, label: str = "") -> Slot:
        """Make a slot for a password; one that opens with it already is given as it is.

        Args:
            password: what is to open the repository from now on.
            params: the price of a guess; that of the slot in use when None.
            label: what a person calls it.

        Raises:
            DamagedRepository: the new slot does not open; it is removed again.
        """
        if len(label) > LABEL_LIMIT:
            raise UsageError(f"a label has at most {LABEL_LIMIT} characters")
        self._store.check_current()
        return self.opening(password) or self._add(password, params, label)

    def _add(self, password: Password, params: KdfParams | None, label: str) -> Slot:
        name = put_slot(
            self._store, self._keys, password, params or self.usual_price(),
            self._maker._replace(label=label),
        )  # fmt: skip
        try:
            self._store.check_current()
        except UnsupportedRepository:
            # A rotation beside us has put the keys that it holds out of force.
            with contextlib.suppress(ObjectNotFound):
                self._backend.delete(name)
            raise
        return self._slot(name)

    def usual_price(self) -> KdfParams:
        """The price of a guess at the password that was used."""
        if self._store.slot is not None:
            card = self._slot(self._store.slot).card
            if card is not None:
                return card.params
        return KDF_PROFILES["default"]

    def opening(self, password: Password) -> Slot | None:
        """The good slot that opens with a password; it costs a guess for each that there is."""

        def opens(name: str, data: bytes) -> bool:
            return open_slot(name, data, self._keys.repository, password) is not None

        for slot in self._good():
            with contextlib.suppress(ObjectNotFound, DamagedRepository, UnsupportedRepository):
                if read_object(self._backend, slot.name, opens, limit=SLOT_LIMIT):
                    return slot
        return None

    def find(self, id_: str) -> Slot:
        """The slot whose id begins so.

        Raises:
            UsageError: there is none, or several.
        """
        found = [slot for slot in self.slots() if slot.id.startswith(id_.lower())]
        if len(found) != 1 or not id_:
            problem = "several key slots have ids" if found else "no key slot has an id"
            raise UsageError(f"{problem} that begin with {id_!r}: see `holdfast key list`")
        return found[0]

    def remove(self, slot: Slot) -> None:
        """Remove a slot, unless no good one would be left.

        Of several clients that do this at the same time each looks again after it has deleted,
        and puts its slot back if none is left. The last of them sees what the others did, so a
        good slot remains unless all of them crash right there.

        Raises:
            UsageError: it is the last that opens the repository, or a rotation may need it.
        """
        self._store.check_current()
        if slot.epoch is not None and slot.epoch > self._keys.epoch:
            raise UsageError(
                f"key {slot.id[:8]} is of a rotation of the keys that another client has just "
                "begun, or that was interrupted; in that case the next rotation removes it"
            )
        data = get_object(self._backend, slot.name)
        if all(each.id == slot.id for each in self._good()):
            raise UsageError(
                f"key {slot.id[:8]} is the last that opens this repository, so it stays: add "
                "another one first"
            )
        try:
            self._backend.delete(slot.name)
        except ObjectNotFound:
            _log.debug("%s was removed by another client", slot.name)
        finally:
            self._keep_one(slot, data)
        if self._store.slot == slot.name:
            self._store.slot = None

    def _keep_one(self, slot: Slot, data: bytes) -> None:
        if slot.card is None or self._good():
            return
        # The same bytes under the same name: there never is anything else there.
        self._backend.put(slot.name, data)
        raise UsageError(
            f"another client removed the other keys at the same time, so key {slot.id[:8]} stays"
        )

    def change(self, password: Password, params: KdfParams | None) -> Slot:
        """Make another password open the repository instead of the one it was opened with.

        Raises:
            UsageError: it was not opened with a password.
        """
        used = self._store.slot
        if used is None:
            raise UsageError(
                "the repository was not opened with a password that it still has: add a key "
                "instead, and remove others by their ids"
            )
        self._store.check_current()
        old = self._slot(used)
        new = self.opening(password)
        if new is None or (new.id == old.id and _is_other_price(new, params)):
            new = self._add(password, params, old.card.maker.label if old.card else "")
        if new.id != old.id:
            with contextlib.suppress(ObjectNotFound):  # another client removed it
                self.remove(old)
            self._store.slot = new.name
        return new

    def restore(self) -> Store:
        """Put back what is lost of the config and of older keys; returns the store to go on with.

        Raises:
            UnsupportedRepository: another client has just put back another config.
        """
        store = self._store
        if not store.has_config:
            store = self._restore_config()
        for before in sorted(store.keys.older):
            self._restore_epoch(store.keys.at(before + 1))
        return store

    def _restore_config(self) -> Store:
        newest = newest_config(self._backend)
        number = max(self._keys.config, -1 if newest is None else newest) + 1
        predecessor = None
        if newest is not None:
            with contextlib.suppress(DamagedRepository, ObjectNotFound):
                predecessor = digest(get_object(self._backend, f"config/{newest}"))
        return put_config(self._store, self._keys, number, predecessor)

    def _restore_epoch(self, keys: Keys) -> None:
        name = epoch_object(keys)

        def check(name: str, data: bytes) -> bytes:
            return decode_epoch(replace(keys, oldest=0), name, data)

        try:
            read_object(self._backend, name, check)
        except (DamagedRepository, ObjectNotFound) as error:
            _log.warning("%s: %s; put back", name, error.problem)
            self._backend.put(name, encode_epoch(keys))


def _is_other_price(slot: Slot, params: KdfParams | None) -> bool:
    return params is not None and slot.card is not None and slot.card.params != params


def put_slot(store: Store, keys: Keys, password: Password, params: KdfParams, maker: Maker) -> str:
    """Store a slot of these keys and open it as it was stored; returns its name.

    Raises:
        DamagedRepository: it does not open; it is removed again.
    """
    name = FOLDER + random_name()
    data = seal_slot(name, keys, password, params, store.now_ns(), maker)
    store.backend.put(name, data)

    def opens(name: str, data: bytes) -> bool:
        found = open_slot(name, data, keys.repository, password)
        read_card(name, data, keys)
        return found == Keys(keys.repository, keys.epoch, keys.dedup, keys.master)

    try:
        good = read_object(store.backend, name, opens, limit=SLOT_LIMIT)
    except DamagedRepository as error:
        _log.warning("%s", error)
        good = False
    if not good:
        with contextlib.suppress(ObjectNotFound):
            store.backend.delete(name)
        raise DamagedRepository(
            name, "it reads back differently from what was just stored", "check the storage"
        )
    return name


def put_config(store: Store, keys: Keys, number: int, predecessor: bytes | None) -> Store:
    """Put a config of these keys into force; returns a store that works with it.

    Raises:
        UnsupportedRepository: another client has just put another one into force.
        DamagedRepository: it reads back differently.
    """
    name = f"config/{number}"
    keys = replace(keys, config=number)
    data = encode_config(
        number, keys, store.settings, store.now_ns(), predecessor, store.plain_config
    )
    if not put_new(store.backend, name, data):
        raise UnsupportedRepository(
            "another client changed the settings or the keys of this repository at the same "
            "time: open it again"
        )
    plain = read_object(store.backend, name, decode_plain, limit=CONFIG_LIMIT)
    decode_sealed(name, plain, keys)
    return store.with_config(keys, (name, plain))
