"""The index of an open repository: all index objects, merged, and kept up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from holdfast.backend import Backend, ObjectInfo
from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.store.cache import IndexCache
from holdfast.store.index import IndexObject, decode_index
from holdfast.store.keys import Keys
from holdfast.store.objects import objects, read_object
from holdfast.store.table import Table

_log = logging.getLogger(__name__)

_ROUNDS = 5
"""How often the list is read again when objects vanish between list and get."""


class Catalog:
    """Where every blob is. Safe to use from several threads.

    Attributes:
        table: the merged rows.
        problems: index objects that cannot be used, by name. What they tell of is unknown, which
            a backup answers by storing it again and a check by reporting it.
    """

    def __init__(self, backend: Backend, keys: Keys, cache: IndexCache | None) -> None:
        self._backend = backend
        self._keys = keys
        self._cache = cache
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._loaded = self._cache_tried = False
        self.table = Table()
        self.problems: dict[str, DamagedRepository] = {}

    def load(self) -> Table:
        """The merged rows, read on first use."""
        with self._lock:
            if not self._loaded:
                self._update()
        return self.table

    def refresh(self) -> Table:
        """The merged rows, with whatever index objects have come since."""
        with self._lock:
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
        before = len(self._names)
        for _ in range(_ROUNDS):
            listed = {info.name: info for info in objects(self._backend, "index/")}
            if not self._cache_tried:
                self._cache_tried = True
                self._load_cached(listed)
                before = len(self._names)
            news = sorted(listed.keys() - self._names - self.problems.keys())
            vanished = [name for name in news if not self._add(listed[name])]
            if not vanished:  # else merged into another object, which a new list shows
                break
        self._loaded = True
        if len(self._names) > before and self._cache:
            self._cache.save(frozenset(self._names), self.table)

    def _add(self, info: ObjectInfo) -> bool:
        """Take in an index object; returns False when it has gone."""
        try:
            index = read_object(self._backend, info.name, self._decode, size=info.size)
        except ObjectNotFound:
            return False
        except DamagedRepository as error:
            _log.warning("%s", error)
            self.problems[info.name] = error
            return True
        self.table.add_object(index)
        self._names.add(info.name)
        return True

    def _decode(self, name: str, data: bytes) -> IndexObject:
        return decode_index(name, data, self._keys)
