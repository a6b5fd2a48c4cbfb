"""fsspec's file system in the memory of this process, shared by all who open it here."""

from __future__ import annotations

import threading
from typing import Final

from holdfast.backend.drivers.driver import Driver
from holdfast.overrides import override

_LOCK: Final = threading.Lock()
"""fsspec looks whether a file is there and then makes it: not at once."""


class MemoryDriver(Driver):
    """A folder of it."""

    has_folders = True

    @override
    def create(self, path: str, data: bytes) -> None:
        """See `Driver.create`."""
        with _LOCK:
            super().create(path, data)

    @override
    def put(self, path: str, data: bytes) -> None:
        """See `Driver.put`."""
        with _LOCK:
            super().put(path, data)
