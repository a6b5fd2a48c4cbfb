"""The index of an open repository: all index objects, merged, and kept up to date."""

from __future__ import annotations

import logging
import threading

from holdfast.backend import Backend
from holdfast.errors import DamagedRepository, ObjectNotFound
from holdfast.store.cache import IndexCache
from holdfast.store.index import decode_index
from holdfast.store.keys import Keys
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
        self._names: frozenset[str] = frozenset()
        self._loaded = False
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

    def _load_cached(self) -> None:
        found = self._cache.load() if self._cache else None
        if found is None:
            return
        names, table = found
        listed = {info.name for info in self._backend.list("index/")}
        # Rows of objects that are gone would be harmless, but nobody would ever clear them away.
        if names <= listed:
            self._names, self.table = names, table

    def _update(self) -> None:
        if not self._loaded:
            self._load_cached()
        changed = False
        for _ in range(_ROUNDS):
            listed = {info.name for info in self._backend.list("index/")}
            vanished = False
            for name in sorted(listed - self._names - self.problems.keys()):
                try:
                    self._add(name)
                    changed = True
                except ObjectNotFound:
                    vanished = True  # merged into another object, which a new list shows
            if not vanished:
                break
        self._loaded = True
        if changed and self._cache:
            self._cache.save(self._names, self.table)

    def _add(self, name: str) -> None:
        data = self._backend.get(name)
        try:
            index = decode_index(name, data, self._keys)
        except DamagedRepository as error:
            _log.warning("%s", error)
            self.problems[name] = error
            return
        self.table.add_object(index)
        self._names |= {name}
