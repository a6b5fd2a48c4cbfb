"""A part of a session's writing that is done in another process, on this machine or on another.

An outpost stores packs, in the name of a session that is at work elsewhere, and tells of them when
it has done its work. The session, its signs of life, the index and the commit stay where they are:
until the session's writer has adopted it, nothing rests on what an outpost has stored. What one
stored that did not live to tell is like what a crashed writer leaves behind.

An outpost builds upon what the index tells of, as its writer does, and says upon which packs: so
the writer confirms these too before it commits (docs/format.md, "Writers"). It reads the index
after its order was made, and so after its session was announced and had read what is condemned.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, Self

from holdfast.backend import Backend
from holdfast.primitives.compression import Compressor
from holdfast.primitives.hashing import keyed
from holdfast.primitives.ids import BlobId, PackName, SessionId
from holdfast.store.catalog import Catalog
from holdfast.store.filler import TREES, Filler, Group
from holdfast.store.keys import Keys
from holdfast.store.pack import Kind, PackInfo, blob_key
from holdfast.store.packer import Packer
from holdfast.store.tasks import StoreAccess

_SESSIONS: Final = 2
"""Sessions whose index a process keeps for their next outposts."""


@dataclass(frozen=True, slots=True)
class Order:
    """What an outpost works by; it can be pickled, and is a secret.

    Attributes:
        access: to the repository.
        session: that it is a part of.
        compression: zstd level.
        pack_size: bytes.
        avoid: packs that the index may tell of and that nothing is to be built upon.
    """

    access: StoreAccess
    session: SessionId
    compression: int
    pack_size: int
    avoid: frozenset[PackName]


@dataclass(frozen=True, slots=True)
class Deposit:
    """What an outpost has done; it can be pickled.

    Attributes:
        packs: those that it stored.
        used: those that it found blobs in, which it did not store.
    """

    packs: tuple[PackInfo, ...]
    used: frozenset[PackName]


class Outpost:
    """Stores blobs for a session of another process. Used by one thread; a context manager.

    Args:
        order: from `Writer.order`.

    Attributes:
        page_key: see `TreeSaver`.

    Raises:
        BackendError: the storage fails; any other call may raise it, too.
    """

    def __init__(self, order: Order) -> None:
        self._backend = order.access.open()
        try:
            keys = order.access.opened_keys()
            self.page_key = keys.from_dedup("tree pages")
            self._id_keys = {kind: blob_key(keys, kind) for kind in Kind}
            self._table = _KNOWN.catalog(order, self._backend, keys).refresh(self._backend)
            numbers = map(self._table.pack_number, order.avoid)
            self._excluded = {number for number in numbers if number is not None}
            self._saved: set[BlobId] = set()
            self._used: set[int] = set()
            self._packs: list[PackInfo] = []
            self._packer = Packer(
                self._backend,
                keys,
                order.session,
                Compressor(order.compression),
                order.pack_size,
                self._on_stored,
            )
            self._filler = Filler(self._packer)
        except BaseException:
            self._backend.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._packer.close()
        self._backend.close()

    def save_data(self, content: memoryview, group: Group) -> BlobId:
        """See `Writer.save_data`."""
        return self._save(Kind.DATA, content, group)

    def save_tree(self, data: bytes) -> BlobId:
        """See `Writer.save_tree`."""
        return self._save(Kind.TREE, memoryview(data), TREES)

    def finish(self) -> Deposit:
        """Make everything durable that was saved; returns what the session's writer adopts."""
        self._filler.flush()
        self._packer.flush()
        used = frozenset(self._table.pack(number).name for number in self._used)
        return Deposit(tuple(self._packs), used)

    def _save(self, kind: Kind, content: memoryview, group: Group) -> BlobId:
        blob = BlobId(keyed(self._id_keys[kind], content))
        if blob in self._saved:
            return blob
        pack = self._table.known(blob, self._excluded)
        if pack >= 0:
            self._used.add(pack)
        else:
            self._saved.add(blob)
            self._filler.add(kind, blob, content, group)
        return blob

    def _on_stored(self, info: PackInfo, _: memoryview) -> None:
        self._packs.append(info)


class _Known:
    """What this process knows of the index: read once for a session, and then only what is new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._catalogs: OrderedDict[SessionId, Catalog] = OrderedDict()

    def catalog(self, order: Order, backend: Backend, keys: Keys) -> Catalog:
        """The index of the repository that a session writes to; not read yet, or not all of it."""
        with self._lock:
            catalog = self._catalogs.get(order.session)
            if catalog is None:
                catalog = self._catalogs[order.session] = Catalog(backend, keys, None)
            self._catalogs.move_to_end(order.session)
            while len(self._catalogs) > _SESSIONS:
                self._catalogs.popitem(last=False)
        return catalog

    def forget(self, session: SessionId) -> None:
        """Keep nothing for a session that has ended."""
        with self._lock:
            self._catalogs.pop(session, None)


_KNOWN: Final = _Known()


def withdraw(session: SessionId) -> None:
    """Let go of what this process holds for the outposts of a session, which has ended."""
    _KNOWN.forget(session)
