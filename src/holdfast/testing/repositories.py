"""Repositories for tests: quick to open, in memory, and with a clock that is turned by hand."""

from __future__ import annotations

import threading
from pathlib import Path

from holdfast.backend import Backend, MemoryBackend
from holdfast.clock import SYSTEM_CLOCK, Clock
from holdfast.primitives.chunker import ChunkerParams
from holdfast.primitives.kdf import MIN_MEMORY, KdfParams
from holdfast.store import CacheFolder, Settings, Store, create_store, open_store

PASSWORD = "a password of the tests"  # noqa: S105 - of repositories that live for one test

QUICK_KDF = KdfParams(memory=MIN_MEMORY, passes=1, lanes=1)
"""The weakest that is allowed: 20 milliseconds."""

SMALL_CHUNKS = ChunkerParams("pyfastcdc", 256, 1024, 4096)

SETTINGS = Settings(chunker=SMALL_CHUNKS, pack_size=1 << 20, compression=3)
"""Small chunks and packs, so that little data already makes many of them."""


def new_store(
    backend: Backend | None = None,
    *,
    settings: Settings = SETTINGS,
    clock: Clock = SYSTEM_CLOCK,
    cache: Path | None = None,
) -> Store:
    """A new repository under `PASSWORD`, in memory unless a backend is given."""
    return create_store(
        backend or MemoryBackend(), PASSWORD, settings, QUICK_KDF, clock, _folder(cache)
    )


def reopened(backend: Backend, *, clock: Clock = SYSTEM_CLOCK, cache: Path | None = None) -> Store:
    """The repository that `new_store` made there, opened once more."""
    return open_store(backend, PASSWORD, clock, _folder(cache))


def attached(
    store: Store, backend: Backend, *, clock: Clock = SYSTEM_CLOCK, cache: Path | None = None
) -> Store:
    """The repository of an open store at another backend, without the price of the password."""
    config = (store._config_name, store._config)  # noqa: SLF001 - only tests put a store together
    return Store(backend, store.keys, store.settings, config, clock, _folder(cache))


def _folder(path: Path | None) -> CacheFolder | None:
    return None if path is None else CacheFolder(path)


def copied(backend: Backend) -> MemoryBackend:
    """A copy of all objects, to be damaged."""
    copy = MemoryBackend()
    for info in backend.list(""):
        copy.put(info.name, backend.get(info.name))
    return copy


class ManualClock:
    """A `Clock` that stands still until somebody advances it."""

    def __init__(self, seconds: float = 1_700_000_000.0) -> None:
        self._seconds = seconds

    def advance(self, seconds: float) -> None:
        """Turn the clock forward."""
        self._seconds += seconds

    def now_ns(self) -> int:
        """See `Clock.now_ns`."""
        return int(self._seconds * 1_000_000_000)

    def utc_offset(self) -> int:
        """See `Clock.utc_offset`: always UTC."""
        return 0

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self._seconds

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """See `Clock.wait`."""
        end = self._seconds + seconds
        while not event.wait(0.001):
            if self._seconds >= end:
                return False
        return True
