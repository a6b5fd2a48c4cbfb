"""The index of an open repository: all index objects, merged, and kept up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence

from holdfast.backend import Backend, ObjectInfo
from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.store.cache import IndexCache
from holdfast.store.index import IndexObject, decode_index
from holdfast.store.keys import Keys
from holdfast.store.metadata import NO_METADATA, MetadataCache
from holdfast.store.objects import objects
from holdfast.store.table import Table

_log = logging.getLogger(__name__)

_ROUNDS = 5
"""How often the list is read again when it shows new names, or objects vanish before the get."""

_ROWS_AT_ONCE = 1 << 22
"""Rows of new objects that are held before they are merged."""


class Catalog:
    """Where every blob is. Safe to use from several threads.

    Attributes:
        table: the merged rows.
        problems: index objects that cannot be used, by name. What they tell of is unknown, which
            a backup answers by storing it again and a check by reporting it.
    """

    def __init__(
        self,
        backend: Backend,
        keys: Keys,
        cache: IndexCache | None,
        metadata: MetadataCache = NO_METADATA,
    ) -> None:
        self._backend = backend
        self._keys = keys
        self._cache = cache
        self._metadata = metadata
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._loaded = self._cache_tried = False
        self._is_exact = True
        self.table = Table()
        self.problems: dict[str, DamagedRepository] = {}

    def load(self) -> Table:
        """The merged rows, read on first use."""
        with self._lock:
            if not self._loaded:
                self._update()
        return self.table

    def refresh(self, backend: Backend | None = None) -> Table:
        """The merged rows, with whatever index objects have come since.

        Args:
            backend: another connection to the storage, which is used from now on.
        """
        with self._lock:
            self._backend = backend or self._backend
            self._update()
        return self.table

    def _load_cached(self, listed: Iterable[str]) -> None:
        found = self._cache.load() if self._cache else None
        if found is None:
            return
        names, table = found
        # Rows of objects that are gone would be harmless, but nobody would ever clear them away.
        if names.issubset(listed):
            self._names, self.table = set(names), table

    def _update(self) -> None:
        saved = len(self._names)
        taken_in: list[str] = []
        for _ in range(_ROUNDS):
            listed = {info.name: info for info in objects(self._backend, "index/")}
            if not self._cache_tried:
                self._cache_tried = True
                self._load_cached(listed)
                saved = len(self._names)
            self._forget(listed)
            news = sorted(listed.keys() - self._names - self.problems.keys())
            if not news:
                break
            are_ours = all(self._metadata.has(name, 0) for name in news)
            self._add([listed[name] for name in news])
            taken_in += news
            if are_ours:  # else more may have come, merged from what has gone meanwhile
                break
        self._loaded = True
        if self._cache and self._is_exact and len(self._names) > saved:
            self._cache.save(frozenset(self._names), self.table)
            for name in taken_in:  # what this machine has written itself is not kept twice
                self._metadata.drop(name, 0)

    def _forget(self, listed: Collection[str]) -> None:
        """Forget objects that were merged into others or deleted."""
        vanished = self._names.difference(listed)
        if vanished:
            # Their rows stay known here, but must not go into a cache that others rely upon.
            self._names -= vanished
            self._is_exact = False
        for name in self.problems.keys() - listed:
            del self.problems[name]

    def _add(self, infos: Sequence[ObjectInfo]) -> None:
        """Take in index objects, but for those that have gone."""
        waiting: dict[str, IndexObject] = {}
        rows = 0
        for info in infos:
            index = self._read(info)
            if index is not None:
                waiting[info.name] = index
                rows += index.rows
            if rows > _ROWS_AT_ONCE:
                self._take_in(waiting)
                waiting, rows = {}, 0
        self._take_in(waiting)

    def _take_in(self, indexes: Mapping[str, IndexObject]) -> None:
        self.table.add_objects(list(indexes.values()))
        self._names |= indexes.keys()

    def _read(self, info: ObjectInfo) -> IndexObject | None:
        try:
            return self._metadata.read_object(
                self._backend, info.name, self._decode, info.size, keep=False
            )
        except ObjectNotFound:
            return None
        except DamagedRepository as error:
            _log.warning("%s", error)
            # What was read and parsed so far hangs on the traceback.
            self.problems[info.name] = error.with_traceback(None)
            error.__context__ = None
            return None

    def _decode(self, name: str, data: bytes) -> IndexObject:
        return decode_index(name, data, self._keys)
