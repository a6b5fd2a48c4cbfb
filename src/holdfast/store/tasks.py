"""Work on a repository that other processes do, on this machine or on others.

A task is a function of this module and plain arguments, so that it can be pickled. It carries the
storage's address and the repository's keys, never a password; whoever runs it can read everything.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import cast

from holdfast.backend import Address, Backend, address_of, open_backend
from holdfast.errors import UsageError
from holdfast.primitives import codec
from holdfast.primitives.ids import PackName
from holdfast.store.keys import Keys, KeysRow
from holdfast.store.scrub import Damage, PackReader


@dataclass(frozen=True, slots=True)
class StoreAccess:
    """What a process needs to work on a repository.

    Attributes:
        address: of its storage.
        keys: the opened keys, packed.
    """

    address: Address
    keys: bytes = field(repr=False)

    def open(self) -> Backend:
        """The storage."""
        return open_backend(*self.address)

    def opened_keys(self) -> Keys:
        """The keys."""
        return Keys.of_row(cast("KeysRow", codec.unpack_rows(self.keys)))


def store_access(backend: Backend, keys: Keys) -> StoreAccess:
    """What other processes need to work on a repository.

    Raises:
        UsageError: only this process can use the storage.
    """
    address = address_of(backend)
    if address is None:
        raise UsageError(
            f"{backend.location}: an executor's processes cannot open this storage: it was not "
            "opened by its location"
        )
    return StoreAccess(address, codec.pack(keys.row()))


@dataclass(frozen=True, slots=True)
class ScrubTask:
    """Packs to be read whole and verified.

    Attributes:
        access: to the repository.
        packs: their names.
        largest: bytes of the largest.
    """

    access: StoreAccess
    packs: tuple[PackName, ...]
    largest: int


def scrub_packs(task: ScrubTask) -> list[Damage | None]:
    """What is wrong with each of some packs, or None; see `PackReader.damage`.

    Raises:
        BackendError: the storage fails.
    """
    with closing(task.access.open()) as backend:
        reader = PackReader(backend, task.access.opened_keys(), task.largest)
        return [reader.damage(pack) for pack in task.packs]
