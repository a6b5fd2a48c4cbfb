"""The same storage, for work that must not keep anybody waiting."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from holdfast.backend.retry import Retrying
from holdfast.backend.throttle import Throttled

if TYPE_CHECKING:
    from holdfast.backend.base import Backend


def until(backend: Backend, stopped: threading.Event) -> Backend:
    """The same storage, for work that is of no use any more once an event is set.

    What then waits, for a limit of speed or to be tried again, fails with `StorageUnavailable`. A
    request that is under way is not broken off.
    """
    if isinstance(backend, Retrying | Throttled):
        return backend.until(stopped, until(backend.backend, stopped))
    return backend


def brief(backend: Backend) -> Backend:
    """The same storage, for work that is tried again for some seconds only."""
    return backend.brief() if isinstance(backend, Retrying) else backend
