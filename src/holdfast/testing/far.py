"""A storage that says that it is far away, for tests of what is done about that."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from holdfast.backend import Faulty, NoFault
from holdfast.overrides import override

if TYPE_CHECKING:
    from holdfast.backend import Backend, Capabilities, Plan


class Far(Faulty):
    """A decorator that says that its storage is on another machine, and notes all requests.

    Attributes:
        bytes_read: what was fetched of objects.
    """

    def __init__(self, backend: Backend, plan: Plan | None = None) -> None:
        """Decorate; with a plan of faults, if there are to be any."""
        super().__init__(backend, plan or NoFault())
        self.bytes_read = 0
        self._counting = threading.Lock()

    @override
    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """See `Backend.get`."""
        data = super().get(name, offset, length)
        with self._counting:
            self.bytes_read += len(data)
        return data

    @override
    def capabilities(self) -> Capabilities:
        """What the storage can do, but for being near."""
        return super().capabilities()._replace(local=False)

    def asked(self, verb: str = "") -> list[str]:
        """The requests so far, or those of a verb: verb and folder of each, in order."""
        return [
            f"{call.verb} {call.name.partition('/')[0]}"
            for call in self.calls
            if verb in {"", call.verb}
        ]
