"""Making a repository, and the ways to open one: with a password, or with the recovery key."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from holdfast.backend import Backend, ObjectInfo, put_probing
from holdfast.clock import Clock
from holdfast.errors import (
    BackendError,
    DamagedRepository,
    ObjectExists,
    ObjectNotFound,
    RepositoryError,
    RepositoryExists,
    RepositoryNotFound,
    UnsupportedRepository,
    WrongPassword,
)
from holdfast.primitives.ids import random_name
from holdfast.primitives.kdf import KdfParams
from holdfast.store.config import (
    CONFIG_LIMIT,
    PlainConfig,
    Sealed,
    Settings,
    config_epoch,
    decode_plain,
    decode_sealed,
    encode_config,
    encode_plain,
)
from holdfast.store.envelope import HEADER_SIZE, object_epoch
from holdfast.store.epochs import load_older
from holdfast.store.keys import Keys, Password
from holdfast.store.metadata import CacheFolder
from holdfast.store.objects import (
    config_number,
    get_object,
    is_exclusive,
    newest_config,
    newest_config_object,
    objects,
    read_object,
)
from holdfast.store.recovery import RecoveryKey
from holdfast.store.slots import SLOT_LIMIT, Maker, open_slot, seal_slot
from holdfast.store.store import Store

_log = logging.getLogger(__name__)

_RESTIC_KEY = re.compile(r"keys/[0-9a-f]{64}")
_ROUNDS = 3
_ADVICE = "open it with the recovery key, or put back a copy of it, if there is one"


def create_store(  # noqa: PLR0913, PLR0917 - all that a repository begins with
    backend: Backend,
    password: Password,
    settings: Settings,
    kdf: KdfParams,
    clock: Clock,
    cache: CacheFolder | None,
    like: Store | None = None,
    *,
    maker: Maker = Maker(),  # noqa: B008 - a constant
) -> Store:
    """Make a repository. Its config comes last, so that a crash before leaves none.

    Args:
        backend: where.
        password: opens its first key slot.
        settings: what is fixed for all writers.
        kdf: the price of a guess at the password.
        clock: for times.
        cache: where copies are kept on this machine; None for nowhere.
        like: a repository whose dedup secret this one shares.
        maker: who makes it.

    Raises:
        RepositoryExists: there is one.
        UnsupportedRepository: another program's is there.
    """
    _refuse_existing(backend)
    keys = Keys.generate(like.keys.dedup if like else None)
    now = clock.now_ns()
    slot = f"keys/{random_name()}"
    put_probing(backend, slot, seal_slot(slot, keys, password, kdf, now, maker))
    name = "config/0"
    data = encode_config(0, keys, settings, now, None)
    try:
        if is_exclusive(backend):
            backend.put_if_absent(name, data)
        else:
            backend.put(name, data)
    except ObjectExists:
        # A repeated request finds the object of the first one, which got through.
        if backend.get(name) != data:
            raise RepositoryExists(
                f"another client just made a repository at {backend.location}"
            ) from None
    return Store(backend, keys, settings, (name, decode_plain(name, data)), clock, cache, slot=slot)


def _refuse_existing(backend: Backend) -> None:
    _refuse_restic(backend)
    if newest_config(backend) is not None or _has_first_config(backend):
        raise RepositoryExists(
            f"there is a repository at {backend.location} already: use it, or choose another place"
        )
    if _has_lost_its_config(backend):
        raise _no_config()


def _has_first_config(backend: Backend) -> bool:
    """Whether there is one, whatever a listing says: without put-if-absent it would be replaced."""
    try:
        backend.stat("config/0")
    except ObjectNotFound:
        return False
    return True


def _has_lost_its_config(backend: Backend) -> bool:
    """Whether there is a repository all the same: a crashed `init` leaves no more than a slot."""
    return any(True for folder in ("snapshots/", "data/") for _ in objects(backend, folder))


def _no_config() -> DamagedRepository:
    return DamagedRepository(
        "config/0", "it is missing, though the rest of a repository is there", _ADVICE
    )


def _refuse_restic(backend: Backend) -> None:
    try:
        backend.stat("config")
        slots = [info.name for info in backend.list("keys/")]
    except ObjectNotFound:
        return
    except BackendError as error:
        _log.debug("cannot tell whether this is a restic repository: %s", error)
        return
    if not any(_RESTIC_KEY.fullmatch(name) for name in slots):
        return
    raise UnsupportedRepository(
        f"{backend.location} is a restic repository; holdfast has a format of its own: "
        "choose another place and back up again from the sources"
    )


def _nothing_there(backend: Backend) -> RepositoryError:
    if _has_lost_its_config(backend):
        return _no_config()
    return RepositoryNotFound(
        f"there is no repository at {backend.location}: `holdfast init -b …` makes one"
    )


def open_store(
    backend: Backend, password: Password, clock: Clock, cache: CacheFolder | None
) -> Store:
    """Open a repository with a password.

    Raises:
        RepositoryNotFound: nothing is there.
        WrongPassword: no slot opens.
        DamagedRepository: the config or every slot is damaged or missing.
        UnsupportedRepository: a newer version's, or another program's.
    """
    config, slots = newest_config_object(backend), sorted(objects(backend, "keys/"))
    for _ in range(_ROUNDS):
        if config is None:
            _refuse_restic(backend)
            raise _nothing_there(backend)
        try:
            return _open_with(backend, password, config, slots, (clock, cache))
        except (RepositoryError, ObjectNotFound):
            # The password or the keys may have been changed while we were looking.
            before = config, slots
            config, slots = newest_config_object(backend), sorted(objects(backend, "keys/"))
            if (config, slots) == before:
                raise
    raise UnsupportedRepository(f"{backend.location} is changed all the time: try again")


def _open_with(
    backend: Backend,
    password: Password,
    config: ObjectInfo,
    slots: Sequence[ObjectInfo],
    rest: tuple[Clock, CacheFolder | None],
) -> Store:
    name = config.name
    plain = read_object(backend, name, decode_plain, size=config.size, limit=CONFIG_LIMIT)
    slot, keys, sealed = _Slots(backend, password, (name, plain)).first(slots)
    keys = replace(keys, oldest=sealed.oldest, config=config_number(name) or 0)
    keys = replace(keys, older=load_older(backend, keys))
    _warn_unfinished(keys)
    return Store(backend, keys, sealed.settings, (name, plain), *rest, slot=slot)


def _warn_unfinished(keys: Keys) -> None:
    """Say that older keys are still accepted: somebody may have undone the end of a rotation."""
    if keys.oldest < keys.epoch:
        _log.warning("a key rotation is not finished: run `holdfast key rotate --finish`")


class _Found(NamedTuple):
    slot: str
    keys: Keys
    sealed: Sealed


class _Slots:
    """Looks for the slot that opens with a password, and with it the config."""

    def __init__(
        self, backend: Backend, password: Password, config: tuple[str, PlainConfig]
    ) -> None:
        self._backend = backend
        self._password = password
        self._config = config
        self._epoch = config_epoch(*config)
        self._problems: list[RepositoryError] = []

    def first(self, slots: Sequence[ObjectInfo]) -> _Found:
        for slot in slots:
            try:
                keys = read_object(
                    self._backend, slot.name, self._open, size=slot.size, limit=SLOT_LIMIT
                )
            except (DamagedRepository, UnsupportedRepository) as error:
                # One bad slot must not lock out those who have another.
                _log.warning("%s", error)
                self._problems.append(_with_advice(error))
                continue
            except ObjectNotFound:
                continue  # removed by another client
            sealed = keys and self._settings(keys)
            if keys and sealed:
                return _Found(slot.name, keys, sealed)
        raise self._failure(slots)

    def _open(self, name: str, data: bytes) -> Keys | None:
        return open_slot(name, data, self._config[1].repository, self._password)

    def _settings(self, keys: Keys) -> Sealed | None:
        """The settings; None when these are not the keys that are in force."""
        if keys.epoch < self._epoch:
            self._problems.insert(
                0,
                WrongPassword(
                    "this password was put out of use by a rotation of the keys: use one that was "
                    "given then or added since"
                ),
            )
        elif keys.epoch > self._epoch:
            self._problems.append(
                WrongPassword(
                    "this password is of a rotation of the keys that was interrupted before it "
                    "took hold: use one from before it"
                )
            )
        else:
            try:
                return decode_sealed(*self._config, keys)
            except (DamagedRepository, UnsupportedRepository) as error:
                # Keys of this epoch that a second, interrupted rotation left do not open it.
                self._problems.insert(0, error)
        return None

    def _failure(self, slots: Sequence[ObjectInfo]) -> RepositoryError:
        if self._problems:
            return self._problems[0]
        if not slots:
            return DamagedRepository("keys/", "there is no key slot left", _ADVICE)
        return WrongPassword(f"no key slot of {self._backend.location} opens with this password")


def _with_advice(error: DamagedRepository | UnsupportedRepository) -> RepositoryError:
    if isinstance(error, UnsupportedRepository):
        return error
    problem = f"{error.problem}, and no other key slot opens with this password"
    return DamagedRepository(error.object, problem, _ADVICE)


def open_recovered(
    backend: Backend, recovery: RecoveryKey, clock: Clock, cache: CacheFolder | None
) -> Store:
    """Open a repository with its recovery key, also when its config is lost.

    Raises:
        RepositoryNotFound: nothing is there.
        WrongPassword: it is another repository's recovery key, or the keys were rotated since.
        UnsupportedRepository: a newer version's, or another program's.
    """
    config = newest_config_object(backend)
    if config is None:
        _refuse_restic(backend)
        if not _has_lost_its_config(backend):
            raise _nothing_there(backend)
    keys = replace(recovery.keys, older=load_older(backend, recovery.keys))
    name = "" if config is None else config.name
    try:
        if config is None:
            raise _no_config()
        plain = read_object(backend, name, decode_plain, size=config.size, limit=CONFIG_LIMIT)
        sealed = _decode_for(recovery, name, plain, backend.location)
    except DamagedRepository as error:
        _log.warning("%s: %s; the settings are taken from the recovery key", name, error.problem)
        _refuse_outdated(backend, recovery)
        lost = PlainConfig(keys.repository, (), encode_plain(keys.repository), b"")
        return Store(backend, keys, recovery.settings, ("", lost), clock, cache)
    keys = replace(keys, oldest=sealed.oldest, config=config_number(name) or 0)
    _warn_unfinished(keys)
    return Store(backend, keys, sealed.settings, (name, plain), clock, cache)


def open_with_keys(backend: Backend, keys: Keys, clock: Clock, cache: CacheFolder | None) -> Store:
    """Open a repository with its keys, as another process had it open.

    Raises:
        RepositoryNotFound: nothing is there.
        DamagedRepository: its config is damaged, or sealed with other keys since.
        UnsupportedRepository: a newer version's.
    """
    config = newest_config_object(backend)
    if config is None:
        raise _nothing_there(backend)
    plain = read_object(backend, config.name, decode_plain, size=config.size, limit=CONFIG_LIMIT)
    sealed = decode_sealed(config.name, plain, keys)
    return Store(backend, keys, sealed.settings, (config.name, plain), clock, cache)


def _decode_for(recovery: RecoveryKey, name: str, plain: PlainConfig, location: str) -> Sealed:
    keys = recovery.keys
    if plain.repository != keys.repository:
        raise WrongPassword(f"this is the recovery key of another repository than {location}")
    epoch = config_epoch(name, plain)
    if epoch > keys.epoch:
        raise _outdated(keys, epoch)
    if epoch < keys.epoch:
        raise DamagedRepository(
            f"config/{keys.config}", f"it is missing: the keys are of epoch {keys.epoch}", _ADVICE
        )
    return decode_sealed(name, plain, keys)


def _outdated(keys: Keys, epoch: int) -> WrongPassword:
    return WrongPassword(
        f"this recovery key is of epoch {keys.epoch}, and the keys were rotated since to epoch "
        f"{epoch}: use a recovery key that was made after that"
    )


def _refuse_outdated(backend: Backend, recovery: RecoveryKey) -> None:
    """Find out without a config whether the keys were rotated since the recovery key was made."""
    epoch = recovery.keys.epoch
    if all(int(info.name[7:].split("-")[0]) < epoch for info in objects(backend, "epochs/")):
        return
    for folder in ("snapshots/", "index/"):
        for info in objects(backend, folder):
            try:
                header = get_object(backend, info.name, 0, HEADER_SIZE)
                found = object_epoch(info.name, header)
            except (DamagedRepository, ObjectNotFound) as error:
                _log.debug("%s", error)
                continue
            if found > epoch:
                raise _outdated(recovery.keys, found)
