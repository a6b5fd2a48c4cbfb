"""Looking at every object of a repository and telling what is wrong with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from holdfast.backend import Backend, Sweepable
from holdfast.errors import (
    DamagedRepository,
    ObjectNotFound,
    UnsupportedRepository,
)
from holdfast.primitives.buffers import BufferPool
from holdfast.primitives.ids import PackName
from holdfast.store.anchors import decode_anchor
from holdfast.store.config import CONFIG_LIMIT, decode_plain, decode_sealed
from holdfast.store.envelope import ObjectType, open_object
from holdfast.store.epochs import decode_epoch
from holdfast.store.forgotten import decode_forgotten
from holdfast.store.index import decode_index
from holdfast.store.keys import Keys, epoch_object
from holdfast.store.objects import (
    OBJECT_LIMIT,
    KeysRotated,
    config_number,
    get_object,
    is_object,
    read_object,
    read_object_into,
)
from holdfast.store.pack import (
    FOOTER_SIZE,
    HEADER_SIZE,
    PACK_LIMIT,
    SEGMENT_BUFFER,
    PackInfo,
    object_name,
)
from holdfast.store.session import WAITS, decode_condemned, is_aborted_marker
from holdfast.store.sessions import decode_waits
from holdfast.store.slots import SLOT_LIMIT, ForeignSlot, UselessSlot, read_card
from holdfast.store.unpack import PackOpener, parse_trailer, read_pack, tail_range

_FOLDERS = (
    "config/",
    "keys/",
    "epochs/",
    "index/",
    "snapshots/",
    "forgotten/",
    "labels/",
    "audit/",
    "sessions/",
    "gc/",
)


class Damage(NamedTuple):
    """Something that is wrong with one object.

    Attributes:
        object: its name.
        problem: what is wrong with it.
        harmless: it hurts nothing that is stored: a stray file, or the remains of a writer.
    """

    object: str
    problem: str
    harmless: bool = False


class Listed(NamedTuple):
    """The packs that a storage holds, and what else lies among them."""

    packs: dict[PackName, int]
    strays: list[Damage]


def scrub_objects(backend: Backend, keys: Keys) -> Iterator[Damage]:
    """Open every object but the packs, and tell of each that is not what it should be."""
    checks: dict[str, Callable[[str, bytes], object]] = {
        "config": lambda name, data: _check_config(keys, name, data),
        "keys": lambda name, data: read_card(name, data, keys),
        "epochs": lambda name, data: _check_epoch(keys, name, data),
        "index": lambda name, data: decode_index(name, data, keys),
        "snapshots": lambda name, data: open_object(
            ObjectType.ABORTED if is_aborted_marker(name, data) else ObjectType.SNAPSHOT,
            keys, name, data,
        ),
        "forgotten": lambda name, data: decode_forgotten(keys, name, data),
        "audit": lambda name, data: decode_anchor(keys, name, data),
        "labels": lambda name, data: open_object(ObjectType.LABEL, keys, name, data),
        "sessions": lambda name, data: open_object(ObjectType.SESSION, keys, name, data),
        "gc": lambda name, data: (decode_waits if name.endswith(WAITS) else decode_condemned)(
            keys, name, data
        ),
    }  # fmt: skip
    limits = {"config": CONFIG_LIMIT, "keys": SLOT_LIMIT}
    for folder in _FOLDERS:
        for info in sorted(backend.list(folder)):
            if not is_object(info.name):
                yield Damage(info.name, "not an object of a repository; left alone", harmless=True)
                continue
            try:
                kind = folder[:-1]
                limit = limits.get(kind, OBJECT_LIMIT)
                read_object(backend, info.name, checks[kind], size=info.size, limit=limit)
            except DamagedRepository as error:
                yield Damage(info.name, error.problem, harmless=_is_harmless(error, keys))
            except KeysRotated:
                raise
            except UnsupportedRepository as error:
                yield Damage(info.name, str(error))
            except ObjectNotFound:
                continue  # a backup or a reclaim beside us is done with it
    yield from _missing_epochs(backend, keys)
    yield from _leftovers(backend)


def _leftovers(backend: Backend) -> Iterator[Damage]:
    if isinstance(backend, Sweepable):
        for left in backend.leftovers():
            yield Damage(left.name, "left by a writer that was killed, or at work", harmless=True)


class _Leftover(DamagedRepository):
    """Something whole that is of no use any more."""


def _is_harmless(error: DamagedRepository, keys: Keys) -> bool:
    if isinstance(error, UselessSlot):
        return error.epoch != keys.epoch  # else somebody replaced what it says of itself
    return isinstance(error, _Leftover | ForeignSlot) or error.object.startswith("sessions/")


def _check_config(keys: Keys, name: str, data: bytes) -> None:
    plain = decode_plain(name, data)
    # One that was in force before may be sealed with keys that are not accepted any more.
    if config_number(name) == keys.config:
        decode_sealed(name, plain, keys)


def _check_epoch(keys: Keys, name: str, data: bytes) -> None:
    epoch = int(name.removeprefix("epochs/").split("-")[0])
    after = keys.at(epoch + 1) if epoch + 1 == keys.epoch or epoch + 1 in keys.older else None
    if after is None or name != epoch_object(after):
        raise _Leftover(name, "it is of a rotation of the keys that was interrupted or is at work")
    decode_epoch(after, name, data)


def _missing_epochs(backend: Backend, keys: Keys) -> Iterator[Damage]:
    """The objects without which older epochs are not known."""
    for epoch in range(keys.epoch, keys.known_down_to().epoch - 1, -1):
        name = epoch_object(keys.at(epoch))
        if epoch > 0 and all(info.name != name for info in backend.list("epochs/")):
            yield Damage(name, f"it is missing: without it packs of epoch {epoch - 1} are lost")


def list_packs(backend: Backend) -> Listed:
    """All packs with their sizes in bytes."""
    packs: dict[PackName, int] = {}
    strays: list[Damage] = []
    for info in backend.list("data/"):
        if is_object(info.name):
            packs[PackName(info.name.rpartition("/")[2])] = info.size
        else:
            strays.append(Damage(info.name, "not a pack; left alone", harmless=True))
    return Listed(packs, strays)


class PackReader:
    """Reads whole packs and verifies all that is in them. Safe to use from several threads."""

    def __init__(self, backend: Backend, keys: Keys, largest: int = 0) -> None:
        """Begin.

        Args:
            backend: where the packs are.
            keys: of the repository.
            largest: bytes of the largest pack for which memory is kept to be used again.
        """
        self._backend = backend
        self._keys = keys
        self._packs = BufferPool(max(largest, 1))
        self._segments = BufferPool(SEGMENT_BUFFER)

    def damage(self, name: PackName) -> Damage | None:
        """What is wrong with a pack, or None; see `verify`."""
        where = object_name(name)
        try:
            self.verify(name)
        except DamagedRepository as error:
            return Damage(where, error.problem)
        except ObjectNotFound:
            return Damage(where, "it is missing")
        return None

    def verify(self, name: PackName) -> None:
        """Read a whole pack and verify its name, its structure and every blob.

        Raises:
            ObjectNotFound: it is missing.
            DamagedRepository: something is wrong with it.
        """

        def check(_: str, data: memoryview) -> None:
            deque(read_pack(name, data, self._keys, self._segments), maxlen=0)

        where = object_name(name)
        read_object_into(self._backend, where, check, self._packs, limit=PACK_LIMIT)


def read_trailer(backend: Backend, keys: Keys, name: PackName, size: int) -> PackInfo:
    """What a stored pack says is in it, by three small reads.

    Raises:
        DamagedRepository: header, trailer or footer are damaged.
        BackendError: the storage fails.
    """
    where = object_name(name)
    if not HEADER_SIZE + FOOTER_SIZE < size <= PACK_LIMIT:
        raise DamagedRepository(where, f"a pack of {size} bytes")
    header = get_object(backend, where, 0, HEADER_SIZE)
    opener = PackOpener(name, header, keys)
    footer = get_object(backend, where, size - FOOTER_SIZE, FOOTER_SIZE)
    offset, length, count, _ = tail_range(opener, size, footer)
    trailer = opener.trailer(get_object(backend, where, offset, length), count)
    info = parse_trailer(opener, header, size, trailer)
    if len(info.segments) != count:
        raise DamagedRepository(where, "its footer and its trailer disagree")
    return info
