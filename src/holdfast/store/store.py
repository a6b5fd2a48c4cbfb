"""An open repository as a store of blobs: opening, creating, and the way to its parts."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from holdfast.backend import Backend, ObjectInfo
from holdfast.clock import Clock
from holdfast.errors import (
    BackendError,
    DamagedRepository,
    HoldfastError,
    ObjectExists,
    ObjectNotFound,
    RepositoryExists,
    RepositoryNotFound,
    UnsupportedRepository,
    UsageError,
    WrongPassword,
)
from holdfast.primitives.ids import PackName, SnapshotId, random_name
from holdfast.primitives.kdf import KdfParams
from holdfast.store.cache import IndexCache
from holdfast.store.catalog import Catalog
from holdfast.store.config import (
    CONFIG_LIMIT,
    PlainConfig,
    Settings,
    config_number,
    decode_plain,
    decode_settings,
    encode_config,
)
from holdfast.store.envelope import ObjectType, open_object
from holdfast.store.keys import SLOT_LIMIT, Keys, Password, open_slot, seal_slot
from holdfast.store.loader import Loader
from holdfast.store.objects import objects, read_object
from holdfast.store.pack import PackInfo, object_name
from holdfast.store.rehearsal import Rehearsal
from holdfast.store.scrub import (
    Damage,
    Listed,
    list_packs,
    read_trailer,
    scrub_objects,
    scrub_pack,
)
from holdfast.store.session import is_aborted_marker
from holdfast.store.writer import Repository, Writer

_log = logging.getLogger(__name__)

_SNAPSHOTS = "snapshots/"
_RESTIC_KEY = re.compile(r"keys/[0-9a-f]{64}")


class Store:
    """The content-addressed store of an open repository. Safe to use from several threads."""

    def __init__(
        self,
        backend: Backend,
        keys: Keys,
        settings: Settings,
        config: tuple[str, PlainConfig],
        clock: Clock,
        cache: Path | None,
    ) -> None:
        """Take the parts; `create_store` and `open_store` make them."""
        self.backend = backend
        self.keys = keys
        self.settings = settings
        self._config_name, self._config = config
        self._clock = clock
        self._pid = os.getpid()
        self._is_closed = False
        self.catalog = Catalog(backend, keys, IndexCache(cache, keys) if cache else None)

    def close(self) -> None:
        """Let go of the storage, after all work in other threads has ended."""
        self._is_closed = True
        self.backend.close()

    def check_usable(self) -> None:
        """Refuse to work after `close`, and in a forked child, which lacks threads (UsageError)."""
        if self._is_closed:
            raise UsageError("this repository was closed: open it again")
        if os.getpid() != self._pid:
            raise UsageError(
                "this repository was opened before the process forked: open it again in the child"
            )

    def loader(self) -> Loader:
        """A reader of blobs, to be closed after use."""
        self.check_usable()
        return Loader(self.backend, self.keys, self.catalog)

    def writer(
        self,
        about: dict[str, object],
        *,
        compression: int | None = None,
        pack_size: int | None = None,
    ) -> Writer:
        """A writer's session, begun.

        Args:
            about: who writes, for others to see.
            compression: zstd level; the repository's own when None.
            pack_size: bytes; the repository's own when None.

        Raises:
            UnsupportedRepository: it uses something that this version cannot write.
            AccessDenied: the storage is read-only.
        """
        self.check_usable()
        if self._config.write:
            raise UnsupportedRepository(
                f"writing to this repository takes {', '.join(self._config.write)}, which this "
                "holdfast does not know: use a newer version"
            )
        repository = Repository(
            self.backend, self.keys, self.settings, self._config_name, self.catalog, self._clock
        )
        return Writer(
            repository,
            about,
            compression=self.settings.compression if compression is None else compression,
            pack_size=pack_size or self.settings.pack_size,
        )

    def chunker_seed(self) -> bytes:
        """The secret that moves the cut points of this repository's files."""
        return self.keys.from_dedup("chunker seed")

    def scrub_objects(self) -> Iterator[Damage]:
        """Everything that is wrong with the objects that are no packs."""
        return scrub_objects(self.backend, self.keys)

    def list_packs(self) -> Listed:
        """The packs that are stored."""
        return list_packs(self.backend)

    def scrub_pack(self, pack: PackName) -> Damage | None:
        """Read a whole pack and verify everything in it; what is wrong, or None."""
        return scrub_pack(self.backend, self.keys, pack)

    def read_trailer(self, pack: PackName, size: int) -> PackInfo:
        """What a stored pack of so many bytes says is in it; see `holdfast.store.scrub`."""
        return read_trailer(self.backend, self.keys, pack, size)

    @staticmethod
    def pack_object(pack: PackName) -> str:
        """The name of the object that holds a pack."""
        return object_name(pack)

    def rehearsal(self) -> Rehearsal:
        """A writer that stores nothing."""
        self.check_usable()
        return Rehearsal(self.backend, self.keys, self.catalog, self.settings.compression)

    def snapshot_ids(self) -> list[SnapshotId]:
        """The ids at which there are snapshots, or markers of sessions that were declared dead."""
        self.check_usable()
        names = {info.name for info in objects(self.backend, _SNAPSHOTS)}
        return sorted(SnapshotId(name.removeprefix(_SNAPSHOTS)) for name in names)

    def snapshot(self, id_: SnapshotId) -> bytes | None:
        """An encoded snapshot; None when it is gone or only marks a dead session.

        Raises:
            DamagedRepository: damaged or forged.
        """
        try:
            return read_object(self.backend, _SNAPSHOTS + id_, self._open_snapshot)
        except ObjectNotFound:
            return None

    def _open_snapshot(self, name: str, data: bytes) -> bytes | None:
        if is_aborted_marker(name, data):
            open_object(ObjectType.ABORTED, self.keys, name, data)
            return None
        return open_object(ObjectType.SNAPSHOT, self.keys, name, data)


def create_store(
    backend: Backend,
    password: Password,
    settings: Settings,
    kdf: KdfParams,
    clock: Clock,
    cache: Path | None,
) -> Store:
    """Make a repository. Its config comes last, so that a crash before leaves none.

    Raises:
        RepositoryExists: there is one.
        UnsupportedRepository: another program's is there.
    """
    _refuse_existing(backend)
    keys = Keys.generate()
    now = clock.now_ns()
    slot = f"keys/{random_name()}"
    backend.put(slot, seal_slot(slot, keys, password, kdf, now))
    name = "config/0"
    data = encode_config(0, keys, settings, now, None)
    try:
        if backend.capabilities().put_if_absent:
            backend.put_if_absent(name, data)
        else:
            backend.put(name, data)
    except ObjectExists:
        # A repeated request finds the object of the first one, which got through.
        if backend.get(name) != data:
            raise RepositoryExists(
                f"another client just made a repository at {backend.location}"
            ) from None
    return Store(backend, keys, settings, (name, decode_plain(name, data)), clock, cache)


def _refuse_existing(backend: Backend) -> None:
    _refuse_restic(backend)
    if _newest_config(backend) is not None:
        raise RepositoryExists(
            f"there is a repository at {backend.location} already: use it, or choose another place"
        )
    if _has_lost_its_config(backend):
        raise _no_config()


def _has_lost_its_config(backend: Backend) -> bool:
    """Whether there is a repository all the same: a crashed `init` leaves no more than a slot."""
    return any(True for folder in (_SNAPSHOTS, "data/") for _ in objects(backend, folder))


def _no_config() -> DamagedRepository:
    return DamagedRepository(
        "config/0", "it is missing, though the rest of a repository is there", _RESTORE_ADVICE
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


def _newest_config(backend: Backend) -> str | None:
    numbers = (config_number(info.name) for info in backend.list("config/"))
    newest = max((number for number in numbers if number is not None), default=None)
    return None if newest is None else f"config/{newest}"


def open_store(backend: Backend, password: Password, clock: Clock, cache: Path | None) -> Store:
    """Open a repository.

    Raises:
        RepositoryNotFound: nothing is there.
        WrongPassword: no slot opens.
        DamagedRepository: the config or every slot is damaged or missing.
        UnsupportedRepository: a newer version's, or another program's.
    """
    name = _newest_config(backend)
    slots = sorted(objects(backend, "keys/"))
    if name is None:
        _refuse_restic(backend)
        if _has_lost_its_config(backend):
            raise _no_config()
        raise RepositoryNotFound(
            f"there is no repository at {backend.location}: `holdfast init -b …` makes one"
        )
    plain = read_object(backend, name, decode_plain, limit=CONFIG_LIMIT)
    keys = _open_keys(backend, slots, plain.repository, password)
    return Store(backend, keys, decode_settings(name, plain, keys), (name, plain), clock, cache)


_RESTORE_ADVICE = "put back a copy of it if there is one"


def _open_keys(
    backend: Backend, slots: Sequence[ObjectInfo], repository: bytes, password: Password
) -> Keys:
    def open_(name: str, data: bytes) -> Keys | None:
        return open_slot(name, data, repository, password)

    problems: list[DamagedRepository | UnsupportedRepository] = []
    for slot in slots:
        try:
            keys = read_object(backend, slot.name, open_, size=slot.size, limit=SLOT_LIMIT)
        except (DamagedRepository, UnsupportedRepository) as error:
            # One bad slot must not lock out those who have another.
            _log.warning("%s", error)
            problems.append(error)
            continue
        except ObjectNotFound:
            continue  # removed by another client
        if keys is not None:
            return keys
    if problems:
        raise _no_other_slot(problems[0])
    if not slots:
        raise DamagedRepository("keys/", "there is no key slot left", _RESTORE_ADVICE)
    raise WrongPassword(f"no key slot of {backend.location} opens with this password")


def _no_other_slot(error: DamagedRepository | UnsupportedRepository) -> HoldfastError:
    if isinstance(error, UnsupportedRepository):
        return error
    problem = f"{error.problem}, and no other key slot opens with this password"
    return DamagedRepository(error.object, problem, _RESTORE_ADVICE)
