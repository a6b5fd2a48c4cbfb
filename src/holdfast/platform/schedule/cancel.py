"""Asking work to end: an event that those who work look at."""

from __future__ import annotations

import threading

from holdfast.errors import HoldfastError


class Cancelled(HoldfastError):  # noqa: N818 - what it is; it is no error
    """The scheduler was told to stop, and its patience is over."""


class Cancel:
    """Tells work that it is to end."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def check(self, _: object = None) -> None:
        """Raise `Cancelled` if work is to end; takes what callbacks of progress are given."""
        if self.event.is_set():
            raise Cancelled("ended before it was done, as the scheduler was told to stop")
