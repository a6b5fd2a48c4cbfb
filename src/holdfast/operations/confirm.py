"""The end of every session that makes a snapshot: all is stored, and confirmed to be there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from holdfast.errors import DamagedRepository
from holdfast.store import Rehearsal, Writer

ATTEMPTS = 3

_T = TypeVar("_T")


def confirmed(writer: Writer | Rehearsal, store_all: Callable[[], _T]) -> _T:
    """Store all that a snapshot needs, again if packs that it builds upon have gone meanwhile.

    Args:
        writer: the session.
        store_all: stores, through the writer, all that the snapshot needs; what it knew of an
            earlier attempt does not hold any more.

    Raises:
        DamagedRepository: packs keep vanishing.
        SessionLost: the session was declared dead.
    """
    for _ in range(ATTEMPTS):
        found = store_all()
        writer.flush()
        if writer.confirm():
            return found
    raise DamagedRepository("data/", f"packs keep vanishing: {ATTEMPTS} attempts were in vain")
